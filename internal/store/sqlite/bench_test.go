package sqlite_test

import (
	"context"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/secret"

	"holdfast/internal/phone"
	"holdfast/internal/store/sqlite"
	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

const benchClient = verify.ClientID(1)

func benchStore(b *testing.B) *sqlite.Store {
	s := open(b, filepath.Join(b.TempDir(), "holdfast.db"))
	if err := s.CreateClient(b.Context(), tenant.Client{ID: benchClient, Username: "bench"}); err != nil {
		b.Fatal(err)
	}
	return s
}

func benchVerification(id verify.ID) verify.Verification {
	now := time.Now()
	return verify.Verification{
		ID: id, RequestID: verify.NewRequestID(id), SessionID: verify.NewSessionID(), ClientID: benchClient,
		Phone: phone.Stored("+12125550123", phone.US), TargetURL: "https://app.example.com/return?session=123456",
		SourceAddr: netip.MustParseAddr("203.0.113.9"), Segments: 1, LinkSealed: make([]byte, 32),
		CreatedAt: now, ExpiresAt: now.Add(5 * time.Minute),
	}
}

// run lets 128 goroutines on two processors do journey, and reports the time of
// processors that each takes: unlike the time on the clock it stands comparison
// on a busy machine.
func run(b *testing.B, journey func(s *sqlite.Store, id verify.ID) error) {
	s := benchStore(b)
	ids := verify.NewIDs(0, time.Now)
	var failed atomic.Pointer[error]
	b.SetParallelism(64)
	b.ResetTimer()
	before := processorTime()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := journey(s, ids.Next()); err != nil {
				failed.Store(&err)
			}
		}
	})
	b.StopTimer()
	if err := failed.Load(); err != nil {
		b.Fatal(*err)
	}
	b.ReportMetric(float64(processorTime()-before)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

func processorTime() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func BenchmarkStoreCreate(b *testing.B) {
	run(b, func(s *sqlite.Store, id verify.ID) error {
		_, _, err := s.Create(b.Context(), benchVerification(id), verify.Lease{Until: time.Now().Add(time.Minute)}, nil)
		return err
	})
}

// send is a whole message: stored, begun, accepted.
func send(ctx context.Context, s *sqlite.Store, id verify.ID) error {
	if _, _, err := s.Create(ctx, benchVerification(id), verify.Lease{Until: time.Now().Add(time.Minute)}, nil); err != nil {
		return err
	}
	if err := s.BeginAttempt(ctx, 0, verify.Attempt{ID: id, N: 1, Gateway: "generic", At: time.Now()}); err != nil {
		return err
	}
	return s.EndAttempt(ctx, verify.AttemptEnd{
		ID: id, N: 1, At: time.Now(), Result: verify.AttemptAccepted, ProviderID: "SM0123456789abcdef0123456789abcdef",
	})
}

func BenchmarkStoreMessage(b *testing.B) {
	run(b, func(s *sqlite.Store, id verify.ID) error { return send(b.Context(), s, id) })
}

// BenchmarkStoreJourney is a message with its page, tap, callback and result.
func BenchmarkStoreJourney(b *testing.B) {
	run(b, func(s *sqlite.Store, id verify.ID) error {
		if err := send(b.Context(), s, id); err != nil {
			return err
		}
		for _, step := range []func() error{
			func() error {
				_, err := s.Consume(b.Context(), id, secret.Digest{1}, verify.Click{At: time.Now(), Addr: netip.MustParseAddr("203.0.113.9"), Carrier: "north"})
				return err
			},
			func() error { return s.ClaimAnswer(b.Context(), id, time.Now()) },
			func() error {
				return s.Complete(b.Context(), id, verify.Outcome{At: time.Now(), Match: verify.MatchTrue})
			},
		} {
			if _, err := s.Verification(b.Context(), id); err != nil {
				return err
			}
			if err := step(); err != nil {
				return err
			}
		}
		_, err := s.Verification(b.Context(), id)
		return err
	})
}

func BenchmarkStoreVerification(b *testing.B) {
	var once sync.Once
	var first verify.ID
	run(b, func(s *sqlite.Store, next verify.ID) error {
		once.Do(func() {
			if err := send(b.Context(), s, next); err != nil {
				b.Error(err)
			}
			first = next
		})
		_, err := s.Verification(b.Context(), first)
		return err
	})
}
