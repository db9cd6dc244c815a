package postgres

import (
	"sync"

	"holdfast/internal/verify"
)

const (
	// maxBatch is how many writes one transaction takes, or reads one statement.
	maxBatch = 256
	// crowd is how many must wait for a second worker to start on them beside the
	// first. Larger batches cost less for each in them, on both sides; but where a
	// commit takes long, one at a time would be the limit.
	crowd = 64
)

// gatherer collects what concurrent callers want and hands it, in batches, to
// its workers. Nothing is delayed for the sake of a batch while no worker is
// busy: a batch is what came while the one before was under way.
type gatherer[T any] struct {
	// key, where it is not nil, makes what concerns one verification go one after
	// another, in the order in which it came.
	key func(T) verify.ID

	mu       sync.Mutex
	turn     sync.Cond
	waiting  []T
	inFlight map[verify.ID]struct{}
	busy     int
	closed   bool
	workers  sync.WaitGroup
}

func newGatherer[T any](key func(T) verify.ID) *gatherer[T] {
	g := &gatherer[T]{key: key, inFlight: map[verify.ID]struct{}{}}
	g.turn.L = &g.mu
	return g
}

// add fails after end was called.
func (g *gatherer[T]) add(x T) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return errClosed
	}
	g.waiting = append(g.waiting, x)
	if g.mayStart() {
		g.turn.Signal()
	}
	return nil
}

func (g *gatherer[T]) mayStart() bool {
	return len(g.waiting) > 0 && g.busy == 0 || len(g.waiting) >= crowd
}

// end returns after what is waiting was done.
func (g *gatherer[T]) end() {
	g.mu.Lock()
	g.closed = true
	g.turn.Broadcast()
	g.mu.Unlock()
	g.workers.Wait()
}

// work starts a worker: it calls do with one batch after another until the end.
// do may reorder its batch and must not keep it.
func (g *gatherer[T]) work(do func(batch []T), end func()) {
	g.workers.Go(func() {
		defer end()
		var batch []T
		var keys []verify.ID
		g.mu.Lock()
		defer g.mu.Unlock()
		for {
			batch, keys = g.take(batch[:0], keys[:0])
			switch {
			case len(batch) > 0:
			case g.closed && len(g.waiting) == 0:
				g.turn.Broadcast()
				return
			default:
				g.turn.Wait()
				continue
			}
			if g.mayStart() {
				g.turn.Signal()
			}
			g.mu.Unlock()
			do(batch)
			clear(batch)
			g.mu.Lock()
			g.busy--
			for _, key := range keys {
				delete(g.inFlight, key)
			}
		}
	})
}

// take moves the next batch out of what is waiting, and counts its worker busy.
// What can't go yet stays in line, in order; it goes with the worker that it
// waits for.
func (g *gatherer[T]) take(batch []T, keys []verify.ID) ([]T, []verify.ID) {
	if !g.mayStart() {
		return batch, keys
	}
	left := g.waiting[:0]
	for _, x := range g.waiting {
		if len(batch) == maxBatch || !g.fits(x) {
			left = append(left, x)
			continue
		}
		batch = append(batch, x)
		if g.key != nil {
			key := g.key(x)
			keys = append(keys, key)
			g.inFlight[key] = struct{}{}
		}
	}
	clear(g.waiting[len(left):])
	g.waiting = left
	if len(batch) > 0 {
		g.busy++
	}
	return batch, keys
}

func (g *gatherer[T]) fits(x T) bool {
	if g.key == nil {
		return true
	}
	_, busy := g.inFlight[g.key(x)]
	return !busy
}
