package sqlite_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/store/sqlite"
	"holdfast/internal/verify"
)

func TestNewAsksForMigrate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "holdfast.db")
	refused := func(why string) {
		t.Helper()
		s, err := sqlite.New(t.Context(), sqlite.Config{Path: path})
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "holdfast migrate") {
			t.Errorf("%s: New returned %v, want an error that says what to run", why, err)
		}
	}
	refused("no file")
	if _, err := os.Stat(path); err == nil {
		t.Error("New made the file")
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("an empty file")

	if err := sqlite.Migrate(t.Context(), sqlite.Config{Path: path}); err != nil {
		t.Fatal(err)
	}
	administer(t, path, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
	s, err := sqlite.New(t.Context(), sqlite.Config{Path: path}) // a newer program's tables pass
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	administer(t, path, `DELETE FROM goose_db_version WHERE version_id > 0`)
	refused("an older program's tables")

	for _, open := range []func() error{
		func() error { _, err := sqlite.New(t.Context(), sqlite.Config{}); return err },
		func() error { return sqlite.Migrate(t.Context(), sqlite.Config{}) },
	} {
		if open() == nil {
			t.Error("an empty path passes")
		}
	}
}

func administer(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

// Phone numbers are in there.
func TestFilesAreTheOwners(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "new", "100% odd? #folder")
	path := filepath.Join(folder, "hold fast.db")
	s := open(t, path)
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{folder: 0o700, path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600} {
		info, err := os.Stat(name)
		if err != nil {
			t.Error(err)
		} else if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %v, want %v", filepath.Base(name), got, want)
		}
	}
}

func TestMigrateAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "holdfast.db")
	s := open(t, path)
	addClient(t, s)
	if err := sqlite.Migrate(t.Context(), sqlite.Config{Path: path}); err != nil { // beside a running server
		t.Fatal(err)
	}
	if _, err := s.Client(t.Context(), benchClient); err != nil {
		t.Error(err)
	}
}

// A command such as `holdfast client add` writes while the server does.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "holdfast.db")
	stores := []*sqlite.Store{open(t, path), open(t, path)}
	addClient(t, stores[0])
	var wg sync.WaitGroup
	for node, s := range stores {
		ids := verify.NewIDs(verify.Node(node), time.Now)
		for range 4 {
			wg.Go(func() {
				for range 50 {
					if err := send(t.Context(), s, ids.Next()); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
}
