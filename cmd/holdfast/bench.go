package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"holdfast/internal/bench"
)

// benchCommands are the bench and the processes that it starts.
type benchCommands struct {
	Bench       benchCommand       `cmd:"" help:"Measure whole journeys on this machine, beside a bare net/http server."`
	BenchServer benchServerCommand `cmd:"" hidden:""`
	BenchBare   benchBareCommand   `cmd:"" hidden:""`
}

// benchCommand measures a server of its own: another process of this program, on
// a database, with an SMS sink and a pretend carrier that live only as long.
type benchCommand struct {
	Store       string        `enum:"sqlite,postgres" default:"sqlite" help:"Which database: sqlite or postgres."`
	DatabaseURL string        `name:"database-url" placeholder:"URL" help:"An empty PostgreSQL database to use and to leave full; without it a throw-away cluster is started."`
	Duration    time.Duration `default:"15s" help:"How long each figure is measured."`
	Clients     int           `default:"64" help:"How many connections are busy at once."`
	Rate        int           `default:"1500" help:"Links a second in the phase at a fixed rate."`
	Preload     int           `placeholder:"N" help:"Measure again with this many old verifications stored."`
	CPUProfile  string        `name:"cpuprofile" placeholder:"DIR" type:"path" help:"Write a CPU profile of the server for each phase, and one of its memory at the end, to this folder."`
	ServerLog   string        `placeholder:"FILE" type:"path" help:"Append the server's log to this file; by default it is written and thrown away."`
	Folder      string        `placeholder:"DIR" type:"path" help:"Where the database's folder is made; by default the system's temporary one, which should be on a disk."`
}

// Run measures and prints. Requests that failed make it fail; a target that was
// missed does not.
func (c *benchCommand) Run(ctx context.Context, env *environment) (err error) {
	if c.DatabaseURL != "" && c.Store != "postgres" {
		return errors.New("--database-url goes with --store postgres")
	}
	if c.CPUProfile != "" {
		if err := os.MkdirAll(c.CPUProfile, 0o755); err != nil {
			return err
		}
	}
	env.stderr = &oneByOne{w: env.stderr}
	world, err := startBenchWorld(ctx, c, env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, world.stop()) }()

	fmt.Fprintf(env.stdout, "%s, %d connections, %v each, %d cores (%s/%s), everything durable\n",
		c.Store, c.Clients, c.Duration, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	report, err := bench.Run(ctx, world.config(c, env.stderr))
	if err != nil {
		return err
	}
	if c.CPUProfile != "" {
		if err := world.server.tell("heap " + filepath.Join(c.CPUProfile, "heap.pprof")); err != nil {
			return err
		}
	}
	if _, err := report.WriteTo(env.stdout); err != nil {
		return err
	}
	if n, cause := report.Errors(); n > 0 {
		return fmt.Errorf("%d requests failed, the first: %w", n, cause)
	}
	return nil
}

// oneByOne lets the bench and the processes that it starts share a writer.
type oneByOne struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (o *oneByOne) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(b)
}

func (w *benchWorld) config(c *benchCommand, progress io.Writer) bench.Config {
	cfg := bench.Config{
		Server: w.server.server(), Bare: w.bare.server(), Host: benchHost, Sink: w.sink,
		Username: benchUser, Password: benchPassword, Target: benchTarget + "/return?order=1",
		Clients: c.Clients, Duration: c.Duration, Rate: c.Rate, Postgres: c.Store == "postgres", Progress: progress,
		Deliver: func(on bool) error {
			if on {
				return w.server.tell("deliver on")
			}
			return w.server.tell("deliver off")
		},
	}
	if c.Preload > 0 {
		cfg.Preloaded = c.Preload
		cfg.Preload = func(ctx context.Context) error { return w.preload(ctx, c.Preload) }
	}
	if c.CPUProfile != "" {
		cfg.Profile = func(phase string) (func() error, error) {
			file := filepath.Join(c.CPUProfile, phase+".pprof")
			return func() error { return w.server.tell("profile end") }, w.server.tell("profile " + file)
		}
	}
	return cfg
}
