package client

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/access"
	"holdfast/internal/api/apitest"
	"holdfast/internal/tenant"
)

func TestWait(t *testing.T) {
	t.Parallel()
	s := apitest.New(t)
	c, p := connect(t, s)
	sent, err := c.SendLink(ctx, wish)
	if err != nil {
		t.Fatal(err)
	}
	p.then = func(n int) {
		if n == 7 {
			s.Tap()
		}
	}
	r, err := c.Wait(ctx, sent)
	if err != nil || r.Status != Completed || !r.Verified() {
		t.Fatalf("%+v, %v", r, err)
	}
	const s1 = time.Second
	if want := []time.Duration{s1, s1 * 3 / 2, s1 * 2, s1 * 5 / 2, s1 * 3, s1 * 3, s1 * 3}; !slices.Equal(p.list, want) {
		t.Errorf("polled after %v", p.list)
	}
}

func TestWaitEnds(t *testing.T) {
	t.Parallel()
	s := apitest.New(t)
	c, p := connect(t, s)
	if _, err := s.Access.Set(ctx, apitest.Username, access.Change{Settings: &tenant.Settings{Targets: []string{"https://app.acme.example"}, LinkMinutes: 1}}); err != nil {
		t.Fatal(err)
	}
	sent, err := c.SendLink(ctx, wish)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithCancel(ctx)
	p.then = func(n int) {
		if n == 3 {
			cancel()
		}
	}
	if _, err := c.Wait(short, sent); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	p.then = nil
	if r, err := c.Wait(ctx, sent); err != nil || r.Status != Expired || r.Verdict != Indeterminate {
		t.Errorf("expired: %+v, %v", r, err)
	}
	if _, err := c.Wait(ctx, Sent{RequestID: sent.RequestID, SessionID: sent.RequestID}); err == nil {
		t.Error("waited for what is not there")
	}
}

func TestWaitSitsOutFailures(t *testing.T) {
	t.Parallel()
	var broken atomic.Int64
	f := &faulty{fault: func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method != http.MethodGet || broken.Add(-1) < 0 {
			return false
		}
		w.Header().Set("Retry-After", "20")
		w.WriteHeader(503)
		return true
	}}
	s := apitest.New(t, f.wrap)
	c, p := connect(t, s)
	sent, err := c.SendLink(ctx, wish)
	if err != nil {
		t.Fatal(err)
	}
	s.Tap()
	broken.Store(maxFailures - 1)
	if r, err := c.Wait(ctx, sent); err != nil || r.Status != Completed {
		t.Errorf("%+v, %v", r, err)
	}
	if !slices.Contains(p.list, 20*time.Second) {
		t.Errorf("Retry-After was not honoured: %v", p.list)
	}
	broken.Store(1000)
	if _, err := c.Wait(ctx, sent); err == nil {
		t.Error("waits for ever")
	}
}
