package verify

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

func TestIDsGrowWhateverTheClockDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
		ids := NewIDs(Node(rapid.IntRange(0, Nodes-1).Draw(t, "node")), func() time.Time { return now })
		last := ID(0)
		for range rapid.IntRange(1, 50).Draw(t, "n") {
			now = now.Add(time.Duration(rapid.IntRange(-5000, 5000).Draw(t, "ms")) * time.Millisecond)
			for range rapid.IntRange(1, 200).Draw(t, "burst") {
				id := ids.Next()
				if id <= last {
					t.Fatalf("%d after %d", id, last)
				}
				last = id
			}
		}
	})
}

func TestIDsOfTwoNodesNeverMeet(t *testing.T) {
	now := func() time.Time { return time.UnixMilli(1_800_000_000_000) }
	seen := sync.Map{}
	var wg sync.WaitGroup
	for node := range Node(4) {
		ids := NewIDs(node, now)
		for range 4 {
			wg.Go(func() {
				for range 5000 {
					if _, twice := seen.LoadOrStore(ids.Next(), true); twice {
						t.Error("an ID was minted twice")
					}
				}
			})
		}
	}
	wg.Wait()
}

func TestIDKeepsItsTime(t *testing.T) {
	at := time.Date(2031, 5, 6, 7, 8, 9, 123_000_000, time.UTC)
	id := NewIDs(3, func() time.Time { return at }).Next()
	if !id.Time().Equal(at) {
		t.Errorf("Time = %v, want %v", id.Time(), at)
	}
	if low := IDAt(at); low > id || IDAt(at.Add(time.Millisecond)) <= id {
		t.Errorf("IDAt does not bound %d", id)
	}
}

func TestRequestIDCarriesTheKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMilli(epoch + rapid.Int64Range(1, 1<<41-2).Draw(t, "ms"))
		ids := NewIDs(Node(rapid.IntRange(0, Nodes-1).Draw(t, "node")), func() time.Time { return at })
		for range 3 {
			id := ids.Next()
			u := NewRequestID(id)
			if u.Version() != 7 || u.Variant() != uuid.RFC4122 {
				t.Fatalf("%v is no UUIDv7", u)
			}
			if got, ok := RequestKey(u); !ok || got != id {
				t.Fatalf("RequestKey = %d, %v; want %d", got, ok, id)
			}
			if u == NewRequestID(id) {
				t.Fatal("two request ids of one key are equal: the tail is not random")
			}
		}
	})
	for _, u := range []uuid.UUID{{}, uuid.New(), uuid.Max, uuid.MustParse("00000000-0000-7000-8000-000000000000")} {
		if id, ok := RequestKey(u); ok {
			t.Errorf("RequestKey(%v) = %d", u, id)
		}
	}
	if s := NewSessionID(); s.Version() != 4 || s.Variant() != uuid.RFC4122 || s == NewSessionID() {
		t.Errorf("session id %v", s)
	}
}

func BenchmarkIDs(b *testing.B) {
	ids := NewIDs(1, time.Now)
	for b.Loop() {
		NewRequestID(ids.Next())
	}
}
