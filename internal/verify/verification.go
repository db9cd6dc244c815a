// Package verify is the heart of the domain: what a Verification is, the states
// of its two tracks and the only transitions between them, the result that a
// client reads, and the policy that turns it into a verdict.
//
// Everything here is pure: no clock of its own, no database, no network. Stores
// write down what it decides; internal/flow calls them in order.
package verify

import (
	"net/netip"
	"time"

	"github.com/google/uuid"

	"holdfast/internal/phone"
	"holdfast/internal/secret"
)

// ClientID is the key of a client (a business that uses the API).
type ClientID int64

// AnswerTime is how long after the click the carrier's answer may come back.
// AnswerGrace is how long an answer that did come may take to be looked up. A
// verification that misses either counts as completed, indeterminate.
const (
	AnswerTime  = 5 * time.Minute
	AnswerGrace = time.Minute
)

// Verification is one Send Link and what became of it. The first part never
// changes once written (a store keeps it in a wide table of its own); Track is
// what changes.
type Verification struct {
	ID         ID
	RequestID  uuid.UUID
	SessionID  uuid.UUID
	ClientID   ClientID
	Phone      phone.Number
	TargetURL  string
	SourceAddr netip.Addr    // the zero Addr: none was given
	Text       string        // the client's own text with TextMark in it; "" means the default text
	Segments   int           // how many SMS the text takes, 1 and more
	Link       secret.Digest // of the link's token
	LinkSealed []byte        // the token's random part under the server's key, for sending again
	CreatedAt  time.Time
	ExpiresAt  time.Time // when the link stops working

	Track Track
}

// TextMark stands in a stored text for the link.
const TextMark = "{link}"

// Track is the changing part of a verification.
type Track struct {
	Link     LinkState
	Delivery DeliveryState

	// Set by Consume.
	ClickedAt time.Time
	ClickAddr netip.Addr
	Browser   secret.Digest // of the cookie that binds the journey to one browser
	Carrier   string        // the configured name of the carrier asked; "" where none could be

	// Set when the carrier's one answer was claimed.
	AnsweredAt time.Time

	// Set by Complete (and EndedAt by Deny, Expire and Cancel).
	EndedAt time.Time
	Match   PhoneMatch
	Reasons []Reason
	VFP     secret.Digest
}

// Click is what Consume writes.
type Click struct {
	At      time.Time
	Addr    netip.Addr
	Browser secret.Digest
	Carrier string
}

// Clicked is the track after click.
func (t Track) Clicked(click Click) Track {
	t.Link = LinkConsumed
	t.ClickedAt, t.ClickAddr, t.Browser, t.Carrier = click.At, click.Addr, click.Browser, click.Carrier
	return t
}

// Outcome is what Complete writes.
type Outcome struct {
	At      time.Time
	Match   PhoneMatch
	Reasons []Reason
	VFP     secret.Digest
}

// At returns the track as it stands at now: a link whose time has run out is
// expired, and a journey that never came back from the carrier is completed as
// indeterminate, whether or not anyone has written that down.
func (v Verification) At(now time.Time) Track {
	t := v.Track
	switch {
	case t.Link == LinkPending && !now.Before(v.ExpiresAt):
		t.Link, t.EndedAt = LinkExpired, v.ExpiresAt
	case t.Link == LinkConsumed && !now.Before(t.answerDue()):
		t.Link, t.EndedAt = LinkCompleted, t.answerDue()
		t.Match, t.Reasons = MatchIndeterminate, []Reason{ReasonCarrierTimeout}
	}
	return t
}

// answerDue is when a consumed link's answer is waited for no longer. The grace
// counts from the last moment at which an answer can be claimed, so that no
// lookup under way is overtaken.
func (t Track) answerDue() time.Time {
	if !t.AnsweredAt.IsZero() {
		return t.AnsweredAt.Add(AnswerGrace)
	}
	return t.ClickedAt.Add(AnswerTime + AnswerGrace)
}

// AwaitsAnswer reports whether the carrier's answer may still be claimed at now.
func (v Verification) AwaitsAnswer(now time.Time) bool {
	t := v.At(now)
	return t.Link == LinkConsumed && t.AnsweredAt.IsZero() && now.Before(t.ClickedAt.Add(AnswerTime))
}

// Handle is what Send Link answers: both ids are needed to ask for the result.
type Handle struct {
	RequestID uuid.UUID
	SessionID uuid.UUID
}

// Idempotency is what is kept of a Send Link's Idempotency-Key.
type Idempotency struct {
	Key  secret.Digest // over the client and the key
	Body secret.Digest // over the request's fields
}

// IdempotencyTime is how long a key is remembered.
const IdempotencyTime = 24 * time.Hour
