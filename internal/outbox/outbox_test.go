package outbox_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"holdfast/internal/outbox"
	"holdfast/internal/verify"
)

var quiet = slog.New(slog.DiscardHandler)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, c outbox.Config, g outbox.Sender) *outbox.Outbox {
	t.Helper()
	if c.Log == nil {
		c.Log = quiet
	}
	o, err := outbox.New(c)
	if err != nil {
		t.Fatal(err)
	}
	o.Start(g)
	t.Cleanup(func() {
		if err := o.Stop(context.Background()); err != nil && !errors.Is(err, errFault) {
			t.Errorf("Stop: %v", err)
		}
	})
	return o
}

func TestSendsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		g, outcomes := newGateway(store), &tally{}
		o := start(t, outbox.Config{Store: store, Node: 1, Observe: outcomes.observe}, g)
		before := time.Now()
		m := store.create(1, 5*time.Minute)
		o.Hand(m)
		synctest.Wait()
		if r := store.row(m.ID); r.state != verify.Sent || len(r.attempts) != 1 || r.attempts[0].Gateway != "fake" || !r.attempts[0].At.Equal(before) {
			t.Errorf("row %+v", r)
		}
		if !time.Now().Equal(before) {
			t.Error("it waited for something")
		}
		if outcomes.of("accepted") != 1 {
			t.Errorf("outcomes %v", outcomes.n)
		}
		g.check(t)
	})
}

func TestHandedBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		o, err := outbox.New(outbox.Config{Store: store, Node: 1})
		if err != nil {
			t.Fatal(err)
		}
		m := store.create(1, time.Minute)
		o.Hand(m)
		if o.Depth() != 1 {
			t.Errorf("depth %d", o.Depth())
		}
		o.Start(newGateway(store))
		o.Start(newGateway(store)) // does nothing
		synctest.Wait()
		if r := store.row(m.ID); r.state != verify.Sent {
			t.Errorf("row %+v", r)
		}
		if err := o.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestRetriesWithBackoffUntilTheLinkExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		g, outcomes := newGateway(store), &tally{}
		g.answer = func(_ context.Context, _ verify.Message, n int) verify.AttemptEnd {
			end := verify.AttemptEnd{Result: verify.AttemptRetry, Code: "http_503"}
			if n == 3 {
				end.RetryAt = time.Now().Add(20 * time.Second) // the gateway's wish
			}
			return end
		}
		o := start(t, outbox.Config{Store: store, Node: 1, Observe: outcomes.observe}, g)
		m := store.create(1, 5*time.Minute)
		o.Hand(m)
		wait(6 * time.Minute)

		at := g.times(m.ID)
		for i, want := range []time.Duration{1, 2, 20, 8, 16, 32, 60, 60} {
			if i+1 >= len(at) {
				break
			}
			want *= time.Second
			got, slack := at[i+1].Sub(at[i]), want/4
			if want == 20*time.Second {
				slack = 0
			}
			if got < want-slack || got > want+slack+500*time.Millisecond {
				t.Errorf("wait %d was %v, want about %v", i+1, got, want)
			}
		}
		if len(at) < 9 || len(at) > 12 {
			t.Errorf("%d attempts", len(at))
		}
		r := store.row(m.ID)
		if last := r.attempts[len(r.attempts)-1]; r.state != verify.Failed || last.Result != verify.AttemptRefused || last.Code != "http_503" {
			t.Errorf("state %v, last attempt %+v", r.state, last)
		}
		if outcomes.of("given_up") != 1 || outcomes.of("retry") != len(at)-1 {
			t.Errorf("outcomes %v", outcomes.n)
		}
		g.check(t)
	})
}

func TestEndsAreNeverRepeated(t *testing.T) {
	for result, want := range map[verify.AttemptResult]verify.DeliveryState{
		verify.AttemptAccepted: verify.Sent, verify.AttemptDelivered: verify.Delivered,
		verify.AttemptRefused: verify.Failed, verify.AttemptLost: verify.Unknown, verify.AttemptOpen: verify.Unknown,
	} {
		synctest.Test(t, func(t *testing.T) {
			store := newMemory()
			g := newGateway(store)
			g.answer = func(context.Context, verify.Message, int) verify.AttemptEnd {
				return verify.AttemptEnd{Result: result, RetryAt: time.Now().Add(time.Second)}
			}
			o := start(t, outbox.Config{Store: store, Node: 1}, g)
			m := store.create(1, 5*time.Minute)
			o.Hand(m)
			wait(6 * time.Minute)
			if r := store.row(m.ID); r.state != want || g.count(m.ID) != 1 {
				t.Errorf("%v: state %v after %d sends", result, r.state, g.count(m.ID))
			}
			g.check(t)
		})
	}
}

func TestPanicLeavesNobodyKnowing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		g := newGateway(store)
		g.answer = func(context.Context, verify.Message, int) verify.AttemptEnd { panic("+12125550123") }
		var log strings.Builder
		o := start(t, outbox.Config{Store: store, Node: 1, Log: slog.New(slog.NewJSONHandler(&log, nil))}, g)
		m := store.create(1, time.Minute)
		o.Hand(m)
		wait(2 * time.Minute)
		if r := store.row(m.ID); r.state != verify.Unknown || g.count(m.ID) != 1 {
			t.Errorf("state %v after %d sends", r.state, g.count(m.ID))
		}
		if text := log.String(); !strings.Contains(text, "a send panicked") || strings.Contains(text, "+1212") {
			t.Errorf("log: %s", text)
		}
	})
}

func TestAnotherNodesMessageIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		g, outcomes := newGateway(store), &tally{}
		o := start(t, outbox.Config{Store: store, Node: 1, Observe: outcomes.observe}, g)
		m := store.create(2, 5*time.Minute) // leased to node 2
		o.Hand(m)
		synctest.Wait()
		if g.count(m.ID) != 0 || outcomes.of("taken") != 1 {
			t.Errorf("%d sends, outcomes %v", g.count(m.ID), outcomes.n)
		}
		wait(31 * time.Second) // node 2 is dead
		if r := store.row(m.ID); r.state != verify.Sent || g.count(m.ID) != 1 {
			t.Errorf("state %v after %d sends", r.state, g.count(m.ID))
		}
		g.check(t)
	})
}

func TestFullQueueLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		g, outcomes := newGateway(store), &tally{}
		g.answer = func(context.Context, verify.Message, int) verify.AttemptEnd {
			wait(time.Second)
			return verify.AttemptEnd{Result: verify.AttemptAccepted}
		}
		o := start(t, outbox.Config{Store: store, Node: 1, Workers: 2, Queue: 3, Observe: outcomes.observe}, g)
		for range 10 {
			o.Hand(store.create(1, 5*time.Minute))
			synctest.Wait()
		}
		if o.Depth() != 3 || outcomes.of("full") != 5 {
			t.Errorf("depth %d, outcomes %v", o.Depth(), outcomes.n)
		}
		wait(40 * time.Second)
		if n := store.states()[verify.Sent]; n != 10 {
			t.Errorf("%d of 10 sent", n)
		}
		g.check(t)
	})
}

// A message that waited until its lease is nearly over must not be begun: the
// lease could run out while it is on its way, and another node would call it lost.
func TestLateMessagesAreLeftForLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		g, outcomes := newGateway(store), &tally{}
		g.answer = func(_ context.Context, m verify.Message, _ int) verify.AttemptEnd {
			wait(9 * time.Second)
			return verify.AttemptEnd{Result: verify.AttemptAccepted}
		}
		o := start(t, outbox.Config{Store: store, Node: 1, Workers: 1, Observe: outcomes.observe}, g)
		for range 4 {
			o.Hand(store.create(1, 5*time.Minute))
		}
		wait(28 * time.Second)
		if outcomes.of("accepted") != 2 || outcomes.of("late") != 2 {
			t.Errorf("outcomes %v", outcomes.n)
		}
		wait(time.Minute)
		if n := store.states()[verify.Sent]; n != 4 {
			t.Errorf("%d of 4 sent", n)
		}
		g.check(t)
	})
}

func TestSlowStoreDoesNotSendLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		g := newGateway(store)
		slow := times(1, "begin")
		o := start(t, outbox.Config{Store: &faulty{memory: store, after: func(verb string) error {
			if slow(verb) != nil {
				wait(20 * time.Second)
			}
			return nil
		}}, Node: 1}, g)
		m := store.create(1, 5*time.Minute)
		o.Hand(m)
		wait(20*time.Second + 200*time.Millisecond)
		if r := store.row(m.ID); g.count(m.ID) != 0 || r.attempts[0].Result != verify.AttemptRetry || r.attempts[0].Code != "late" {
			t.Errorf("%d sends, row %+v", g.count(m.ID), r)
		}
		wait(5 * time.Second)
		if r := store.row(m.ID); r.state != verify.Sent || g.count(m.ID) != 1 {
			t.Errorf("state %v after %d sends", r.state, g.count(m.ID))
		}
		g.check(t)
	})
}

func TestStoreFaults(t *testing.T) {
	for name, c := range map[string]struct {
		store func(*memory) *faulty
		state verify.DeliveryState
		sends int
	}{
		"begin not written":           {func(s *memory) *faulty { return &faulty{memory: s, before: times(1, "begin")} }, verify.Sent, 1},
		"begin written, answer lost":  {func(s *memory) *faulty { return &faulty{memory: s, after: times(1, "begin")} }, verify.Unknown, 0},
		"end not written for a while": {func(s *memory) *faulty { return &faulty{memory: s, before: times(8, "end")} }, verify.Sent, 1},
		"end written, answer lost":    {func(s *memory) *faulty { return &faulty{memory: s, after: times(1, "end")} }, verify.Sent, 1},
		"end never written":           {func(s *memory) *faulty { return &faulty{memory: s, before: times(1e6, "end")} }, verify.Unknown, 1},
		"nothing claimed for a while": {func(s *memory) *faulty { return &faulty{memory: s, before: times(50, "claim")} }, verify.Sent, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			memory := newMemory()
			g := newGateway(memory)
			o := start(t, outbox.Config{Store: c.store(memory), Node: 1}, g)
			m := memory.create(1, 5*time.Minute)
			o.Hand(m)
			wait(6 * time.Minute)
			if r := memory.row(m.ID); r.state != c.state || g.count(m.ID) != c.sends {
				t.Errorf("%s: state %v after %d sends, want %v after %d", name, r.state, g.count(m.ID), c.state, c.sends)
			}
			g.check(t)
		})
	}
}

// A database that is down is told of now and then, not by each message.
func TestComplaintsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		var log strings.Builder
		o := start(t, outbox.Config{
			Store: &faulty{memory: store, before: times(1e6, "begin")}, Node: 1, Workers: 1,
			Log: slog.New(slog.NewJSONHandler(&log, nil)),
		}, newGateway(store))
		for range 1000 {
			o.Hand(store.create(1, 5*time.Minute))
		}
		synctest.Wait()
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("%d lines", n)
		}
	})
}

func TestConfig(t *testing.T) {
	store := newMemory()
	for name, c := range map[string]outbox.Config{
		"no store":        {},
		"negative":        {Store: store, Workers: -1},
		"lease too short": {Store: store, Lease: 14 * time.Second},
		"send too long":   {Store: store, SendTime: 21 * time.Second},
	} {
		if _, err := outbox.New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
