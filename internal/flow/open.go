package flow

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"holdfast/internal/secret"
	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

// Tap is what a phone's browser brings when it opens, confirms or denies a link.
type Tap struct {
	Token   string     // from the link
	Browser Browser    // the binding cookie; a confirmation without one is given a new one first
	Addr    netip.Addr // the client address, from trusted proxies only
	Without bool       // the consumer goes on although the network can't be asked
}

// Open is the third step: what a GET of the link shows. It changes nothing,
// since message apps, carriers and scanners fetch links.
func (f *Flow) Open(ctx context.Context, tap Tap) (Next, error) {
	start, outcome := time.Now(), "error"
	defer f.observe("open", start, &outcome)

	v, client, err := f.linked(ctx, tap.Token)
	if err != nil {
		return f.unusable(err, &outcome)
	}
	next := f.shown(v, client, tap.Browser)
	outcome = next.Show.String()
	return next, nil
}

// OnNetwork reports whether a confirmation from addr would find a carrier to
// ask: the Wi-Fi page asks until it does. It changes nothing.
func (f *Flow) OnNetwork(ctx context.Context, addr netip.Addr) bool {
	found, _ := f.Networks.Choose(ctx, addr)
	return found != nil
}

// Confirm is the page's POST: it consumes the link, once, and sends the browser
// to the carrier. Where no carrier serves the browser's network the link is left
// as it is and the Wi-Fi page comes back, unless tap.Without.
//
// Nearly every confirmation is the first of a good link, so it is tried as such,
// in one write that proves the link as well. Only what that write refuses is read
// and decided from what is there.
func (f *Flow) Confirm(ctx context.Context, tap Tap) (Next, error) {
	start, outcome := time.Now(), "error"
	defer f.observe("confirm", start, &outcome)

	next, err := f.confirm(ctx, tap)
	if err == nil {
		outcome = next.Show.String()
	}
	return next, err
}

func (f *Flow) confirm(ctx context.Context, tap Tap) (Next, error) {
	token, ok := secret.ParseToken(tap.Token)
	if !ok {
		return Next{Show: ShowUnusable}, nil
	}
	carrier, reason := f.Networks.Choose(ctx, tap.Addr)
	if tap.Browser != "" && (carrier != nil || tap.Without) {
		next, err := f.consume(ctx, token, tap, carrier, reason)
		if !errors.Is(err, verify.ErrConflict) && !errors.Is(err, verify.ErrNotFound) {
			return next, err
		}
	}
	v, client, err := f.linked(ctx, tap.Token)
	if errors.Is(err, verify.ErrNotFound) {
		return Next{Show: ShowUnusable}, nil
	}
	if err != nil {
		return Next{}, err
	}
	switch positionOf(v, tap.Browser, f.now()) {
	case atLink:
		if tap.Browser == "" {
			return Next{}, errors.New("flow: a confirmation needs a browser to bind to")
		}
		f.record(ctx, "held_for_network", v, slog.String("reason", string(reason)))
		return Next{Show: ShowWiFi, Page: pageOf(v, client)}, nil
	case atCarrier:
		return f.toCarrier(ctx, v, client, f.Networks.Named(v.Track.Carrier), tap.Browser)
	default:
		return f.shown(v, client, tap.Browser), nil
	}
}

// consume confirms a pending link. Where there is no carrier to ask, because the
// consumer goes on without, that ends the verification.
func (f *Flow) consume(ctx context.Context, token secret.Token, tap Tap, carrier Carrier, reason verify.Reason) (Next, error) {
	click := verify.Click{At: f.now(), Addr: tap.Addr.Unmap().WithZone(""), Browser: tap.Browser.digest()}
	if carrier != nil {
		click.Carrier = carrier.Name()
	}
	v, err := f.Store.Consume(ctx, verify.ID(token.ID), token.Digest(secret.ForLink), click)
	if err != nil {
		return Next{}, err
	}
	f.record(ctx, "clicked", v, slog.String("carrier", click.Carrier))
	client, err := f.Clients.Client(ctx, v.ClientID)
	if err != nil {
		return Next{}, err
	}
	if carrier == nil {
		return f.finish(ctx, v, client, tap.Browser, verify.Outcome{Reasons: []verify.Reason{reason}})
	}
	return f.toCarrier(ctx, v, client, carrier, tap.Browser)
}

// Deny is the page's "This wasn't me": it ends the verification and the client
// reads so.
func (f *Flow) Deny(ctx context.Context, tap Tap) (Next, error) {
	start, outcome := time.Now(), "error"
	defer f.observe("deny", start, &outcome)

	v, client, err := f.linked(ctx, tap.Token)
	if err != nil {
		return f.unusable(err, &outcome)
	}
	err = f.Store.Deny(ctx, v.ID, f.now())
	switch {
	case err == nil:
		f.record(ctx, "denied", v)
		outcome = ShowDenied.String()
		return Next{Show: ShowDenied, Page: Page{Business: client.Business}}, nil
	case !errors.Is(err, verify.ErrConflict):
		return Next{}, err
	}
	if v, err = f.Store.Verification(ctx, v.ID); err != nil {
		return Next{}, err
	}
	next := f.shown(v, client, tap.Browser)
	outcome = next.Show.String()
	return next, nil
}

// linked finds the verification by a link's public id and proves the link by its
// secret. Everything that is wrong is verify.ErrNotFound, in the same words.
func (f *Flow) linked(ctx context.Context, text string) (verify.Verification, tenant.Client, error) {
	token, ok := secret.ParseToken(text)
	if !ok {
		return verify.Verification{}, tenant.Client{}, verify.ErrNotFound
	}
	v, err := f.Store.Verification(ctx, verify.ID(token.ID))
	if err == nil && !v.Link.Equal(token.Digest(secret.ForLink)) {
		err = verify.ErrNotFound
	}
	if err != nil {
		return verify.Verification{}, tenant.Client{}, err
	}
	client, err := f.Clients.Client(ctx, v.ClientID)
	return v, client, err
}

func (f *Flow) unusable(err error, outcome *string) (Next, error) {
	if errors.Is(err, verify.ErrNotFound) {
		*outcome = ShowUnusable.String()
		return Next{Show: ShowUnusable}, nil
	}
	return Next{}, err
}

// shown is what a browser that holds the link's secret gets without changing
// anything.
func (f *Flow) shown(v verify.Verification, client tenant.Client, browser Browser) Next {
	business := Page{Business: client.Business}
	switch positionOf(v, browser, f.now()) {
	case atLink:
		return Next{Show: ShowLink, Page: pageOf(v, client)}
	case atCarrier:
		page := pageOf(v, client)
		page.Confirmed, page.AutoSubmit = true, false
		return Next{Show: ShowLink, Page: page}
	case atTimeout:
		return Next{Show: ShowFinished, Page: business}
	case atAnswer:
		return Next{Show: ShowWait, Page: business}
	case atReturn:
		return f.toTarget(v, client, f.vfp(v.ID, browser))
	case atExpired:
		return Next{Show: ShowExpired, Page: business}
	case atDenied:
		return Next{Show: ShowDenied, Page: business}
	default:
		return Next{Show: ShowUnusable}
	}
}

// String names what is shown, for metrics.
func (s Show) String() string {
	return [...]string{"unusable", "redirect", "link", "wifi", "wait", "expired", "denied", "other_browser", "foreign_answer", "finished"}[s]
}
