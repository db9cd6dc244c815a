package storetest

import (
	"fmt"
	"testing"
	"time"

	"holdfast/internal/verify"
)

// begin is when the suite's first attempts leave.
var begin = start.Add(time.Second)

func beginStep(node verify.Node, n int, at time.Time) step {
	return func(s Store, t failer, id verify.ID) error {
		return s.BeginAttempt(t.Context(), node, verify.Attempt{ID: id, N: n, Gateway: fmt.Sprint("gateway ", n), At: at})
	}
}

func endStep(n int, result verify.AttemptResult) step {
	return func(s Store, t failer, id verify.ID) error {
		end := verify.AttemptEnd{ID: id, N: n, At: begin.Add(time.Second), Result: result}
		switch result {
		case verify.AttemptAccepted, verify.AttemptDelivered:
			end.ProviderID = "SM-é-1"
		case verify.AttemptRetry:
			end.Code, end.RetryAt = "http_503", begin.Add(5*time.Second)
		default:
			end.Code = "30007"
		}
		return s.EndAttempt(t.Context(), end)
	}
}

func receiptStep(event verify.DeliveryEvent) step {
	return func(s Store, t failer, id verify.ID) error {
		_, err := s.RecordReceipt(t.Context(), id, event, "30003", begin.Add(2*time.Second))
		return err
	}
}

func (w *world) steps(t failer, name string, id verify.ID, steps ...step) {
	t.Helper()
	for _, do := range steps {
		w.do(t, name, func(s Store) error { return do(s, t, id) })
	}
	w.check(t, id)
}

// claim runs ClaimDue on both and compares what it returns, in any order.
func (w *world) claim(t failer, now time.Time, node verify.Node, limit int) []verify.Message {
	t.Helper()
	lease := verify.Lease{Node: node, Until: now.Add(leaseTime)}
	want, _ := w.model.ClaimDue(t.Context(), now, lease, limit)
	got, err := w.ClaimDue(t.Context(), now, lease, limit)
	must(t, err)
	same(t, "ClaimDue", byID(got), byID(want))
	if len(byID(got)) != len(got) {
		t.Fatalf("ClaimDue returned a message twice: %v", got)
	}
	return got
}

func byID(messages []verify.Message) map[verify.ID]verify.Message {
	m := make(map[verify.ID]verify.Message, len(messages))
	for _, message := range messages {
		m[message.ID] = message
	}
	return m
}

// allResults are the ways for an attempt to end.
var allResults = []verify.AttemptResult{
	verify.AttemptAccepted, verify.AttemptDelivered, verify.AttemptRetry, verify.AttemptRefused, verify.AttemptLost,
}

// receipts are what a receipt can say.
var receipts = []verify.DeliveryEvent{verify.ReceiptSent, verify.ReceiptArrived, verify.ReceiptFailed}

// testAttemptGuards tries to begin attempts that may not begin, and to end ones
// that are not open.
func testAttemptGuards(t *testing.T, w *world) {
	leaseEnd := start.Add(leaseTime)
	for name, steps := range map[string][]step{
		"the first":                 {beginStep(here, 1, begin)},
		"by another node":           {beginStep(there, 1, begin)},
		"number zero":               {beginStep(here, 0, begin)},
		"a number too high":         {beginStep(here, 2, begin)},
		"twice":                     {beginStep(here, 1, begin), beginStep(here, 1, begin)},
		"the second beside it":      {beginStep(here, 1, begin), beginStep(here, 2, begin)},
		"at the lease's last":       {beginStep(here, 1, leaseEnd.Add(-time.Microsecond))},
		"at the lease's end":        {beginStep(here, 1, leaseEnd)},
		"after a receipt":           {receiptStep(verify.ReceiptSent), beginStep(here, 1, begin)},
		"after an arrival":          {receiptStep(verify.ReceiptArrived), beginStep(here, 1, begin)},
		"while a retry waits":       {beginStep(here, 1, begin), endStep(1, verify.AttemptRetry), beginStep(here, 2, begin)},
		"end before begin":          {endStep(1, verify.AttemptAccepted)},
		"end of another":            {beginStep(here, 1, begin), endStep(2, verify.AttemptAccepted), endStep(0, verify.AttemptAccepted)},
		"end twice":                 {beginStep(here, 1, begin), endStep(1, verify.AttemptAccepted), endStep(1, verify.AttemptRefused)},
		"end twice with a retry":    {beginStep(here, 1, begin), endStep(1, verify.AttemptRetry), endStep(1, verify.AttemptRetry)},
		"begin after acceptance":    {beginStep(here, 1, begin), endStep(1, verify.AttemptAccepted), beginStep(here, 2, begin)},
		"begin after it was lost":   {beginStep(here, 1, begin), endStep(1, verify.AttemptLost), beginStep(here, 2, begin)},
		"begin after it was failed": {beginStep(here, 1, begin), endStep(1, verify.AttemptRefused), beginStep(here, 2, begin)},
	} {
		id, neighbour := w.create(t), w.create(t)
		w.steps(t, name, id, steps...)
		w.check(t, neighbour)
	}
}

// deliveryStates are ways into each state of the delivery, always with attempt 1
// begun; where open is true it has not ended.
var deliveryStates = []struct {
	name string
	open bool
	into []step
	lose bool // by a claim after the lease
}{
	{name: "queued", open: true},
	{name: "queued for a retry", into: []step{endStep(1, verify.AttemptRetry)}},
	{name: "sent", into: []step{endStep(1, verify.AttemptAccepted)}},
	{name: "sent by a receipt", open: true, into: []step{receiptStep(verify.ReceiptSent)}},
	{name: "delivered", into: []step{endStep(1, verify.AttemptDelivered)}},
	{name: "delivered by a receipt", open: true, into: []step{receiptStep(verify.ReceiptArrived)}},
	{name: "failed", into: []step{endStep(1, verify.AttemptRefused)}},
	{name: "failed by a receipt", open: true, into: []step{receiptStep(verify.ReceiptFailed)}},
	{name: "unknown", into: []step{endStep(1, verify.AttemptLost)}},
	{name: "unknown by a claim", open: true, lose: true},
}

func (w *world) inDeliveryState(t *testing.T, i int) verify.ID {
	t.Helper()
	state := deliveryStates[i]
	id := w.create(t)
	w.steps(t, state.name, id, beginStep(here, 1, begin))
	w.steps(t, state.name, id, state.into...)
	if state.lose {
		w.claim(t, start.Add(leaseTime), there, 1000)
	}
	w.check(t, id)
	return id
}

// testAttemptEnds ends an attempt in each way in each state: the model, which
// asks verify, knows what moves. Then nothing but a retry may be claimed.
func testAttemptEnds(t *testing.T, w *world) {
	for i, state := range deliveryStates {
		for _, result := range allResults {
			id := w.inDeliveryState(t, i)
			w.steps(t, fmt.Sprint("end with ", result, " when ", state.name), id, endStep(1, result))
			w.claim(t, start.Add(leaseTime), there, 1000)
			w.check(t, id)
		}
	}
	w.checkBacklog(t)
}

// testReceipts records each receipt twice, and each other one after it, in each
// state.
func testReceipts(t *testing.T, w *world) {
	record := func(id verify.ID, event verify.DeliveryEvent, name string) {
		t.Helper()
		var changed []bool // the model's, then the store's
		w.do(t, name, func(s Store) error {
			c, err := s.RecordReceipt(t.Context(), id, event, "30003", begin.Add(time.Hour))
			changed = append(changed, c)
			return err
		})
		if changed[0] != changed[1] {
			t.Errorf("%s: got changed %v, want %v", name, changed[1], changed[0])
		}
		w.check(t, id)
	}
	for i, state := range deliveryStates {
		for _, first := range receipts {
			for _, second := range receipts {
				id := w.inDeliveryState(t, i)
				name := fmt.Sprint(first, " then ", second, " when ", state.name)
				record(id, first, name)
				record(id, first, name)
				record(id, second, name)
				if state.open {
					w.steps(t, name, id, endStep(1, verify.AttemptRetry))
				}
				w.claim(t, start.Add(leaseTime), there, 1000)
				w.check(t, id)
			}
		}
	}
	id := w.create(t) // none begun yet: overtaken all the same
	record(id, verify.ReceiptArrived, "before any attempt")
	w.claim(t, start.Add(leaseTime), there, 1000)
	w.checkBacklog(t)
}
