package postgres

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"holdfast/internal/verify"
)

// maxTries is how often a write is tried that the server says to try again.
const maxTries = 3

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
	if err := s.writes.add(o); err != nil {
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

// committer writes batches, each as a transaction, on a connection of its own.
type committer struct {
	line *line
	rows [verbs]rows
}

func (s *Store) startCommitter(ctx context.Context, config *pgx.ConnConfig) error {
	line, err := openLine(ctx, config, statements[:]...)
	if err != nil {
		return err
	}
	c := &committer{line: line}
	s.writes.work(c.commit, line.disconnect)
	return nil
}

// commit writes the batch and answers its ops. Where the server refuses it for
// what is in it, halves are tried until the one bad write fails alone.
func (c *committer) commit(batch []*op) {
	var err error
	for range maxTries {
		err = c.line.do(func(ctx context.Context, conn *pgconn.PgConn) error { return c.send(ctx, conn, batch) })
		if _, class := sqlState(err); class != classTransaction || len(batch) > 1 {
			break
		}
	}
	if _, class := sqlState(err); len(batch) > 1 && class != "" && !away(err, class) {
		middle := len(batch) / 2
		c.commit(batch[:middle])
		c.commit(batch[middle:])
		return
	}
	err = failure(err)
	for _, o := range batch {
		o.done <- err
	}
}

// binaryFormat asks for, and says, PostgreSQL's binary format everywhere.
var binaryFormat = []int16{pgx.BinaryFormatCode}

// send sends the batch's statements and the end of the implicit transaction
// that they are (PostgreSQL manual, 55.2.4 Pipelining) in one go.
func (c *committer) send(ctx context.Context, conn *pgconn.PgConn, batch []*op) error {
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
	p := conn.StartPipeline(ctx)
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

// readWinners reads the keys that the guarded statements return, and the rest of
// what a consume does.
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
			if !found {
				continue
			}
			batch[i].won = true
			if w, ok := batch[i].write.(*consume); ok {
				w.read(reader.Values())
			}
		}
		if _, err := reader.Close(); err != nil {
			return err
		}
	}
}
