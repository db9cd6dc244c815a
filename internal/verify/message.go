package verify

import (
	"time"

	"holdfast/internal/phone"
)

// Message is the sending side of a verification: the row that is the outbox.
type Message struct {
	ID         ID
	ClientID   ClientID
	Phone      phone.Number
	Text       string // with TextMark; "" means the default text
	LinkSealed []byte
	ExpiresAt  time.Time
	Attempts   int // how many have begun
}

// Lease is a node's claim on a message until a moment. While it holds, no other
// node touches the message.
type Lease struct {
	Node  Node
	Until time.Time
}

// Attempt is one try at handing a message to a gateway, written down before the
// request leaves: found open after a crash, it means that nobody knows.
type Attempt struct {
	ID      ID
	N       int // 1 and up
	Gateway string
	At      time.Time
}

// AttemptEnd is what became of an attempt.
type AttemptEnd struct {
	ID         ID
	N          int
	At         time.Time
	Result     AttemptResult
	Code       string    // the gateway's own error code, "" on success
	ProviderID string    // the gateway's id of the message, "" if it gave none
	RetryAt    time.Time // with AttemptRetry: when the message is due again
}

// AttemptResult classifies an attempt's end.
type AttemptResult int

// The results. Their numbers are stored.
const (
	AttemptOpen      AttemptResult = iota // begun, not ended
	AttemptAccepted                       // the gateway took the message
	AttemptDelivered                      // and says at once that the phone has it
	AttemptRetry                          // not taken, try again at RetryAt
	AttemptRefused                        // not taken, and never will be
	AttemptLost                           // the request left and no answer came
)

// Event returns what the attempt's end means for the delivery; false for an
// attempt that leaves the message queued.
func (r AttemptResult) Event() (DeliveryEvent, bool) {
	switch r {
	case AttemptAccepted:
		return Accept, true
	case AttemptDelivered:
		return ReceiptArrived, true
	case AttemptRefused:
		return Fail, true
	case AttemptLost:
		return Lose, true
	default:
		return 0, false
	}
}

// AttemptRecord is an attempt as it is kept: what began, and how it ended.
type AttemptRecord struct {
	Attempt
	EndedAt    time.Time // zero while it is open
	Result     AttemptResult
	Code       string
	ProviderID string
}
