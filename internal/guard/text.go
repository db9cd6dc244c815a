package guard

import (
	"net/url"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/publicsuffix"

	"holdfast/internal/verify"
)

// MaxText is the longest customSms in bytes, before segments are counted.
const MaxText = 2000

// textMarks are the places for the link that callers of the products we stand in
// for have used.
var textMarks = []string{"<link>", verify.TextMark, "####"}

// Text decides whether a client's own SMS text may be sent and returns it with
// verify.TextMark where the link goes; without a mark the link is appended. A
// URL or domain in it must be on one of the client's own hosts. wrong is "" or
// what is wrong and how to cure it.
func Text(custom string, allowed []string) (text, wrong string) {
	if len(custom) > MaxText {
		return "", "is longer than 2000 bytes"
	}
	if strings.TrimSpace(custom) == "" {
		return "", "is blank; leave it out to send the default text"
	}
	if strings.ContainsFunc(custom, func(r rune) bool { return unicode.IsControl(r) && r != '\n' || r == unicode.ReplacementChar }) {
		return "", "must have no control characters but line feed"
	}
	text = custom
	for _, mark := range textMarks {
		text = strings.ReplaceAll(text, mark, verify.TextMark)
	}
	switch strings.Count(text, verify.TextMark) {
	case 0:
		text = strings.TrimRight(text, " \n") + " " + verify.TextMark
	case 1:
	default:
		return "", "marks the place of the link more than once"
	}
	if hasForeignURL(strings.ReplaceAll(text, verify.TextMark, " "), allowed) {
		return "", "has a web address that is not on one of this client's own hosts; remove it"
	}
	return text, ""
}

// hasForeignURL looks for whatever a phone would make tappable: words with a
// scheme, and words that look like a host under a public suffix.
func hasForeignURL(text string, allowed []string) bool {
	own := make([]string, 0, len(allowed))
	for _, origin := range allowed {
		if u, err := url.Parse(origin); err == nil {
			own = append(own, u.Hostname())
		}
	}
	for _, word := range strings.FieldsFunc(text, endsWord) {
		_, rest, hasScheme := strings.Cut(word, "://")
		if !hasScheme {
			rest = word
		}
		host, _, _ := strings.Cut(rest, "/")
		host, _, _ = strings.Cut(host, "?")
		host = strings.ToLower(strings.Trim(host, ".:!"))
		if i := strings.LastIndexByte(host, '@'); i >= 0 {
			host = host[i+1:]
		}
		host, _, _ = strings.Cut(host, ":")
		if (hasScheme || tappable(host)) && !slices.Contains(own, host) {
			return true
		}
	}
	return false
}

func endsWord(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`<>"'(),;[]{}|`, r) }

func tappable(host string) bool {
	if !strings.Contains(host, ".") {
		return false
	}
	suffix, icann := publicsuffix.PublicSuffix(host)
	return icann && suffix != host
}
