package main

import (
	"context"
	"fmt"

	"holdfast/internal/config"
	"holdfast/internal/store/postgres"
	"holdfast/internal/store/sqlite"
)

type migrateCommand struct{}

// Run brings the tables up to date. It needs nothing of the configuration but
// the database.
func (migrateCommand) Run(ctx context.Context, env *environment) error {
	cfg, problems := env.load()
	if err := problems.In("database").Err(); err != nil {
		return err
	}
	if err := migrate(ctx, cfg.Database); err != nil {
		return err
	}
	fmt.Fprintln(env.stdout, "the database is up to date")
	return nil
}

func migrate(ctx context.Context, db config.Database) error {
	if path, ok := db.SQLitePath(); ok {
		return sqlite.Migrate(ctx, sqlite.Config{Path: path})
	}
	return postgres.Migrate(ctx, postgres.Config{URL: db.URL.Reveal()})
}
