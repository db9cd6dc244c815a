package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"holdfast/internal/flow"
	"holdfast/internal/verify"
)

// benchServerCommand is the measured process: what serve runs, by a
// configuration file like any other, plus the orders of the bench.
type benchServerCommand struct {
	Log string `help:"Where the log goes."`
}

// Run serves until standard input ends.
func (c *benchServerCommand) Run(ctx context.Context, env *environment) error {
	cfg, problems := env.load()
	wired := wireConfig(ctx, cfg, &problems)
	if err := problems.Err(); err != nil {
		return err
	}
	out, err := os.OpenFile(c.Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	log := newLogs(out, slog.LevelInfo)
	defer log.Stop()
	slog.SetDefault(log.Logger)
	db, err := openStore(ctx, cfg.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	listener, err := listen(cfg.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	s, err := newServer(ctx, parts{
		public: cfg.Public, key: cfg.Key, store: db, log: log.Logger,
		gateways: wired.gateways, networks: wired.carriers.networks, jwks: wired.carriers.jwks(),
		listener: listener, proxies: cfg.Proxies, login: cfg.Login, sendLinkPaths: cfg.API.SendLinkPaths,
	})
	if err != nil {
		return err
	}
	off := silence(s.flow)
	fmt.Fprintln(env.stdout, "ok "+listener.Addr().String()) // requests wait until it serves

	ctx, stop := context.WithCancel(ctx)
	go func() {
		defer stop()
		var look profiler
		obey(os.Stdin, env.stdout, map[string]func(string) error{
			"deliver": func(state string) error { off.Store(state == "off"); return nil },
			"profile": look.cpu,
			"heap":    look.heap,
		})
	}()
	return s.run(ctx)
}

// silence gives a flow a switch that turns its delivery off: what is then stored
// stays leased for a day to a node that isn't there, so that nobody sends it or
// releases it at the end. It must be called before the flow is used.
func silence(f *flow.Flow) *atomic.Bool {
	off := new(atomic.Bool)
	f.Store, f.Outbox = silentStore{f.Store, off}, silentOutbox{f.Outbox, off}
	return off
}

type silentStore struct {
	flow.Store
	off *atomic.Bool
}

// Create implements flow.Store.
func (s silentStore) Create(ctx context.Context, v verify.Verification, lease verify.Lease, idem *verify.Idempotency) (verify.Handle, bool, error) {
	if s.off.Load() {
		lease = verify.Lease{Node: (lease.Node + 1) % verify.Nodes, Until: v.CreatedAt.Add(24 * time.Hour)}
	}
	return s.Store.Create(ctx, v, lease, idem)
}

type silentOutbox struct {
	flow.Outbox
	off *atomic.Bool
}

// Hand implements flow.Outbox.
func (o silentOutbox) Hand(m verify.Message) {
	if !o.off.Load() {
		o.Outbox.Hand(m)
	}
}
