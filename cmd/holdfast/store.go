package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"holdfast/internal/access"
	"holdfast/internal/config"
	"holdfast/internal/flow"
	"holdfast/internal/metrics"
	"holdfast/internal/outbox"
	"holdfast/internal/store/postgres"
	"holdfast/internal/store/sqlite"
	"holdfast/internal/verify"
)

// store is all that the parts ask of a store, and what its owner needs.
type store interface {
	flow.Store
	outbox.Store
	access.Store
	metrics.Backlog
	// NextNode numbers this process among those that share the database.
	NextNode(ctx context.Context) (verify.Node, error)
	// Ping reports whether the store can read and write now.
	Ping(ctx context.Context) error
	// Close ends after what is under way.
	Close() error
}

// openStore opens the configured database. SQLite's tables are brought up to date
// first: there is no other node that they could surprise.
func openStore(ctx context.Context, db config.Database) (store, error) {
	path, ok := db.SQLitePath()
	if !ok {
		return postgres.New(ctx, postgres.Config{URL: db.URL.Reveal()})
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("the database's folder: %w", err)
	}
	if err := sqlite.Migrate(ctx, sqlite.Config{Path: path}); err != nil {
		return nil, err
	}
	return sqlite.New(ctx, sqlite.Config{Path: path})
}

// openExisting is openStore for whoever has no business with a new database: a
// mistyped path must not make one.
func openExisting(ctx context.Context, db config.Database) (store, error) {
	if path, ok := db.SQLitePath(); ok && !isThere(path) {
		return nil, fmt.Errorf("there is no database at %s; serve, migrate and client add make one", path)
	}
	return openStore(ctx, db)
}

// isThere reports whether path names anything; where that can't be told, opening
// it will say why.
func isThere(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR)
}
