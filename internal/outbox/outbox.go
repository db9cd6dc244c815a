// Package outbox is the loop that sends what is due: messages that were handed to
// it right after their commit, and messages that it finds in the store because a
// try failed, the queue was full or a node died.
//
// The row in the store is the outbox; what is in memory here may be lost at any
// moment. For each message, in this order and never another:
//
//  1. BeginAttempt, durable: this text is about to leave.
//  2. Send: it leaves.
//  3. EndAttempt, durable: what became of it.
//
// A node that dies between 1 and 3 leaves an open attempt, which whoever finds it
// reads as "nobody knows" and never sends again. A node that dies before 1 leaves
// a lease that runs out, and the message is sent by another.
package outbox

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/verify"
)

// Store is what the outbox asks of a store (the full contract:
// internal/store/storetest). Each method is one durable transaction.
type Store interface {
	// BeginAttempt is verify.ErrConflict where the message is not queued, not leased
	// to node, or a.N is not the next attempt's number.
	BeginAttempt(ctx context.Context, node verify.Node, a verify.Attempt) error
	// EndAttempt is verify.ErrConflict where the attempt is not open.
	EndAttempt(ctx context.Context, end verify.AttemptEnd) error
	ClaimDue(ctx context.Context, now time.Time, lease verify.Lease, limit int) ([]verify.Message, error)
	ReleaseLeases(ctx context.Context, node verify.Node, now time.Time) error
}

// Sender makes one attempt. Both methods may be called concurrently.
type Sender interface {
	// Gateway names the gateway that m would go to now.
	Gateway(m verify.Message) string
	// Send returns within the outbox's SendTime how the attempt ended; RetryAt is the
	// gateway's wish, or zero.
	Send(ctx context.Context, m verify.Message, a verify.Attempt) verify.AttemptEnd
}

// Config is what an Outbox is made of.
type Config struct {
	// Store and Node are required: the node's number is the store's for this process.
	Store Store
	Node  verify.Node
	// Workers is how many messages are under way at once; 0 means 256.
	Workers int
	// Queue is how many more may wait in memory; 0 means 16384.
	Queue int
	// Poll is how often the store is asked for what is due; 0 means 500 ms.
	Poll time.Duration
	// Lease is how long a message belongs to the node that claimed or created it;
	// 0 means 30 s. It must be the flow's.
	Lease time.Duration
	// SendTime is the longest that Send takes; 0 means 10 s. Lease must be longer by
	// half at least.
	SendTime time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log gets what goes wrong with the store; nil means slog.Default.
	Log *slog.Logger
	// Observe is told of each message how it left the outbox and how long it was in
	// it, as step "outbox" with one of the outcomes below; nil means nobody is.
	Observe func(step, outcome string, took time.Duration)
}

// step is the step that is observed.
const step = "outbox"

// The outcomes that are observed, besides how attempts end (accepted, delivered,
// retry, refused, lost).
const (
	outcomeFull     = "full"      // no room in the queue; found again after its lease
	outcomeLate     = "late"      // waited until its lease was nearly over; found again after it
	outcomeStopped  = "stopped"   // the outbox stops; due at once for other nodes
	outcomeTaken    = "taken"     // another node has it, or a receipt settled it
	outcomeNotBegun = "not_begun" // the store did not write the attempt; found again after its lease
	outcomeNotEnded = "not_ended" // the store did not write the end; it will count as unknown
	outcomeGivenUp  = "given_up"  // no time for another try before the link expires
)

// The settings' defaults.
const (
	defaultWorkers  = 256
	defaultQueue    = 16384
	defaultPoll     = 500 * time.Millisecond
	defaultLease    = 30 * time.Second
	defaultSendTime = 10 * time.Second
)

const (
	maxClaim          = 1024            // messages that one ClaimDue asks for
	endGrace          = 3 * time.Second // beyond Stop's context: to write down ends, and to release leases
	firstBackoff      = time.Second     // between a message's attempts
	longestBackoff    = time.Minute
	firstStoreRetry   = 50 * time.Millisecond // between tries to write an end
	longestStoreRetry = 2 * time.Second
)

// Outbox sends. Its methods may be called concurrently.
type Outbox struct {
	store    Store
	node     verify.Node
	workers  int
	poll     time.Duration
	lease    time.Duration
	fresh    time.Duration // how long after its claim a message may still be begun
	now      func() time.Time
	log      *slog.Logger
	observe  func(step, outcome string, took time.Duration)
	sender   Sender
	queue    chan item
	polling  context.Context // ends when Stop begins
	stopPoll context.CancelFunc
	sending  context.Context // ends when Stop's time is over
	abort    context.CancelFunc
	group    sync.WaitGroup
	complain complaint

	mu      sync.RWMutex // guards the two below and closing the queue
	started bool
	stopped bool
	drain   atomic.Bool   // what is in the queue is dropped
	done    chan struct{} // closed when Stop is through
	stopErr error         // set before done is closed
}

// item is a message in the queue, leased to this node since at or a little longer.
type item struct {
	m  verify.Message
	at time.Time
}

// New returns an Outbox that does not send yet.
func New(c Config) (*Outbox, error) {
	if c.Store == nil {
		return nil, errors.New("outbox: a store is required")
	}
	if c.Workers < 0 || c.Queue < 0 || c.Poll < 0 || c.Lease < 0 || c.SendTime < 0 {
		return nil, errors.New("outbox: a setting is negative")
	}
	c.Workers = or(c.Workers, defaultWorkers)
	c.Queue = or(c.Queue, defaultQueue)
	c.Poll = or(c.Poll, defaultPoll)
	c.Lease = or(c.Lease, defaultLease)
	c.SendTime = or(c.SendTime, defaultSendTime)
	// A tenth is for the store's part: the attempt's beginning and end.
	fresh := c.Lease - c.Lease/10 - c.SendTime
	if c.Lease < c.SendTime+c.SendTime/2 || fresh <= 0 {
		return nil, errors.New("outbox: the lease must be longer than a send takes, by half at least")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Observe == nil {
		c.Observe = func(string, string, time.Duration) {}
	}
	o := &Outbox{
		store: c.Store, node: c.Node, workers: c.Workers, poll: c.Poll, lease: c.Lease, fresh: fresh,
		now: c.Now, log: c.Log, observe: c.Observe, queue: make(chan item, c.Queue), done: make(chan struct{}),
	}
	o.polling, o.stopPoll = context.WithCancel(context.Background())
	o.sending, o.abort = context.WithCancel(context.Background())
	return o, nil
}

func or[T comparable](value, byDefault T) T {
	var zero T
	if value == zero {
		return byDefault
	}
	return value
}

// Start begins to send by sender. Messages may have been handed over before.
// Started twice or after Stop, it does nothing.
func (o *Outbox) Start(sender Sender) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.started || o.stopped {
		return
	}
	o.started, o.sender = true, sender
	for range o.workers {
		o.group.Go(o.work)
	}
	o.group.Go(o.find)
}

// Hand takes a message that was just committed, leased to this node for the
// configured time. It never blocks: where there is no room the message is found
// in the store after its lease.
func (o *Outbox) Hand(m verify.Message) {
	o.put(item{m, o.now()})
}

func (o *Outbox) put(it item) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.stopped {
		o.observe(step, outcomeStopped, 0)
		return
	}
	select {
	case o.queue <- it:
	default:
		o.observe(step, outcomeFull, 0)
	}
}

// Depth is how many messages wait in this node's memory.
func (o *Outbox) Depth() int { return len(o.queue) }

// Stop takes no more messages, drops those that wait, lets sends under way end
// until ctx does, and makes the node's messages due for other nodes. Sends that
// ctx cuts short count as lost; to write that down Stop may take some seconds
// longer. A second Stop waits for the first and returns what it returned.
func (o *Outbox) Stop(ctx context.Context) error {
	o.mu.Lock()
	first := !o.stopped
	o.stopped = true
	if first {
		o.drain.Store(true)
		close(o.queue)
	}
	o.mu.Unlock()
	if !first {
		select {
		case <-o.done:
			return o.stopErr
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	o.stopPoll()
	ended := make(chan struct{})
	go func() {
		o.group.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		o.abort()
		o.stopErr = await(ended, 2*endGrace)
	}
	o.abort()
	o.stopErr = errors.Join(o.stopErr, o.release(ctx))
	close(o.done)
	return o.stopErr
}

// await gives sends whose context has ended the time to return and to write down
// their ends.
func await(ended <-chan struct{}, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ended:
		return nil
	case <-timer.C:
		return errors.New("outbox: a send did not end when it was told to")
	}
}

func (o *Outbox) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endGrace)
	defer cancel()
	return o.store.ReleaseLeases(ctx, o.node, o.now())
}

// backoff is the wait after the nth attempt: 1 s, 2 s, 4 s … 60 s, a quarter more
// or less, so that what failed together does not come back together.
func backoff(n int) time.Duration {
	wait := longestBackoff
	if n < 7 {
		wait = min(firstBackoff<<max(n-1, 0), longestBackoff)
	}
	return wait*3/4 + rand.N(wait/2)
}
