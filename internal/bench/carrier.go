package bench

import "net/http"

// SIMs is what the pretend carrier knows of the load's phones: whose SIM each of
// them has. A real one learns that from its network; here the phone says so.
type SIMs struct{}

// Line returns the number of the SIM in the phone that sent r, and true: all of
// the load's phones are on the mobile network.
func (SIMs) Line(r *http.Request) (number string, onNetwork bool) {
	cookie, err := r.Cookie(simCookie)
	if err != nil {
		return "", true
	}
	return cookie.Value, true
}
