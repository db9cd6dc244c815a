package verify

import "slices"

// LinkState is where a verification's link stands.
type LinkState int

// The link's states. Their numbers are stored: they never change meaning.
const (
	LinkPending   LinkState = iota // nobody has confirmed on the page yet
	LinkConsumed                   // confirmed, once; the network is being asked
	LinkCompleted                  // the network step has ended, whatever it said
	LinkExpired                    // its lifetime ended before a confirmation
	LinkDenied                     // "This wasn't me"
	LinkCancelled                  // withdrawn before a confirmation
)

var linkNames = [...]string{"pending", "consumed", "completed", "expired", "denied", "cancelled"}

func (s LinkState) String() string { return nameOf(linkNames[:], int(s)) }

// Ended reports whether no event can move the link any more.
func (s LinkState) Ended() bool { return s >= LinkCompleted && s <= LinkCancelled }

// LinkEvent is something that happens to a link.
type LinkEvent int

// The events of a link.
const (
	Consume  LinkEvent = iota // the page's POST
	Complete                  // the network step ended, or ran out of time
	Deny                      // the page's "This wasn't me"
	Expire                    // the lifetime ended
	Cancel                    // the client or the operator withdrew it
)

var linkEventNames = [...]string{"consume", "complete", "deny", "expire", "cancel"}

func (e LinkEvent) String() string { return nameOf(linkEventNames[:], int(e)) }

// linkMoves are all transitions of the link; there are no others. A store
// guards its UPDATE with exactly the From of the event.
var linkMoves = map[LinkEvent]struct{ from, to LinkState }{
	Consume:  {LinkPending, LinkConsumed},
	Complete: {LinkConsumed, LinkCompleted},
	Deny:     {LinkPending, LinkDenied},
	Expire:   {LinkPending, LinkExpired},
	Cancel:   {LinkPending, LinkCancelled},
}

// From returns the one state in which e may happen.
func (e LinkEvent) From() LinkState { return linkMoves[e].from }

// To returns the state that e leads to.
func (e LinkEvent) To() LinkState { return linkMoves[e].to }

// On returns the state after e, or ErrConflict and s itself where e can't
// happen in s.
func (s LinkState) On(e LinkEvent) (LinkState, error) {
	move, known := linkMoves[e]
	if !known || move.from != s {
		return s, ErrConflict
	}
	return move.to, nil
}

// DeliveryState is what is known of the SMS. It moves independently of the
// link: a text that failed by its receipt may still have been tapped.
type DeliveryState int

// The delivery's states. Their numbers are stored: they never change meaning.
const (
	Queued    DeliveryState = iota // no attempt has ended; the message is due or leased
	Sent                           // a gateway took it
	Delivered                      // a receipt says that the phone has it
	Failed                         // refused for good, or given up
	Unknown                        // an attempt left and nobody knows what became of it
)

var deliveryNames = [...]string{"queued", "sent", "delivered", "failed", "unknown"}

func (s DeliveryState) String() string { return nameOf(deliveryNames[:], int(s)) }

// DeliveryEvent is something that is learnt about the SMS.
type DeliveryEvent int

// The events of a delivery. Accept, Fail and Lose end an attempt; the receipts
// come from the gateway afterwards, in any order and more than once.
const (
	Accept         DeliveryEvent = iota // the gateway took the message
	Fail                                // refused for good, or no time left to try again
	Lose                                // no answer after the request left
	ReceiptSent                         // receipt: on its way
	ReceiptArrived                      // receipt: the phone has it
	ReceiptFailed                       // receipt: it will not arrive
)

var deliveryEventNames = [...]string{"accept", "fail", "lose", "receipt-sent", "receipt-arrived", "receipt-failed"}

func (e DeliveryEvent) String() string { return nameOf(deliveryEventNames[:], int(e)) }

// deliveryMoves are all transitions of the delivery. Nothing leaves Delivered
// or Failed, so a late or repeated receipt never moves a state back. A receipt
// may find the message still Queued: gateways' receipts overtake their answers.
var deliveryMoves = map[DeliveryEvent]struct {
	from []DeliveryState
	to   DeliveryState
}{
	Accept:         {[]DeliveryState{Queued}, Sent},
	Fail:           {[]DeliveryState{Queued}, Failed},
	Lose:           {[]DeliveryState{Queued}, Unknown},
	ReceiptSent:    {[]DeliveryState{Queued, Unknown}, Sent},
	ReceiptArrived: {[]DeliveryState{Queued, Sent, Unknown}, Delivered},
	ReceiptFailed:  {[]DeliveryState{Queued, Sent, Unknown}, Failed},
}

// From returns the states in which e changes something.
func (e DeliveryEvent) From() []DeliveryState { return deliveryMoves[e].from }

// To returns the state that e leads to.
func (e DeliveryEvent) To() DeliveryState { return deliveryMoves[e].to }

// On returns the state after e, or ErrConflict and s itself where e changes
// nothing in s.
func (s DeliveryState) On(e DeliveryEvent) (DeliveryState, error) {
	move, known := deliveryMoves[e]
	if !known || !slices.Contains(move.from, s) {
		return s, ErrConflict
	}
	return move.to, nil
}

func nameOf(names []string, i int) string {
	if i < 0 || i >= len(names) {
		return "invalid"
	}
	return names[i]
}
