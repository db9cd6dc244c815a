package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"time"

	"holdfast/internal/bench"
)

// benchChild is a process that the bench started. It is told what to do by lines
// on its standard input, answers each by one on its standard output ("ok …" or
// what went wrong), and ends when its input does, so that it can't be left over.
type benchChild struct {
	cmd   *exec.Cmd
	input io.WriteCloser
	lines *bufio.Scanner
	addr  string
	stop  func() error
}

// startBenchChild runs a hidden command of this program.
func startBenchChild(stderr io.Writer, args ...string) (*benchChild, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &benchChild{cmd: exec.Command(program, args...)}
	c.cmd.Stderr = stderr
	c.cmd.Env = append(withoutHoldfast(os.Environ()), benchChildMark+"=1")
	if c.input, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	output, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.lines = bufio.NewScanner(output)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	c.stop = sync.OnceValue(func() error { return errors.Join(c.input.Close(), c.cmd.Wait()) })
	if c.addr, err = c.answer(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", args[0], err), c.stop())
	}
	return c, nil
}

// benchChildMark is in the environment of processes that the bench started; this
// program's tests know by it that they are one.
const benchChildMark = "BENCH_CHILD"

// withoutHoldfast leaves out what would configure the child's server.
func withoutHoldfast(environ []string) []string {
	var kept []string
	for _, variable := range environ {
		if !strings.HasPrefix(variable, "HOLDFAST_") {
			kept = append(kept, variable)
		}
	}
	return kept
}

func (c *benchChild) server() bench.Server {
	return bench.Server{Addr: c.addr, PID: c.cmd.Process.Pid}
}

// tell gives an order and waits until it is done.
func (c *benchChild) tell(order string) error {
	if _, err := io.WriteString(c.input, order+"\n"); err != nil {
		return fmt.Errorf("the measured process is gone: %w", err)
	}
	_, err := c.answer()
	return err
}

func (c *benchChild) answer() (string, error) {
	if !c.lines.Scan() {
		return "", errors.New("the measured process ended early; what it said is above")
	}
	text, ok := strings.CutPrefix(c.lines.Text(), "ok ")
	if !ok {
		return "", errors.New(c.lines.Text())
	}
	return text, nil
}

// obey carries out the orders on in until it ends, and says how each went on out.
func obey(in io.Reader, out io.Writer, orders map[string]func(argument string) error) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		order, argument, _ := strings.Cut(lines.Text(), " ")
		err := errors.New("unknown order " + order)
		if do := orders[order]; do != nil {
			err = do(argument)
		}
		if err != nil {
			fmt.Fprintln(out, strings.ReplaceAll(err.Error(), "\n", "; "))
			continue
		}
		fmt.Fprintln(out, "ok "+order)
	}
}

// profiler carries out the orders that look into this process.
type profiler struct{ file *os.File }

// cpu starts a CPU profile into the file of that name, or ends it ("end").
func (p *profiler) cpu(file string) (err error) {
	if file == "end" {
		pprof.StopCPUProfile()
		if p.file == nil {
			return nil
		}
		return p.file.Close()
	}
	if p.file, err = os.Create(file); err != nil {
		return err
	}
	return pprof.StartCPUProfile(p.file)
}

// heap writes what is in memory, after a collection.
func (p *profiler) heap(file string) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	runtime.GC()
	return errors.Join(pprof.WriteHeapProfile(out), out.Close())
}

// benchBareCommand is the process of the bare server.
type benchBareCommand struct{}

// Run serves until standard input ends.
func (benchBareCommand) Run(ctx context.Context, env *environment) error {
	listener, err := listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	// Its times are the ones of ours, since deadlines cost something too.
	server := newHTTPServer(listener, bench.Bare(), slog.Default())
	served := make(chan error, 1)
	go func() { served <- server.serve() }()
	fmt.Fprintln(env.stdout, "ok "+listener.Addr().String())
	obey(os.Stdin, env.stdout, nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(server.stop(ctx), <-served)
}
