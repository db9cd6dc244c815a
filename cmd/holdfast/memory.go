package main

import (
	"os"
	"runtime/debug"
)

// collectAt is how far the heap may grow, in percent of what is live, before it
// is collected. What lives is small (some 15 MiB) and each request leaves little
// behind, so that Go's own 100 collects often for little: a tenth of a busy
// server's time. docs/performance.md has the figures.
const collectAt = 300

// tuneCollector sets collectAt, unless the operator has an opinion (GOGC).
func tuneCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
}
