//go:build !linux

package bench

import "time"

// UsageOf knows nothing here: only Linux has /proc.
func UsageOf(int) (Usage, bool) { return Usage{}, false }

func machineBusy() (time.Duration, bool) { return 0, false }
