package bench

import (
	"syscall"
	"time"
)

// pause sleeps in the kernel: the runtime's own timers fire up to a millisecond
// late while nothing else runs, which would count as the server's latency.
func pause(d time.Duration) {
	if d > 0 {
		ts := syscall.NsecToTimespec(int64(d))
		_ = syscall.Nanosleep(&ts, nil) // cut short by a signal: the caller looks at the clock again
	}
}
