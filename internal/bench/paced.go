package bench

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Paced is Send Link at a fixed rate.
type Paced struct {
	Accepted Step // from the moment at which each request was due
	SMS      Step // likewise, until the sink has the text
	Lost     int64
}

// dueTimes remembers, for each number with a text under way, when its request
// was due.
type dueTimes struct {
	start time.Time
	since [numbers]atomic.Int64 // nanoseconds after start, plus one; 0 where none is under way

	mu   sync.Mutex
	from time.Duration // texts of requests due before it don't count
	hist Histogram
}

// expect notes that the number's text was due; false where the one before it
// never came.
func (d *dueTimes) expect(number int, due time.Duration) bool {
	return d.since[number].Swap(int64(due)+1) == 0
}

func (d *dueTimes) arrived(l link) {
	due := time.Duration(d.since[l.number].Swap(0)) - 1
	if due < 0 {
		return
	}
	took := time.Since(d.start) - due
	d.mu.Lock()
	defer d.mu.Unlock()
	if due >= d.from {
		d.hist.Record(took)
	}
}

// paced asks for links at a fixed rate, whether or not the server keeps up, and
// counts each from the moment at which it was due: waiting for a busy connection
// is the server's time, not left out.
func (r *runner) paced(ctx context.Context) (*Paced, error) {
	var found Paced
	err := r.phase(ctx, "paced", func(ctx context.Context) error {
		_, warmUp := r.pairs()
		d := &dueTimes{start: time.Now(), from: warmUp}
		r.Sink.deliverTo(d.arrived)
		defer r.Sink.deliverTo(nil)
		missing := r.expected() - r.Sink.Taken()

		var late atomic.Int64
		m := r.pace(ctx, d, warmUp+r.Duration, &late)
		r.Sink.drained(ctx, r.expected()-missing)

		found.Accepted = m.step(sendStep)
		found.Accepted.CPU = m.cpu / time.Duration(max(1, int((warmUp+r.Duration).Seconds()*float64(r.Rate))))
		d.mu.Lock()
		defer d.mu.Unlock()
		m.tally.hist[smsStep] = d.hist
		found.SMS = m.step(smsStep)
		found.SMS.CPU = 0
		found.Lost = late.Load() + max(0, r.expected()-missing-r.Sink.Taken())
		return nil
	})
	return &found, err
}

func (r *runner) pace(ctx context.Context, d *dueTimes, whole time.Duration, late *atomic.Int64) *measure {
	total := int(whole.Seconds() * float64(r.Rate))
	due := make(chan int, total) // never blocks the clock
	var wg sync.WaitGroup
	m := &measure{}
	for _, l := range r.lanes {
		l.until = d.start.Add(time.Hour)
		wg.Go(func() {
			for n := range due {
				at := r.dueAt(n)
				if !d.expect(n%numbers, at) {
					late.Add(1)
				}
				if at < d.from {
					l.until = d.start // warming up
				} else {
					l.until = d.start.Add(time.Hour)
				}
				l.ask(l.ours, n%numbers, d.start.Add(at))
			}
		})
	}
	before, _ := UsageOf(r.Server.PID)
	for n := 0; n < total && ctx.Err() == nil; {
		if wait := r.dueAt(n) - time.Since(d.start); wait > 0 {
			pause(wait)
			continue
		}
		due <- n
		n++
	}
	close(due)
	wg.Wait()
	if used, known := UsageOf(r.Server.PID); known {
		m.cpu = used.CPU - before.CPU
	}
	m.took = time.Since(d.start) - d.from
	for _, l := range r.lanes {
		m.tally.add(&l.tally)
		l.tally = tally{}
	}
	return m
}

// dueAt is when request n is due, after the start.
func (r *runner) dueAt(n int) time.Duration {
	return time.Duration(float64(n) / float64(r.Rate) * float64(time.Second))
}
