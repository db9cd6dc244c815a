// Package bench measures a running Holdfast over real sockets: whole journeys,
// each step's rate and latency, and what the same requests cost on a bare
// net/http server at the same time.
//
// The load shares its cores with what it measures, so it is lean: requests are
// built once and patched in place, answers are read by a parser that knows only
// what a journey needs (answer.go), and latencies go into log-scaled buckets
// (histogram.go). Both servers get the same bytes from the same generator.
//
// Absolute figures travel badly between machines, and one machine's speed
// drifts. Hence the ratios: slices of ours and of the bare server alternate
// within a phase (phases.go), so that a drift meets both.
package bench
