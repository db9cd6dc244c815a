// Package postgres keeps Holdfast's data in PostgreSQL, for installations of one
// node or several.
//
// Writes that concern one verification are gathered: two committers, each with a
// connection of its own, take whatever is waiting and send it as multi-row
// statements in one pipeline, which is one transaction, one network round trip
// and one flush of the log for up to maxBatch writes. A verification's writes
// follow each other in order. An answer goes out after the commit. Two readers
// gather reads of verifications likewise. What is rarer (clients, tokens, claims
// of due messages, requests with an Idempotency-Key) goes through a pool.
//
// Every guard is in the WHERE of the one statement that writes, with its states
// taken from package verify; a write that changed no row has lost.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/internal/verify"
)

// Config says where the database is.
type Config struct {
	// URL is a libpq connection URI or key=value string. It must name a database
	// that Migrate has prepared. The empty one is not valid.
	URL string
	// Pool is how many connections the pool may open, beside the four that are
	// always open; 0 means two for each processor, and at least four.
	Pool int
}

// Store is a database. Its methods may be called concurrently.
type Store struct {
	pool   *pgxpool.Pool
	writes *gatherer[*op]
	reads  *gatherer[*lookup]
	close  sync.Once
}

// workers is how many committers and readers there are.
const workers = 2

// connectTime bounds the start of one connection.
const connectTime = 5 * time.Second

// New opens the database. It fails where the server can't be reached, and where
// Migrate has not been run since the program was upgraded. A database that is
// newer than the program is taken: migrations deploy beside the old program.
func New(ctx context.Context, c Config) (*Store, error) {
	config, err := parse(c.URL)
	if err != nil {
		return nil, err
	}
	pool, err := newPool(ctx, config, c.Pool)
	if err != nil {
		return nil, err
	}
	s := &Store{
		pool:   pool,
		writes: newGatherer(func(o *op) verify.ID { return o.id }),
		reads:  newGatherer[*lookup](nil),
	}
	for range workers {
		err := s.startCommitter(ctx, config.ConnConfig)
		if err == nil {
			err = s.startReader(ctx, config.ConnConfig)
		}
		if err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// parse reads the URL and adds what every connection of ours needs. Its error
// has nothing of the URL in it, which may hold a password.
func parse(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil || url == "" {
		return nil, errors.New("postgres: the database URL can't be read; it looks like postgres://user:password@host:5432/database?sslmode=verify-full")
	}
	conn := config.ConnConfig
	if conn.ConnectTimeout == 0 || conn.ConnectTimeout > connectTime {
		conn.ConnectTimeout = connectTime
	}
	set := conn.RuntimeParams
	if set["application_name"] == "" {
		set["application_name"] = "holdfast"
	}
	set["synchronous_commit"] = "on"
	set["timezone"] = "UTC"
	set["jit"] = "off"
	// Every query of ours has an index. The planner can't know that a table which
	// is empty when a statement is planned holds a million rows a minute later.
	set["enable_seqscan"] = "off"
	return config, nil
}

func newPool(ctx context.Context, config *pgxpool.Config, conns int) (*pgxpool.Pool, error) {
	if conns == 0 {
		conns = max(4, 2*runtime.NumCPU())
	}
	config.MaxConns = int32(conns)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	if err := checkSchema(ctx, pool); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

// Close ends after the writes and reads under way. Later calls of any method fail.
func (s *Store) Close() error {
	s.close.Do(func() {
		s.writes.end()
		s.reads.end()
		s.pool.Close()
	})
	return nil
}

// Ping reports whether the database can be read and written.
func (s *Store) Ping(ctx context.Context) error {
	var readOnly string
	if err := s.pool.QueryRow(ctx, "SHOW transaction_read_only").Scan(&readOnly); err != nil {
		return failure(err)
	}
	if readOnly != "off" {
		return fmt.Errorf("postgres: %w: the server only takes reads", errUnavailable)
	}
	return nil
}

// NextNode hands out the next process number.
func (s *Store) NextNode(ctx context.Context) (verify.Node, error) {
	var n int64
	if err := s.pool.QueryRow(ctx, "SELECT nextval('nodes')").Scan(&n); err != nil {
		return 0, failure(err)
	}
	return verify.Node(n % verify.Nodes), nil
}

// exec runs a statement that must change a row; none is ErrNotFound.
func (s *Store) exec(ctx context.Context, sql string, args ...any) error {
	tag, err := s.pool.Exec(ctx, sql, args...)
	if err == nil && tag.RowsAffected() == 0 {
		err = pgx.ErrNoRows
	}
	return failure(err)
}
