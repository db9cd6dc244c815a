package bench

import (
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"
	"time"
)

var stepNames = [steps]string{
	"send-link accepted", "SMS handed over", "page", "confirm → redirect",
	"(pretend carrier)", "callback → VFP", "result",
}

// Step is one step's figures.
type Step struct {
	Name          string
	Rate          float64 // a second
	P50, P99, Max time.Duration
	Count         int64
	Errors        int64
	Cause         error         // the first error
	CPU           time.Duration // of the measured server, for each; with journeys, of all their steps together
}

// Journeys are whole ones, one after the other on each connection.
type Journeys struct {
	Steps []Step
	Rate  float64
	CPU   time.Duration // of the server, for each
}

// Report is all that Run found.
type Report struct {
	Config
	First    *Round
	Filled   *Round // nil without Preload
	Journeys *Journeys
	Paced    *Paced

	Usage      Usage // of the server at the end
	UsageKnown bool
	// Others is how many cores were busy with what is neither the server, the bare
	// one nor the bench: PostgreSQL, and whatever disturbs the measurement.
	Others      float64
	OthersKnown bool
	SinkErrors  int64 // requests that the sink could not read
}

// Figure is one of the targets and what was reached.
type Figure struct {
	Name   string
	Value  float64
	Target float64
	AtMost bool // the target is a limit, not a floor
	Format string
	Note   string
}

// Met reports whether the target was reached.
func (f Figure) Met() bool {
	if f.AtMost {
		return f.Value <= f.Target
	}
	return f.Value >= f.Target
}

// targets are what this product set out to reach on two cores that also carry
// the load, with 64 connections.
type targets struct{ send, handed, confirm, memory float64 }

var (
	sqliteTargets   = targets{send: 0.40, handed: 8000, confirm: 0.35, memory: 200}
	postgresTargets = targets{send: 0.28, handed: 6500, confirm: 0.33, memory: 100}
)

const (
	p99Target    = 15 // milliseconds
	filledTarget = 0.90
	mebibyte     = 1 << 20
)

// Figures are the targets and what was reached, in the order in which they are read.
func (r *Report) Figures() []Figure {
	t := sqliteTargets
	if r.Postgres {
		t = postgresTargets
	}
	figures := roundFigures("", r.First, t)
	figures = append(figures,
		Figure{Name: fmt.Sprintf("p99 of send-link accepted at %d/s", r.Rate), Value: millis(r.Paced.Accepted.P99), Target: p99Target, AtMost: true, Format: "%.1f ms"},
		Figure{Name: fmt.Sprintf("p99 of SMS handed over at %d/s", r.Rate), Value: millis(r.Paced.SMS.P99), Target: p99Target, AtMost: true, Format: "%.1f ms"},
	)
	if r.Filled != nil {
		stored := fmt.Sprintf(" with %d stored", r.Preloaded)
		figures = append(figures, roundFigures(stored, r.Filled, t)...)
		figures = append(figures, r.filledFigures(stored)...)
	}
	if r.UsageKnown {
		figures = append(figures, Figure{
			Name: "resident memory at the end", Value: float64(r.Usage.Memory) / mebibyte, Target: t.memory, AtMost: true, Format: "%.0f MiB",
			Note: fmt.Sprintf("peak %.0f MiB", float64(r.Usage.Peak)/mebibyte),
		})
	}
	return figures
}

func roundFigures(suffix string, round *Round, t targets) []Figure {
	spread := func(c Compared) string {
		return fmt.Sprintf("%.0f/s ÷ %.0f/s; slices %.2f–%.2f", c.Ours.Rate, c.Bare.Rate, c.Low, c.High)
	}
	h := round.Handed
	return []Figure{
		{Name: "send-link, delivery off ÷ bare POST" + suffix, Value: round.Send.Ratio, Target: t.send, Format: "%.2f", Note: spread(round.Send)},
		{
			Name: "send-link with its SMS handed over" + suffix, Value: h.Rate(), Target: t.handed, Format: "%.0f/s",
			Note: fmt.Sprintf("accepted %.0f/s, handed over %.0f/s, backlog %d, drained in %.1fs, lost %d", h.Accepted.Rate, h.HandedOver, h.Backlog, h.Drain.Seconds(), h.Lost),
		},
		{Name: "confirm → redirect ÷ bare 303" + suffix, Value: round.Confirm.Ratio, Target: t.confirm, Format: "%.2f", Note: spread(round.Confirm)},
	}
}

// filledFigures compare the two rounds. All three are taken as ratios of the bare
// server of their own round, because minutes lie between the rounds.
func (r *Report) filledFigures(stored string) []Figure {
	handed := func(round *Round) float64 { return share(round.Handed.Rate(), round.Send.Bare.Rate) }
	pairs := []struct {
		name         string
		first, after float64
	}{
		{"send-link, delivery off", r.First.Send.Ratio, r.Filled.Send.Ratio},
		{"send-link with its SMS handed over", handed(r.First), handed(r.Filled)},
		{"confirm → redirect", r.First.Confirm.Ratio, r.Filled.Confirm.Ratio},
	}
	var figures []Figure
	for _, p := range pairs {
		figures = append(figures, Figure{Name: p.name + stored + " ÷ without", Value: share(p.after, p.first), Target: filledTarget, Format: "%.2f"})
	}
	return figures
}

func share(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// Errors is how many requests failed, in all phases, and the first cause.
func (r *Report) Errors() (n int64, cause error) {
	for _, s := range r.all() {
		n += s.Errors
		if cause == nil && s.Cause != nil {
			cause = fmt.Errorf("%s: %w", s.Name, s.Cause)
		}
	}
	for _, round := range []*Round{r.First, r.Filled} {
		if round != nil {
			n += round.Handed.Lost
		}
	}
	return n + r.Paced.Lost + r.SinkErrors, cause
}

func (r *Report) all() []Step {
	var all []Step
	for _, round := range []*Round{r.First, r.Filled} {
		if round == nil {
			continue
		}
		suffix := ""
		if round == r.Filled {
			suffix = ", preloaded"
		}
		for _, s := range []struct {
			name string
			step Step
		}{
			{"bare POST", round.Send.Bare},
			{"send-link, delivery off", round.Send.Ours},
			{"send-link with delivery", round.Handed.Accepted},
			{"bare 303", round.Confirm.Bare},
			{"confirm → redirect", round.Confirm.Ours},
		} {
			s.step.Name = s.name + suffix
			all = append(all, s.step)
		}
	}
	for _, s := range r.Journeys.Steps {
		s.Name = "journey: " + s.Name
		s.CPU = 0 // one figure for all of it
		all = append(all, s)
	}
	paced := fmt.Sprintf("%d/s: ", r.Rate)
	accepted, sms := r.Paced.Accepted, r.Paced.SMS
	accepted.Name, sms.Name = paced+accepted.Name, paced+sms.Name
	return append(all, accepted, sms)
}

// WriteTo prints the report as two tables.
func (r *Report) WriteTo(out io.Writer) (int64, error) {
	w := &counting{w: out}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\nstep\trate/s\tp50 ms\tp99 ms\tmax ms\terrors\tserver CPU µs each\n")
	for _, s := range r.all() {
		cpu := "–"
		if s.CPU > 0 {
			cpu = fmt.Sprintf("%.0f", float64(s.CPU)/float64(time.Microsecond))
		}
		fmt.Fprintf(t, "%s\t%.0f\t%.2f\t%.2f\t%.1f\t%d\t%s\n", s.Name, s.Rate, millis(s.P50), millis(s.P99), millis(s.Max), s.Errors, cpu)
	}
	t.Flush()
	fmt.Fprintf(w, "\n%.0f whole journeys a second, %s of the server's CPU for each.\n", r.Journeys.Rate, r.cpu(r.Journeys.CPU))
	fmt.Fprintf(w, "Memory of the server at the end: %s.\n", r.memory(r.Usage))

	if r.OthersKnown {
		database := ""
		if r.Postgres {
			database = ", PostgreSQL's among them"
		}
		fmt.Fprintf(w, "Other processes took %.2f of %d cores meanwhile%s.\n\n", r.Others, runtime.NumCPU(), database)
	}
	fmt.Fprintf(t, "figure\treached\ttarget\tmet\t\n")
	for _, f := range r.Figures() {
		sign, met := "≥", "yes"
		if f.AtMost {
			sign = "≤"
		}
		if !f.Met() {
			met = "NO"
		}
		fmt.Fprintf(t, "%s\t"+f.Format+"\t%s "+f.Format+"\t%s\t%s\n", f.Name, f.Value, sign, f.Target, met, f.Note)
	}
	t.Flush()
	if n, cause := r.Errors(); n > 0 {
		fmt.Fprintf(w, "\n%d ERRORS; the first: %v\n", n, cause)
	}
	return w.n, w.err
}

func (r *Report) cpu(d time.Duration) string {
	if !r.UsageKnown {
		return "(not measured)"
	}
	return fmt.Sprintf("%.0f µs", float64(d)/float64(time.Microsecond))
}

func (r *Report) memory(u Usage) string {
	if !r.UsageKnown {
		return "not measured"
	}
	return fmt.Sprintf("%.0f MiB, at most %.0f MiB", float64(u.Memory)/mebibyte, float64(u.Peak)/mebibyte)
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// counting keeps what io.WriterTo has to return.
type counting struct {
	w   io.Writer
	n   int64
	err error
}

func (c *counting) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	if c.err == nil {
		c.err = err
	}
	return n, err
}
