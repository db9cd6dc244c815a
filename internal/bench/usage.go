package bench

import (
	"os"
	"time"
)

// Usage is what a process has used so far.
type Usage struct {
	CPU    time.Duration // user and system, to 10 ms
	Memory int64         // resident bytes
	Peak   int64         // the most resident bytes there ever were
}

// bystander tells how many cores were busy with what is no part of the
// measurement: a database's own processes, and whatever else runs here.
type bystander struct {
	start time.Time
	pids  []int
	at    time.Duration // busy with others at the start
	known bool
}

func newBystander(pids ...int) *bystander {
	b := &bystander{start: time.Now(), pids: append(pids, os.Getpid())}
	b.at, b.known = b.others()
	return b
}

func (b *bystander) others() (time.Duration, bool) {
	busy, known := machineBusy()
	for _, pid := range b.pids {
		used, ok := UsageOf(pid)
		known = known && ok
		busy -= used.CPU
	}
	return busy, known
}

// cores is how many were busy with others on average since the start.
func (b *bystander) cores() (float64, bool) {
	now, known := b.others()
	return max(0, float64(now-b.at)/float64(time.Since(b.start))), known && b.known
}
