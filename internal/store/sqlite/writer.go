package sqlite

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"holdfast/internal/verify"
)

// maxBatch is how many writes one transaction takes: measured, more gain nothing
// and make each wait longer.
const maxBatch = 128

var (
	beginWrite = prepared(`BEGIN IMMEDIATE`)
	commit     = prepared(`COMMIT`)
	rollback   = prepared(`ROLLBACK`)
)

// write is one caller's write on its way through the writer.
type write struct {
	run   func(*conn) error // may run twice, if another of its batch failed
	taken atomic.Bool       // by the writer, or back by its caller
	done  chan error
}

// writer owns the one connection that writes. It gathers the writes that are
// waiting into one transaction, so that one sync to disk serves them all, and
// answers each after the commit.
type writer struct {
	conn  *conn
	queue chan *write
	ended chan struct{}

	closing sync.RWMutex // held shared while something is put into the queue
	closed  bool
}

func startWriter(c *conn) *writer {
	w := &writer{conn: c, queue: make(chan *write, 4*maxBatch), ended: make(chan struct{})}
	go w.loop()
	return w
}

// stop waits for the writes that are queued; later ones fail.
func (w *writer) stop() {
	w.closing.Lock()
	if !w.closed {
		w.closed = true
		close(w.queue)
	}
	w.closing.Unlock()
	<-w.ended
}

// do runs run in a transaction, beside others' writes, and returns after the
// commit. run returns an error of package verify only where it has changed
// nothing. When ctx ends before the transaction began, run is not called.
func (w *writer) do(ctx context.Context, run func(*conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	wr := &write{run: run, done: make(chan error, 1)}
	if err := w.enqueue(ctx, wr); err != nil {
		return err
	}
	select {
	case err := <-wr.done:
		return err
	case <-ctx.Done():
		if wr.taken.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		return <-wr.done // it is being committed, which doesn't take long
	}
}

func (w *writer) enqueue(ctx context.Context, wr *write) error {
	w.closing.RLock()
	defer w.closing.RUnlock()
	if w.closed {
		return errClosed
	}
	select {
	case w.queue <- wr:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *writer) loop() {
	defer close(w.ended)
	var batch []*write
	for first := range w.queue {
		batch = w.gather(append(batch[:0], first))
		w.commit(batch)
		clear(batch[:cap(batch)]) // what was written must not stay in memory
	}
}

// gather adds what is waiting, without waiting for more, and leaves out what its
// caller has taken back.
func (w *writer) gather(batch []*write) []*write {
	for waiting := true; waiting && len(batch) < maxBatch; {
		select {
		case wr, open := <-w.queue:
			if waiting = open; open {
				batch = append(batch, wr)
			}
		default:
			waiting = false
		}
	}
	kept := batch[:0]
	for _, wr := range batch {
		if wr.taken.CompareAndSwap(false, true) {
			kept = append(kept, wr)
		}
	}
	return kept
}

// commit answers each write of the batch, after its commit.
func (w *writer) commit(batch []*write) {
	if len(batch) == 0 {
		return
	}
	errs, failed := w.transact(batch)
	if failed && len(batch) > 1 {
		// One of them must not fail the others.
		for i, wr := range batch {
			one, _ := w.transact(batch[i : i+1])
			wr.done <- one[0]
		}
		return
	}
	for i, wr := range batch {
		wr.done <- errs[i]
	}
}

// transact runs the batch in one transaction. failed tells that it was rolled
// back for one write's sake, and that each should be tried alone.
func (w *writer) transact(batch []*write) (errs []error, failed bool) {
	errs = make([]error, len(batch))
	if _, err := w.conn.exec(beginWrite); err != nil {
		fill(errs, err)
		return errs, false
	}
	for i, wr := range batch {
		if errs[i] = wr.run(w.conn); errs[i] != nil && !isVerdict(errs[i]) {
			_, _ = w.conn.exec(rollback) // fails where SQLite has rolled back by itself
			return errs, true
		}
	}
	if _, err := w.conn.exec(commit); err != nil {
		_, _ = w.conn.exec(rollback)
		fill(errs, err)
	}
	return errs, false
}

func fill(errs []error, err error) {
	for i := range errs {
		errs[i] = err
	}
}

// isVerdict reports whether err is an answer of the domain, not a failure.
func isVerdict(err error) bool {
	var coded *verify.Error
	return errors.As(err, &coded)
}
