// Package carrier holds what every way of asking a mobile network has in common.
// Each kind is a small package below this one and imports no other.
package carrier

import (
	"holdfast/internal/phone"
	"holdfast/internal/verify"
)

// Journey is one phone's way through a carrier. All its values but Phone are
// derived by the flow and are the same each time the same browser asks.
type Journey struct {
	Phone      phone.Number
	State      string // to come back unchanged (RFC 6749 section 4.1.1)
	Nonce      string // to be found in the ID token (OpenID Connect Core section 3.1.2.1)
	Verifier   string // PKCE code verifier, 43 characters (RFC 7636 section 4.1)
	Correlator string // x-correlator of the calls made for this journey
}

// Answer is what a network said.
type Answer struct {
	Match   verify.PhoneMatch
	Reasons []verify.Reason // why Match is indeterminate; empty otherwise
	// Foreign means that the callback did not belong to this journey (a wrong
	// nonce, an issuer that is not this carrier's): the flow changes nothing and
	// shows a page.
	Foreign bool
	Err     error // for the operator's log only; holds no number and no token
}
