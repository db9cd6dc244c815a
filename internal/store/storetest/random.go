package storetest

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"holdfast/internal/secret"
	"holdfast/internal/verify"
)

// testRandom runs random verbs, in any order and at moments around every limit,
// on the store and on the model.
func testRandom(t *testing.T, w *world) {
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		w.drain(rt)
		r := random{world: w, now: start, round: int64(round)}
		rt.Repeat(map[string]func(*rapid.T){
			"Create":        r.create,
			"Consume":       r.consume,
			"Deny":          r.deny,
			"ClaimAnswer":   r.claimAnswer,
			"ReleaseAnswer": r.releaseAnswer,
			"Complete":      r.complete,
			"BeginAttempt":  r.beginAttempt,
			"EndAttempt":    r.endAttempt,
			"ClaimDue":      r.claimDue,
			"ReleaseLeases": r.releaseLeases,
			"RecordReceipt": r.recordReceipt,
			"": func(rt *rapid.T) {
				for _, id := range r.touched {
					w.check(rt, id)
				}
				r.touched = r.touched[:0]
			},
		})
		for _, id := range r.ids {
			w.check(rt, id)
		}
		w.checkBacklog(rt)
	})
}

// drain empties the queue of the round before, whose links are long expired
// then, and forgets its rows.
func (w *world) drain(t failer) {
	t.Helper()
	late := start.Add(100 * 24 * time.Hour)
	if _, err := w.Store.ClaimDue(t.Context(), late, verify.Lease{Node: here, Until: late}, 1000); err != nil {
		t.Fatalf("ClaimDue: %v", err)
	}
	w.model.rows = map[verify.ID]*modelRow{}
	w.checkBacklog(t)
}

// random is one round: a few verifications and a clock that goes forward.
type random struct {
	*world
	ids     []verify.ID
	touched []verify.ID // by the last verb
	now     time.Time
	round   int64 // each has an idempotency key of its own
}

// tick moves the clock by nothing, a bit, or to the other side of a limit.
func (r *random) tick(t *rapid.T) time.Time {
	r.now = r.now.Add(rapid.SampledFrom([]time.Duration{
		0, 0, 0, time.Microsecond, time.Second, leaseTime, leaseTime + time.Microsecond, verify.AnswerTime, linkLife / 2,
	}).Draw(t, "later"))
	return r.now
}

func (r *random) id(t *rapid.T) verify.ID {
	if len(r.ids) == 0 {
		t.Skip("there is none yet")
	}
	id := rapid.SampledFrom(r.ids).Draw(t, "id")
	r.touched = append(r.touched, id)
	return id
}

func (r *random) node(t *rapid.T) verify.Node {
	return rapid.SampledFrom([]verify.Node{here, there, 0}).Draw(t, "node")
}

func (r *random) create(t *rapid.T) {
	if len(r.ids) >= 4 {
		t.Skip("enough")
	}
	v := r.verification()
	v.CreatedAt = r.tick(t)
	v.ExpiresAt = v.CreatedAt.Add(rapid.SampledFrom([]time.Duration{time.Minute, linkLife, time.Hour}).Draw(t, "life"))
	lease := verify.Lease{Node: r.node(t), Until: v.CreatedAt.Add(leaseTime)}
	var idem *verify.Idempotency
	if rapid.Bool().Draw(t, "with a key") {
		n := rapid.Int64Range(0, 1).Draw(t, "body")
		idem = &verify.Idempotency{Key: digest(r.round, "key"), Body: digest(n, "body")}
	}
	replayed := false
	r.do(t, "Create", func(s Store) (err error) {
		_, replayed, err = s.Create(t.Context(), v, lease, idem)
		return err
	})
	if _, err := r.model.Verification(t.Context(), v.ID); err == nil && !replayed {
		r.ids = append(r.ids, v.ID)
	}
	r.check(t, v.ID)
}

func (r *random) digest(t *rapid.T) (d secret.Digest) {
	copy(d[:], rapid.SliceOfN(rapid.Byte(), 0, len(d)).Draw(t, "digest"))
	return d
}

func (r *random) consume(t *rapid.T) {
	id, c := r.id(t), verify.Click{At: r.tick(t), Browser: r.digest(t)}
	c.Carrier = rapid.SampledFrom([]string{"", "north"}).Draw(t, "carrier")
	if raw := rapid.SliceOfN(rapid.Byte(), 0, 16).Draw(t, "address"); len(raw) >= 4 && len(raw) < 16 {
		c.Addr, _ = netip.AddrFromSlice(raw[:4])
	} else if len(raw) == 16 && raw[0] != 0 { // no IPv4-mapped ones
		c.Addr, _ = netip.AddrFromSlice(raw)
	}
	link := linkOf(id)
	if rapid.IntRange(0, 9).Draw(t, "another link") == 0 {
		link = r.digest(t)
	}
	r.do(t, "Consume", func(s Store) error {
		_, err := s.Consume(t.Context(), id, link, c)
		return err
	})
}

func (r *random) deny(t *rapid.T) {
	id, at := r.id(t), r.tick(t)
	r.do(t, "Deny", func(s Store) error { return s.Deny(t.Context(), id, at) })
}

func (r *random) claimAnswer(t *rapid.T) {
	id, at := r.id(t), r.tick(t)
	r.do(t, "ClaimAnswer", func(s Store) error { return s.ClaimAnswer(t.Context(), id, at) })
}

func (r *random) releaseAnswer(t *rapid.T) {
	id := r.id(t)
	r.do(t, "ReleaseAnswer", func(s Store) error { return s.ReleaseAnswer(t.Context(), id) })
}

func (r *random) complete(t *rapid.T) {
	id, o := r.id(t), verify.Outcome{At: r.tick(t), VFP: r.digest(t)}
	o.Match = rapid.SampledFrom([]verify.PhoneMatch{verify.MatchIndeterminate, verify.MatchTrue, verify.MatchFalse}).Draw(t, "match")
	o.Reasons = rapid.SliceOfN(rapid.SampledFrom([]verify.Reason{verify.ReasonWiFi, verify.ReasonCarrierError}), 0, 3).Draw(t, "reasons")
	r.do(t, "Complete", func(s Store) error { return s.Complete(t.Context(), id, o) })
}

func (r *random) number(t *rapid.T, id verify.ID) int {
	begun, _ := r.model.Attempts(t.Context(), id)
	return len(begun) + rapid.SampledFrom([]int{0, 0, 1, 1, 1, 2, -1}).Draw(t, "number")
}

func (r *random) beginAttempt(t *rapid.T) {
	id := r.id(t)
	a := verify.Attempt{ID: id, N: r.number(t, id), Gateway: "g", At: r.tick(t)}
	node := r.node(t)
	r.do(t, "BeginAttempt", func(s Store) error { return s.BeginAttempt(t.Context(), node, a) })
}

func (r *random) endAttempt(t *rapid.T) {
	id := r.id(t)
	end := verify.AttemptEnd{ID: id, N: r.number(t, id), At: r.tick(t), Result: rapid.SampledFrom(allResults).Draw(t, "result")}
	end.Code = rapid.SampledFrom([]string{"", "http_503"}).Draw(t, "code")
	if end.Result == verify.AttemptRetry {
		end.RetryAt = end.At.Add(rapid.SampledFrom([]time.Duration{0, time.Second, time.Hour}).Draw(t, "retry"))
	}
	r.do(t, "EndAttempt", func(s Store) error { return s.EndAttempt(t.Context(), end) })
}

func (r *random) claimDue(t *rapid.T) {
	r.touched = append(r.touched, r.ids...)
	r.claim(t, r.tick(t), r.node(t), 100)
	r.checkBacklog(t)
}

func (r *random) releaseLeases(t *rapid.T) {
	node, now := r.node(t), r.tick(t)
	r.do(t, "ReleaseLeases", func(s Store) error { return s.ReleaseLeases(t.Context(), node, now) })
}

func (r *random) recordReceipt(t *rapid.T) {
	id, event, at := r.id(t), rapid.SampledFrom(receipts).Draw(t, "event"), r.tick(t)
	r.do(t, "RecordReceipt", func(s Store) error {
		_, err := s.RecordReceipt(t.Context(), id, event, "code", at)
		return err
	})
}
