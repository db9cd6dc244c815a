package bench

import (
	"math/bits"
	"time"
)

// Each power of two of nanoseconds has subBuckets buckets, so a quantile is at
// most 1/subBuckets (1.6%) above the truth. The highest bucket ends at 2^38 ns,
// four and a half minutes.
const (
	subBits    = 6
	subBuckets = 1 << subBits
	topBits    = 38
	buckets    = (topBits - subBits + 1) * subBuckets
)

// Histogram counts durations in buckets whose width grows with the duration.
// Recording allocates nothing. The zero value is empty; it is for one goroutine.
type Histogram struct {
	counts [buckets]uint32
	n      int64
	max    time.Duration
}

// Record counts d; a negative one counts as zero, one beyond the highest bucket
// in that bucket.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(d)]++
	h.n++
	h.max = max(h.max, d)
}

// Add counts all that o counted.
func (h *Histogram) Add(o *Histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.n += o.n
	h.max = max(h.max, o.max)
}

// Count is how many durations were recorded.
func (h *Histogram) Count() int64 { return h.n }

// Quantile returns the duration that the share q (0 to 1) of all recorded ones
// did not exceed, rounded up to its bucket's end and never above the longest; 0
// where none was recorded.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := int64(q*float64(h.n) + 0.5)
	rank = min(max(rank, 1), h.n)
	var seen int64
	for i, n := range h.counts {
		seen += int64(n)
		if n > 0 && seen >= rank {
			return min(bucketEnd(i), h.max)
		}
	}
	return 0
}

func bucketOf(d time.Duration) int {
	u := uint64(d)
	if u < subBuckets {
		return int(u)
	}
	shift := bits.Len64(u) - subBits - 1
	return min((shift<<subBits)+int(u>>shift), buckets-1)
}

// bucketEnd is the longest duration that bucketOf puts into bucket i.
func bucketEnd(i int) time.Duration {
	if i < 2*subBuckets {
		return time.Duration(i)
	}
	shift := i>>subBits - 1
	return time.Duration((uint64(i)-uint64(shift)<<subBits+1)<<shift - 1)
}
