// Command holdfast proves that a phone number is in the hand of the person on
// the other side: it sends a link by SMS, and when it is tapped, asks the mobile
// network whose phone that was.
//
// One file per command; wire.go puts the parts together.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"holdfast/internal/config"
)

// cli is the command line.
type cli struct {
	Config string `short:"c" env:"HOLDFAST_CONFIG" placeholder:"FILE" help:"The configuration file (YAML). Environment variables HOLDFAST_… go over it."`

	Serve   serveCommand   `cmd:"" help:"Serve clients, phones, carriers and gateways."`
	Dev     devCommand     `cmd:"" help:"Play the whole journey on this machine: pretend phone, pretend carrier, demo client."`
	Migrate migrateCommand `cmd:"" help:"Bring the database's tables up to date."`
	Client  clientCommand  `cmd:"" help:"Add and manage clients: the businesses that use the API."`
	Doctor  doctorCommand  `cmd:"" help:"Check configuration, database, key, public URL, gateways and carriers, and list all that is wrong."`
	benchCommands
	Version versionCommand `cmd:"" help:"Print the version."`
}

// environment is what a command has of the process that it runs in.
type environment struct {
	environ        []string
	stdout, stderr io.Writer
	configFile     string
}

// load reads the configuration that every command but dev and version works on.
func (e *environment) load() (*config.Config, config.Problems) {
	return config.Load(config.Source{File: e.configFile, Environ: e.environ})
}

// errReported is an error whose words are out already.
var errReported = errors.New("reported")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends us at once
	env := &environment{environ: os.Environ(), stdout: os.Stdout, stderr: os.Stderr}
	err := run(ctx, os.Args[1:], env)
	stop()
	if err != nil {
		if !errors.Is(err, errReported) {
			fmt.Fprintln(os.Stderr, "holdfast: "+err.Error())
		}
		os.Exit(1)
	}
}

// run reads the command line and runs its command until that ends or ctx does.
func run(ctx context.Context, args []string, env *environment) error {
	var line cli
	exited := -1
	parser, err := kong.New(&line,
		kong.Name("holdfast"),
		kong.Description("Phone verification by a fortified link and the mobile network."),
		kong.Writers(env.stdout, env.stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		return err
	}
	command, err := parser.Parse(args)
	if exited == 0 { // --help has been printed
		return nil
	}
	if err != nil {
		return err
	}
	env.configFile = line.Config
	command.BindTo(ctx, (*context.Context)(nil))
	return command.Run(env)
}
