package postgres_test

import (
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/phone"
	"holdfast/internal/secret"
	"holdfast/internal/store/postgres"
	"holdfast/internal/verify"
)

// writers is how many goroutines a benchmark writes from.
const writers = 128

const node = verify.Node(3)

// request is a new verification such as the flow makes.
func request(ids *verify.IDs, now time.Time) verify.Verification {
	id := ids.Next()
	return verify.Verification{
		ID: id, RequestID: verify.NewRequestID(id), SessionID: verify.NewSessionID(), ClientID: 41,
		Phone: phone.Stored("+12125550123", phone.US), TargetURL: "https://app.example.com/return?order=12345",
		SourceAddr: netip.MustParseAddr("203.0.113.9"), Segments: 1,
		Link: linkOf(id), LinkSealed: make([]byte, 32),
		CreatedAt: now, ExpiresAt: now.Add(5 * time.Minute),
	}
}

// linkOf is the digest of the link that request makes.
func linkOf(id verify.ID) secret.Digest { return secret.Digest{byte(id), 1} }

func create(b testing.TB, s *postgres.Store, ids *verify.IDs) verify.ID {
	now := time.Now()
	v := request(ids, now)
	if _, _, err := s.Create(b.Context(), v, verify.Lease{Node: node, Until: now.Add(time.Minute)}, nil); err != nil {
		b.Error(err)
	}
	return v.ID
}

func sent(b testing.TB, s *postgres.Store, id verify.ID) {
	if err := s.BeginAttempt(b.Context(), node, verify.Attempt{ID: id, N: 1, Gateway: "twilio", At: time.Now()}); err != nil {
		b.Error(err)
	}
	end := verify.AttemptEnd{ID: id, N: 1, At: time.Now(), Result: verify.AttemptAccepted, ProviderID: "SM0123456789abcdef0123456789abcdef"}
	if err := s.EndAttempt(b.Context(), end); err != nil {
		b.Error(err)
	}
}

// perSecond runs op from all writers.
func perSecond(b *testing.B, op func()) {
	b.SetParallelism((writers + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			op()
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "/s")
}

func BenchmarkCreate(b *testing.B) {
	s, ids := open(b, migrated(b)), verify.NewIDs(node, time.Now)
	perSecond(b, func() { create(b, s, ids) })
}

func BenchmarkMessage(b *testing.B) {
	s, ids := open(b, migrated(b)), verify.NewIDs(node, time.Now)
	perSecond(b, func() { sent(b, s, create(b, s, ids)) })
}

// BenchmarkMessageMillion is BenchmarkMessage on a database that has seen use.
// Filling it takes longer than measuring: run it with a fixed -benchtime (50000x).
func BenchmarkMessageMillion(b *testing.B) {
	s, ids := open(b, migrated(b)), verify.NewIDs(node, time.Now)
	start := time.Now()
	if err := s.Preload(b.Context(), 1_000_000, 41, start); err != nil {
		b.Fatal(err)
	}
	b.Logf("filled in %v", time.Since(start).Round(time.Second))
	perSecond(b, func() { sent(b, s, create(b, s, ids)) })
}

// BenchmarkClick is what the confirmation costs: the page, the POST, the callback.
func BenchmarkClick(b *testing.B) {
	s, ids := open(b, migrated(b)), verify.NewIDs(node, time.Now)
	made := make([]verify.ID, b.N)
	var next atomic.Int64
	perSecond(b, func() { made[next.Add(1)-1] = create(b, s, ids) })
	next.Store(0)
	perSecond(b, func() {
		id, now := made[next.Add(1)-1], time.Now()
		click := verify.Click{At: now, Addr: netip.MustParseAddr("198.51.100.7"), Browser: secret.Digest{1}, Carrier: "north"}
		outcome := verify.Outcome{At: now, Match: verify.MatchTrue, VFP: secret.Digest{2}}
		_, err := s.Consume(b.Context(), id, linkOf(id), click)
		for _, err := range []error{
			err, s.ClaimAnswer(b.Context(), id, now), s.Complete(b.Context(), id, outcome),
		} {
			if err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkVerification(b *testing.B) {
	s, ids := open(b, migrated(b)), verify.NewIDs(node, time.Now)
	made := make([]verify.ID, 1_000)
	together(len(made), func(i int) { made[i] = create(b, s, ids) })
	var next atomic.Int64
	perSecond(b, func() {
		if _, err := s.Verification(b.Context(), made[next.Add(7919)%int64(len(made))]); err != nil {
			b.Error(err)
		}
	})
}
