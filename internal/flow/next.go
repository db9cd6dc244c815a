package flow

import (
	"time"

	"holdfast/internal/guard"
	"holdfast/internal/secret"
	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

// ReplayTime is the grace in which the browser that confirmed gets its next step
// again, after a double tap, a reload or a lost answer.
const ReplayTime = 2 * time.Minute

// Show says what a browser gets.
type Show int

// What a browser can get. All but ShowRedirect are pages.
const (
	ShowUnusable      Show = iota // unknown, used or withdrawn: one page for all
	ShowRedirect                  // go to Next.URL
	ShowLink                      // the link page, with "Continue" and "This wasn't me"
	ShowWiFi                      // turn Wi-Fi off, or go on without
	ShowWait                      // the answer is being looked up; ask again in a moment
	ShowExpired                   // the link's time is over
	ShowDenied                    // "This wasn't me" was tapped
	ShowOtherBrowser              // the journey belongs to another browser
	ShowForeignAnswer             // the carrier's answer belonged to another journey; the link can be opened again
	ShowFinished                  // over, and there is nowhere to send the browser: return by yourself
)

// Next is what a browser gets next.
type Next struct {
	Show Show
	URL  string // with ShowRedirect
	Page Page   // with ShowLink and ShowWiFi; Business alone with the others, where it is known
}

// Page is what the phone's pages may tell.
type Page struct {
	Business   string
	LastDigits string // the number's last two
	AskedAt    time.Time
	ExpiresAt  time.Time
	AutoSubmit bool
	Confirmed  bool // this browser confirmed already: it can only go on
}

// position is where a browser stands in the journey.
type position int

const (
	atUnusable position = iota
	atLink
	atCarrier // confirmed, its answer not yet back
	atAnswer  // its answer is being looked up
	atReturn  // over, and may be sent to the target
	atTimeout // over, because the carrier's answer never came: there is no fingerprint
	atExpired
	atDenied
)

// positionOf alone decides where a browser stands; the table is in doc.go.
func positionOf(v verify.Verification, browser Browser, now time.Time) position {
	t := v.At(now)
	same := browser != "" && t.Browser.Equal(browser.digest())
	switch t.Link {
	case verify.LinkPending:
		return atLink
	case verify.LinkExpired:
		return atExpired
	case verify.LinkDenied:
		return atDenied
	case verify.LinkConsumed:
		switch {
		case !same:
			return atUnusable
		case !t.AnsweredAt.IsZero():
			return atAnswer
		case now.Before(t.ClickedAt.Add(ReplayTime)):
			return atCarrier
		}
	case verify.LinkCompleted:
		switch {
		case !same || !now.Before(t.EndedAt.Add(ReplayTime)):
		case v.Track.Link == verify.LinkCompleted:
			return atReturn
		default: // by the clock alone; nobody wrote it down, nor a fingerprint
			return atTimeout
		}
	}
	return atUnusable
}

// Browser is the value of the cookie that binds a journey to one browser: random
// text, "" where there was none. It prints redacted.
type Browser string

// String redacts.
func (Browser) String() string { return "[redacted]" }

// GoString redacts.
func (Browser) GoString() string { return "[redacted]" }

func (b Browser) digest() secret.Digest { return secret.DigestOf(secret.ForBrowser, []byte(b)) }

func pageOf(v verify.Verification, client tenant.Client) Page {
	number := v.Phone.E164()
	return Page{
		Business:   client.Business,
		LastDigits: number[max(0, len(number)-2):],
		AskedAt:    v.CreatedAt,
		ExpiresAt:  v.ExpiresAt,
		AutoSubmit: client.Settings.AutoSubmit,
	}
}

// toTarget sends the browser home, after checking once more that the target is
// one the client may name: the list may have changed since the link was made.
func (f *Flow) toTarget(v verify.Verification, client tenant.Client, vfp secret.Token) Next {
	if client.Disabled || guard.Target(v.TargetURL, client.Settings.Targets, f.Loopback) != "" {
		return Next{Show: ShowFinished, Page: Page{Business: client.Business}}
	}
	return Next{Show: ShowRedirect, URL: guard.WithVFP(v.TargetURL, vfp.Reveal())}
}

// vfp is the verification's fingerprint. It is derived, so that a reload of the
// same browser is sent to the same URL although only a digest is stored.
func (f *Flow) vfp(id verify.ID, browser Browser) secret.Token {
	return f.Key.DeriveToken(secret.ForVFP, int64(id), []byte(browser))
}
