package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/google/uuid"

	"holdfast/internal/verify"
)

// at reads the verification as it stands; it must be there.
func (k *killing) at(s *sending) polled {
	o, r, err := k.status(k.server.addr, s.answered, k.header)
	if err != nil || r.status != http.StatusOK || o.RequestID != s.answered.RequestID || o.SessionID != s.answered.SessionID || o.PhoneNumber != s.e164 {
		k.t.Fatalf("sending %d was answered and is not there: %v, %d: %s", s.n, err, r.status, r.body)
	}
	return o
}

// check holds what is there against what the world has seen.
func (k *killing) check() {
	counts := map[string]int{}
	for _, s := range k.sent {
		if len(s.texts) > 1 {
			k.t.Errorf("sending %d (key %q) reached the phone %d times", s.n, s.key, len(s.texts))
		}
		if s.answered == (asked{}) {
			counts["unanswered"]++
		} else {
			counts["answered"]++
			counts[k.checkAnswered(s)]++
		}
		if len(s.texts) > 0 {
			k.checkUsed(s)
		}
	}
	if err := k.server.stop(k.ctx); err != nil {
		k.t.Error(err)
	}
	k.checkAttempts()
	k.t.Logf("%d servers killed: %v", len(moments), counts)
	if counts["answered"] < len(moments) || counts["completed verified sent"] == 0 || counts["denied failed sent"] == 0 {
		k.t.Errorf("too little happened for this to prove anything: %v", counts)
	}
}

func (k *killing) checkAnswered(s *sending) (kind string) {
	o := k.at(s)
	switch o.Delivery {
	case "sent":
		if len(s.texts) != 1 {
			k.t.Errorf("sending %d counts as sent, and reached the phone %d times", s.n, len(s.texts))
		}
	case "unknown":
	default:
		k.t.Errorf("sending %d has delivery %q", s.n, o.Delivery)
	}
	switch {
	case s.result != "":
		again, r, err := k.redeem(k.server.addr, s.vfp, k.header)
		if err != nil || again.PhoneMatch+again.Status+again.Verdict+again.RequestID+again.SessionID != s.result || again.Status != o.Status {
			k.t.Errorf("sending %d was completed, and now: %v, %d: %s", s.n, err, r.status, r.body)
		}
	case s.denied && o.Status != "denied":
		k.t.Errorf("sending %d was denied, and now is %s", s.n, o.Status)
	case len(s.texts) > 0 && !s.denied && o.Status != "pending":
		k.t.Errorf("sending %d was never redeemed, and is %s", s.n, o.Status)
	}
	return o.Status + " " + o.Verdict + " " + o.Delivery
}

// checkUsed taps a link that was used or denied once more.
func (k *killing) checkUsed(s *sending) {
	r, err := k.handheld(s.e164).confirm(k.server.addr, s.texts[0].token())
	want := http.StatusNotFound
	if s.denied {
		want = http.StatusOK // and the page that says so
	}
	if err != nil || r.status != want || r.location != "" {
		k.t.Errorf("sending %d's used link answered a stranger %v, %d to %q", s.n, err, r.status, r.location)
	}
}

// checkAttempts reads what was written down of each attempt: a text of which
// nobody knows has an attempt without an end, and no other after it.
func (k *killing) checkAttempts() {
	k.withStore(func(db store) {
		kept, ok := db.(interface {
			Attempts(ctx context.Context, id verify.ID) ([]verify.AttemptRecord, error)
			Verification(ctx context.Context, id verify.ID) (verify.Verification, error)
		})
		if !ok {
			k.t.Fatal("the store does not tell of attempts")
		}
		for _, s := range k.sent {
			request, err := uuid.Parse(s.answered.RequestID)
			id, isOurs := verify.RequestKey(request)
			if err != nil || !isOurs {
				continue // it was not answered
			}
			v, err := kept.Verification(k.ctx, id)
			attempts, attemptsErr := kept.Attempts(k.ctx, id)
			if err := errors.Join(err, attemptsErr); err != nil || len(attempts) == 0 {
				k.t.Fatalf("sending %d: %v, %d attempts", s.n, err, len(attempts))
			}
			for i, a := range attempts {
				last, ended := i == len(attempts)-1, a.Result == verify.AttemptAccepted
				if !last && a.Result != verify.AttemptRetry || last && ended != (v.Track.Delivery == verify.Sent) {
					k.t.Errorf("sending %d is %v; attempt %d of %d ended as %v", s.n, v.Track.Delivery, i+1, len(attempts), a.Result)
				}
			}
		}
	})
}
