package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

const racers = 16

// testOneWinner guards rule 10 of the house: what works once works once, however
// many try at the same moment.
func testOneWinner(t *testing.T, w *world) {
	for name, race := range map[string]struct{ before, each step }{
		"Consume":      {each: linkWrites["Consume"]},
		"Deny":         {each: linkWrites["Deny"]},
		"ClaimAnswer":  {before: linkWrites["Consume"], each: linkWrites["ClaimAnswer"]},
		"Complete":     {before: linkWrites["Consume"], each: linkWrites["Complete"]},
		"BeginAttempt": {each: beginStep(here, 1, begin)},
		"EndAttempt":   {before: beginStep(here, 1, begin), each: endStep(1, verify.AttemptAccepted)},
	} {
		for range 5 {
			id := w.create(t)
			if race.before != nil {
				w.steps(t, name, id, race.before)
			}
			must(t, race.each(w.model, t, id))
			wins := 0
			for _, err := range together(racers, func(int) error { return race.each(w.Store, t, id) }) {
				if err == nil {
					wins++
				} else {
					wantError(t, name, err, verify.ErrConflict)
				}
			}
			if wins != 1 {
				t.Fatalf("%s: %d of %d won, want 1", name, wins, racers)
			}
			w.check(t, id)
		}
	}
	id := w.create(t) // a tap against "This wasn't me"
	wins := 0
	for _, err := range together(racers, func(i int) error {
		if i%2 == 0 {
			return linkWrites["Consume"](w.Store, t, id)
		}
		return linkWrites["Deny"](w.Store, t, id)
	}) {
		if err == nil {
			wins++
		}
	}
	if wins != 1 {
		t.Fatalf("Consume against Deny: %d won, want 1", wins)
	}
}

// testOneCreates repeats one request with one key at the same moment.
func testOneCreates(t *testing.T, w *world) {
	type result struct {
		h      verify.Handle
		replay bool
		err    error
	}
	for round := range 5 {
		idem := &verify.Idempotency{Key: digest(int64(round), "key"), Body: digest(1, "body")}
		lease := verify.Lease{Node: here, Until: start.Add(leaseTime)}
		results := together(racers, func(int) (r result) {
			r.h, r.replay, r.err = w.Create(t.Context(), w.verification(), lease, idem)
			return r
		})
		created := 0
		for _, r := range results {
			must(t, r.err)
			if r.h != results[0].h {
				t.Fatalf("two handles for one key: %v, %v", r.h, results[0].h)
			}
			if !r.replay {
				created++
			}
		}
		if created != 1 {
			t.Fatalf("%d of %d created, want 1", created, racers)
		}
		if depth, _, err := w.Backlog(t.Context()); err != nil || depth != round+1 {
			t.Fatalf("Backlog: got %d, %v, want %d", depth, err, round+1)
		}
	}
}

// testClaimsDoNotOverlap lets nodes claim the same messages at the same moment.
func testClaimsDoNotOverlap(t *testing.T, w *world) {
	const messages = 100
	for range messages {
		w.create(t)
	}
	now := start.Add(leaseTime)
	type result struct {
		messages []verify.Message
		err      error
	}
	seen := map[verify.ID]bool{}
	for _, r := range together(racers, func(i int) result {
		m, err := w.ClaimDue(t.Context(), now, verify.Lease{Node: verify.Node(100 + i), Until: now.Add(leaseTime)}, messages/10)
		return result{m, err}
	}) {
		must(t, r.err)
		for _, m := range r.messages {
			if seen[m.ID] {
				t.Fatal("one message was leased to two nodes")
			}
			seen[m.ID] = true
		}
	}
	if len(seen) != messages {
		t.Fatalf("%d of %d messages were claimed", len(seen), messages)
	}
}

// testManyWriters runs 500 journeys at once and finds each as the model has it:
// what was answered is there, and no write took another's place.
func testManyWriters(t *testing.T, w *world) {
	const journeys = 500
	ids := make([]verify.ID, journeys)
	for i, err := range together(journeys, func(i int) error {
		v := w.verification()
		ids[i] = v.ID
		return w.journey(t, v, i)
	}) {
		if err != nil {
			t.Fatalf("journey %d: %v", i, err)
		}
	}
	for _, id := range ids {
		w.check(t, id)
	}
	w.checkBacklog(t)
}

// journey takes v through as many steps as i says, some of them refused.
func (w *world) journey(t *testing.T, v verify.Verification, i int) error {
	steps := []step{
		func(s Store, t failer, _ verify.ID) error {
			var idem *verify.Idempotency
			if i%3 == 0 {
				idem = &verify.Idempotency{Key: digest(int64(i), "key")}
			}
			_, _, err := s.Create(t.Context(), v, verify.Lease{Node: here, Until: start.Add(leaseTime)}, idem)
			return err
		},
		beginStep(here, 1, begin),
		beginStep(there, 2, begin),
		endStep(1, allResults[i%len(allResults)]),
		receiptStep(receipts[i%len(receipts)]),
		linkWrites["Complete"],
		linkWrites["Consume"],
		linkWrites["Deny"],
		linkWrites["ClaimAnswer"],
		linkWrites["Complete"],
	}
	for n, do := range steps[:1+i%len(steps)] {
		if want, got := do(w.model, t, v.ID), do(w.Store, t, v.ID); !sameError(got, want) {
			return fmt.Errorf("step %d: got error %w, want %v", n, got, want)
		}
	}
	return nil
}

// testCancelled lets callers give up at any point: each write is there whole or
// not at all, and the store goes on.
func testCancelled(t *testing.T, w *world) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	v := w.verification()
	if _, _, err := w.Create(over, v, verify.Lease{Node: here, Until: start.Add(leaseTime)}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Create with an ended context returned %v", err)
	}
	const writers = 200
	all := make([]verify.Verification, writers)
	for i := range all {
		all[i] = w.verification()
	}
	errs := together(writers, func(i int) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*20*time.Microsecond)
		defer cancel()
		_, _, err := w.Create(ctx, all[i], verify.Lease{Node: here, Until: start.Add(leaseTime)}, nil)
		return err
	})
	for i, err := range errs {
		if err == nil {
			got, err := w.Verification(t.Context(), all[i].ID)
			must(t, err)
			same(t, "Verification", got, all[i])
		}
	}
	// What was given up may end a little later; each of our own writes takes time
	// enough for that.
	for range 100 {
		w.create(t)
		there := 0
		for _, v := range all {
			_, err := w.Verification(t.Context(), v.ID)
			if err == nil {
				there++
			}
		}
		if depth, _, err := w.Backlog(t.Context()); err == nil && depth == there+len(w.model.rows) {
			return
		}
	}
	t.Fatal("verifications and messages differ in number: they belong together")
}

// testLoginsCrossRevocation guards against a login that is under way while the
// client's password is changed or the client is shut out: its token must be
// revoked with the others, or the client read after it must be the changed one.
func testLoginsCrossRevocation(t *testing.T, w *world) {
	type login struct {
		id     int64
		client tenant.Client
		err    error
	}
	for round := range 60 {
		before, err := w.Client(t.Context(), w.client)
		must(t, err)
		logins := together(racers, func(i int) (l login) {
			switch {
			case i > 0:
				l.id = int64(round*racers + i)
				token := tenant.AccessToken{ID: l.id, ClientID: w.client, CreatedAt: start, ExpiresAt: start.Add(time.Hour)}
				if l.err = w.CreateToken(t.Context(), token); l.err == nil {
					l.client, l.err = w.Client(t.Context(), w.client)
				}
			case round%2 == 0:
				l.err = w.SetPassword(t.Context(), w.client, fmt.Sprint("hash ", round), start)
			default:
				l.err = w.SetDisabled(t.Context(), w.client, true, start)
			}
			return l
		})
		for _, l := range logins {
			must(t, l.err)
			if l.id == 0 || l.client.PasswordHash != before.PasswordHash || l.client.Disabled != before.Disabled {
				continue
			}
			token, err := w.Token(t.Context(), l.id)
			must(t, err)
			if token.RevokedAt.IsZero() {
				t.Fatalf("round %d: token %d outlived what its client read before", round, l.id)
			}
		}
		must(t, w.SetDisabled(t.Context(), w.client, false, start))
	}
}
