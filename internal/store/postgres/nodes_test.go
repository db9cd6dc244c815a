package postgres_test

import (
	"errors"
	"net/netip"
	"reflect"
	"sync"
	"testing"
	"time"

	"holdfast/internal/secret"
	"holdfast/internal/store/postgres"
	"holdfast/internal/verify"
)

// twoNodes are two processes' stores on one database.
func twoNodes(t *testing.T) [2]*postgres.Store {
	url := migrated(t)
	return [2]*postgres.Store{open(t, url), open(t, url)}
}

// together runs call from n goroutines at once.
func together(n int, call func(i int)) {
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-gate
			call(i)
		})
	}
	close(gate)
	wg.Wait()
}

// TestTwoNodesOneClick guards against a link that works twice.
func TestTwoNodesOneClick(t *testing.T) {
	t.Parallel()
	nodes, ids := twoNodes(t), verify.NewIDs(node, time.Now)
	for range 20 {
		id := create(t, nodes[0], ids)
		var mu sync.Mutex
		var winners []int
		together(16, func(i int) {
			click := verify.Click{At: time.Now(), Addr: netip.MustParseAddr("fe80::7%eth0"), Browser: secret.Digest{byte(i), 1}, Carrier: "north"}
			v, err := nodes[i%2].Consume(t.Context(), id, linkOf(id), click)
			if err != nil && !errors.Is(err, verify.ErrConflict) {
				t.Error(err)
			}
			if err == nil {
				if now, err := nodes[i%2].Verification(t.Context(), id); err != nil || !reflect.DeepEqual(v, now) {
					t.Errorf("the winner got\n%+v and then\n%+v, %v", v, now, err)
				}
				mu.Lock()
				defer mu.Unlock()
				winners = append(winners, i)
			}
		})
		if len(winners) != 1 {
			t.Fatalf("%d clicks won", len(winners))
		}
		v, err := nodes[1].Verification(t.Context(), id)
		if err != nil || v.Track.Browser != (secret.Digest{byte(winners[0]), 1}) {
			t.Fatalf("another browser than the winner's is stored: %v", err)
		}
	}
}

// TestTwoNodesOneKey guards against a request with an Idempotency-Key that is
// sent twice because it came to two nodes at once.
func TestTwoNodesOneKey(t *testing.T) {
	t.Parallel()
	nodes, ids := twoNodes(t), verify.NewIDs(node, time.Now)
	for round := range 10 {
		idem := verify.Idempotency{Key: secret.Digest{byte(round), 1}, Body: secret.Digest{2}}
		handles := make([]verify.Handle, 16)
		replays := make([]bool, 16)
		together(16, func(i int) {
			now := time.Now()
			var err error
			handles[i], replays[i], err = nodes[i%2].Create(t.Context(), request(ids, now), verify.Lease{Node: node, Until: now}, &idem)
			if err != nil {
				t.Error(err)
			}
		})
		first := 0
		for i := range handles {
			if handles[i] != handles[0] {
				t.Fatal("one key got two handles")
			}
			if !replays[i] {
				first++
			}
		}
		if first != 1 {
			t.Fatalf("one key wrote %d verifications", first)
		}
	}
	if depth, _, err := nodes[0].Backlog(t.Context()); err != nil || depth != 10 {
		t.Fatalf("the queue has %d messages, %v; want 10", depth, err)
	}
}

// TestTwoNodesOneMessage guards against a message that two nodes send.
func TestTwoNodesOneMessage(t *testing.T) {
	t.Parallel()
	const messages = 500
	nodes, ids := twoNodes(t), verify.NewIDs(node, time.Now)
	together(messages, func(i int) { create(t, nodes[i%2], ids) })
	later := time.Now().Add(2 * time.Minute) // the leases have run out
	var mu sync.Mutex
	claimed := map[verify.ID]verify.Node{}
	together(8, func(i int) {
		mine := verify.Node(10 + i)
		for {
			got, err := nodes[i%2].ClaimDue(t.Context(), later, verify.Lease{Node: mine, Until: later.Add(time.Minute)}, 7)
			if err != nil {
				t.Error(err)
			}
			if len(got) == 0 {
				return
			}
			mu.Lock()
			for _, m := range got {
				if other, twice := claimed[m.ID]; twice {
					t.Errorf("message %d was handed to %d and %d", m.ID, other, mine)
				}
				claimed[m.ID] = mine
			}
			mu.Unlock()
		}
	})
	if len(claimed) != messages {
		t.Fatalf("%d of %d messages were claimed", len(claimed), messages)
	}
}

// TestOneVerificationManyWrites guards the order of writes that meet in one
// batch, from two nodes whose batches lock the same rows.
func TestOneVerificationManyWrites(t *testing.T) {
	t.Parallel()
	nodes, ids := twoNodes(t), verify.NewIDs(node, time.Now)
	made := make([]verify.ID, 100)
	for i := range made {
		made[i] = create(t, nodes[0], ids)
	}
	together(2*len(made), func(i int) {
		s, id, now := nodes[i%2], made[i/2], time.Now()
		if i%2 == 0 {
			sent(t, s, id)
			if changed, err := nodes[1].RecordReceipt(t.Context(), id, verify.ReceiptArrived, "", now); err != nil || !changed {
				t.Errorf("the receipt changed=%t, %v", changed, err)
			}
			return
		}
		if v, err := s.Consume(t.Context(), id, linkOf(id), verify.Click{At: now}); err != nil || v.ID != id {
			t.Errorf("the click on %d got %d, %v", id, v.ID, err)
		}
		for _, err := range []error{s.ClaimAnswer(t.Context(), id, now), s.ReleaseAnswer(t.Context(), id), s.Complete(t.Context(), id, verify.Outcome{At: now})} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	for _, id := range made {
		v, err := nodes[0].Verification(t.Context(), id)
		if err != nil || v.Track.Link != verify.LinkCompleted || v.Track.Delivery != verify.Delivered {
			t.Fatalf("%+v, %v", v.Track, err)
		}
	}
}
