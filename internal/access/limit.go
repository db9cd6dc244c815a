package access

import (
	"sync"
	"time"

	"holdfast/internal/secret"
)

// Limit is a rate with a burst.
type Limit struct {
	Burst int           // how many at once, 1 and more
	Every time.Duration // another one after each of these
}

func (l Limit) or(byDefault Limit) Limit {
	if l.Burst <= 0 || l.Every <= 0 {
		return byDefault
	}
	return l
}

// limiter is a generic cell rate algorithm (ITU-T I.371) per key, in memory: of
// each key it keeps the moment at which its burst will be whole again.
type limiter struct {
	Limit
	size int // keys at most

	mu    sync.Mutex
	whole map[secret.Digest]time.Time
	swept time.Time
}

// limitedKeys bounds a limiter's memory to a few megabytes.
const limitedKeys = 50_000

func newLimiter(l Limit) *limiter {
	return &limiter{Limit: l, size: limitedKeys, whole: map[secret.Digest]time.Time{}}
}

// take counts one event of a key at now. It returns 0, or how long to wait. A
// limiter that is full of keys refuses new ones: it fails closed.
func (l *limiter) take(key secret.Digest, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	whole, known := l.whole[key]
	if whole.Before(now) {
		whole = now
	}
	if wait := whole.Sub(now) - time.Duration(l.Burst-1)*l.Every; wait > 0 {
		return wait
	}
	if !known && len(l.whole) >= l.size && !l.sweep(now) {
		return l.Every
	}
	l.whole[key] = whole.Add(l.Every)
	return 0
}

// sweep forgets the keys whose burst is whole, at most once a second, and reports
// whether there is room again.
func (l *limiter) sweep(now time.Time) bool {
	if now.Sub(l.swept) >= time.Second {
		l.swept = now
		for key, whole := range l.whole {
			if !whole.After(now) {
				delete(l.whole, key)
			}
		}
	}
	return len(l.whole) < l.size
}
