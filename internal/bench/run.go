package bench

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// maxStock is how many fresh links are kept for the confirmations at most.
const maxStock = 2_000_000

// Run measures everything and returns what it found. Errors of single requests
// are counted in the report; an error means that there is no report.
func Run(ctx context.Context, c Config) (*Report, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	r := &runner{Config: c}
	defer r.close()
	if err := r.login(); err != nil {
		return nil, err
	}
	defer c.Sink.deliverTo(nil)

	report := &Report{Config: c}
	others := newBystander(c.Server.PID, c.Bare.PID)
	first, err := r.round(ctx, "")
	if err != nil {
		return nil, err
	}
	report.First = first
	if c.Preload != nil {
		r.say("filling the store with %d old verifications", c.Preloaded)
		if err := c.Preload(ctx); err != nil {
			return nil, err
		}
		if report.Filled, err = r.round(ctx, "-preloaded"); err != nil {
			return nil, err
		}
	}
	if report.Journeys, err = r.journeys(ctx); err != nil {
		return nil, err
	}
	if report.Paced, err = r.paced(ctx); err != nil {
		return nil, err
	}
	report.Usage, report.UsageKnown = UsageOf(c.Server.PID)
	report.Others, report.OthersKnown = others.cores()
	report.SinkErrors = c.Sink.bad.Load()
	return report, ctx.Err()
}

// runner holds what lasts over the phases.
type runner struct {
	Config
	lanes       []*lane
	undelivered int64 // accepted while delivery was off

	mu    sync.Mutex
	stock []link
	taken int // of stock
}

func (r *runner) say(format string, args ...any) {
	fmt.Fprintf(r.Progress, format+"\n", args...)
}

func (r *runner) close() {
	for _, l := range r.lanes {
		l.close()
	}
}

func (r *runner) login() error {
	access, err := login(r.Server.Addr, r.Host, r.Username, r.Password)
	if err != nil {
		return err
	}
	for n := range r.Clients {
		r.lanes = append(r.lanes, newLane(n, r.Clients, &r.Config, access))
	}
	return nil
}

func login(addr, host, username, password string) (access string, err error) {
	body := `{"username":` + strconv.Quote(username) + `,"password":` + strconv.Quote(password) + `}`
	c := NewConn(addr)
	defer c.Close()
	var a Answer
	err = c.Do([]byte("POST "+loginPath+" HTTP/1.1\r\nHost: "+host+"\r\n"+forwarded+"Content-Type: application/json\r\nContent-Length: "+
		strconv.Itoa(len(body))+"\r\n\r\n"+body), &a)
	if err != nil {
		return "", fmt.Errorf("logging in: %w", err)
	}
	id := after(a.Body, `"id":"`)
	if a.Status != 200 || len(id) < tokenSize {
		return "", fmt.Errorf("logging in: status %d: %.200s", a.Status, a.Body)
	}
	return string(id[:tokenSize]), nil
}

// toStock keeps what the sink takes for the confirmations.
func (r *runner) toStock(l link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.stock)-r.taken < maxStock {
		r.stock = append(r.stock, l)
	}
}

// toLanes hands what the sink takes to the lane whose number it is.
func (r *runner) toLanes(l link) {
	if int(l.number) < len(r.lanes) {
		select {
		case r.lanes[l.number].box <- l:
		default: // texts of abandoned journeys fill the box
		}
	}
}

func (r *runner) stocked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.stock) - r.taken
}

// take returns a fresh link, the oldest, or false.
func (r *runner) take() (link, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken == len(r.stock) {
		r.stock, r.taken = r.stock[:0], 0
		return link{}, false
	}
	r.taken++
	return r.stock[r.taken-1], true
}

// slice lets every lane repeat op for d, or until op says that there is no more
// to do. It returns how long that was.
func (r *runner) slice(ctx context.Context, d time.Duration, op func(*lane) bool) time.Duration {
	var wg sync.WaitGroup
	start := time.Now()
	until := start.Add(d)
	for _, l := range r.lanes {
		l.until = until
		wg.Go(func() {
			for op(l) && time.Now().Before(until) && ctx.Err() == nil {
			}
		})
	}
	wg.Wait()
	return min(time.Since(start), d)
}

// measure is what slices of one server found.
type measure struct {
	tally tally
	took  time.Duration
	cpu   time.Duration
}

func (m *measure) rate(s step) float64 {
	if m.took == 0 {
		return 0
	}
	return float64(m.tally.hist[s].Count()) / m.took.Seconds()
}

// measured is a slice whose counts go into m, with the CPU time of process pid.
// A nil m throws the counts away, for warming up, but for the errors in them.
func (r *runner) measured(ctx context.Context, m *measure, pid int, d time.Duration, op func(*lane) bool) measure {
	before, _ := UsageOf(pid)
	var one measure
	one.took = r.slice(ctx, d, op)
	used, known := UsageOf(pid)
	if known {
		one.cpu = used.CPU - before.CPU
	}
	for _, l := range r.lanes {
		one.tally.add(&l.tally)
		l.tally = tally{}
	}
	if m != nil {
		m.tally.add(&one.tally)
		m.took += one.took
		m.cpu += one.cpu
	}
	return one
}

func (r *runner) profile(phase string) (stop func(), err error) {
	if r.Profile == nil {
		return func() {}, nil
	}
	end, err := r.Profile(phase)
	if err != nil {
		return nil, err
	}
	return func() {
		if err := end(); err != nil {
			r.say("the profile of %s failed: %v", phase, err)
		}
	}, nil
}
