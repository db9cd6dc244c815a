package bench

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A quantile may be too high by its bucket's width, never too low.
func TestQuantileIsTheExactOneRoundedUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		durations := rapid.SliceOfN(rapid.Int64Range(0, int64(4*time.Minute)), 1, 300).Draw(t, "durations")
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		var h Histogram
		for _, d := range durations {
			h.Record(time.Duration(d))
		}
		slices.Sort(durations)
		rank := min(max(int(q*float64(len(durations))+0.5), 1), len(durations))
		exact := time.Duration(durations[rank-1])
		if got := h.Quantile(q); got < exact || float64(got) > float64(exact)*(1+1.0/subBuckets)+1 {
			t.Fatalf("quantile %v is %v, exactly it is %v", q, got, exact)
		}
	})
}

func TestHistogramsAdd(t *testing.T) {
	t.Parallel()
	var a, b Histogram
	a.Record(time.Millisecond)
	b.Record(time.Second)
	b.Record(-time.Second) // a clock that was set back
	b.Record(time.Hour)    // beyond the highest bucket
	a.Add(&b)
	if a.Count() != 4 || a.Quantile(0) != 0 || a.max != time.Hour {
		t.Errorf("4 durations from 0 to 1h are %d from %v to %v", a.Count(), a.Quantile(0), a.max)
	}
	if (&Histogram{}).Quantile(0.5) != 0 {
		t.Error("an empty histogram has a quantile")
	}
}

func TestBucketsAreWithoutGap(t *testing.T) {
	t.Parallel()
	for i := range buckets - 1 {
		end := bucketEnd(i)
		if bucketOf(end) != i || bucketOf(end+1) != i+1 {
			t.Fatalf("bucket %d ends at %d, which is in bucket %d, and the next in %d", i, end, bucketOf(end), bucketOf(end+1))
		}
	}
}

func TestRecordingAllocatesNothing(t *testing.T) {
	var h Histogram
	if n := testing.AllocsPerRun(100, func() { h.Record(time.Millisecond) }); n != 0 {
		t.Errorf("a record allocates %v times", n)
	}
}
