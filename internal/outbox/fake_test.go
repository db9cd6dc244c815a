package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/verify"
)

// row is a message as the fake store keeps it.
type row struct {
	m        verify.Message
	state    verify.DeliveryState
	leased   bool
	node     verify.Node
	until    time.Time
	due      time.Time
	attempts []verify.AttemptRecord
}

func (r *row) open() bool {
	return len(r.attempts) > 0 && r.attempts[len(r.attempts)-1].Result == verify.AttemptOpen
}

func (r *row) move(e verify.DeliveryEvent) { r.state, _ = r.state.On(e) }

// memory keeps the store's contract in memory.
type memory struct {
	mu   sync.Mutex
	rows map[verify.ID]*row
	next verify.ID
}

func newMemory() *memory { return &memory{rows: map[verify.ID]*row{}} }

// create is what Send Link does: a row, leased to node.
func (s *memory) create(node verify.Node, lifetime time.Duration) verify.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	m := verify.Message{ID: s.next, ExpiresAt: time.Now().Add(lifetime)}
	s.rows[m.ID] = &row{m: m, leased: true, node: node, until: time.Now().Add(30 * time.Second)}
	return m
}

func (s *memory) BeginAttempt(_ context.Context, node verify.Node, a verify.Attempt) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rows[a.ID]
	if r == nil || r.state != verify.Queued || !r.leased || r.node != node || a.N != len(r.attempts)+1 {
		return verify.ErrConflict
	}
	r.attempts = append(r.attempts, verify.AttemptRecord{Attempt: a})
	return nil
}

func (s *memory) EndAttempt(_ context.Context, end verify.AttemptEnd) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rows[end.ID]
	if r == nil || !r.open() || end.N != len(r.attempts) {
		return verify.ErrConflict
	}
	last := &r.attempts[end.N-1]
	last.EndedAt, last.Result, last.Code = end.At, end.Result, end.Code
	r.leased = false
	if event, moves := end.Result.Event(); moves {
		r.move(event)
	} else {
		r.due = end.RetryAt
	}
	return nil
}

func (s *memory) ClaimDue(_ context.Context, now time.Time, lease verify.Lease, limit int) ([]verify.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var claimed []verify.Message
	for _, id := range slices.Sorted(maps.Keys(s.rows)) {
		r := s.rows[id]
		if r.state != verify.Queued || r.leased && r.until.After(now) || !r.leased && r.due.After(now) || limit == 0 {
			continue
		}
		limit--
		switch {
		case r.open():
			r.move(verify.Lose)
			r.attempts[len(r.attempts)-1].Result = verify.AttemptLost
		case !now.Before(r.m.ExpiresAt):
			r.move(verify.Fail)
		default:
			r.leased, r.node, r.until = true, lease.Node, lease.Until
			m := r.m
			m.Attempts = len(r.attempts)
			claimed = append(claimed, m)
		}
	}
	return claimed, nil
}

func (s *memory) ReleaseLeases(_ context.Context, node verify.Node, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rows {
		if r.state == verify.Queued && r.leased && r.node == node && !r.open() {
			r.leased, r.due = false, now
		}
	}
	return nil
}

// row returns a copy.
func (s *memory) row(id verify.ID) row {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := *s.rows[id]
	r.attempts = slices.Clone(r.attempts)
	return r
}

func (s *memory) states() map[verify.DeliveryState]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := map[verify.DeliveryState]int{}
	for _, r := range s.rows {
		n[r.state]++
	}
	return n
}

// errFault is what a faulty store says.
var errFault = errors.New("the database is away")

// faulty fails by hooks before a call, after it, or not. A nil hook never does.
type faulty struct {
	*memory
	before func(verb string) error
	after  func(verb string) error
}

func hook(h func(string) error, verb string) error {
	if h == nil {
		return nil
	}
	return h(verb)
}

func (s *faulty) call(verb string, do func() error) error {
	if err := hook(s.before, verb); err != nil {
		return err
	}
	err := do()
	return errors.Join(hook(s.after, verb), err)
}

func (s *faulty) BeginAttempt(ctx context.Context, node verify.Node, a verify.Attempt) error {
	return s.call("begin", func() error { return s.memory.BeginAttempt(ctx, node, a) })
}

func (s *faulty) EndAttempt(ctx context.Context, end verify.AttemptEnd) error {
	return s.call("end", func() error { return s.memory.EndAttempt(ctx, end) })
}

func (s *faulty) ClaimDue(ctx context.Context, now time.Time, lease verify.Lease, limit int) (due []verify.Message, err error) {
	err = s.call("claim", func() (err error) {
		due, err = s.memory.ClaimDue(ctx, now, lease, limit)
		return err
	})
	return due, err
}

func (s *faulty) ReleaseLeases(ctx context.Context, node verify.Node, now time.Time) error {
	return s.call("release", func() error { return s.memory.ReleaseLeases(ctx, node, now) })
}

// gateway answers as its test says, and checks that nothing reaches it that was
// not written down before, or that may have been sent already.
type gateway struct {
	store *memory
	// answer decides by the message and how often it came; nil accepts all.
	answer func(ctx context.Context, m verify.Message, n int) verify.AttemptEnd

	mu    sync.Mutex
	sends map[verify.ID]int
	at    map[verify.ID][]time.Time
	taken map[verify.ID]bool // a send that was taken, or may have been
	wrong []string
}

func newGateway(store *memory) *gateway {
	return &gateway{store: store, sends: map[verify.ID]int{}, at: map[verify.ID][]time.Time{}, taken: map[verify.ID]bool{}}
}

func (g *gateway) Gateway(verify.Message) string { return "fake" }

func (g *gateway) Send(ctx context.Context, m verify.Message, a verify.Attempt) verify.AttemptEnd {
	if !time.Now().Before(m.ExpiresAt) { // as the flow does
		return verify.AttemptEnd{Result: verify.AttemptRefused, Code: "link_expired"}
	}
	r := g.store.row(m.ID)
	g.mu.Lock()
	g.sends[m.ID]++
	n := g.sends[m.ID]
	g.at[m.ID] = append(g.at[m.ID], time.Now())
	if !r.open() || len(r.attempts) != a.N {
		g.wrong = append(g.wrong, fmt.Sprintf("message %d, attempt %d left before it was written", m.ID, a.N))
	}
	if g.taken[m.ID] {
		g.wrong = append(g.wrong, fmt.Sprintf("message %d was sent again", m.ID))
	}
	g.taken[m.ID] = true // until it is clear that it was not
	g.mu.Unlock()

	end := verify.AttemptEnd{Result: verify.AttemptAccepted}
	if g.answer != nil {
		end = g.answer(ctx, m, n)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.taken[m.ID] = end.Result != verify.AttemptRetry
	return end
}

func (g *gateway) count(id verify.ID) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sends[id]
}

func (g *gateway) times(id verify.ID) []time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.at[id])
}

func (g *gateway) check(t *testing.T) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, wrong := range g.wrong {
		t.Error(wrong)
	}
}

// tally counts outcomes.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *tally) observe(step, outcome string, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[step+" "+outcome]++
}

func (c *tally) of(outcome string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n["outbox "+outcome]
}

// wait lets d pass on the fake clock of a synctest bubble.
func wait(d time.Duration) { <-time.After(d) }

// times returns a hook that fails the first n calls of verb.
func times(n int, verb string) func(string) error {
	var left atomic.Int64
	left.Store(int64(n))
	return func(called string) error {
		if called == verb && left.Add(-1) >= 0 {
			return errFault
		}
		return nil
	}
}
