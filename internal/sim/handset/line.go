package handset

import (
	"context"
	"net/http"

	"holdfast/internal/phone"
)

// CookieName is the cookie that tells which phone a browser is.
const CookieName = "holdfast-phone"

type lineKey struct{}

// LineFrom returns where the request behind ctx comes from; false outside of
// Middleware, and where no phone is known.
func LineFrom(ctx context.Context) (Line, bool) {
	l, ok := ctx.Value(lineKey{}).(Line)
	return l, ok
}

// Middleware puts the Line of each request into its context.
func (p *Phones) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if number, ok := p.phoneOf(r); ok {
			// In place, because what wraps this reads the route's pattern from its own
			// request after the mux has set it.
			*r = *r.WithContext(context.WithValue(r.Context(), lineKey{}, p.line(number)))
		}
		next.ServeHTTP(w, r)
	})
}

// Line tells what the pretend operator sees of a request: the number of the SIM
// in E.164 form, and whether the request comes over the mobile network at all.
func (p *Phones) Line(r *http.Request) (number string, onNetwork bool) {
	from, ok := p.phoneOf(r)
	if !ok {
		return "", false
	}
	l := p.line(from)
	return l.SIM.E164(), l.OnNetwork()
}

func (p *Phones) phoneOf(r *http.Request) (phone.Number, bool) {
	if number, ok := chosen(r); ok {
		return number, true
	}
	return p.current()
}

// chosen is the phone that the browser's cookie names.
func chosen(r *http.Request) (phone.Number, bool) {
	c, err := r.Cookie(CookieName)
	if err != nil {
		return phone.Number{}, false
	}
	number, err := parseNumber(c.Value)
	return number, err == nil
}

// choose sets the cookie. It lasts as long as the browser is open.
func choose(w http.ResponseWriter, number phone.Number) {
	http.SetCookie(w, &http.Cookie{
		Name: CookieName, Value: number.E164()[1:], Path: "/",
		HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
