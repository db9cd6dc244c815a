package main

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// newNodes is two servers on one PostgreSQL, the client's header, and the texts
// as they arrive.
func newNodes(t *testing.T, plans ...string) (*faultWorld, []*faultServer, map[string]string, chan text) {
	t.Helper()
	w := newFaultWorld(t, faultStores["postgres"](t))
	texts := make(chan text, 64)
	w.onText(func(m text) int {
		texts <- m
		return http.StatusOK
	})
	var nodes []*faultServer
	for _, plan := range plans {
		nodes = append(nodes, w.start(plan))
	}
	return w, nodes, w.login(nodes[0].addr), texts
}

// arrival waits for a text to that number; others are a failure.
func (w *faultWorld) arrival(texts chan text, to string) text {
	w.t.Helper()
	select {
	case m := <-texts:
		if m.To != to {
			w.t.Fatal("a text to another number arrived")
		}
		return m
	case <-w.ctx.Done():
		w.t.Fatal("the text did not arrive")
		return text{}
	}
}

// mustSend is sendLink that has to be accepted.
func (w *faultWorld) mustSend(addr, national string, header map[string]string) asked {
	w.t.Helper()
	a, r, err := w.sendLink(addr, national, header)
	if err != nil || r.status != http.StatusOK {
		w.t.Fatalf("Send Link: %v, %d: %s", err, r.status, r.body)
	}
	return a
}

// Sixteen browsers tap one link through two nodes at once, twenty times over:
// exactly one of them is sent on to the operator, and the others see what
// strangers see.
func TestTwoNodesOneTap(t *testing.T) {
	t.Parallel()
	w, nodes, header, texts := newNodes(t, "", "")
	for n := range 20 {
		national, e164 := fictitious(n)
		w.mustSend(nodes[n%2].addr, national, header)
		token := w.arrival(texts, e164).token()
		replies := make([]reply, 16)
		ready := make(chan struct{})
		var taps sync.WaitGroup
		for i := range replies {
			taps.Go(func() {
				h, err := w.handheld(e164), error(nil)
				<-ready
				if replies[i], err = h.confirm(nodes[i%2].addr, token); err != nil {
					t.Error(err)
				}
			})
		}
		close(ready)
		taps.Wait()
		won := 0
		for _, r := range replies {
			switch {
			case w.toCarrier(r):
				won++
			case r.status != http.StatusNotFound || r.location != "":
				t.Errorf("link %d: a loser was answered %d and sent to %q", n, r.status, r.location)
			}
		}
		if won != 1 {
			t.Fatalf("link %d: %d of 16 won", n, won)
		}
	}
}

// A journey goes on wherever the balancer sends its next request.
func TestJourneyAcrossNodes(t *testing.T) {
	t.Parallel()
	w, nodes, header, texts := newNodes(t, "", "")
	a, b := nodes[0].addr, nodes[1].addr
	national, e164 := fictitious(0)
	sent := w.mustSend(a, national, header)
	h, token := w.handheld(e164), w.arrival(texts, e164).token()

	if r, err := h.open(a, token); err != nil || r.status != http.StatusOK {
		t.Fatalf("the page, on A: %v, %d", err, r.status)
	}
	confirmed, err := h.confirm(b, token)
	if err != nil || !w.toCarrier(confirmed) {
		t.Fatalf("the confirmation, on B: %v, %d to %q", err, confirmed.status, confirmed.location)
	}
	// A double tap that meets the other node gets the same next step.
	if again, err := h.confirm(a, token); err != nil || !w.toCarrier(again) {
		t.Fatalf("the double tap, on A: %v, %d to %q", err, again.status, again.location)
	}
	callback, err := h.authorize(confirmed.location)
	if err != nil {
		t.Fatal(err)
	}
	back, err := h.visit(a, callback, nil)
	vfp, home := back.vfp()
	if err != nil || !home {
		t.Fatalf("the callback, on A: %v, %d to %q", err, back.status, back.location)
	}
	// So does a reload of the callback: the code is not spent twice.
	if again, err := h.visit(b, callback, nil); err != nil || again.location != back.location {
		t.Fatalf("the callback again, on B: %v, %d to %q", err, again.status, again.location)
	}
	o, r, err := w.redeem(b, vfp, header)
	if err != nil || o.PhoneMatch != "true" || o.Verdict != "verified" || o.SessionID != sent.SessionID {
		t.Fatalf("the result, on B: %v, %d: %s", err, r.status, r.body)
	}
}

// A node takes a request, answers it, and is killed with the message in its
// hands. After its lease the other node sends the text, if it can't have left; if
// it may have, nobody sends it, and the client reads that nobody knows.
func TestDeadNodesMessage(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		dies     string
		byDead   int // texts that left the node that died
		byOther  int // and the other one, afterwards
		delivery string
	}{
		{"BeginAttempt before", 0, 1, "sent"},
		{"BeginAttempt after", 0, 0, "unknown"},
		{"EndAttempt before", 1, 0, "unknown"},
		{"EndAttempt after", 1, 0, "sent"},
	} {
		t.Run(tc.dies, func(t *testing.T) {
			t.Parallel()
			w, nodes, header, texts := newNodes(t, "", tc.dies+" 1 hang")
			living, dying := nodes[0], nodes[1]
			national, e164 := fictitious(0)
			sent := w.mustSend(dying.addr, national, header)
			select {
			case <-dying.hangs:
			case <-w.ctx.Done():
				t.Fatal("the node did not get that far")
			}
			dying.kill()
			if len(texts) != tc.byDead {
				t.Fatalf("%d texts left before", len(texts))
			}
			seen := w.settled(living.addr, sent, header)
			if got := len(texts); got != tc.byDead+tc.byOther || seen[len(seen)-1] != tc.delivery {
				t.Errorf("%d texts, delivery went %v; want %d and %s in the end", got, seen, tc.byDead+tc.byOther, tc.delivery)
			}
			if len(texts) == 1 {
				if m := w.arrival(texts, e164); len(m.token()) == 0 {
					t.Error("the text has no link")
				} else if r, err := w.handheld(e164).confirm(living.addr, m.token()); err != nil || !w.toCarrier(r) {
					t.Errorf("its link does not work: %v, %d", err, r.status)
				}
			}
			// Its key, tried again elsewhere, would find the same; another request goes
			// its way as if nothing had been.
			national, e164 = fictitious(1)
			w.mustSend(living.addr, national, header)
			w.arrival(texts, e164)
		})
	}
}

// settled polls until the delivery is open no more, and returns what it was, each
// once.
func (w *faultWorld) settled(addr string, a asked, header map[string]string) (seen []string) {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		o, r, err := w.status(addr, a, header)
		if err != nil || r.status != http.StatusOK {
			w.t.Fatalf("%v, %d: %s", err, r.status, r.body)
		}
		if !slices.Contains(seen, o.Delivery) {
			seen = append(seen, o.Delivery)
		}
		if o.Delivery != "queued" {
			return seen
		}
		select {
		case <-tick.C:
		case <-w.ctx.Done():
			w.t.Fatalf("the delivery is still %v", seen)
		}
	}
}

// A client that was not answered tries again with its Idempotency-Key, at the node
// that is left: there is one verification and one text.
func TestIdempotencyKeyAcrossNodes(t *testing.T) {
	t.Parallel()
	for _, dies := range []string{"Create before", "Create after"} {
		t.Run(dies, func(t *testing.T) {
			t.Parallel()
			w, nodes, header, texts := newNodes(t, "", dies+" 1 kill")
			header["Idempotency-Key"] = "order-4711"
			national, e164 := fictitious(0)
			if _, r, err := w.sendLink(nodes[1].addr, national, header); err == nil {
				t.Fatalf("a dead node answered %d", r.status)
			}
			first := w.mustSend(nodes[0].addr, national, header)
			if again := w.mustSend(nodes[0].addr, national, header); again != first {
				t.Errorf("the key's second answer is %v, the first was %v", again, first)
			}
			w.settled(nodes[0].addr, first, header)
			w.arrival(texts, e164)
			other, _ := fictitious(1)
			if _, r, err := w.sendLink(nodes[0].addr, other, header); err != nil || r.status != http.StatusConflict {
				t.Errorf("the key with another body: %v, %d", err, r.status)
			}
			// What comes after it would come after a second text too.
			delete(header, "Idempotency-Key")
			last, e164 := fictitious(2)
			w.mustSend(nodes[0].addr, last, header)
			w.arrival(texts, e164)
		})
	}
}
