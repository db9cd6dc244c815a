package storetest

import (
	"net/netip"
	"testing"
	"time"

	"holdfast/internal/phone"
	"holdfast/internal/secret"
	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

func testNotFound(t *testing.T, w *world) {
	ctx, none, later := t.Context(), verify.ID(5), start.Add(time.Second)
	errOf := func(_ any, err error) error { return err }
	for name, got := range map[string]error{
		"SetPassword":      w.SetPassword(ctx, 999, "hash", start),
		"SetDisabled":      w.SetDisabled(ctx, 999, true, start),
		"SetSettings":      w.SetSettings(ctx, 999, "Acme", tenant.Settings{}),
		"Client":           errOf(w.Client(ctx, 999)),
		"ClientByUsername": errOf(w.ClientByUsername(ctx, "ACME")),
		"Token":            errOf(w.Token(ctx, 999)),
		"RevokeToken":      w.RevokeToken(ctx, 999, start),
		"Verification":     errOf(w.Verification(ctx, none)),
		"Consume":          consume(w, t, none, verify.Click{At: later}),
		"Deny":             w.Deny(ctx, none, later),
		"ClaimAnswer":      w.ClaimAnswer(ctx, none, later),
		"ReleaseAnswer":    w.ReleaseAnswer(ctx, none),
		"Complete":         w.Complete(ctx, none, verify.Outcome{At: later}),
		"BeginAttempt":     w.BeginAttempt(ctx, here, verify.Attempt{ID: none, N: 1, At: later}),
		"EndAttempt":       w.EndAttempt(ctx, verify.AttemptEnd{ID: none, N: 1, At: later, Result: verify.AttemptAccepted}),
		"RecordReceipt":    errOf(w.RecordReceipt(ctx, none, verify.ReceiptSent, "", later)),
		"Attempts":         errOf(w.Attempts(ctx, none)),
	} {
		wantError(t, name, got, verify.ErrNotFound)
	}
}

func testCreateFields(t *testing.T, w *world) {
	away := time.FixedZone("away", -5*3600)
	for name, set := range map[string]func(*verify.Verification){
		"full":         func(*verify.Verification) {},
		"Canada":       func(v *verify.Verification) { v.Phone = phone.Stored("+14165550123", phone.CA) },
		"no source":    func(v *verify.Verification) { v.SourceAddr = netip.Addr{} },
		"IPv6 source":  func(v *verify.Verification) { v.SourceAddr = netip.MustParseAddr("2001:db8::9") },
		"zero address": func(v *verify.Verification) { v.SourceAddr = netip.IPv4Unspecified() },
		"default text": func(v *verify.Verification) { v.Text = "" },
		"no seal":      func(v *verify.Verification) { v.LinkSealed = nil },
		"zero digest":  func(v *verify.Verification) { v.Link = secret.Digest{} },
		"zero uuids":   func(v *verify.Verification) { v.RequestID, v.SessionID = [16]byte{}, [16]byte{} },
		"other zone": func(v *verify.Verification) {
			v.CreatedAt, v.ExpiresAt = start.In(away), start.Add(linkLife+999*time.Nanosecond).In(away)
		},
		"a track, which is not written": func(v *verify.Verification) {
			v.Track = verify.Track{Link: verify.LinkDenied, Delivery: verify.Failed, EndedAt: start}
		},
	} {
		v := w.verification()
		set(&v)
		lease := verify.Lease{Node: here, Until: start.Add(leaseTime)}
		_, _, err := w.model.Create(t.Context(), v, lease, nil)
		must(t, err)
		h, replay, err := w.Create(t.Context(), v, lease, nil)
		if err != nil || replay || h != (verify.Handle{RequestID: v.RequestID, SessionID: v.SessionID}) {
			t.Errorf("%s: Create returned %v, %v, %v", name, h, replay, err)
		}
		w.check(t, v.ID)
	}
	w.checkBacklog(t)
}

func testCreateTwice(t *testing.T, w *world) {
	id := w.create(t)
	again := w.verification()
	again.ID = id
	w.do(t, "Create", func(s Store) error {
		_, _, err := s.Create(t.Context(), again, verify.Lease{Node: there, Until: start.Add(time.Hour)}, nil)
		return err
	})
	w.check(t, id)
	w.checkBacklog(t)
}

func testIdempotency(t *testing.T, w *world) {
	key := func(k, body string) *verify.Idempotency {
		return &verify.Idempotency{Key: digest(1, k), Body: digest(1, body)}
	}
	for _, step := range []struct {
		name string
		idem *verify.Idempotency
		at   time.Duration
	}{
		{"first", key("a", "x"), 0},
		{"same", key("a", "x"), time.Second},
		{"other body", key("a", "y"), time.Second},
		{"other key", key("b", "x"), time.Second},
		{"no key", nil, time.Second},
		{"at the last moment", key("a", "x"), verify.IdempotencyTime},
		{"other body at the last moment", key("a", "y"), verify.IdempotencyTime},
		{"forgotten", key("a", "y"), verify.IdempotencyTime + time.Microsecond},
		{"replaced", key("a", "y"), 2 * verify.IdempotencyTime},
		{"first body again", key("a", "x"), 2 * verify.IdempotencyTime},
	} {
		v := w.verification()
		v.CreatedAt = start.Add(step.at)
		v.ExpiresAt = v.CreatedAt.Add(linkLife)
		lease := verify.Lease{Node: here, Until: v.CreatedAt.Add(leaseTime)}
		type answer struct {
			h      verify.Handle
			replay bool
		}
		var answers []answer // the model's, then the store's
		w.do(t, step.name, func(s Store) error {
			h, replay, err := s.Create(t.Context(), v, lease, step.idem)
			answers = append(answers, answer{h, replay})
			return err
		})
		if answers[0] != answers[1] {
			t.Errorf("%s: got %v, want %v", step.name, answers[1], answers[0])
		}
		w.check(t, v.ID) // a replay writes nothing
	}
	w.checkBacklog(t)
}

// testPreload checks stores that are Preloaders; the others pass.
func testPreload(t *testing.T, w *world) {
	p, ok := w.Store.(Preloader)
	if !ok {
		return
	}
	const n = 1234
	must(t, p.Preload(t.Context(), n, w.client, start))
	id := func(i int) verify.ID { return verify.IDAt(start.Add(-time.Duration(i) * time.Millisecond)) }
	for _, i := range []int{1, 2, n / 2, n} {
		v, err := w.Verification(t.Context(), id(i))
		must(t, err)
		if v.ClientID != w.client || v.Phone.IsZero() || v.CreatedAt.After(start) || v.Track.Link != verify.LinkCompleted ||
			v.Track.Delivery != verify.Delivered || v.Track.Match != verify.MatchTrue || v.Track.EndedAt.After(start) {
			t.Errorf("number %d is not an old completed verification: %+v", i, v)
		}
		attempts, err := w.Attempts(t.Context(), v.ID)
		must(t, err)
		if len(attempts) != 1 || attempts[0].Result != verify.AttemptAccepted {
			t.Errorf("number %d has the attempts %+v", i, attempts)
		}
	}
	_, err := w.Verification(t.Context(), id(n+1))
	wantError(t, "Verification", err, verify.ErrNotFound)
	w.checkBacklog(t)
	wantError(t, "Preload", p.Preload(t.Context(), 1, w.client, start), verify.ErrConflict)
	w.create(t)
}
