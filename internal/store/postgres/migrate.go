package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var embedded embed.FS

// schemaVersion is the newest migration's number.
var schemaVersion = func() (newest int64) {
	files, _ := fs.Glob(embedded, "migrations/*.sql")
	for _, name := range files {
		if version, err := goose.NumericComponent(name); err == nil {
			newest = max(newest, version)
		}
	}
	return newest
}()

// Migrate brings the database's schema up to date. Several nodes may do so at
// once: they take turns.
func Migrate(ctx context.Context, c Config) error {
	config, err := parse(c.URL)
	if err != nil {
		return err
	}
	files, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*config.ConnConfig)
	defer db.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(migrationLock{}),
		goose.WithSlog(slog.New(slog.DiscardHandler)), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("postgres: the migrations can't be read: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("postgres: the schema can't be brought up to date: %w", failure(err))
	}
	return nil
}

// migrationLock makes nodes that migrate take turns, by an advisory lock of the
// session. It waits in the database; goose's own polls every five seconds.
type migrationLock struct{}

// migrationKey is the advisory lock's number: "holdfast" in ASCII.
const migrationKey = 0x686f6c6466617374

// SessionLock implements lock.SessionLocker.
func (migrationLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(migrationKey))
	return err
}

// SessionUnlock implements lock.SessionLocker.
func (migrationLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", int64(migrationKey))
	return err
}

// checkSchema fails where the server can't be reached or the schema is older
// than the program.
func checkSchema(ctx context.Context, pool *pgxpool.Pool) error {
	var version int64
	err := pool.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&version)
	if code, _ := sqlState(err); code == undefinedTable {
		err = nil
	}
	if err != nil {
		return failure(err)
	}
	if version < schemaVersion {
		return errors.New("postgres: the database's schema is not up to date; run `holdfast migrate`")
	}
	return nil
}
