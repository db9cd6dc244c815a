package operator

import "net/http"

// Step is where something may go wrong.
type Step int

// The steps. The number that a fault is asked for is known from AtAuthorize on.
const (
	AtDiscovery Step = iota
	AtJWKS
	AtAuthorize
	AtToken  // after the code was spent
	AtVerify // after the access token was spent
	AtShare  // likewise
)

// Faults is asked at each step what is to go wrong for a number ("" where none
// is known). It may block, which makes the step slow: r's context ends when the
// caller gives up. It is called concurrently.
type Faults func(r *http.Request, step Step, number string) Fault

// Fault is what goes wrong at one step. The zero Fault is nothing.
type Fault struct {
	// Status, where Code is empty, is answered with Body and Header instead of
	// anything else, at any step. With Code it is that error's status.
	Status int
	Body   string
	Header http.Header
	// Code is the protocol's own error: sent back with the browser AtAuthorize, as
	// an OAuth error AtToken (Status 0: 400), as a CAMARA error by the API (Status
	// 0: 403).
	Code string
	// Issuer, AtAuthorize, is sent back as iss instead of ours; "none" leaves iss out.
	Issuer string
	// OtherLogin, AtAuthorize, recognises the line by something else than the
	// network, as a password would.
	OtherLogin bool
	// IDToken, AtToken, changes the ID token's claims before they are signed.
	IDToken func(claims map[string]any)
	// NoIDToken, AtToken, leaves it out.
	NoIDToken bool
	// Forged, AtToken, signs the ID token with a key that is not the published one.
	Forged bool
}

// instead answers in place of the step, if the fault says so.
func (f Fault) instead(w http.ResponseWriter) bool {
	if f.Status == 0 || f.Code != "" {
		return false
	}
	w.Header().Set("Content-Type", "application/json")
	for name, values := range f.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(f.Status)
	_, _ = w.Write([]byte(f.Body))
	return true
}
