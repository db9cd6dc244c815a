package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/store/postgres"
	"holdfast/internal/testkit/pgcluster"
	"holdfast/internal/verify"
)

// cut ends the server's side of all other connections to the database.
func cut(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	_, err := conn.Exec(t.Context(), `
		SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	if err != nil {
		t.Fatal(err)
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// TestConnectionLoss cuts the connections under load: what was answered is
// there, what failed is there whole or not at all, and the store comes back.
func TestConnectionLoss(t *testing.T) {
	t.Parallel()
	url := migrated(t)
	s, ids, admin := open(t, url), verify.NewIDs(node, time.Now), connect(t, url)
	unavailable := &verify.Error{Code: verify.CodeUnavailable}

	for range 5 {
		var mu sync.Mutex
		answered := map[verify.ID]bool{}
		warm, over := make(chan struct{}, 1), make(chan struct{})
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for err := error(nil); err == nil; {
					now := time.Now()
					v := request(ids, now)
					_, _, err = s.Create(t.Context(), v, verify.Lease{Node: node, Until: now.Add(time.Minute)}, nil)
					if err != nil && !errors.Is(err, unavailable) {
						t.Errorf("a write on a lost connection: %v", err)
					}
					mu.Lock()
					answered[v.ID] = err == nil
					mu.Unlock()
					select {
					case warm <- struct{}{}:
					case <-over:
						return
					default:
					}
				}
			})
		}
		<-warm
		cut(t, admin)
		recovered(t, s, ids)
		close(over)
		wg.Wait()
		checkWhole(t, s, admin, answered)
	}
}

// checkWhole fails where an answered write is lost or a failed one is there in
// part.
func checkWhole(t *testing.T, s *postgres.Store, admin *pgx.Conn, answered map[verify.ID]bool) {
	t.Helper()
	for id, ok := range answered {
		_, err := s.Verification(t.Context(), id)
		if ok && err != nil || !ok && err != nil && !errors.Is(err, verify.ErrNotFound) {
			t.Fatalf("an answered=%t write is read back with %v", ok, err)
		}
	}
	var halves int
	err := admin.QueryRow(t.Context(), `
		SELECT count(*) FROM verifications v FULL JOIN tracks t ON t.id = v.id WHERE v.id IS NULL OR t.id IS NULL`).Scan(&halves)
	if err != nil || halves > 0 {
		t.Fatalf("%d writes are there in part, %v", halves, err)
	}
}

// recovered fails where the store does not come back within a few calls on each
// of its connections.
func recovered(t *testing.T, s *postgres.Store, ids *verify.IDs) {
	t.Helper()
	var err error
	for range 50 {
		now := time.Now()
		v := request(ids, now)
		_, _, err = s.Create(t.Context(), v, verify.Lease{Node: node, Until: now.Add(time.Minute)}, nil)
		if err == nil {
			_, err = s.Verification(t.Context(), v.ID)
		}
		if err == nil {
			_, err = s.Attempts(t.Context(), v.ID) // through the pool
		}
	}
	if err != nil {
		t.Fatalf("the store does not come back: %v", err)
	}
}

// TestBadWriteFailsAlone guards what shares a batch with a write that the
// server refuses.
func TestBadWriteFailsAlone(t *testing.T) {
	t.Parallel()
	s, ids := open(t, migrated(t)), verify.NewIDs(node, time.Now)
	taken := create(t, s, ids)
	together(200, func(i int) {
		now := time.Now()
		v, lease := request(ids, now), verify.Lease{Node: node, Until: now.Add(time.Minute)}
		switch i % 20 {
		case 7:
			v.Text = "PostgreSQL's texts hold no \x00"
			if _, _, err := s.Create(t.Context(), v, lease, nil); err == nil {
				t.Error("a text with a zero byte was taken")
			}
		case 13:
			v.ID = taken
			if _, _, err := s.Create(t.Context(), v, lease, nil); !errors.Is(err, verify.ErrConflict) {
				t.Errorf("a taken id: %v", err)
			}
		default:
			if _, _, err := s.Create(t.Context(), v, lease, nil); err != nil {
				t.Errorf("a good write beside bad ones: %v", err)
			}
		}
	})
	if depth, _, err := s.Backlog(t.Context()); err != nil || depth != 181 {
		t.Fatalf("%d messages were written, %v; want 181", depth, err)
	}
}

func TestAfterClose(t *testing.T) {
	t.Parallel()
	s, ids := open(t, migrated(t)), verify.NewIDs(node, time.Now)
	id := create(t, s, ids)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, err := range map[string]error{
		"a grouped write": s.Deny(t.Context(), id, time.Now()),
		"another write":   s.ReleaseLeases(t.Context(), node, time.Now()),
		"a read":          s.Ping(t.Context()),
	} {
		if err == nil {
			t.Errorf("%s succeeds after Close", name)
		}
	}
}

// TestCloseWaits guards writes that were under way when the store was closed.
func TestCloseWaits(t *testing.T) {
	t.Parallel()
	url := migrated(t)
	s, ids := open(t, url), verify.NewIDs(node, time.Now)
	made, errs := make([]verify.ID, 64), make([]error, 64)
	together(len(made)+1, func(i int) {
		if i == len(made) {
			s.Close()
			return
		}
		v := request(ids, time.Now())
		made[i] = v.ID
		_, _, errs[i] = s.Create(t.Context(), v, verify.Lease{Node: node}, nil)
	})
	again := open(t, url)
	for i, id := range made {
		if _, err := again.Verification(t.Context(), id); (err == nil) != (errs[i] == nil) {
			t.Errorf("a write that was answered with %v is read back with %v", errs[i], err)
		}
	}
}

func TestMigrateAtOnce(t *testing.T) {
	t.Parallel()
	url := pgcluster.Database(t)
	if _, err := postgres.New(t.Context(), postgres.Config{URL: url}); err == nil || !strings.Contains(err.Error(), "holdfast migrate") {
		t.Fatalf("a database without a schema: %v", err)
	}
	together(4, func(int) {
		if err := postgres.Migrate(t.Context(), postgres.Config{URL: url}); err != nil {
			t.Error(err)
		}
	})
	open(t, url)
	// A rolling upgrade migrates while the old program still runs and restarts.
	if _, err := connect(t, url).Exec(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)"); err != nil {
		t.Fatal(err)
	}
	open(t, url)
}

// TestErrorsKeepThePassword guards the password in the URL, which errors are
// logged with.
func TestErrorsKeepThePassword(t *testing.T) {
	t.Parallel()
	const password = "hunter2secret"
	for name, url := range map[string]string{
		"nobody listens": "postgres://someone:%s@127.0.0.1:1/none?sslmode=disable",
		"bad port":       "postgres://someone:%s@127.0.0.1:port/none",
		"bad escape":     "postgres://someone:%s%%zz@127.0.0.1/none",
		"bad option":     "postgres://someone:%s@127.0.0.1/none?sslmode=perhaps",
		"key and value":  "host=127.0.0.1 port=1 user=someone password=%s",
		"no sense":       "%s",
		"empty":          "",
	} {
		if url != "" {
			url = fmt.Sprintf(url, password)
		}
		_, err := postgres.New(t.Context(), postgres.Config{URL: url})
		for _, err := range []error{err, postgres.Migrate(t.Context(), postgres.Config{URL: url})} {
			if err == nil || strings.Contains(fmt.Sprintf("%+v", err), password) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
