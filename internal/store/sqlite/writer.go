package sqlite

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/verify"
)

// maxBatch is how many writes one transaction takes: measured, more gain nothing
// and make each wait longer.
const maxBatch = 128

// patience is how long a patient write waits for company: at some hundreds of
// writes a second there is some long before.
const patience = 3 * time.Millisecond

var (
	beginWrite = prepared(`BEGIN IMMEDIATE`)
	commit     = prepared(`COMMIT`)
	rollback   = prepared(`ROLLBACK`)
)

// write is one caller's write on its way through the writer.
type write struct {
	run     func(*conn) error // may run twice, if another of its batch failed
	patient bool              // nobody waits for its answer
	taken   atomic.Bool       // by the writer, or back by its caller
	done    chan error
}

// writer owns the one connection that writes. It gathers the writes that are
// waiting into one transaction, so that one sync to disk serves them all, and
// answers each after the commit.
//
// A patient write alone is worth no sync of its own: it waits for the next write
// that is in a hurry, or for patience.
type writer struct {
	conn        *conn
	queue       chan *write
	ended       chan struct{}
	patience    time.Duration
	checkpoints *checkpoints

	closing sync.RWMutex // held shared while something is put into the queue
	closed  bool
}

func startWriter(c *conn, checkpoints *checkpoints, patience time.Duration) *writer {
	w := &writer{conn: c, queue: make(chan *write, 4*maxBatch), ended: make(chan struct{}), patience: patience, checkpoints: checkpoints}
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
func (w *writer) do(ctx context.Context, run func(*conn) error, patient bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	wr := &write{run: run, patient: patient, done: make(chan error, 1)}
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
	lonely := time.NewTimer(w.patience)
	lonely.Stop()
	var batch []*write
	for open := true; open; {
		first, waited := len(batch) == 0, false
		select {
		case wr, more := <-w.queue:
			if open = more; more {
				batch = append(batch, wr)
			}
		case <-lonely.C:
			waited = true
		}
		// Whoever is about to write comes along: on busy processors that saves a
		// fifth of the processor time of a confirmation, and where nobody is
		// about to it costs nothing.
		runtime.Gosched()
		batch = w.gather(batch)
		if open && !waited && len(batch) < maxBatch && allPatient(batch) {
			if first {
				lonely.Reset(w.patience)
			}
			continue
		}
		lonely.Stop()
		w.commit(taken(batch))
		clear(batch) // what was written must not stay in memory
		batch = batch[:0]
		w.checkpoints.afterCommit(w.conn)
	}
}

// gather adds what is waiting, without waiting for more.
func (w *writer) gather(batch []*write) []*write {
	for len(batch) < maxBatch {
		select {
		case wr, open := <-w.queue:
			if !open {
				return batch
			}
			batch = append(batch, wr)
		default:
			return batch
		}
	}
	return batch
}

func allPatient(batch []*write) bool {
	return !slices.ContainsFunc(batch, func(wr *write) bool { return !wr.patient })
}

// taken leaves out of the batch what its callers have taken back.
func taken(batch []*write) []*write {
	return slices.DeleteFunc(batch, func(wr *write) bool { return !wr.taken.CompareAndSwap(false, true) })
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
