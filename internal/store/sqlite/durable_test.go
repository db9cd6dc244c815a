package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"holdfast/internal/store/sqlite"
	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

// victimOf names, in the environment, the database that a copy of this test
// writes to until it is killed.
const victimOf = "HOLDFAST_TEST_VICTIM_OF"

func TestMain(m *testing.M) {
	if path := os.Getenv(victimOf); path != "" {
		if err := victim(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// victim sends messages from many goroutines and tells of each that was answered.
func victim(path string) error {
	ctx := context.Background()
	s, err := sqlite.New(ctx, sqlite.Config{Path: path})
	if err != nil {
		return err
	}
	ids := verify.NewIDs(0, time.Now)
	out := make(chan verify.ID)
	for range 32 {
		go func() {
			for {
				id := ids.Next()
				if err := send(ctx, s, id); err != nil {
					panic(err)
				}
				out <- id
			}
		}()
	}
	for id := range out {
		fmt.Println(int64(id))
	}
	return nil
}

// Killed at any moment, the database has all that was answered, and nothing by
// halves.
func TestKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "holdfast.db")
	s := open(t, path)
	addClient(t, s)
	for round := range 3 {
		answered := kill(t, path, 100+300*round)
		for _, id := range answered {
			checkSent(t, s, id)
		}
		if err := s.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// kill runs a victim, kills it when it has told of n messages, and returns them.
func kill(t *testing.T, path string, n int) (answered []verify.ID) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), victimOf+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		id, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			break // the line that it was killed in
		}
		answered = append(answered, verify.ID(id))
		if len(answered) == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // it was killed
	if len(answered) < n {
		t.Fatalf("the victim answered only %d", len(answered))
	}
	// The last line may be cut so that it is a number still.
	return answered[:len(answered)-1]
}

// A copy of the files of a store that is open, as a crash would leave them, has
// all that was answered, whether or not it has been moved out of the log.
func TestAbruptCopy(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "holdfast.db")
	s := open(t, path)
	addClient(t, s)
	ids := verify.NewIDs(0, time.Now)
	var all []verify.ID
	for range 3 {
		var wg sync.WaitGroup
		for range 300 {
			id := ids.Next()
			all = append(all, id)
			wg.Go(func() {
				if err := send(t.Context(), s, id); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		copied := filepath.Join(t.TempDir(), "copy.db")
		for _, suffix := range []string{"", "-wal"} {
			content, err := os.ReadFile(path + suffix)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(copied+suffix, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		reopened := open(t, copied)
		for _, id := range all {
			checkSent(t, reopened, id)
		}
	}
}

func addClient(t *testing.T, s *sqlite.Store) {
	t.Helper()
	if err := s.CreateClient(t.Context(), tenant.Client{ID: benchClient, Username: "acme"}); err != nil {
		t.Fatal(err)
	}
}

func checkSent(t *testing.T, s *sqlite.Store, id verify.ID) {
	t.Helper()
	v, err := s.Verification(t.Context(), id)
	if err != nil || v.Track.Delivery != verify.Sent || v.LinkSealed == nil {
		t.Fatalf("an answered message is %v, %v", v.Track.Delivery, err)
	}
	attempts, err := s.Attempts(t.Context(), id)
	if err != nil || len(attempts) != 1 || attempts[0].Result != verify.AttemptAccepted {
		t.Fatalf("an answered message has the attempts %v, %v", attempts, err)
	}
}
