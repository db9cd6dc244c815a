//go:build unix

package pgcluster_test

import (
	"bufio"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/testkit/pgcluster"
)

// needs skips where err says that there is no PostgreSQL to start, and fails
// where a build server should have had one.
func needs(t *testing.T, err error) {
	t.Helper()
	switch {
	case !errors.Is(err, pgcluster.ErrMissing):
	case os.Getenv("CI") == "true":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}

// start starts a cluster.
func start(t *testing.T, c pgcluster.Config) *pgcluster.Cluster {
	t.Helper()
	cluster, err := pgcluster.Start(t.Context(), c)
	needs(t, err)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Stop)
	return cluster
}

func setting(t *testing.T, url, name string) (value string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestStart(t *testing.T) {
	t.Parallel()
	cluster := start(t, pgcluster.Config{Settings: map[string]string{"work_mem": "5MB"}})
	for name, want := range map[string]string{
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "work_mem": "5MB", "listen_addresses": "127.0.0.1",
	} {
		if got := setting(t, cluster.URL(), name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	folder := filepath.Dir(setting(t, cluster.URL(), "data_directory"))
	cluster.Stop()
	cluster.Stop()
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the cluster's folder is still there: %v", err)
	}
	if conn, err := pgx.Connect(t.Context(), cluster.URL()); err == nil {
		conn.Close(t.Context())
		t.Error("the server still runs after Stop")
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	cluster, err := pgcluster.Start(t.Context(), pgcluster.Config{Settings: map[string]string{"work_mem": "much"}})
	needs(t, err)
	if err == nil {
		cluster.Stop()
	}
	if err == nil || !strings.Contains(err.Error(), "work_mem") {
		t.Errorf("a wrong setting: %v", err)
	}
}

// build builds the command.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "run")
	if out, err := exec.Command("go", "build", "-o", program, "./run").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

func TestRun(t *testing.T) {
	t.Parallel()
	probe := start(t, pgcluster.Config{}) // skips where there is no PostgreSQL
	probe.Stop()
	program := build(t)

	t.Run("hands on the exit code", func(t *testing.T) {
		cmd := exec.Command(program, "--", "sh", "-c", `echo "$TEST_POSTGRES_URL"; exit 7`)
		out, err := cmd.Output()
		var ended *exec.ExitError
		if !errors.As(err, &ended) || ended.ExitCode() != 7 {
			t.Errorf("the command ended with %v, want exit code 7", err)
		}
		if u, err := url.Parse(strings.TrimSpace(string(out))); err != nil || u.Scheme != "postgres" || u.Port() == "" {
			t.Errorf("the command got the URL %q", out)
		}
	})
	t.Run("hands on signals", func(t *testing.T) {
		cmd, lines := running(t, program)
		serverGone(t, lines.Text(), func() { cmd.Process.Signal(syscall.SIGTERM) })
		var ended *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &ended) || ended.ExitCode() != 9 {
			t.Errorf("the command ended with %v, want the exit code of its trap", err)
		}
	})
}

// TestServerDiesWithUs guards against servers that outlive tests that were killed.
func TestServerDiesWithUs(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells a child of its parent's death")
	}
	t.Parallel()
	probe := start(t, pgcluster.Config{})
	probe.Stop()
	cmd, lines := running(t, build(t))
	folder := filepath.Dir(setting(t, lines.Text(), "data_directory"))
	defer os.RemoveAll(folder) // nobody is left to do it
	serverGone(t, lines.Text(), func() { cmd.Process.Kill() })
	cmd.Wait()
}

// running starts the program with a command that prints the server's URL and
// waits for a signal.
func running(t *testing.T, program string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(program, "sh", "-c", `trap 'exit 9' TERM; echo "$TEST_POSTGRES_URL"; while :; do sleep 0.05; done`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the command printed nothing")
	}
	return cmd, lines
}

// serverGone fails unless the server ends the connection after end was called.
func serverGone(t *testing.T, url string, end func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	end()
	conn.PgConn().Conn().SetReadDeadline(time.Now().Add(20 * time.Second))
	for buf := make([]byte, 1024); err == nil; {
		_, err = conn.PgConn().Conn().Read(buf) // a last message, then the end
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the server goes on")
	}
}
