//go:build unix

// Command run runs another command beside a throw-away PostgreSQL server:
//
//	go run ./internal/testkit/pgcluster/run -- go test ./...
//
// The command finds the server in TEST_POSTGRES_URL. Signals are passed on to
// it, the server ends with it, and its exit code is ours.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"holdfast/internal/testkit/pgcluster"
)

// failed is the exit code where the command could not be run.
const failed = 125

func main() {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "usage: run -- command [argument …]")
		os.Exit(failed)
	}
	code, err := run(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

func run(args []string) (code int, err error) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cluster, err := start(ctx, cancel, signals)
	if err != nil {
		return failed, err
	}
	defer cluster.Stop()

	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), pgcluster.EnvURL+"="+cluster.URL())
	if err := cmd.Start(); err != nil {
		return failed, err
	}
	go func() {
		for s := range signals {
			cmd.Process.Signal(s)
		}
	}()
	err = cmd.Wait()
	var ended *exec.ExitError
	if !errors.As(err, &ended) {
		return 0, err
	}
	if status, ok := ended.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil // as shells have it
	}
	return ended.ExitCode(), nil
}

// start starts the server; a signal meanwhile ends that.
func start(ctx context.Context, cancel func(), signals <-chan os.Signal) (*pgcluster.Cluster, error) {
	done := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-signals:
			cancel()
		case <-done:
		}
	}()
	cluster, err := pgcluster.Start(ctx, pgcluster.Config{})
	close(done)
	<-watched
	if err == nil && ctx.Err() != nil {
		cluster.Stop()
		err = ctx.Err()
	}
	return cluster, err
}
