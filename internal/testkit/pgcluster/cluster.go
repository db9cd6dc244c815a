//go:build unix

// Package pgcluster starts a throw-away PostgreSQL server for tests and
// measurements, from the binaries that are installed: real, durable, on a free
// port of its own, and gone when its owner is.
package pgcluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrMissing says that PostgreSQL's server is not installed here.
var ErrMissing = errors.New("pgcluster: initdb and postgres were found neither on PATH nor in /usr/lib/postgresql; on Debian or Ubuntu: apt-get install postgresql")

// Config of a cluster.
type Config struct {
	// Dir is an empty or missing folder for the cluster, which stays when it stops.
	// "" means a temporary one, removed by Stop. Where we run as root, the account
	// that the server gets must be able to reach it.
	Dir string
	// Settings are added to postgresql.conf, over what Start sets. Without any the
	// server is as durable as by default: fsync and synchronous_commit are on.
	Settings map[string]string
}

// Cluster is a running server.
type Cluster struct {
	port    int
	dir     string
	remove  bool
	process *os.Process
	exited  chan struct{}
	stop    sync.Once
}

const (
	superuser = "postgres"
	startTime = 30 * time.Second
	stopTime  = 10 * time.Second
	// startTries is how often another port is tried: a free one may be taken
	// before the server gets to it.
	startTries = 3
)

// Start makes and starts a cluster, and returns once it takes connections. Its
// one account is postgres, trusted on the loopback interface. Where this process
// runs as root, which PostgreSQL refuses, the server runs as postgres or nobody.
// On Linux the server ends when this process does, however that ends.
func Start(ctx context.Context, c Config) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	who, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := folder(c.Dir, who)
	if err != nil {
		return nil, fmt.Errorf("pgcluster: %w", err)
	}
	cluster := &Cluster{dir: dir, remove: c.Dir == ""}
	if err = initialise(ctx, filepath.Join(bin, "initdb"), dir, who); err == nil {
		for range startTries {
			if err = cluster.serve(ctx, filepath.Join(bin, "postgres"), c.Settings, who); err == nil {
				return cluster, nil
			}
		}
	}
	cluster.cleanUp()
	return nil, err
}

// binaries finds the folder that has initdb and postgres: PATH, then the newest
// of Debian's.
func binaries() (string, error) {
	folders, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(folders, func(a, b string) int { // "9.6" is before "15"
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(b, a)
	})
	if found, err := exec.LookPath("initdb"); err == nil {
		if found, err = filepath.EvalSymlinks(found); err == nil {
			folders = slices.Insert(folders, 0, filepath.Dir(found))
		}
	}
	for _, folder := range folders {
		if isProgram(filepath.Join(folder, "initdb")) && isProgram(filepath.Join(folder, "postgres")) {
			return folder, nil
		}
	}
	return "", ErrMissing
}

func isProgram(path string) bool {
	_, err := exec.LookPath(path)
	return err == nil
}

// folder makes the cluster's folder and gives it to who.
func folder(dir string, who *account) (string, error) {
	if dir == "" {
		made, err := os.MkdirTemp("", "pgcluster")
		if err != nil {
			return "", err
		}
		dir = made
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	dir, err := filepath.Abs(dir)
	if err == nil && who != nil {
		err = os.Chown(dir, who.uid, who.gid)
	}
	return dir, err
}

func initialise(ctx context.Context, initdb, dir string, who *account) error {
	// Not synced: should the machine stop while it is made, it is made again.
	cmd := exec.CommandContext(ctx, initdb, "--pgdata="+filepath.Join(dir, "data"), "--username="+superuser,
		"--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	cmd.Dir = dir
	cmd.SysProcAttr = attributes(who)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pgcluster: initdb: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// serve starts the server on a free port and waits until it is ready.
func (c *Cluster) serve(ctx context.Context, postgres string, settings map[string]string, who *account) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	all := map[string]string{
		"listen_addresses": "127.0.0.1", "unix_socket_directories": socketFolder(c.dir), "timezone": "UTC", "log_timezone": "UTC",
		"max_connections": "200", "fsync": "on", "synchronous_commit": "on", "logging_collector": "off", "log_destination": "stderr",
	}
	maps.Copy(all, settings)
	args := []string{"-D", filepath.Join(c.dir, "data"), "-p", fmt.Sprint(port)}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, "-c", name+"="+all[name])
	}
	cmd := exec.Command(postgres, args...)
	cmd.Dir = c.dir
	cmd.SysProcAttr = attributes(who)
	logs, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("pgcluster: %w", err)
	}
	started, exited := make(chan error, 1), make(chan struct{})
	go func() {
		// The kernel's "parent died" is about the thread that started the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(exited)
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Process.Wait() // and not cmd.Wait, which closes the log under its reader
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("pgcluster: %w", err)
	}
	c.port, c.process, c.exited = port, cmd.Process, exited
	if err := awaitReady(ctx, logs); err != nil {
		c.kill(syscall.SIGQUIT)
		return err
	}
	return nil
}

// awaitReady reads the server's log until it says that it is ready, and then on,
// so that the server never blocks on it.
func awaitReady(ctx context.Context, logs io.ReadCloser) error {
	result := make(chan error, 1)
	go func() {
		defer logs.Close()
		var told []string
		lines := bufio.NewScanner(logs)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "ready to accept connections") {
				result <- nil
				io.Copy(io.Discard, logs)
				return
			}
			told = append(told, lines.Text())
		}
		result <- fmt.Errorf("pgcluster: the server does not start: %s", strings.Join(told, "; "))
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("pgcluster: the server does not get ready: %w", ctx.Err())
	}
}

// socketFolder is the cluster's own; none where its path is too long for a
// socket's address (108 bytes on Linux, with the socket's name in them).
func socketFolder(dir string) string {
	if len(dir) > 80 {
		return ""
	}
	return dir
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("pgcluster: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// URL reaches the cluster's database postgres, as its superuser.
func (c *Cluster) URL() string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/postgres?sslmode=disable", superuser, c.port)
}

// Stop ends the server, cutting its connections, and removes a temporary folder.
// A second Stop does nothing.
func (c *Cluster) Stop() {
	c.stop.Do(func() {
		c.kill(syscall.SIGINT) // PostgreSQL's "fast" shutdown
		c.cleanUp()
	})
}

// kill signals the server and waits for its end; what does not end is made to.
func (c *Cluster) kill(signal os.Signal) {
	c.process.Signal(signal)
	select {
	case <-c.exited:
	case <-time.After(stopTime):
		c.process.Kill()
		<-c.exited
	}
}

func (c *Cluster) cleanUp() {
	if c.remove {
		os.RemoveAll(c.dir)
	}
}
