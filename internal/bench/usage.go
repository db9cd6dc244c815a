package bench

import "time"

// Usage is what a process has used so far.
type Usage struct {
	CPU    time.Duration // user and system, to 10 ms
	Memory int64         // resident bytes
	Peak   int64         // the most resident bytes there ever were
}
