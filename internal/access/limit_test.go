package access

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"holdfast/internal/secret"
	"holdfast/internal/verify"
)

func TestLoginLimits(t *testing.T) {
	t.Parallel()
	a, _, clock := newNode(t)
	_, password := addAcme(t, a)
	for i := range a.UserLimit.Burst {
		if _, err := a.Login(ctx, "acme", "wrong", office); code(err) != verify.CodeBadCredential {
			t.Fatalf("attempt %d: %v", i, err)
		}
	}
	_, err := a.Login(ctx, "acme", password.Reveal(), office)
	var limited *verify.Error
	if !errors.As(err, &limited) || limited.Code != verify.CodeRateLimited || limited.RetryAfter != a.UserLimit.Every {
		t.Fatalf("the right password after too many wrong ones: %v", err)
	}
	if _, err := a.Login(ctx, "acme", password.Reveal(), netip.MustParseAddr("198.51.100.7")); err != nil {
		t.Errorf("the owner is locked out by a stranger: %v", err)
	}
	clock.Advance(limited.RetryAfter)
	if _, err := a.Login(ctx, "acme", password.Reveal(), office); err != nil {
		t.Errorf("after Retry-After: %v", err)
	}
	if _, err := a.Login(ctx, "acme", password.Reveal(), office); code(err) != verify.CodeRateLimited {
		t.Errorf("a success reset the limit: %v", err)
	}
}

func TestAddressLimitCountsAllNames(t *testing.T) {
	t.Parallel()
	a, _, _ := newNode(t)
	for i := range a.AddressLimit.Burst {
		from := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(i)}) // one /64
		if err := a.limit(ctx, fmt.Sprint("user", i), from); err != nil {
			t.Fatalf("attempt %d: %v", i, err)
		}
	}
	if err := a.limit(ctx, "another", netip.MustParseAddr("2001:db8::ffff")); code(err) != verify.CodeRateLimited {
		t.Errorf("not limited: %v", err)
	}
	if err := a.limit(ctx, "another", netip.MustParseAddr("2001:db8:0:1::1")); err != nil {
		t.Errorf("the next /64: %v", err)
	}
}

func TestLimiterFailsClosed(t *testing.T) {
	l := newLimiter(Limit{Burst: 1, Every: time.Minute})
	l.size = 2
	now := time.Now()
	key := func(i byte) secret.Digest { return secret.Digest{i} }
	if l.take(key(1), now) != 0 || l.take(key(2), now) != 0 {
		t.Fatal("refused while there is room")
	}
	if l.take(key(3), now) == 0 {
		t.Error("let through while full")
	}
	if l.take(key(3), now.Add(time.Minute)) != 0 {
		t.Error("refused after there was room again")
	}
}

// Over any time the limiter lets through at most the burst and one per interval.
func TestLimiterRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := Limit{Burst: rapid.IntRange(1, 5).Draw(t, "burst"), Every: time.Second}
		l, start := newLimiter(limit), time.Unix(0, 0)
		now, passed := start, 0
		for range rapid.IntRange(1, 60).Draw(t, "n") {
			now = now.Add(time.Duration(rapid.IntRange(0, 1500).Draw(t, "ms")) * time.Millisecond)
			wait := l.take(secret.Digest{}, now)
			if wait == 0 {
				passed++
			} else if now = now.Add(wait); l.take(secret.Digest{}, now) != 0 {
				t.Fatal("refused after the wait it named")
			} else {
				passed++
			}
		}
		if most := limit.Burst + int(now.Sub(start)/limit.Every); passed > most {
			t.Fatalf("%d passed in %v, at most %d may", passed, now.Sub(start), most)
		}
	})
}

func TestHashingIsBounded(t *testing.T) {
	a, _, _ := newNode(t)
	for range a.Hashing {
		a.hashing <- struct{}{}
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := a.compare(gone, "x", nobodysHash); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
