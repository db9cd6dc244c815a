package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// line is one connection for batches, opened again when it was lost. It belongs
// to one goroutine.
type line struct {
	config   *pgx.ConnConfig
	prepares []statement
	conn     *pgconn.PgConn // nil: to be opened
	used     time.Time
}

const (
	// batchTime is how long a batch may take before the connection is given up.
	batchTime = 20 * time.Second
	// idleTime is after how much idleness a connection is tried before use.
	idleTime = time.Second
)

// openLine adds to the settings of the connections what keeps the plans of
// statements over many keys right, whatever the planner believes about tables
// that were empty a minute ago: rows are found by "id = ANY ($1)" in the primary
// key and joined by hash.
func openLine(ctx context.Context, base *pgx.ConnConfig, prepares ...statement) (*line, error) {
	config := base.Copy()
	for _, off := range []string{"enable_nestloop", "enable_mergejoin", "enable_bitmapscan"} {
		config.RuntimeParams[off] = "off"
	}
	config.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	l := &line{config: config, prepares: prepares}
	if err := l.connect(ctx); err != nil {
		return nil, failure(err)
	}
	return l, nil
}

func (l *line) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	conn, err := pgconn.ConnectConfig(ctx, &l.config.Config)
	if err != nil {
		return err
	}
	for _, s := range l.prepares {
		if _, err := conn.Prepare(ctx, s.name, s.sql, nil); err != nil {
			conn.Close(ctx)
			return fmt.Errorf("preparing %s: %w", s.name, err)
		}
	}
	l.conn, l.used = conn, time.Now()
	return nil
}

// do runs batch on the connection. After an error of the connection nobody
// knows whether the server did it.
func (l *line) do(batch func(ctx context.Context, conn *pgconn.PgConn) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), batchTime)
	defer cancel()
	if l.conn != nil && time.Since(l.used) > idleTime && l.conn.Ping(ctx) != nil {
		l.disconnect() // closed by the server meanwhile: nothing of ours was lost with it
	}
	if l.conn == nil {
		if err := l.connect(ctx); err != nil {
			return err
		}
	}
	err := batch(ctx, l.conn)
	_, class := sqlState(err)
	if l.conn.IsClosed() || class == classReadOnly { // a server that became a standby
		l.disconnect()
	}
	l.used = time.Now()
	return err
}

func (l *line) disconnect() {
	if l.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	l.conn.Close(ctx)
	l.conn = nil
}
