package outbox_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/outbox"
	"holdfast/internal/verify"
)

// slow takes d to accept, unless it is told to stop before.
func slow(d time.Duration) func(context.Context, verify.Message, int) verify.AttemptEnd {
	return func(ctx context.Context, _ verify.Message, _ int) verify.AttemptEnd {
		select {
		case <-time.After(d):
			return verify.AttemptEnd{Result: verify.AttemptAccepted}
		case <-ctx.Done():
			return verify.AttemptEnd{Result: verify.AttemptLost, Code: "canceled"}
		}
	}
}

func TestStopWaitsForWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		g, outcomes := newGateway(store), &tally{}
		g.answer = slow(5 * time.Second)
		o := start(t, outbox.Config{Store: store, Node: 1, Workers: 1, Observe: outcomes.observe}, g)
		underWay, waiting := store.create(1, 5*time.Minute), store.create(1, 5*time.Minute)
		o.Hand(underWay)
		o.Hand(waiting)
		synctest.Wait()
		before := time.Now()
		second := make(chan error)
		go func() {
			<-time.After(time.Second)
			second <- o.Stop(t.Context())
		}()
		if err := o.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(before); took != 5*time.Second {
			t.Errorf("Stop took %v", took)
		}
		if err := <-second; err != nil {
			t.Errorf("second Stop: %v", err)
		}
		late := store.create(1, 5*time.Minute)
		o.Hand(late) // does nothing
		if store.row(underWay.ID).state != verify.Sent || g.count(waiting.ID)+g.count(late.ID) != 0 || o.Depth() != 0 {
			t.Errorf("under way: %v, sends after Stop: %d", store.row(underWay.ID).state, g.count(waiting.ID)+g.count(late.ID))
		}
		if outcomes.of("stopped") != 2 {
			t.Errorf("outcomes %v", outcomes.n)
		}

		// What waited is due for another node at once, not after its lease.
		g2 := newGateway(store)
		start(t, outbox.Config{Store: store, Node: 2}, g2)
		synctest.Wait()
		if store.row(waiting.ID).state != verify.Sent {
			t.Errorf("waiting: %v", store.row(waiting.ID).state)
		}
		wait(31 * time.Second)
		if store.row(late.ID).state != verify.Sent {
			t.Errorf("late: %v", store.row(late.ID).state)
		}
		g.check(t)
		g2.check(t)
	})
}

func TestStopCutsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		g := newGateway(store)
		g.answer = slow(8 * time.Second)
		o := start(t, outbox.Config{Store: store, Node: 1}, g)
		m := store.create(1, 5*time.Minute)
		o.Hand(m)
		synctest.Wait()
		before := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := o.Stop(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(before); took != 2*time.Second {
			t.Errorf("Stop took %v", took)
		}
		if r := store.row(m.ID); r.state != verify.Unknown || r.attempts[0].Code != "canceled" {
			t.Errorf("row %+v", r)
		}
	})
}

func TestStopOfASenderThatDoesNotListen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		g := newGateway(store)
		g.answer = func(context.Context, verify.Message, int) verify.AttemptEnd {
			wait(time.Minute)
			return verify.AttemptEnd{Result: verify.AttemptAccepted}
		}
		o, err := outbox.New(outbox.Config{Store: store, Node: 1})
		if err != nil {
			t.Fatal(err)
		}
		o.Start(g)
		o.Hand(store.create(1, 5*time.Minute))
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		before := time.Now()
		if err := o.Stop(ctx); err == nil {
			t.Error("Stop tells of nothing")
		}
		if took := time.Since(before); took > 10*time.Second {
			t.Errorf("Stop took %v", took)
		}
		wait(time.Minute)
	})
}

func TestStopWhileTheDatabaseIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		o, err := outbox.New(outbox.Config{Store: &faulty{memory: store, before: func(verb string) error {
			if verb == "begin" {
				return nil
			}
			return errFault
		}}, Node: 1, Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		g := newGateway(store)
		o.Start(g)
		m := store.create(1, 5*time.Minute)
		o.Hand(m)
		wait(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := o.Stop(ctx); err == nil {
			t.Error("the leases were not released, and Stop tells of nothing")
		}
		if r := store.row(m.ID); !r.open() || g.count(m.ID) != 1 {
			t.Errorf("row %+v after %d sends", r, g.count(m.ID))
		}
	})
}

func TestStopBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		o, err := outbox.New(outbox.Config{Store: store, Node: 1})
		if err != nil {
			t.Fatal(err)
		}
		o.Hand(store.create(1, time.Minute))
		for range 2 {
			if err := o.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
		g := newGateway(store)
		o.Start(g) // does nothing
		wait(time.Second)
		if len(g.sends) != 0 {
			t.Error("a stopped outbox sent")
		}
	})
}
