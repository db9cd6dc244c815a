// Package testkit is the kit of fakes that tests share: a clock that moves when
// told, a carrier and a gateway that say what a test wants. They speak the same
// interfaces as the real ones and keep what they were asked, nothing more. Only
// tests import it.
package testkit

import (
	"context"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"holdfast/internal/carrier"
	"holdfast/internal/flow"
	"holdfast/internal/phone"
	"holdfast/internal/sms"
	"holdfast/internal/verify"
)

// Clock is a clock that stands still until it is moved.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock starts at a moment in 2026.
func NewClock() *Clock { return ClockAt(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)) }

// ClockAt starts at t.
func ClockAt(t time.Time) *Clock { return &Clock{now: t} }

// Now returns the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Carrier answers as its test says. It serves the addresses of its Prefix.
type Carrier struct {
	Prefix netip.Prefix

	mu     sync.Mutex
	answer func(carrier.Journey, url.Values) carrier.Answer
	begin  error
	asked  int
}

// NewCarrier returns a carrier for 100.64.0.0/10 that says yes.
func NewCarrier() *Carrier {
	c := &Carrier{Prefix: netip.MustParsePrefix("100.64.0.0/10")}
	c.Say(carrier.Answer{Match: verify.MatchTrue})
	return c
}

// Say sets the answer to every journey from now on.
func (c *Carrier) Say(a carrier.Answer) {
	c.SayBy(func(carrier.Journey, url.Values) carrier.Answer { return a })
}

// SayBy sets a function that makes the answers.
func (c *Carrier) SayBy(answer func(carrier.Journey, url.Values) carrier.Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = answer
}

// Break makes Begin fail with err; nil mends it.
func (c *Carrier) Break(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begin = err
}

// Asked is how many answers were looked up.
func (c *Carrier) Asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

// Name implements flow.Carrier.
func (c *Carrier) Name() string { return "testnet" }

// Begin implements flow.Carrier.
func (c *Carrier) Begin(_ context.Context, j carrier.Journey) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begin != nil {
		return "", c.begin
	}
	return "https://carrier.example/authorize?" + url.Values{"state": {j.State}, "nonce": {j.Nonce}}.Encode(), nil
}

// Answer implements flow.Carrier.
func (c *Carrier) Answer(_ context.Context, j carrier.Journey, callback url.Values) carrier.Answer {
	c.mu.Lock()
	c.asked++
	answer := c.answer
	c.mu.Unlock()
	return answer(j, callback)
}

// Choose implements flow.Networks with this one carrier.
func (c *Carrier) Choose(_ context.Context, addr netip.Addr) (flow.Carrier, verify.Reason) {
	if !c.Prefix.Contains(addr) {
		return nil, verify.ReasonWiFi
	}
	return c, ""
}

// Named implements flow.Networks.
func (c *Carrier) Named(name string) flow.Carrier {
	if name != c.Name() {
		return nil
	}
	return c
}

// Gateway keeps what it is given and answers as its test says.
type Gateway struct {
	mu   sync.Mutex
	sent []sms.Message
	say  func(sms.Message) (sms.Accepted, error)
}

// Say sets a function that makes the answers; nil means that all is accepted.
func (g *Gateway) Say(say func(sms.Message) (sms.Accepted, error)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.say = say
}

// Sent returns all messages in the order in which they came.
func (g *Gateway) Sent() []sms.Message {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]sms.Message(nil), g.sent...)
}

// Name implements flow.Gateway.
func (g *Gateway) Name() string { return "test" }

// Send implements flow.Gateway.
func (g *Gateway) Send(_ context.Context, m sms.Message) (sms.Accepted, error) {
	g.mu.Lock()
	g.sent = append(g.sent, m)
	say := g.say
	g.mu.Unlock()
	if say == nil {
		return sms.Accepted{ProviderID: "test-1"}, nil
	}
	return say(m)
}

// Route implements flow.Gateways with this one gateway.
func (g *Gateway) Route(phone.Number) flow.Gateway { return g }
