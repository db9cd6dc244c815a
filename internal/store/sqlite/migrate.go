package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver that goose runs migrations with
)

//go:embed migrations/*.sql
var embedded embed.FS

// Migrate brings the database up to this version's tables; it makes the file and
// its folder where they are missing, readable to their owner only. Doing it
// again changes nothing.
func Migrate(ctx context.Context, config Config) error {
	if config.Path == "" {
		return errors.New("sqlite: the database's path is missing")
	}
	if err := makeFile(config.Path); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	return withProvider(config, func(p *goose.Provider, _ *sql.DB) error {
		if _, err := p.Up(ctx); err != nil {
			return fmt.Errorf("sqlite: migrate: %w", err)
		}
		return nil
	})
}

// makeFile makes an empty file, which is an empty database: SQLite would make it
// readable to everyone, and gives the files beside it the same mode.
func makeFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return file.Close()
}

func withProvider(config Config, use func(*goose.Provider, *sql.DB) error) error {
	db, err := sql.Open("sqlite", fileURI(config.Path, url.Values{
		"mode": {"rw"}, "_txlock": {"immediate"}, "_busy_timeout": {busyTimeout}, "_pragma": pragmas,
	}))
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	files, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files,
		goose.WithSlog(slog.New(slog.DiscardHandler)), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("sqlite: migrations: %w", err)
	}
	return use(provider, db)
}

// checkSchema refuses a database that lacks one of this version's migrations. One
// that has newer ones passes: they are made to be safe beside an older binary.
func checkSchema(ctx context.Context, config Config) error {
	if _, err := os.Stat(config.Path); err != nil {
		return fmt.Errorf("sqlite: there is no database at %s; make it with: holdfast migrate (%w)", config.Path, err)
	}
	return withProvider(config, func(p *goose.Provider, db *sql.DB) error {
		sources := p.ListSources()
		want := sources[len(sources)-1].Version
		var has int64
		const newest = `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`
		if err := db.QueryRowContext(ctx, newest).Scan(&has); err != nil {
			return fmt.Errorf("sqlite: %s has no tables of Holdfast's; make them with: holdfast migrate (%w)", config.Path, err)
		}
		if has < want {
			return fmt.Errorf("sqlite: %s has the tables of version %d, this program needs %d; run: holdfast migrate", config.Path, has, want)
		}
		return nil
	})
}
