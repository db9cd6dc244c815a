//go:build !linux

package bench

// UsageOf knows nothing here: only Linux has /proc.
func UsageOf(int) (Usage, bool) { return Usage{}, false }
