package click

import "net/http"

// bareCSP is the part of the Content-Security-Policy that all answers share;
// pages add the digests of what they have inside.
//
// It has no form-action on purpose. Chromium and Safari apply that directive to
// the redirects that follow a form (open since 2015: w3c/webappsec-csp issue 8),
// and ours lead to the carrier, through hosts that only the carrier knows, and
// on to the client's page, which may open an app by its own scheme: a list that
// leaves one out strands the phone in the middle. What the directive would
// protect isn't there: the forms carry nothing that anybody typed, and all that
// comes from outside is escaped.
const bareCSP = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"

// fixed are the headers of every answer. A link is a secret in a path: nothing
// may keep it, pass it on as a referrer, list it, or frame its page.
var fixed = http.Header{
	"Cache-Control":              {"no-store"},
	"Referrer-Policy":            {"no-referrer"},
	"X-Robots-Tag":               {"noindex, nofollow"},
	"X-Content-Type-Options":     {"nosniff"},
	"X-Frame-Options":            {"DENY"}, // for browsers older than frame-ancestors
	"Cross-Origin-Opener-Policy": {"same-origin"},
	"Permissions-Policy":         {"camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"},
}

func setHeaders(h http.Header, contentType, csp string) {
	for name, values := range fixed {
		h[name] = values
	}
	if contentType != "" {
		h["Content-Type"] = []string{contentType}
	}
	h["Content-Security-Policy"] = []string{csp}
}
