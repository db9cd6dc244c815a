package guard

import (
	"net/netip"
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
	if strings.ContainsFunc(custom, func(r rune) bool {
		return (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) && r != '\n' || r == unicode.ReplacementChar
	}) {
		return "", "must have no control or invisible characters but line feed"
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

// hasForeignURL looks for whatever a phone might make tappable: it takes every
// run of host characters in the text for a host, wherever it stands, and refuses
// the ones under a public suffix and the IPv4 addresses that are not the client's.
// Only what follows a host of the client's own, as its port, path, query or
// fragment, is left alone.
func hasForeignURL(text string, allowed []string) bool {
	own := ownHosts(allowed)
	text = strings.ToLower(dots.Replace(text))
	for {
		start := strings.IndexFunc(text, isHostRune)
		if start < 0 {
			return false
		}
		text = text[start:]
		end := strings.IndexFunc(text, func(r rune) bool { return !isHostRune(r) })
		if end < 0 {
			end = len(text)
		}
		host := strings.Trim(text[:end], ".-")
		text = text[end:]
		if !tappable(host) {
			if scheme(text) && !slices.Contains(own, authority(text)) {
				return true
			}
			continue
		}
		if !slices.Contains(own, host) {
			return true
		}
		rest, ok := afterOwnHost(text)
		if !ok {
			return true
		}
		text = rest
	}
}

// dots are the characters that browsers read as a dot in a host (IDNA, UTS 46
// section 2.3).
var dots = strings.NewReplacer("\u3002", ".", "\uFF0E", ".", "\uFF61", ".")

func ownHosts(allowed []string) []string {
	own := make([]string, 0, len(allowed))
	for _, origin := range allowed {
		if u, err := url.Parse(origin); err == nil {
			own = append(own, u.Hostname())
		}
	}
	return own
}

func isHostRune(r rune) bool {
	return r == '.' || r == '-' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

// tappable reports whether a phone might take host for an address without any
// scheme before it.
func tappable(host string) bool {
	if !strings.Contains(host, ".") {
		return false
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	suffix, icann := publicsuffix.PublicSuffix(host)
	return icann && suffix != host
}

// scheme reports whether the text, which follows a word, makes that word a URL's
// scheme. Any host after it counts then, a single label too.
func scheme(text string) bool { return strings.HasPrefix(text, "://") }

func authority(text string) string {
	host := strings.TrimPrefix(text, "://")
	if end := strings.IndexFunc(host, func(r rune) bool { return !isHostRune(r) }); end >= 0 {
		host = host[:end]
	}
	return host
}

// afterOwnHost skips what belongs to an own host's address. Anything but a port,
// path, query, fragment or the end of a word after the host may make it a part
// of another address (a user name, say), which is refused.
func afterOwnHost(text string) (rest string, ok bool) {
	if after, found := strings.CutPrefix(text, ":"); found {
		if digits := strings.TrimLeft(after, "0123456789"); digits != after {
			text = digits
		}
	}
	end := strings.IndexFunc(text, unicode.IsSpace)
	if end < 0 {
		end = len(text)
	}
	if strings.ContainsAny(text[:end], `@\`) {
		return "", false
	}
	if text != "" && strings.ContainsRune("/?#", rune(text[0])) {
		return text[end:], true
	}
	return text, true
}
