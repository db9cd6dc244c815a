// Package virtual is the SMS gateway of development: it puts texts into the
// inbox of the pretend phone, at once and without a network. It must never serve
// in production, where nobody reads that inbox.
package virtual

import (
	"context"
	"errors"

	"holdfast/internal/phone"
	"holdfast/internal/sms"
)

// Inbox is where texts arrive. Deliver returns at once and may be called
// concurrently.
type Inbox interface {
	Deliver(to phone.Number, text string)
}

// Config is what a Gateway is made of.
type Config struct {
	// Name is the gateway's name in attempts and logs; "" means "virtual".
	Name string
	// Inbox is where texts arrive; required.
	Inbox Inbox
}

// Gateway delivers to an Inbox.
type Gateway struct {
	name  string
	inbox Inbox
}

// New returns a Gateway.
func New(c Config) (*Gateway, error) {
	if c.Inbox == nil {
		return nil, errors.New("virtual: an inbox is required")
	}
	if c.Name == "" {
		c.Name = "virtual"
	}
	return &Gateway{name: c.Name, inbox: c.Inbox}, nil
}

// Name is the configured name.
func (g *Gateway) Name() string { return g.name }

// Send puts m into the inbox, and so knows at once that it is there. It fails
// only where ctx has ended.
func (g *Gateway) Send(ctx context.Context, m sms.Message) (sms.Accepted, error) {
	if err := ctx.Err(); err != nil {
		return sms.Accepted{}, &sms.Error{Class: sms.Retry, Code: "canceled", Err: err}
	}
	g.inbox.Deliver(m.To, m.Text)
	return sms.Accepted{Delivered: true}, nil
}
