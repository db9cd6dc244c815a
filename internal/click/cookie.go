package click

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"time"

	"holdfast/internal/flow"
)

// CookieName is the cookie that binds a journey to one browser. Its prefix makes
// browsers refuse one that another host or plain HTTP tries to plant (RFC 6265bis
// section 4.1.3.2). With Config.Insecure InsecureCookieName goes beside it.
const (
	CookieName         = "__Host-holdfast"
	InsecureCookieName = "holdfast"
)

// CookieTime is how long the browser keeps the cookie after its last form: more
// than the carrier's answer may take.
const CookieTime = 15 * time.Minute

// browserBytes is how many random bytes a browser's cookie has.
const browserBytes = 18

// cookie is the binding cookie. Development runs over plain HTTP on loopback:
// Chromium, Firefox and curl take a Secure cookie there, Safari and most HTTP
// libraries don't, so that insecure sets the same value without Secure as well.
type cookie struct{ insecure bool }

func (c cookie) names() []string {
	if c.insecure {
		return []string{CookieName, InsecureCookieName}
	}
	return []string{CookieName}
}

// read returns the browser's cookie, or "" where there is none that we made.
func (c cookie) read(r *http.Request) flow.Browser {
	for _, name := range c.names() {
		for _, found := range r.CookiesNamed(name) {
			if madeHere(found.Value) {
				return flow.Browser(found.Value)
			}
		}
	}
	return ""
}

func madeHere(value string) bool {
	if len(value) != base64.RawURLEncoding.EncodedLen(browserBytes) {
		return false
	}
	var raw [browserBytes]byte
	_, err := base64.RawURLEncoding.Strict().Decode(raw[:], []byte(value))
	return err == nil
}

func newBrowser() flow.Browser {
	var raw [browserBytes]byte
	rand.Read(raw[:]) // never fails (crypto/rand, Go 1.24)
	return flow.Browser(base64.RawURLEncoding.EncodeToString(raw[:]))
}

// write sets the cookie. SameSite is Lax and not Strict because the carrier
// sends the browser back by a navigation from its own site.
func (c cookie) write(w http.ResponseWriter, browser flow.Browser) {
	for _, name := range c.names() {
		http.SetCookie(w, &http.Cookie{
			Name: name, Value: string(browser), Path: "/", MaxAge: int(CookieTime / time.Second),
			Secure: name == CookieName, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		})
	}
}
