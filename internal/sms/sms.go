// Package sms holds what every SMS gateway has in common: the message handed to
// it and the classes of its failures. Each gateway is a small package below this
// one and imports no other.
package sms

import (
	"time"

	"holdfast/internal/phone"
)

// Message is one text to one phone.
type Message struct {
	To       phone.Number
	Text     string
	Ref      string        // our opaque reference of the attempt (≤ 40 characters), for receipts
	ValidFor time.Duration // the text is worthless after that; a gateway that can drops it
}

// Accepted is a gateway's yes.
type Accepted struct {
	ProviderID string // the gateway's id of the message; may be empty
	Delivered  bool   // the phone has it already (only the virtual phone knows that at once)
}

// Class says what may be done after a failed attempt.
type Class int

// The classes of failure.
const (
	Lost    Class = iota // the request left and no answer came: it may have been sent; never repeated
	Retry                // not taken now: busy, throttled, unreachable before anything left
	Refused              // never will be taken: a bad number, a blocked sender, an opt-out
)

func (c Class) String() string { return [...]string{"lost", "retry", "refused"}[c] }

// Error is a gateway's no. Its text holds the gateway's code and our own words,
// never the gateway's, which may name the number.
type Error struct {
	Class  Class
	Code   string        // the gateway's own code, or e.g. "http_503", "timeout"
	Retry  time.Duration // with class Retry: not before; 0 leaves it to the outbox
	OptOut bool          // with class Refused: the number has opted out
	Err    error         // what happened underneath, without number or text; may be nil
}

func (e *Error) Error() string {
	text := "sms gateway: " + e.Class.String() + " (" + e.Code + ")"
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Receipt is what a gateway tells afterwards about a message.
type Receipt struct {
	Ref    string // Message.Ref as it came back
	Status Status
	Code   string // the gateway's own error code, "" where none
}

// Status is a receipt's meaning.
type Status int

// The receipts' meanings. Ignored is for the ones that say nothing new.
const (
	Ignored Status = iota
	OnItsWay
	Arrived
	Undeliverable
)
