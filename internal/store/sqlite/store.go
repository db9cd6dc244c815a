// Package sqlite keeps verifications, messages and clients in one SQLite file:
// the embedded store, for one process (other processes may look in and
// administer clients).
//
// One connection writes; it gathers waiting writes into one transaction and
// answers them after its commit, which is synced to disk (writer.go). Another
// moves the log into the database beside it (checkpoint.go). A few connections
// read, each call a snapshot of what is committed. They call SQLite without a
// driver between (engine.go). The statements are written by hand, one file for
// each part of the contract, which is store/storetest's; their guards are
// verify's transitions.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"holdfast/internal/verify"
)

// Config says where the database is.
type Config struct {
	// Path is the database's file; required. Beside it SQLite keeps two more,
	// named after it with -wal and -shm.
	Path string
	// Readers is how many reads run at once; 0 means one for each processor, and 2
	// at least. More gain nothing: each reads its pages anew after every commit.
	Readers int
}

// Store is the database, open. Its methods may be called concurrently.
type Store struct {
	path        string
	writer      *writer
	checkpoints *checkpoints
	readers     chan *conn // those that are free
	size        int        // how many there are

	closeOnce sync.Once
	closeErr  error
	closed    chan struct{}
}

var errClosed = errors.New("sqlite: the store is closed")

// New opens the database, which must exist and have this version's tables:
// Migrate makes them.
func New(ctx context.Context, config Config) (*Store, error) {
	if config.Path == "" {
		return nil, errors.New("sqlite: the database's path is missing")
	}
	if err := checkSchema(ctx, config); err != nil {
		return nil, err
	}
	if config.Readers == 0 {
		config.Readers = max(2, runtime.GOMAXPROCS(0))
	}
	s := &Store{path: config.Path, readers: make(chan *conn, config.Readers), closed: make(chan struct{})}
	writing, err := openConn(config.Path, "wal_autocheckpoint(0)")
	if err != nil {
		return nil, fmt.Errorf("sqlite: open: %w", err)
	}
	copying, err := openConn(config.Path)
	if err != nil {
		return nil, fmt.Errorf("sqlite: open: %w", errors.Join(err, writing.close()))
	}
	s.checkpoints = startCheckpoints(copying)
	s.writer = startWriter(writing, s.checkpoints, patience)
	for range config.Readers {
		c, err := openConn(config.Path, "query_only(1)")
		if err != nil {
			return nil, errors.Join(fmt.Errorf("sqlite: open: %w", err), s.Close())
		}
		s.readers <- c
		s.size++
	}
	return s, nil
}

// Close waits for the writes that are queued and the reads that run; later ones
// fail. A second Close does nothing.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.closed)
		s.writer.stop()
		s.checkpoints.stop()
		for range s.size {
			s.closeErr = errors.Join(s.closeErr, (<-s.readers).close())
		}
		// The last connection to close clears the log away.
		s.closeErr = errors.Join(s.closeErr, s.checkpoints.conn.close(), s.writer.conn.close())
	})
	return s.closeErr
}

var touch = prepared(`UPDATE nodes SET next = next`)

// Ping writes, with all that a write takes, and reads.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.write(ctx, func(c *conn) error {
		_, err := c.exec(touch)
		return err
	}); err != nil {
		return err
	}
	_, _, err := s.Backlog(ctx)
	return err
}

var nextNode = prepared(`UPDATE nodes SET next = next + 1 RETURNING next - 1`)

// NextNode hands out the next process number.
func (s *Store) NextNode(ctx context.Context) (node verify.Node, err error) {
	err = s.write(ctx, func(c *conn) error {
		return c.read(nextNode, func(r *row) { node = verify.Node(r.int() % verify.Nodes) })
	})
	return node, err
}

// write runs a write through the writer; see writer.do.
func (s *Store) write(ctx context.Context, run func(*conn) error) error {
	return s.writer.do(ctx, run, false)
}

// writeSoon is write for what nobody waits for: it may wait a little, to share a
// transaction.
func (s *Store) writeSoon(ctx context.Context, run func(*conn) error) error {
	return s.writer.do(ctx, run, true)
}

// read runs reads on a free connection, in no transaction unless run begins one.
func (s *Store) read(ctx context.Context, run func(*conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.closed:
		return errClosed
	default:
	}
	select {
	case c := <-s.readers:
		defer func() { s.readers <- c }()
		return run(c)
	case <-s.closed:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}
