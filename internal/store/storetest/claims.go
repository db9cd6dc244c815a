package storetest

import (
	"slices"
	"testing"
	"time"

	"holdfast/internal/verify"
)

// testClaimDue follows leases and retries to the microsecond.
func testClaimDue(t *testing.T, w *world) {
	const tick = time.Microsecond
	leaseEnd := start.Add(leaseTime)
	id := w.create(t)
	if got := w.claim(t, leaseEnd.Add(-tick), there, 10); len(got) != 0 {
		t.Fatal("claimed while the creator's lease held")
	}
	if got := w.claim(t, leaseEnd, there, 10); len(got) != 1 {
		t.Fatal("not claimed when the creator's lease had run out")
	}
	w.steps(t, "begin after the lease was lost", id, beginStep(here, 1, leaseEnd))
	if got := w.claim(t, leaseEnd.Add(leaseTime-tick), here, 10); len(got) != 0 {
		t.Fatal("claimed while the second lease held")
	}
	w.steps(t, "the second node's attempt", id, beginStep(there, 1, leaseEnd), func(s Store, t failer, id verify.ID) error {
		return s.EndAttempt(t.Context(), verify.AttemptEnd{
			ID: id, N: 1, At: leaseEnd.Add(time.Second), Result: verify.AttemptRetry, Code: "busy", RetryAt: leaseEnd.Add(3 * time.Second),
		})
	})
	if got := w.claim(t, leaseEnd.Add(3*time.Second-tick), there, 10); len(got) != 0 {
		t.Fatal("claimed before the retry was due")
	}
	got := w.claim(t, leaseEnd.Add(3*time.Second), here, 10)
	if len(got) != 1 || got[0].Attempts != 1 {
		t.Fatalf("a due retry came back as %+v", got)
	}
	w.steps(t, "the second attempt", id, beginStep(here, 2, leaseEnd.Add(4*time.Second)), endStep(2, verify.AttemptAccepted))

	expiring := w.create(t)
	if got := w.claim(t, start.Add(linkLife-tick), here, 10); len(got) != 1 {
		t.Fatal("not claimed just before its link expired")
	}
	if got := w.claim(t, start.Add(linkLife+leaseTime), here, 10); len(got) != 0 {
		t.Fatal("claimed after its link had expired")
	}
	w.check(t, id)
	w.check(t, expiring)
	w.checkBacklog(t)
}

// testClaimLimit claims a dozen in pieces, oldest due first.
func testClaimLimit(t *testing.T, w *world) {
	var ids []verify.ID
	for i := range 12 {
		v := w.verification()
		lease := verify.Lease{Node: here, Until: start.Add(leaseTime - time.Duration(i)*time.Second)}
		_, _, err := w.Create(t.Context(), v, lease, nil)
		must(t, err)
		ids = append(ids, v.ID)
	}
	slices.Reverse(ids) // the last has the earliest end of its lease
	now, lease := start.Add(leaseTime), verify.Lease{Node: there, Until: start.Add(2 * leaseTime)}
	for _, want := range [][]verify.ID{ids[:5], ids[5:10], ids[10:], nil} {
		got, err := w.ClaimDue(t.Context(), now, lease, 5)
		must(t, err)
		var claimed []verify.ID
		for _, m := range got {
			claimed = append(claimed, m.ID)
		}
		slices.Sort(claimed)
		slices.Sort(want)
		same(t, "ClaimDue", claimed, want)
	}
	none, err := w.ClaimDue(t.Context(), start.Add(time.Hour), lease, 0)
	if err != nil || len(none) != 0 {
		t.Errorf("a limit of zero claimed %d, %v", len(none), err)
	}
}

// testClaimOpenAttempt guards the promise that a message that may have been sent
// is never sent again by itself.
func testClaimOpenAttempt(t *testing.T, w *world) {
	crashed, expired, retried := w.create(t), w.create(t), w.create(t)
	w.steps(t, "first attempt", crashed, beginStep(here, 1, begin))
	w.steps(t, "a retry", retried, beginStep(here, 1, begin), endStep(1, verify.AttemptRetry))
	if got := w.claim(t, start.Add(leaseTime), here, 10); len(got) != 2 {
		t.Fatalf("claimed %d, want 2: not the one with an open attempt", len(got))
	}
	w.steps(t, "second attempt", retried, beginStep(here, 2, start.Add(leaseTime+time.Second)))
	if got := w.claim(t, start.Add(linkLife), there, 10); len(got) != 0 {
		t.Fatalf("claimed %d, want 0", len(got))
	}
	for id, want := range map[verify.ID]verify.DeliveryState{crashed: verify.Unknown, expired: verify.Failed, retried: verify.Unknown} {
		w.check(t, id)
		v, err := w.Verification(t.Context(), id)
		must(t, err)
		if v.Track.Delivery != want {
			t.Errorf("delivery is %v, want %v", v.Track.Delivery, want)
		}
	}
	w.steps(t, "the slow node's end", crashed, endStep(1, verify.AttemptAccepted))
	w.checkBacklog(t)
}

func testReleaseLeases(t *testing.T, w *world) {
	release := func(node verify.Node, now time.Time) {
		t.Helper()
		w.do(t, "ReleaseLeases", func(s Store) error { return s.ReleaseLeases(t.Context(), node, now) })
	}
	mine, open, retried, sent := w.create(t), w.create(t), w.create(t), w.create(t)
	w.steps(t, "open", open, beginStep(here, 1, begin))
	w.steps(t, "retried", retried, beginStep(here, 1, begin), endStep(1, verify.AttemptRetry))
	w.steps(t, "sent", sent, beginStep(here, 1, begin), endStep(1, verify.AttemptAccepted))

	release(there, begin)
	if got := w.claim(t, begin, there, 10); len(got) != 0 {
		t.Fatalf("releasing another node's leases released %d of this one's", len(got))
	}
	release(here, begin)
	// One stamped before the release was on its way to the store when it came.
	w.steps(t, "begin without a lease", mine, beginStep(here, 1, begin), beginStep(here, 1, begin.Add(-time.Microsecond)))
	if got := w.claim(t, begin, there, 10); len(got) != 1 || got[0].ID != mine {
		t.Fatalf("after the release came %+v, want the one message that was leased and not under way", got)
	}
	release(here, begin) // it is another's now
	w.steps(t, "the new holder's attempt", mine, beginStep(there, 1, begin.Add(time.Second)))
	w.claim(t, begin.Add(5*time.Second), there, 10) // the retry
	for _, id := range []verify.ID{mine, open, retried, sent} {
		w.check(t, id)
	}
	w.checkBacklog(t)
}

func testBacklog(t *testing.T, w *world) {
	w.checkBacklog(t) // empty
	create := func(at time.Time) verify.ID {
		v := w.verification()
		v.CreatedAt, v.ExpiresAt = at, at.Add(linkLife)
		w.do(t, "Create", func(s Store) error {
			_, _, err := s.Create(t.Context(), v, verify.Lease{Node: here, Until: at.Add(leaseTime)}, nil)
			return err
		})
		w.checkBacklog(t)
		return v.ID
	}
	first, second := create(start), create(start.Add(time.Millisecond))
	create(start.Add(time.Second))
	w.steps(t, "open", first, beginStep(here, 1, begin))
	w.checkBacklog(t) // an open attempt is still queued
	w.steps(t, "accepted", first, endStep(1, verify.AttemptAccepted))
	w.checkBacklog(t)
	w.steps(t, "overtaken", second, receiptStep(verify.ReceiptArrived))
	w.checkBacklog(t)
	w.claim(t, start.Add(24*time.Hour), here, 10)
	w.checkBacklog(t)
}
