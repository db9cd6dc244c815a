package bench

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// Compared is one step of ours beside the same request to the bare server.
type Compared struct {
	Ours, Bare Step
	Ratio      float64 // of the rates, over all slices
	Low, High  float64 // the lowest and the highest ratio of a pair of slices
}

// Handed is Send Link with its texts handed over.
type Handed struct {
	Accepted   Step
	HandedOver float64       // texts at the sink, a second
	Backlog    int64         // accepted and not yet at the sink when the load ended
	Drain      time.Duration // how long the sink then took to have them
	Lost       int64         // never came
	CPU        time.Duration // of the server, for each link
}

// Rate is the lower of what was accepted and what was handed over.
func (h *Handed) Rate() float64 { return min(h.Accepted.Rate, h.HandedOver) }

// Round is what is measured before and after the store is filled.
type Round struct {
	Send    Compared
	Handed  Handed
	Confirm Compared
}

func (r *runner) round(ctx context.Context, suffix string) (*Round, error) {
	var round Round
	var err error
	r.Sink.deliverTo(r.toStock)
	defer r.Sink.deliverTo(nil)
	for _, phase := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"send", func(ctx context.Context) error { round.Send, err = r.sending(ctx); return err }},
		{"handed", func(ctx context.Context) error { round.Handed, err = r.handing(ctx); return err }},
		{"stock", r.stockUp},
		{"confirm", func(ctx context.Context) error { round.Confirm, err = r.confirming(ctx); return err }},
	} {
		if err := r.phase(ctx, phase.name+suffix, phase.run); err != nil {
			return nil, err
		}
	}
	return &round, nil
}

func (r *runner) phase(ctx context.Context, name string, run func(context.Context) error) error {
	r.say("phase %s", name)
	stop, err := r.profile(name)
	if err != nil {
		return err
	}
	defer stop()
	if err := run(ctx); err != nil {
		return fmt.Errorf("phase %s: %w", name, err)
	}
	return ctx.Err()
}

// pairs is how many times a phase alternates between the servers: slices of a
// second, but never fewer than three of each.
func (r *runner) pairs() (n int, slice time.Duration) {
	n = max(3, int(r.Duration/time.Second))
	return n, r.Duration / time.Duration(n)
}

// against alternates slices of ours and of the bare server, each first in turn,
// after one of each for warming up. A slice that runs out of work counts by its
// own time.
func (r *runner) against(ctx context.Context, s step, pid int, ours, bare func(*lane) bool) Compared {
	n, slice := r.pairs()
	var us, them measure
	warmUs, warmThem := r.measured(ctx, nil, pid, slice, ours), r.measured(ctx, nil, r.Bare.PID, slice, bare)
	us.keepErrors(&warmUs)
	them.keepErrors(&warmThem)
	var ratios []float64
	for i := range n {
		var a, b measure
		if i%2 == 0 {
			b = r.measured(ctx, nil, r.Bare.PID, slice, bare)
			a = r.measured(ctx, nil, pid, slice, ours)
		} else {
			a = r.measured(ctx, nil, pid, slice, ours)
			b = r.measured(ctx, nil, r.Bare.PID, slice, bare)
		}
		us.keepErrors(&a)
		them.keepErrors(&b)
		if b.rate(s) == 0 || a.rate(s) == 0 { // out of work: half a pair says nothing
			continue
		}
		us.add(&a)
		them.add(&b)
		ratios = append(ratios, a.rate(s)/b.rate(s))
	}
	c := Compared{Ours: us.step(s), Bare: them.step(s)}
	if len(ratios) > 0 {
		c.Ratio, c.Low, c.High = c.Ours.Rate/c.Bare.Rate, slices.Min(ratios), slices.Max(ratios)
	}
	return c
}

// sending is Send Link with delivery off.
func (r *runner) sending(ctx context.Context) (Compared, error) {
	if err := r.Deliver(false); err != nil {
		return Compared{}, err
	}
	accepted := r.accepted()
	c := r.against(ctx, sendStep, r.Server.PID, (*lane).link,
		func(l *lane) bool { l.ask(l.bare, l.number(), time.Now()); return true })
	r.undelivered += r.accepted() - accepted
	return c, r.Deliver(true)
}

// link asks ours for a link.
func (l *lane) link() bool { l.ask(l.ours, l.number(), time.Now()); return true }

// accepted is how many links ours has accepted.
func (r *runner) accepted() (n int64) {
	for _, l := range r.lanes {
		n += l.accepted
	}
	return n
}

// expected is how many texts the sink must have in the end.
func (r *runner) expected() int64 { return r.accepted() - r.undelivered }

// handing is Send Link with its texts handed over: what counts is the lower of
// accepted and handed over while the load lasts, so a growing backlog is no gain.
func (r *runner) handing(ctx context.Context) (Handed, error) {
	missing := r.expected() - r.Sink.Taken() // in phases before
	_, slice := r.pairs()
	var m measure
	warm := r.measured(ctx, nil, r.Server.PID, slice, (*lane).link)
	m.keepErrors(&warm)

	before := r.Sink.Taken()
	r.measured(ctx, &m, r.Server.PID, r.Duration, (*lane).link)
	taken := r.Sink.Taken()
	h := Handed{
		Accepted:   m.step(sendStep),
		HandedOver: float64(taken-before) / m.took.Seconds(),
		Backlog:    max(0, r.expected()-missing-taken),
	}
	h.CPU = h.Accepted.CPU
	start := time.Now()
	r.Sink.drained(ctx, r.expected()-missing)
	h.Drain = time.Since(start)
	h.Lost = max(0, r.expected()-missing-r.Sink.Taken())
	return h, ctx.Err()
}

// stockUp asks for as many links as the confirmations will take, by the rate of a
// first few and a third more; they end early where that was too low.
func (r *runner) stockUp(ctx context.Context) error {
	n, slice := r.pairs()
	if err := r.fillUp(ctx, slice, 32*r.Clients); err != nil {
		return err
	}
	first := r.measured(ctx, nil, r.Server.PID, slice, r.clickOurs)
	want := first.rate(confirmStep) * (slice * time.Duration(n+1)).Seconds() * 4 / 3
	start := time.Now()
	err := r.fillUp(ctx, slice, max(int(want), 32*r.Clients))
	r.say("  %d fresh links after %.0fs", r.stocked(), time.Since(start).Seconds())
	return err
}

// fillUp asks for links, a slice at a time, until there are enough in stock.
func (r *runner) fillUp(ctx context.Context, slice time.Duration, want int) error {
	for r.stocked() < min(want, maxStock) && ctx.Err() == nil {
		had := r.stocked()
		one := r.measured(ctx, nil, r.Server.PID, slice, (*lane).link)
		r.Sink.drained(ctx, r.expected())
		if r.stocked() == had {
			return fmt.Errorf("no links arrive: %w", cmp.Or(one.tally.cause[sendStep], errNoText))
		}
	}
	return ctx.Err()
}

func (r *runner) clickOurs(l *lane) bool {
	fresh, ok := r.take()
	if ok {
		l.click(l.ours, fresh.token)
	}
	return ok
}

func (r *runner) clickBare(l *lane) bool {
	l.click(l.bare, [tokenSize]byte([]byte(placeholder)))
	return true
}

// confirming is the page's POST.
func (r *runner) confirming(ctx context.Context) (Compared, error) {
	return r.against(ctx, confirmStep, r.Server.PID, r.clickOurs, r.clickBare), ctx.Err()
}

// journeys are whole ones, each lane with a number of its own.
func (r *runner) journeys(ctx context.Context) (*Journeys, error) {
	var found Journeys
	r.Sink.deliverTo(r.toLanes)
	defer r.Sink.deliverTo(nil)
	own := make(map[*lane]int, len(r.lanes))
	for n, l := range r.lanes {
		own[l] = n
	}
	err := r.phase(ctx, "journeys", func(ctx context.Context) error {
		op := func(l *lane) bool { return l.journey(own[l]) }
		_, slice := r.pairs()
		var m measure
		warm := r.measured(ctx, nil, r.Server.PID, slice, op)
		m.keepErrors(&warm)
		r.measured(ctx, &m, r.Server.PID, r.Duration, op)
		for s := range steps {
			found.Steps = append(found.Steps, m.step(s))
		}
		found.Rate = m.rate(resultStep)
		if n := m.tally.hist[resultStep].Count(); n > 0 {
			found.CPU = m.cpu / time.Duration(n)
		}
		return nil
	})
	return &found, err
}

// add counts a slice, but for its errors.
func (m *measure) add(o *measure) {
	for s := range o.tally.hist {
		m.tally.hist[s].Add(&o.tally.hist[s])
	}
	m.took += o.took
	m.cpu += o.cpu
}

// keepErrors counts the errors of a slice whose rates don't count.
func (m *measure) keepErrors(o *measure) {
	for s := range o.tally.errors {
		m.tally.errors[s] += o.tally.errors[s]
		if m.tally.cause[s] == nil {
			m.tally.cause[s] = o.tally.cause[s]
		}
	}
}

// step sums up what was measured of s.
func (m *measure) step(s step) Step {
	h := &m.tally.hist[s]
	one := Step{
		Name: stepNames[s], Rate: m.rate(s), P50: h.Quantile(0.50), P99: h.Quantile(0.99), Max: h.max,
		Count: h.Count(), Errors: m.tally.errors[s], Cause: m.tally.cause[s],
	}
	if h.Count() > 0 {
		one.CPU = m.cpu / time.Duration(h.Count())
	}
	return one
}
