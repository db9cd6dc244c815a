// Package guard holds the decisions that keep a stranger from using Holdfast for
// what it is not for: where a browser may be sent, what a text may say. They
// are pure functions of their input; whoever calls them has the state.
package guard

import (
	"net/url"
	"slices"
	"strings"
)

// MaxTarget is the longest targetUrl in bytes.
const MaxTarget = 2048

// VFPParameter is the query parameter that carries the verification fingerprint.
const VFPParameter = "vfp"

// Target decides whether a browser may be sent to raw: an absolute https URL
// without userinfo or fragment, whose origin is one of the allowed and which
// carries no fingerprint yet. loopback, for development only, lets plain http
// to a loopback host pass. It returns "" or what is wrong and how to cure it.
func Target(raw string, allowed []string, loopback bool) string {
	switch {
	case raw == "":
		return "is required: an absolute https URL"
	case len(raw) > MaxTarget:
		return "is longer than 2048 bytes"
	case strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r >= 0x7F || r == '\\' }):
		return "must be plain ASCII without spaces, control characters or backslashes; percent-encode the path and query, write the host in its xn-- form"
	case strings.Contains(raw, "#"):
		return "must have no fragment; put what the page needs into the query"
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return "must be an absolute https URL"
	}
	if u.User != nil || strings.Contains(u.Host, "@") {
		return "must have no user name or password"
	}
	if u.Scheme != "https" && !(loopback && u.Scheme == "http" && isLoopback(u.Hostname())) {
		return "must be https"
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "has a query that can't be read; separate its parameters with & and percent-encode them"
	}
	if query.Has(VFPParameter) {
		return "must not carry a vfp parameter; Holdfast adds it"
	}
	if !slices.Contains(allowed, Origin(u)) {
		return "has an origin that is not on this client's list of allowed targets; ask the operator to add it"
	}
	return ""
}

// Origin is u's scheme, host and port as an allow-list has it: lower case, the
// scheme's own port left out.
func Origin(u *url.URL) string {
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return u.Scheme + "://" + host
}

// AllowedOrigin checks an entry of a client's allow-list and returns it as
// Origin writes it, or what is wrong with it.
func AllowedOrigin(text string, loopback bool) (origin, wrong string) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || strings.TrimSuffix(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery {
		return "", `must be an origin such as "https://app.example.com", without user name, path or query`
	}
	if strings.Contains(u.Host, "*") {
		return "", "must name one host; there are no wildcards"
	}
	origin = Origin(u)
	return origin, Target(origin, []string{origin}, loopback)
}

// WithVFP adds the fingerprint to a target's query and leaves every other byte
// of it as it was.
func WithVFP(target, vfp string) string {
	separator := "?"
	switch {
	case strings.HasSuffix(target, "?"), strings.HasSuffix(target, "&"):
		separator = ""
	case strings.Contains(target, "?"):
		separator = "&"
	}
	return target + separator + VFPParameter + "=" + vfp
}

func isLoopback(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}
