package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"holdfast/internal/verify"
)

var (
	testInsert = prepared(`INSERT INTO idempotency_keys (key, body, verification_id) VALUES (?, x'00', 0)`)
	testCount  = prepared(`SELECT count(*) FROM idempotency_keys`)
	testBad    = prepared(`INSERT INTO nodes (id, next) VALUES (2, 0)`) // against its CHECK
)

func openStore(t *testing.T) *Store {
	t.Helper()
	config := Config{Path: filepath.Join(t.TempDir(), "holdfast.db")}
	if err := Migrate(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// hold keeps the writer busy until release is called.
func hold(t *testing.T, s *Store) (release func()) {
	t.Helper()
	busy, gate := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = s.write(context.Background(), func(*conn) error { close(busy); <-gate; return nil })
	})
	<-busy
	return func() { close(gate); wg.Wait() }
}

// queued starts a write and returns when it is in the queue.
func queued(s *Store, wg *sync.WaitGroup, ctx context.Context, run func(*conn) error, then func(error)) {
	before := len(s.writer.queue)
	wg.Go(func() { then(s.write(ctx, run)) })
	for len(s.writer.queue) == before {
		runtime.Gosched()
	}
}

func insert(key byte) func(*conn) error {
	return func(c *conn) error {
		_, err := c.exec(testInsert, []byte{key})
		return err
	}
}

func count(t *testing.T, s *Store) (n int) {
	t.Helper()
	err := s.read(context.Background(), func(c *conn) error {
		_, err := c.one(testCount, func(r *row) { n = int(r.int()) })
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A write that fails takes no other with it, though all share a transaction.
func TestBadWriteFailsAlone(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	release := hold(t, s)
	var wg sync.WaitGroup
	var bad, refused error
	for i := range byte(20) {
		queued(s, &wg, t.Context(), insert(i), func(err error) {
			if err != nil {
				t.Errorf("write %d: %v", i, err)
			}
		})
		if i == 10 {
			queued(s, &wg, t.Context(), func(c *conn) error {
				if err := insert(200)(c); err != nil {
					return err
				}
				_, err := c.exec(testBad)
				return err
			}, func(err error) { bad = err })
			queued(s, &wg, t.Context(), func(*conn) error { return verify.ErrConflict }, func(err error) { refused = err })
		}
	}
	release()
	wg.Wait()
	if bad == nil || errors.Is(bad, verify.ErrConflict) {
		t.Errorf("the bad write returned %v", bad)
	}
	if !errors.Is(refused, verify.ErrConflict) {
		t.Errorf("the refused write returned %v", refused)
	}
	if n := count(t, s); n != 20 {
		t.Errorf("%d rows, want the 20 good writes' and nothing of the bad one", n)
	}
}

func TestCancelledInTheQueue(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	release := hold(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	returned := make(chan error)
	queued(s, &wg, ctx, insert(1), func(err error) { returned <- err })
	cancel()
	if err := <-returned; !errors.Is(err, context.Canceled) { // though the writer is still busy
		t.Errorf("got %v", err)
	}
	release()
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count(t, s); n != 0 {
		t.Error("a write that was taken back ran")
	}
	wg.Wait()
}

// A caller that gives up when its write is under way learns what became of it.
func TestCancelledUnderWay(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := s.write(ctx, func(c *conn) error {
		cancel()
		return insert(1)(c)
	})
	if err != nil || count(t, s) != 1 {
		t.Errorf("got %v and %d rows, want a whole write", err, count(t, s))
	}
}

func TestCloseWaitsForTheQueue(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	release := hold(t, s)
	var wg sync.WaitGroup
	for i := range byte(200) { // more than a batch
		queued(s, &wg, t.Context(), insert(i), func(err error) {
			if err != nil {
				t.Errorf("write %d: %v", i, err)
			}
		})
	}
	wg.Go(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	<-s.closed
	release()
	wg.Wait()
	if err := s.write(t.Context(), insert(201)); !errors.Is(err, errClosed) {
		t.Errorf("a write after Close returned %v", err)
	}
}

// A patient write shares the transaction of the next that is in a hurry.
func TestPatientWriteWaits(t *testing.T) {
	t.Parallel()
	w := patientWriter(t)
	var wg sync.WaitGroup
	ran := 0 // by the writer's goroutine
	for range 3 {
		wg.Go(func() {
			if err := w.do(context.Background(), func(*conn) error { ran++; return nil }, true); err != nil {
				t.Error(err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan error)
	go func() {
		returned <- w.do(ctx, func(*conn) error { t.Error("a write that was taken back ran"); return nil }, true)
	}()
	cancel()
	if err := <-returned; !errors.Is(err, context.Canceled) { // though nothing is in a hurry
		t.Errorf("a write that was taken back returned %v", err)
	}
	for hurried := 0; hurried < 3; { // until each patient one has been in a batch
		if err := w.do(t.Context(), func(*conn) error { hurried = ran; return nil }, false); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
}

func TestStopFlushesPatientWrites(t *testing.T) {
	t.Parallel()
	w := patientWriter(t)
	wr := &write{run: func(*conn) error { return nil }, patient: true, done: make(chan error, 1)}
	if err := w.enqueue(t.Context(), wr); err != nil {
		t.Fatal(err)
	}
	w.stop()
	select {
	case err := <-wr.done:
		if err != nil {
			t.Error(err)
		}
	default:
		t.Error("it was not answered")
	}
}

// patientWriter is a writer that lets patient writes wait until the test is over.
func patientWriter(t *testing.T) *writer {
	t.Helper()
	path := filepath.Join(t.TempDir(), "holdfast.db")
	if err := Migrate(t.Context(), Config{Path: path}); err != nil {
		t.Fatal(err)
	}
	open := func() *conn {
		c, err := openConn(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.close() })
		return c
	}
	checkpoints := startCheckpoints(open())
	t.Cleanup(checkpoints.stop)
	w := startWriter(open(), checkpoints, time.Hour)
	t.Cleanup(w.stop)
	return w
}

// A batch has a limit, or the first of many waits for all.
func TestBatchLimit(t *testing.T) {
	t.Parallel()
	w := &writer{queue: make(chan *write, 3*maxBatch)}
	for range 2*maxBatch + 1 {
		w.queue <- &write{}
	}
	for _, want := range []int{maxBatch, maxBatch, 1} {
		if got := len(w.gather([]*write{<-w.queue})); got != want {
			t.Errorf("a batch of %d, want %d", got, want)
		}
	}
}
