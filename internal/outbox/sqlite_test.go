package outbox_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"holdfast/internal/outbox"
	"holdfast/internal/phone"
	"holdfast/internal/store/sqlite"
	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

// once counts sends and takes each message; a few it answers with a no, and of a
// few nobody knows.
type once struct {
	mu    sync.Mutex
	sends map[verify.ID]int
}

func (s *once) Gateway(verify.Message) string { return "once" }

func (s *once) Send(_ context.Context, m verify.Message, a verify.Attempt) verify.AttemptEnd {
	s.mu.Lock()
	s.sends[m.ID]++
	s.mu.Unlock()
	results := []verify.AttemptResult{verify.AttemptAccepted, verify.AttemptDelivered, verify.AttemptLost, verify.AttemptRefused, verify.AttemptAccepted}
	return verify.AttemptEnd{At: a.At, Result: results[m.ID%5]}
}

// TestOnSQLite lets two outboxes share a real database: one is handed every
// message and stopped halfway, the other finds the rest.
func TestOnSQLite(t *testing.T) {
	ctx, config := t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "outbox.db")}
	if err := sqlite.Migrate(ctx, config); err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.New(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if err := store.CreateClient(ctx, tenant.Client{ID: 1, Username: "acme", CreatedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	first, second := node(t, store), node(t, store)
	sender := &once{sends: map[verify.ID]int{}}
	one := start(t, outbox.Config{Store: store, Node: first, Workers: 16, Poll: 5 * time.Millisecond}, sender)

	const messages = 300
	ids := verify.NewIDs(first, time.Now)
	for i := range messages {
		v := verification(ids.Next())
		if _, _, err := store.Create(ctx, v, verify.Lease{Node: first, Until: v.CreatedAt.Add(30 * time.Second)}, nil); err != nil {
			t.Fatal(err)
		}
		one.Hand(verify.Message{ID: v.ID, ClientID: 1, Phone: v.Phone, LinkSealed: v.LinkSealed, ExpiresAt: v.ExpiresAt})
		if i == messages/2 {
			go func() { _ = one.Stop(context.Background()) }()
		}
	}
	if err := one.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	// What was handed over after Stop had released the leases waits for its lease.
	if err := store.ReleaseLeases(ctx, first, time.Now()); err != nil {
		t.Fatal(err)
	}
	start(t, outbox.Config{Store: store, Node: second, Workers: 16, Poll: 5 * time.Millisecond}, sender)
	settled(t, store)

	sender.mu.Lock()
	defer sender.mu.Unlock()
	if len(sender.sends) != messages {
		t.Errorf("%d of %d messages were sent", len(sender.sends), messages)
	}
	for id, n := range sender.sends {
		if n != 1 {
			t.Errorf("message %d was sent %d times", id, n)
		}
	}
}

func node(t *testing.T, store *sqlite.Store) verify.Node {
	t.Helper()
	n, err := store.NextNode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func verification(id verify.ID) verify.Verification {
	now := time.Now().UTC().Truncate(time.Microsecond)
	return verify.Verification{
		ID: id, RequestID: verify.NewRequestID(id), SessionID: verify.NewSessionID(), ClientID: 1,
		Phone: phone.Stored("+12125550123", phone.US), TargetURL: "https://app.example.com/", Segments: 1,
		LinkSealed: []byte("sealed"), CreatedAt: now, ExpiresAt: now.Add(5 * time.Minute),
	}
}

// settled returns when no message is queued.
func settled(t *testing.T, store *sqlite.Store) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		depth, _, err := store.Backlog(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if depth == 0 {
			return
		}
		<-tick.C
	}
}
