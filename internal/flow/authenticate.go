package flow

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/url"
	"time"

	"holdfast/internal/carrier"
	"holdfast/internal/secret"
	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

// CarrierPath is where carriers send browsers back to: their name and
// "/callback" follow it. The whole is the redirect URI registered with them.
const CarrierPath = "/carrier/"

// answerTime bounds the calls that look up a carrier's answer; it is well below
// verify.AnswerGrace.
const answerTime = 20 * time.Second

// StateParameter is where a carrier's callback has the state (RFC 6749 section 4.1.2).
const StateParameter = "state"

// Callback is what a browser brings back from a carrier.
type Callback struct {
	Carrier string // from the path
	Query   url.Values
	Browser Browser
}

// Authenticate is the fourth step: it takes the carrier's one answer for a
// journey, from the browser that the journey is bound to, looks it up, and ends
// the verification. Whatever does not belong together (another browser, a state
// that is forged, late or of another journey, a replayed code) gets a page and
// changes nothing.
func (f *Flow) Authenticate(ctx context.Context, cb Callback) (Next, error) {
	start, outcome := time.Now(), "error"
	defer f.observe("authenticate", start, &outcome)

	next, err := f.authenticate(ctx, cb)
	if err == nil {
		outcome = next.Show.String()
	}
	return next, err
}

func (f *Flow) authenticate(ctx context.Context, cb Callback) (Next, error) {
	token, ok := secret.ParseToken(cb.Query.Get(StateParameter))
	if !ok {
		return Next{Show: ShowUnusable}, nil
	}
	v, err := f.Store.Verification(ctx, verify.ID(token.ID))
	if errors.Is(err, verify.ErrNotFound) {
		return Next{Show: ShowUnusable}, nil
	}
	if err != nil {
		return Next{}, err
	}
	client, err := f.Clients.Client(ctx, v.ClientID)
	if err != nil {
		return Next{}, err
	}
	asked := f.Networks.Named(cb.Carrier)
	if asked == nil || cb.Carrier != v.Track.Carrier || !f.stateFits(v, token, cb.Browser) {
		f.record(ctx, "callback_refused", v)
		return Next{Show: ShowOtherBrowser}, nil
	}
	if !v.AwaitsAnswer(f.now()) {
		return f.shown(v, client, cb.Browser), nil
	}
	return f.answer(ctx, v, client, asked, cb)
}

// stateFits proves that the callback belongs to the journey that this browser
// confirmed.
func (f *Flow) stateFits(v verify.Verification, state secret.Token, browser Browser) bool {
	want := f.Key.DeriveToken(secret.ForState, int64(v.ID), []byte(browser))
	return browser != "" && v.Track.Browser.Equal(browser.digest()) &&
		subtle.ConstantTimeCompare(want.Random[:], state.Random[:]) == 1
}

func (f *Flow) answer(ctx context.Context, v verify.Verification, client tenant.Client, asked Carrier, cb Callback) (Next, error) {
	err := f.Store.ClaimAnswer(ctx, v.ID, f.now())
	if errors.Is(err, verify.ErrConflict) {
		if v, err = f.Store.Verification(ctx, v.ID); err == nil {
			return f.shown(v, client, cb.Browser), nil
		}
	}
	if err != nil {
		return Next{}, err
	}
	// From here on a browser that goes away must not lose the answer: codes and
	// tokens work once.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	start := time.Now()
	answer := asked.Answer(ctx, f.journey(v, cb.Browser), cb.Query)
	f.Observe("carrier", answerOutcome(answer), time.Since(start))
	if answer.Err != nil {
		f.Log.LogAttrs(ctx, slog.LevelWarn, "carrier", slog.String("carrier", asked.Name()),
			slog.String("request_id", v.RequestID.String()), slog.Any("error", answer.Err))
	}
	if answer.Foreign {
		f.record(ctx, "callback_refused", v)
		return Next{Show: ShowForeignAnswer, Page: Page{Business: client.Business}}, f.Store.ReleaseAnswer(context.WithoutCancel(ctx), v.ID)
	}
	return f.finish(context.WithoutCancel(ctx), v, client, cb.Browser, verify.Outcome{Match: answer.Match, Reasons: answer.Reasons})
}

func answerOutcome(a carrier.Answer) string {
	switch {
	case a.Foreign:
		return "foreign"
	case len(a.Reasons) > 0:
		return string(a.Reasons[0])
	default:
		return a.Match.String()
	}
}

// toCarrier sends the browser to the carrier; where that can't be reached the
// verification ends, indeterminate.
func (f *Flow) toCarrier(ctx context.Context, v verify.Verification, client tenant.Client, to Carrier, browser Browser) (Next, error) {
	unavailable := verify.Outcome{Reasons: []verify.Reason{verify.ReasonCarrierUnavailable}}
	if to == nil { // it was taken out of the configuration since
		return f.finish(ctx, v, client, browser, unavailable)
	}
	url, err := to.Begin(ctx, f.journey(v, browser))
	if ctx.Err() != nil { // the browser left, which says nothing of the carrier
		return Next{}, ctx.Err()
	}
	if err != nil {
		f.Log.LogAttrs(ctx, slog.LevelWarn, "carrier", slog.String("carrier", to.Name()),
			slog.String("request_id", v.RequestID.String()), slog.Any("error", err))
		return f.finish(ctx, v, client, browser, unavailable)
	}
	return Next{Show: ShowRedirect, URL: url}, nil
}

// journey derives what the carrier gets, from the row and the browser's cookie:
// nothing of it needs storing, and a reload gets the same again.
func (f *Flow) journey(v verify.Verification, browser Browser) carrier.Journey {
	nonce := f.Key.Derive(secret.ForNonce, int64(v.ID), []byte(browser))
	verifier := f.Key.Derive(secret.ForPKCE, int64(v.ID), []byte(browser))
	return carrier.Journey{
		Phone:      v.Phone,
		State:      f.Key.DeriveToken(secret.ForState, int64(v.ID), []byte(browser)).Reveal(),
		Nonce:      base64.RawURLEncoding.EncodeToString(nonce[:]),
		Verifier:   base64.RawURLEncoding.EncodeToString(verifier[:]),
		Correlator: v.RequestID.String(),
	}
}
