package operator

import (
	"strconv"
	"testing"
	"time"
)

// The bench makes millions of codes: what is remembered must stay bounded, and
// nothing may be forgotten within its life unless there is too much of it.
func TestWindowForgets(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	w := newWindow[int](time.Minute, 100)
	w.put(keyOf("a"), 1, now)
	if _, found := w.get(keyOf("a"), now.Add(time.Minute)); !found {
		t.Error("forgotten within its life")
	}
	if _, found := w.get(keyOf("a"), now.Add(2*time.Minute)); found {
		t.Error("kept beyond two lives")
	}
	for i := range 10_000 {
		w.put(keyOf(strconv.Itoa(i)), i, now.Add(3*time.Minute))
	}
	if n := len(w.newer) + len(w.old); n > 200 {
		t.Errorf("%d are kept", n)
	}
	if v, found := w.get(keyOf("9999"), now.Add(3*time.Minute)); !found || v != 9999 {
		t.Error("the newest is gone")
	}
}
