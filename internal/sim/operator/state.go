package operator

import (
	"crypto/sha256"
	"sync"
	"time"
)

// How long things live. An assertion's own bound is CAMARA's.
const (
	codeTime      = time.Minute
	tokenTime     = 5 * time.Minute
	assertionTime = 5 * time.Minute
	clockSkew     = 30 * time.Second
)

// key is what is kept of a secret: enough of its digest.
type key [16]byte

func keyOf(parts ...string) key {
	h := sha256.New()
	for _, part := range parts {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return key(h.Sum(nil)[:16])
}

// access is what an access token is good for.
type access struct {
	number  string
	network bool // recognised by the mobile network
	verify  bool // scope number-verification:verify
	share   bool // scope number-verification:device-phone-number:read
	expires time.Time
}

// grant is what a code stands for. Once used, only used and token matter.
type grant struct {
	client, redirect, challenge, nonce, scope string

	access
	used  bool
	token key // that the code was exchanged for
}

// state is all that the operator remembers. None of it outlives the process.
type state struct {
	mu     sync.Mutex
	codes  window[*grant]
	tokens window[access]
	seen   window[struct{}] // assertions
}

func newState(remember int) *state {
	return &state{
		codes:  newWindow[*grant](codeTime, remember),
		tokens: newWindow[access](tokenTime, remember),
		seen:   newWindow[struct{}](assertionTime+2*clockSkew, remember),
	}
}

func (s *state) putCode(code key, g *grant, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes.put(code, g, now)
}

// redeem spends a code for a token, if it fits. A code that comes twice takes
// the token that it was exchanged for with it (RFC 6749 section 4.1.2).
func (s *state) redeem(code, token key, fits func(*grant) bool, now time.Time) (grant, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, found := s.codes.get(code, now)
	switch {
	case !found:
		return grant{}, false
	case g.used:
		s.tokens.remove(g.token)
		return grant{}, false
	case !now.Before(g.expires), !fits(g):
		return grant{}, false
	}
	spent := *g
	*g = grant{used: true, token: token}
	spent.expires = now.Add(tokenTime)
	s.tokens.put(token, spent.access, now)
	return spent, true
}

// take spends an access token.
func (s *state) take(token key, now time.Time) (access, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, found := s.tokens.get(token, now)
	s.tokens.remove(token)
	return a, found && now.Before(a.expires)
}

// first reports whether an assertion is seen for the first time.
func (s *state) first(assertion key, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, seen := s.seen.get(assertion, now); seen {
		return false
	}
	s.seen.put(assertion, struct{}{}, now)
	return true
}

// window keeps entries for at least life and less than twice that, in two
// generations: forgetting costs nothing and needs no timer. When a generation is
// full the older one is dropped early.
type window[V any] struct {
	life       time.Duration
	most       int
	since      time.Time // when the newer generation began
	newer, old map[key]V
}

func newWindow[V any](life time.Duration, most int) window[V] {
	return window[V]{life: life, most: most, newer: map[key]V{}, old: map[key]V{}}
}

func (w *window[V]) age(now time.Time) {
	switch {
	case now.Sub(w.since) >= 2*w.life:
		w.newer, w.old, w.since = map[key]V{}, map[key]V{}, now
	case now.Sub(w.since) >= w.life, len(w.newer) >= w.most:
		w.newer, w.old, w.since = map[key]V{}, w.newer, now
	}
}

func (w *window[V]) put(k key, v V, now time.Time) {
	w.age(now)
	w.newer[k] = v
}

func (w *window[V]) get(k key, now time.Time) (V, bool) {
	w.age(now)
	if v, found := w.newer[k]; found {
		return v, true
	}
	v, found := w.old[k]
	return v, found
}

func (w *window[V]) remove(k key) {
	delete(w.newer, k)
	delete(w.old, k)
}
