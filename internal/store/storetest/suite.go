package storetest

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"holdfast/internal/phone"
	"holdfast/internal/secret"
	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

// Run proves that the stores that open returns keep the contract. open makes a
// new, empty, migrated store for each call and closes it when its test ends;
// the subtests run one after another.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for _, group := range []struct {
		name string
		test func(*testing.T, *world)
	}{
		{"Node", testNode},
		{"Close", testClose},
		{"Clients", testClients},
		{"Tokens", testTokens},
		{"NotFound", testNotFound},
		{"CreateKeepsEveryField", testCreateFields},
		{"CreateTwice", testCreateTwice},
		{"Idempotency", testIdempotency},
		{"TracksKeepEveryField", testTrackFields},
		{"LinkGuards", testLinkGuards},
		{"LinkTimes", testLinkTimes},
		{"ConsumeProves", testConsumeProves},
		{"AttemptGuards", testAttemptGuards},
		{"AttemptEnds", testAttemptEnds},
		{"Receipts", testReceipts},
		{"ClaimDue", testClaimDue},
		{"ClaimLimit", testClaimLimit},
		{"ClaimOpenAttempt", testClaimOpenAttempt},
		{"ReleaseLeases", testReleaseLeases},
		{"Backlog", testBacklog},
		{"OneWinner", testOneWinner},
		{"OneCreates", testOneCreates},
		{"ClaimsDoNotOverlap", testClaimsDoNotOverlap},
		{"ManyWriters", testManyWriters},
		{"LoginsCrossRevocation", testLoginsCrossRevocation},
		{"Cancelled", testCancelled},
		{"Preload", testPreload},
		{"Random", testRandom},
	} {
		t.Run(group.name, func(t *testing.T) { group.test(t, newWorld(t, open(t))) })
	}
}

// start is when the suite's clock starts: not a whole millisecond, so that a
// store that rounds is caught.
var start = time.Date(2026, 3, 4, 5, 6, 7, 123456000, time.UTC)

const (
	here  = verify.Node(7) // the node that creates
	there = verify.Node(8) // another one
)

// linkLife is the lifetime of the suite's links, leaseTime that of its leases.
const (
	linkLife  = 10 * time.Minute
	leaseTime = 30 * time.Second
)

// world is a store beside the model of it; what is done to both must come out
// the same.
type world struct {
	Store
	model  *model
	client verify.ClientID
	ids    *verify.IDs
}

func newWorld(t *testing.T, s Store) *world {
	w := &world{Store: s, model: newModel(), client: 41}
	now := start
	w.ids = verify.NewIDs(here, func() time.Time { return now })
	must(t, s.CreateClient(t.Context(), tenant.Client{ID: w.client, Username: "acme", CreatedAt: start}))
	return w
}

// verification is a new one with every field set.
func (w *world) verification() verify.Verification {
	id := w.ids.Next()
	return verify.Verification{
		ID:         id,
		RequestID:  verify.NewRequestID(id),
		SessionID:  verify.NewSessionID(),
		ClientID:   w.client,
		Phone:      phone.Stored("+12125550123", phone.US),
		TargetURL:  "https://app.example.com/return?a=%20b&c=é",
		SourceAddr: netip.MustParseAddr("203.0.113.9"),
		Text:       "Bonjour 👋 {link}",
		Segments:   2,
		Link:       digest(int64(id), "link"),
		LinkSealed: []byte{0, 1, 2, 0xFF, byte(id)},
		CreatedAt:  start,
		ExpiresAt:  start.Add(linkLife),
	}
}

func digest(id int64, what string) secret.Digest {
	return secret.Token{ID: id}.Digest(secret.Purpose(what))
}

// create writes a new verification, leased here from start on.
func (w *world) create(t *testing.T) verify.ID {
	t.Helper()
	v := w.verification()
	w.do(t, "Create", func(s Store) error {
		_, _, err := s.Create(t.Context(), v, verify.Lease{Node: here, Until: start.Add(leaseTime)}, nil)
		return err
	})
	return v.ID
}

// failer is what *testing.T and *rapid.T have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
	Context() context.Context
}

// do runs a verb on the store and on the model; both must fail alike, or not.
func (w *world) do(t failer, name string, verb func(Store) error) {
	t.Helper()
	want, got := verb(w.model), verb(w.Store)
	if !sameError(got, want) {
		t.Fatalf("%s: got error %v, want %v", name, got, want)
	}
}

// sameError reports whether two errors have the same code; errors without one
// equal nothing.
func sameError(got, want error) bool {
	if got == nil || want == nil {
		return got == nil && want == nil
	}
	return errors.Is(got, want)
}

// check compares all that the store tells of id with the model.
func (w *world) check(t failer, id verify.ID) {
	t.Helper()
	want, wantErr := w.model.Verification(t.Context(), id)
	got, err := w.Verification(t.Context(), id)
	if !sameError(err, wantErr) {
		t.Fatalf("Verification: got error %v, want %v", err, wantErr)
	}
	same(t, "Verification", got, want)
	wantAttempts, wantErr := w.model.Attempts(t.Context(), id)
	attempts, err := w.Attempts(t.Context(), id)
	if !sameError(err, wantErr) {
		t.Fatalf("Attempts: got error %v, want %v", err, wantErr)
	}
	same(t, "Attempts", attempts, wantAttempts)
}

// checkBacklog compares the backlog with the model.
func (w *world) checkBacklog(t failer) {
	t.Helper()
	wantDepth, wantOldest, _ := w.model.Backlog(t.Context())
	depth, oldest, err := w.Backlog(t.Context())
	if err != nil || depth != wantDepth || !sameTime(oldest, wantOldest) {
		t.Fatalf("Backlog: got %d, %v, %v, want %d, %v", depth, oldest, err, wantDepth, wantOldest)
	}
}

var exactly = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b phone.Number) bool { return a == b }),
	cmp.Comparer(func(a, b secret.Digest) bool { return a == b }), // its Equal denies zero ones
	cmp.Comparer(sameTime),
}

// sameTime is equality to the nanosecond and in the zone, which is UTC.
func sameTime(a, b time.Time) bool {
	return a.Equal(b) && a.Location().String() == b.Location().String()
}

func same(t failer, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, exactly); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func must(t failer, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
}

func wantError(t failer, what string, got, want error) {
	t.Helper()
	if !sameError(got, want) {
		t.Fatalf("%s: got error %v, want %v", what, got, want)
	}
}

// together runs call n times at once, from as many goroutines, and returns what
// each returned.
func together[T any](n int, call func(i int) T) []T {
	var wg sync.WaitGroup
	results, gate := make([]T, n), make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-gate
			results[i] = call(i)
		})
	}
	close(gate)
	wg.Wait()
	return results
}
