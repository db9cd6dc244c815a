package flow_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"holdfast/internal/carrier"
	"holdfast/internal/flow"
	"holdfast/internal/verify"
)

// leaving are networks whose carrier is just being looked up when the browser
// goes away.
type leaving struct {
	flow.Networks
	leave context.CancelFunc
}

func (n leaving) Choose(ctx context.Context, addr netip.Addr) (flow.Carrier, verify.Reason) {
	found, reason := n.Networks.Choose(ctx, addr)
	return leavingCarrier{found, n.leave}, reason
}

type leavingCarrier struct {
	flow.Carrier
	leave context.CancelFunc
}

func (c leavingCarrier) Begin(ctx context.Context, _ carrier.Journey) (string, error) {
	c.leave()
	return "", ctx.Err()
}

// A second tap, or a reload, cuts off the first request. That is no fault of the
// carrier's and must not end the journey.
func TestBrowserGoesAwayBeforeTheCarrier(t *testing.T) {
	w := newWorld(t)
	handle, token := w.request(sendLink())
	ctx, leave := context.WithCancel(t.Context())
	networks := w.Networks
	w.Networks = leaving{networks, leave}
	if next, err := w.Confirm(ctx, w.tap(token)); !errors.Is(err, context.Canceled) {
		t.Errorf("Confirm = %+v, %v", next, err)
	}
	w.Networks = networks
	if home := w.authenticate(callback(w.confirm(w.tap(token)), "browser-a")); vfpOf(home) == "" {
		t.Errorf("the second tap leads to %+v", home)
	}
	if r := w.status(handle); r.Verdict != verify.VerdictVerified {
		t.Errorf("result %+v", r)
	}
}
