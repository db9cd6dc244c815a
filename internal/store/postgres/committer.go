package postgres

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"holdfast/internal/verify"
)

const (
	// maxBatch is how many writes one transaction takes.
	maxBatch = 256
	// batchTime is how long one may take before the connection is given up.
	batchTime = 20 * time.Second
	// idleTime is after how much idleness a connection is looked at before use.
	idleTime = time.Second
	// maxTries is how often a write is tried that the server says to try again.
	maxTries = 3
)

// write is one change of one verification's rows.
type write interface {
	verb() verb
	key() verify.ID
	// fill adds the row's columns after the key, in the order of the verb's statement.
	fill(r *rows)
}

// op is a write on its way through a committer.
type op struct {
	write
	id   verify.ID
	won  bool       // a guarded write changed its row
	done chan error // holds one
}

// ops are used again only after their answer was taken.
var ops = sync.Pool{New: func() any { return &op{done: make(chan error, 1)} }}

// commit writes w down with whatever else is waiting, and returns after the
// transaction's commit. It reports whether w's guard let it through. When ctx
// ends first, the write may still happen.
func (s *Store) commit(ctx context.Context, w write) (won bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	o := ops.Get().(*op)
	o.write, o.id, o.won = w, w.key(), false
	if err := s.committer(o.id).add(o); err != nil {
		return false, err
	}
	select {
	case err := <-o.done:
		won = o.won
		o.write = nil
		ops.Put(o)
		return won, err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// committer picks by a hash: neighbouring ids share their low bits when few
// links are made.
func (s *Store) committer(id verify.ID) *committer {
	const golden = 0x9E3779B97F4A7C15 // Fibonacci hashing
	return s.committers[uint64(id)*golden>>63]
}

// committer gathers writes into transactions, one after another.
type committer struct {
	config *pgx.ConnConfig
	conn   *pgconn.PgConn // nil: to be opened
	used   time.Time
	rows   [verbs]rows
	seen   map[verify.ID]struct{}

	mu      sync.Mutex
	waiting []*op
	closed  bool
	wake    chan struct{} // holds one
	ended   chan struct{}
}

func newCommitter(ctx context.Context, config *pgx.ConnConfig) (*committer, error) {
	c := &committer{
		config: committerConfig(config), seen: map[verify.ID]struct{}{},
		wake: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	if err := c.connect(ctx); err != nil {
		return nil, failure(err)
	}
	go c.run()
	return c, nil
}

// committerConfig adds to the settings of the connections what keeps the plans
// of the multi-row statements right whatever the planner believes about the
// tables, which were empty a minute ago: rows are found by "id = ANY ($1)" in the
// primary key and met with their new values in a hash join.
func committerConfig(base *pgx.ConnConfig) *pgx.ConnConfig {
	config := base.Copy()
	for _, off := range []string{"enable_nestloop", "enable_mergejoin", "enable_bitmapscan"} {
		config.RuntimeParams[off] = "off"
	}
	config.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	return config
}

func (c *committer) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	conn, err := pgconn.ConnectConfig(ctx, &c.config.Config)
	if err != nil {
		return err
	}
	for _, s := range statements {
		if _, err := conn.Prepare(ctx, s.name, s.sql, nil); err != nil {
			conn.Close(ctx)
			return fmt.Errorf("preparing %s: %w", s.name, err)
		}
	}
	c.conn, c.used = conn, time.Now()
	return nil
}

func (c *committer) add(o *op) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return errClosed
	}
	c.waiting = append(c.waiting, o)
	c.mu.Unlock()
	c.notify()
	return nil
}

func (c *committer) notify() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// end returns after what is waiting was written.
func (c *committer) end() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.notify()
	<-c.ended
}

func (c *committer) run() {
	defer close(c.ended)
	var batch []*op
	for {
		var closed bool
		batch, closed = c.take(batch[:0])
		switch {
		case len(batch) > 0:
			c.commit(batch)
		case closed:
			c.disconnect()
			return
		default:
			<-c.wake
		}
	}
}

// take moves the next batch out of what is waiting: at most one write for each
// verification. A second one, and what comes after it, is left for the next
// transaction, in order.
func (c *committer) take(batch []*op) (_ []*op, closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.seen)
	left := c.waiting[:0]
	for _, o := range c.waiting {
		_, met := c.seen[o.id]
		if met || len(batch) == maxBatch {
			left = append(left, o)
			continue
		}
		c.seen[o.id] = struct{}{}
		batch = append(batch, o)
	}
	clear(c.waiting[len(left):])
	c.waiting = left
	return batch, c.closed
}

// commit writes the batch and answers its ops. Where the server refuses it for
// what is in it, halves are tried until the one bad write fails alone.
func (c *committer) commit(batch []*op) {
	var err error
	for range maxTries {
		err = c.send(batch)
		if _, class := sqlState(err); class != classTransaction || len(batch) > 1 {
			break
		}
	}
	if _, class := sqlState(err); len(batch) > 1 && class != "" && !away(err, class) {
		half := len(batch) / 2
		c.commit(batch[:half])
		c.commit(batch[half:])
		return
	}
	err = failure(err)
	for _, o := range batch {
		o.done <- err
	}
}

// send runs the batch as one transaction.
func (c *committer) send(batch []*op) error {
	ctx, cancel := context.WithTimeout(context.Background(), batchTime)
	defer cancel()
	if c.conn != nil && time.Since(c.used) > idleTime && c.conn.Ping(ctx) != nil {
		c.disconnect() // closed by the server meanwhile: nothing of ours was lost with it
	}
	if c.conn == nil {
		if err := c.connect(ctx); err != nil {
			return err
		}
	}
	err := c.pipeline(ctx, batch)
	_, class := sqlState(err)
	if c.conn.IsClosed() || class == classReadOnly { // a server that became a standby
		c.disconnect()
	}
	c.used = time.Now()
	return err
}

func (c *committer) disconnect() {
	if c.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c.conn.Close(ctx)
	c.conn = nil
}

// binaryFormat asks for, and says, PostgreSQL's binary format everywhere.
var binaryFormat = []int16{pgx.BinaryFormatCode}

// pipeline sends the batch's statements and the end of the implicit transaction
// that they are (PostgreSQL manual, 55.2.4 Pipelining) in one go.
func (c *committer) pipeline(ctx context.Context, batch []*op) error {
	// In the order of the keys, so that two nodes lock rows in the same order.
	slices.SortFunc(batch, func(a, b *op) int { return cmp.Compare(a.id, b.id) })
	for i := range c.rows {
		c.rows[i].reset()
	}
	for _, o := range batch {
		r := &c.rows[o.verb()]
		r.begin(int64(o.id))
		o.fill(r)
		o.won = false
	}
	p := c.conn.StartPipeline(ctx)
	for i := range c.rows {
		if r := &c.rows[i]; r.n > 0 {
			p.SendQueryPrepared(statements[i].name, r.params(), binaryFormat, binaryFormat)
		}
	}
	err := p.Sync()
	if err == nil {
		err = readWinners(p, batch)
	}
	// Close reads to the end: an error of the commit itself comes after the statements'.
	return errors.Join(err, p.Close())
}

// readWinners reads the keys that the guarded statements return.
func readWinners(p *pgconn.Pipeline, batch []*op) error {
	for {
		results, err := p.GetResults()
		if err != nil {
			return err
		}
		reader, ok := results.(*pgconn.ResultReader)
		if !ok { // the sync, or nothing more
			return nil
		}
		for reader.NextRow() {
			id := verify.ID(binary.BigEndian.Uint64(reader.Values()[0]))
			i, found := slices.BinarySearchFunc(batch, id, func(o *op, id verify.ID) int { return cmp.Compare(o.id, id) })
			if found {
				batch[i].won = true
			}
		}
		if _, err := reader.Close(); err != nil {
			return err
		}
	}
}
