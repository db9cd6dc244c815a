package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"holdfast/internal/verify"
)

// work is one worker: it takes messages until the queue is closed.
func (o *Outbox) work() {
	for it := range o.queue {
		outcome := outcomeStopped
		if !o.drain.Load() {
			outcome = o.process(it)
		}
		o.observe(step, outcome, o.now().Sub(it.at))
	}
}

// process takes one message through its attempt and says how that went.
func (o *Outbox) process(it item) (outcome string) {
	now := o.now()
	if o.late(it, now) {
		return outcomeLate
	}
	a := verify.Attempt{ID: it.m.ID, N: it.m.Attempts + 1, Gateway: o.sender.Gateway(it.m), At: now}
	err := o.store.BeginAttempt(o.sending, o.node, a)
	switch {
	case errors.Is(err, verify.ErrConflict), errors.Is(err, verify.ErrNotFound):
		return outcomeTaken
	case err != nil:
		// It may have been written nonetheless, so it must not be sent by this
		// process any more; whoever finds it after the lease can tell.
		o.complain.about(o, "an attempt was not begun", err)
		return outcomeNotBegun
	}
	end := verify.AttemptEnd{Result: verify.AttemptRetry, Code: "late"}
	if !o.late(it, o.now()) {
		end = o.send(it.m, a)
	}
	outcome = o.settle(it.m, a, &end)
	if !o.end(end) {
		return outcomeNotEnded
	}
	return outcome
}

// late reports whether the lease could run out before a send begun now ends.
func (o *Outbox) late(it item, now time.Time) bool { return now.Sub(it.at) >= o.fresh }

// send makes the attempt. A sender that panics leaves nobody knowing. What it
// panicked with is not logged: it may hold the number.
func (o *Outbox) send(m verify.Message, a verify.Attempt) (end verify.AttemptEnd) {
	defer func() {
		if broken := recover(); broken != nil {
			o.log.LogAttrs(o.sending, slog.LevelError, "a send panicked",
				slog.Int64("verification", int64(m.ID)), slog.String("panic", fmt.Sprintf("%T", broken)), slog.String("stack", string(debug.Stack())))
			end = verify.AttemptEnd{Result: verify.AttemptLost, Code: "internal"}
		}
	}()
	return o.sender.Send(o.sending, m, a)
}

// settle completes an end: whose it is, and whether and when there is another
// try. Only a link that still works is worth one.
func (o *Outbox) settle(m verify.Message, a verify.Attempt, end *verify.AttemptEnd) (outcome string) {
	now := o.now()
	end.ID, end.N = a.ID, a.N
	if end.At.IsZero() {
		end.At = now
	}
	if end.Result == verify.AttemptOpen { // the sender broke its word
		end.Result, end.Code = verify.AttemptLost, "internal"
	}
	if end.Result != verify.AttemptRetry {
		end.RetryAt = time.Time{}
		return outcomeOf(end.Result)
	}
	if at := now.Add(backoff(a.N)); at.After(end.RetryAt) {
		end.RetryAt = at
	}
	if !end.RetryAt.Before(m.ExpiresAt) {
		end.Result, end.RetryAt = verify.AttemptRefused, time.Time{}
		return outcomeGivenUp
	}
	return outcomeOf(verify.AttemptRetry)
}

func outcomeOf(r verify.AttemptResult) string {
	switch r {
	case verify.AttemptAccepted:
		return "accepted"
	case verify.AttemptDelivered:
		return "delivered"
	case verify.AttemptRetry:
		return "retry"
	case verify.AttemptRefused:
		return "refused"
	default:
		return "lost"
	}
}

// end writes down what became of an attempt, as often as it takes: until it is
// written, or someone else has decided (the lease ran out), or the outbox was
// stopped and its grace is over. What is not written counts as unknown.
func (o *Outbox) end(end verify.AttemptEnd) bool {
	for wait := firstStoreRetry; ; wait = min(2*wait, longestStoreRetry) {
		err := o.endOnce(end)
		switch {
		case err == nil:
			return true
		case errors.Is(err, verify.ErrConflict), errors.Is(err, verify.ErrNotFound):
			return false
		}
		o.complain.about(o, "an attempt's end was not written", err)
		if !pause(o.sending, wait) {
			return false
		}
	}
}

func (o *Outbox) endOnce(end verify.AttemptEnd) error {
	if o.sending.Err() == nil {
		err := o.store.EndAttempt(o.sending, end)
		if err == nil || o.sending.Err() == nil {
			return err
		}
	}
	// Stop's time is over: one more try, for what is known should be written down.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(o.sending), endGrace)
	defer cancel()
	return o.store.EndAttempt(ctx, end)
}

// find asks the store for what is due, as much as there is room for.
func (o *Outbox) find() {
	tick := time.NewTicker(o.poll)
	defer tick.Stop()
	for {
		for o.claim() {
			if o.polling.Err() != nil {
				return
			}
		}
		select {
		case <-o.polling.Done():
			return
		case <-tick.C:
		}
	}
}

// claim takes one batch; more reports that there may be another at once.
func (o *Outbox) claim() (more bool) {
	limit := min(cap(o.queue)-len(o.queue), maxClaim)
	if limit <= 0 || o.polling.Err() != nil {
		return false
	}
	now := o.now()
	due, err := o.store.ClaimDue(o.polling, now, verify.Lease{Node: o.node, Until: now.Add(o.lease)}, limit)
	if err != nil {
		if o.polling.Err() == nil {
			o.complain.about(o, "the store was not asked for what is due", err)
		}
		return false
	}
	for _, m := range due {
		o.put(item{m, now})
	}
	return len(due) == limit
}

// pause waits for d, or reports that ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// complaint logs what goes wrong with the store, at most once in ten seconds:
// when a database is down, thousands of messages say the same.
type complaint struct {
	mu     sync.Mutex
	next   time.Time
	missed int
}

const complaintEvery = 10 * time.Second

func (c *complaint) about(o *Outbox, what string, err error) {
	now := o.now()
	c.mu.Lock()
	if now.Before(c.next) {
		c.missed++
		c.mu.Unlock()
		return
	}
	missed := c.missed
	c.next, c.missed = now.Add(complaintEvery), 0
	c.mu.Unlock()
	o.log.LogAttrs(o.sending, slog.LevelError, "outbox: "+what, slog.Any("error", err), slog.Int("more_since", missed))
}
