package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/secret"

	"holdfast/internal/config"
	"holdfast/internal/outbox"
	"holdfast/internal/verify"
)

// The faults' server is the real one in a process of its own, so that it can be
// killed: this test binary, started again. Two things differ from serve: its
// leases are short, for a test has no 30 s to wait for them, and it can be told to
// die, or to stand still, at a given call of its store.

// faultChild is in the environment of a server for faults; its value is the plan.
const faultChild = "FAULT_CHILD"

// faultLease is how long a message belongs to a node here.
const faultLease = 2 * time.Second

func init() {
	plan, is := os.LookupEnv(faultChild)
	if !is {
		return
	}
	if err := serveWithFaults(os.Args[1], plan); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serveWithFaults serves until standard input ends, which it does with the test.
func serveWithFaults(configFile, plan string) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	cfg, problems := config.Load(config.Source{File: configFile})
	wired := wireConfig(ctx, cfg, &problems)
	if err := problems.Err(); err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	slog.SetDefault(log)
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
	faulty := faultyStore{store: db, plan: parsePlan(plan)}
	s, err := newServer(ctx, parts{
		public: cfg.Public, key: cfg.Key, store: faulty, log: log,
		gateways: wired.gateways, networks: wired.carriers.networks, jwks: wired.carriers.jwks(),
		listener: listener, publicMetrics: true, proxies: cfg.Proxies, login: cfg.Login,
	})
	if err != nil {
		return err
	}
	if s.outbox, err = outbox.New(outbox.Config{
		Store: faulty, Node: s.node, Lease: faultLease, SendTime: faultLease / 3, Poll: 50 * time.Millisecond, Log: log,
	}); err != nil {
		return err
	}
	s.flow.Outbox = s.outbox
	fmt.Println("ok " + listener.Addr().String()) // requests wait until it serves
	return s.run(ctx)
}

// faultPlan is what happens at the nth call of a verb.
type faultPlan struct {
	moment string // the verb, and "before" or "after"
	hang   bool   // stand still there instead of dying

	mu   sync.Mutex
	left int
}

// parsePlan reads "Create after 3 kill"; "" is a server without faults.
func parsePlan(text string) *faultPlan {
	p := &faultPlan{}
	if text == "" {
		return p
	}
	var verb, when, what string
	if _, err := fmt.Sscan(text, &verb, &when, &p.left, &what); err != nil {
		panic(err)
	}
	p.moment, p.hang = verb+" "+when, what == "hang"
	return p
}

func (p *faultPlan) at(moment string) {
	if moment != p.moment {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left--; p.left != 0 {
		return
	}
	if p.hang {
		fmt.Println("hangs")
	} else if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill() // SIGKILL: nothing is flushed, closed or answered
	}
	select {}
}

// faultyStore is a store whose plan is asked before and after each write of the
// journey, and whose leases are short.
type faultyStore struct {
	store
	plan *faultPlan
}

func (s faultyStore) around(verb string, write func() error) error {
	s.plan.at(verb + " before")
	err := write()
	if err == nil {
		s.plan.at(verb + " after")
	}
	return err
}

func (s faultyStore) Create(ctx context.Context, v verify.Verification, lease verify.Lease, idem *verify.Idempotency) (h verify.Handle, replay bool, err error) {
	lease.Until = v.CreatedAt.Add(faultLease)
	err = s.around("Create", func() error {
		h, replay, err = s.store.Create(ctx, v, lease, idem)
		return err
	})
	return h, replay, err
}

func (s faultyStore) Consume(ctx context.Context, id verify.ID, link secret.Digest, click verify.Click) (v verify.Verification, err error) {
	err = s.around("Consume", func() (err error) {
		v, err = s.store.Consume(ctx, id, link, click)
		return err
	})
	return v, err
}

func (s faultyStore) Deny(ctx context.Context, id verify.ID, at time.Time) error {
	return s.around("Deny", func() error { return s.store.Deny(ctx, id, at) })
}

func (s faultyStore) ClaimAnswer(ctx context.Context, id verify.ID, at time.Time) error {
	return s.around("ClaimAnswer", func() error { return s.store.ClaimAnswer(ctx, id, at) })
}

func (s faultyStore) Complete(ctx context.Context, id verify.ID, outcome verify.Outcome) error {
	return s.around("Complete", func() error { return s.store.Complete(ctx, id, outcome) })
}

func (s faultyStore) BeginAttempt(ctx context.Context, node verify.Node, a verify.Attempt) error {
	return s.around("BeginAttempt", func() error { return s.store.BeginAttempt(ctx, node, a) })
}

func (s faultyStore) EndAttempt(ctx context.Context, end verify.AttemptEnd) error {
	return s.around("EndAttempt", func() error { return s.store.EndAttempt(ctx, end) })
}

// ClaimDue counts only where it found something.
func (s faultyStore) ClaimDue(ctx context.Context, now time.Time, lease verify.Lease, limit int) ([]verify.Message, error) {
	due, err := s.store.ClaimDue(ctx, now, lease, limit)
	if len(due) > 0 {
		s.plan.at("ClaimDue after")
	}
	return due, err
}

// faultServer is such a process, seen from the test.
type faultServer struct {
	addr  string
	hangs chan struct{} // closed when it stands still as planned
	gone  chan struct{} // closed when the process has ended

	cmd   *exec.Cmd
	input io.Closer
	said  string // the file of its log
}

// startFaultServer starts a server and returns when requests can be sent to it.
// It is killed at the test's end at the latest.
func startFaultServer(t *testing.T, configFile, plan string) *faultServer {
	t.Helper()
	p := &faultServer{
		hangs: make(chan struct{}), gone: make(chan struct{}),
		cmd: exec.Command(os.Args[0], configFile), said: filepath.Join(t.TempDir(), "log"),
	}
	log, err := os.Create(p.said)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p.cmd.Env = append(withoutHoldfast(os.Environ()), faultChild+"="+plan)
	p.cmd.Stderr = log
	input, inputErr := p.cmd.StdinPipe()
	output, outputErr := p.cmd.StdoutPipe()
	if err := cmp.Or(inputErr, outputErr, p.cmd.Start()); err != nil {
		t.Fatal(err)
	}
	p.input = input
	lines := bufio.NewScanner(output)
	lines.Scan()
	var started bool
	p.addr, started = strings.CutPrefix(lines.Text(), "ok ")
	go p.watch(lines)
	t.Cleanup(func() {
		p.kill()
		if said := p.log(); said != "" { // only errors are
			t.Errorf("a server (%q) logged:\n%s", plan, said)
		}
	})
	if !started {
		<-p.gone
		t.Fatalf("the server did not start:\n%s", p.log())
	}
	return p
}

func (p *faultServer) watch(lines *bufio.Scanner) {
	for lines.Scan() {
		if lines.Text() == "hangs" {
			close(p.hangs)
		}
	}
	_ = p.cmd.Wait() // it says "killed"
	close(p.gone)
}

// kill is SIGKILL; a second one does nothing.
func (p *faultServer) kill() {
	_ = p.cmd.Process.Kill()
	<-p.gone
}

// stop lets the server end by itself.
func (p *faultServer) stop(ctx context.Context) error {
	if err := p.input.Close(); err != nil {
		return err
	}
	select {
	case <-p.gone:
	case <-ctx.Done():
		return errors.New("the server did not stop")
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("the server stopped with code %d", code)
	}
	return nil
}

func (p *faultServer) log() string {
	said, _ := os.ReadFile(p.said)
	return string(said)
}
