package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"holdfast/internal/access"
	"holdfast/internal/config"
	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

// clientCommand manages clients in the configured database. A running server
// notices a change within seconds (access.Config.CacheTTL).
type clientCommand struct {
	Add     clientAddCommand     `cmd:"" help:"Add a client and print its password, once."`
	List    clientListCommand    `cmd:"" help:"List all clients."`
	Set     clientSetCommand     `cmd:"" help:"Change a client's business name or settings."`
	Enable  clientEnableCommand  `cmd:"" help:"Let a disabled client log in again."`
	Disable clientDisableCommand `cmd:"" help:"Shut a client out: its tokens stop working, it can't log in."`
	Rotate  clientRotateCommand  `cmd:"" help:"Give a client a new password, printed once; its tokens stop working."`
}

// clientName is the one argument that most of them take.
type clientName struct {
	Username string `arg:"" help:"The client's user name."`
}

// clientSettings are the flags of add and set. What is not given stays.
type clientSettings struct {
	Target        []string `placeholder:"ORIGIN" sep:"none" help:"An origin that a targetUrl may have, such as https://app.example.com; repeat for more. With set, the list is replaced."`
	LinkMinutes   *int     `placeholder:"N" help:"How long links work, 1 to 60 minutes (default 5)."`
	ResultMinutes *int     `placeholder:"N" help:"How long a VFP redeems the result, 1 to 1440 minutes (default 60)."`
	MaxSegments   *int     `placeholder:"N" help:"How many SMS one text may take, 1 to 10 (default 3)."`
	AutoSubmit    *bool    `negatable:"" help:"The link page confirms by itself, without a tap (landing: auto)."`
	ShowDeviceIP  *bool    `name:"show-device-ip" negatable:"" help:"Results show the address of the click."`
	AcceptIPMatch *bool    `name:"accept-ip-match" negatable:"" help:"Policy: a click from sourceIp counts as verified when the network could not be asked."`
}

func (f clientSettings) over(s tenant.Settings) tenant.Settings {
	set(&s.LinkMinutes, f.LinkMinutes)
	set(&s.ResultMinutes, f.ResultMinutes)
	set(&s.MaxSegments, f.MaxSegments)
	set(&s.AutoSubmit, f.AutoSubmit)
	set(&s.ShowDeviceIP, f.ShowDeviceIP)
	set(&s.Policy.AcceptIPMatch, f.AcceptIPMatch)
	if f.Target != nil {
		s.Targets = f.Target
	}
	return s
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// withAccess runs do on the configured database, which must be there.
func withAccess(ctx context.Context, env *environment, do func(*access.Access) error) error {
	return withStore(ctx, env, openExisting, func(db store) error { return onStore(db, nil, do) })
}

// withNewAccess is withAccess for what mints ids: it makes the database where
// there is none, and takes a process number, of which there are few (verify.Nodes).
func withNewAccess(ctx context.Context, env *environment, do func(*access.Access) error) error {
	return withStore(ctx, env, openStore, func(db store) error {
		node, err := db.NextNode(ctx)
		if err != nil {
			return err
		}
		return onStore(db, verify.NewIDs(node, time.Now), do)
	})
}

func withStore(ctx context.Context, env *environment, open func(context.Context, config.Database) (store, error), do func(store) error) error {
	cfg, problems := env.load()
	if err := problems.In("database").Err(); err != nil {
		return err
	}
	db, err := open(ctx, cfg.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	return do(db)
}

func onStore(db store, ids *verify.IDs, do func(*access.Access) error) error {
	admin, err := access.New(access.Config{Store: db, IDs: ids, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	return do(admin)
}

type clientAddCommand struct {
	clientName
	Business string `required:"" help:"The name that consumers read, in the SMS and on the page."`
	clientSettings
}

// Run adds a client.
func (c *clientAddCommand) Run(ctx context.Context, env *environment) error {
	return withNewAccess(ctx, env, func(a *access.Access) error {
		client, password, err := a.Add(ctx, access.NewClient{
			Username: c.Username, Business: c.Business, Settings: c.over(tenant.Settings{}),
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(env.stdout, "client %s added\npassword: %s\n", client.Username, password.Reveal())
		fmt.Fprintln(env.stderr, "The password is kept nowhere; `holdfast client rotate` makes another.")
		return nil
	})
}

type clientListCommand struct{}

// Run lists all clients.
func (clientListCommand) Run(ctx context.Context, env *environment) error {
	return withAccess(ctx, env, func(a *access.Access) error {
		clients, err := a.List(ctx)
		if err != nil {
			return err
		}
		return printClients(env.stdout, clients)
	})
}

func printClients(to io.Writer, clients []tenant.Client) error {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "USERNAME\tSTATE\tBUSINESS\tLINK\tRESULT\tSMS\tPOLICY\tTARGETS\tADDED")
	for _, c := range clients {
		state := "enabled"
		if c.Disabled {
			state = "disabled"
		}
		s := c.Settings
		fmt.Fprintf(table, "%s\t%s\t%s\t%dm\t%dm\t%d\t%s\t%s\t%s\n", c.Username, state, c.Business,
			int(s.LinkLifetime().Minutes()), int(s.ResultLifetime().Minutes()), s.SegmentLimit(),
			policyText(s), strings.Join(s.Targets, " "), c.CreatedAt.Format(time.DateOnly))
	}
	return table.Flush()
}

func policyText(s tenant.Settings) string {
	var words []string
	for _, option := range []struct {
		on   bool
		word string
	}{
		{s.Policy.AcceptIPMatch, "accept-ip-match"}, {s.AutoSubmit, "auto-submit"}, {s.ShowDeviceIP, "show-device-ip"},
	} {
		if option.on {
			words = append(words, option.word)
		}
	}
	if words == nil {
		return "default"
	}
	return strings.Join(words, ",")
}

type clientSetCommand struct {
	clientName
	Business *string `help:"The name that consumers read, in the SMS and on the page."`
	clientSettings
}

// Run changes a client.
func (c *clientSetCommand) Run(ctx context.Context, env *environment) error {
	return withAccess(ctx, env, func(a *access.Access) error {
		client, err := a.Find(ctx, c.Username)
		if err != nil {
			return err
		}
		settings := c.over(client.Settings)
		if client, err = a.Set(ctx, c.Username, access.Change{Business: c.Business, Settings: &settings}); err != nil {
			return err
		}
		return printClients(env.stdout, []tenant.Client{client})
	})
}

type clientEnableCommand struct{ clientName }

// Run enables a client.
func (c *clientEnableCommand) Run(ctx context.Context, env *environment) error {
	return withAccess(ctx, env, func(a *access.Access) error {
		client, err := a.Enable(ctx, c.Username)
		if err == nil {
			fmt.Fprintf(env.stdout, "client %s enabled\n", client.Username)
		}
		return err
	})
}

type clientDisableCommand struct{ clientName }

// Run disables a client.
func (c *clientDisableCommand) Run(ctx context.Context, env *environment) error {
	return withAccess(ctx, env, func(a *access.Access) error {
		client, err := a.Disable(ctx, c.Username)
		if err == nil {
			fmt.Fprintf(env.stdout, "client %s disabled\n", client.Username)
		}
		return err
	})
}

type clientRotateCommand struct{ clientName }

// Run makes a new password.
func (c *clientRotateCommand) Run(ctx context.Context, env *environment) error {
	return withAccess(ctx, env, func(a *access.Access) error {
		password, err := a.Rotate(ctx, c.Username)
		if err == nil {
			fmt.Fprintf(env.stdout, "client %s has a new password\npassword: %s\n", c.Username, password.Reveal())
		}
		return err
	})
}
