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
func (f *Flow) Confirm(ctx context.Context, tap Tap) (Next, error) {
	start, outcome := time.Now(), "error"
	defer f.observe("confirm", start, &outcome)

	for {
		v, client, err := f.linked(ctx, tap.Token)
		if err != nil {
			return f.unusable(err, &outcome)
		}
		next, err := f.confirm(ctx, v, client, tap)
		if errors.Is(err, verify.ErrConflict) {
			continue // someone else moved it on; states only move forward, so this ends
		}
		outcome = next.Show.String()
		return next, err
	}
}

func (f *Flow) confirm(ctx context.Context, v verify.Verification, client tenant.Client, tap Tap) (Next, error) {
	switch positionOf(v, tap.Browser, f.now()) {
	case atLink:
	case atCarrier:
		return f.toCarrier(ctx, v, client, f.Networks.Named(v.Track.Carrier), tap.Browser)
	default:
		return f.shown(v, client, tap.Browser), nil
	}
	if tap.Browser == "" {
		return Next{}, errors.New("flow: a confirmation needs a browser to bind to")
	}
	carrier, reason := f.Networks.Choose(ctx, tap.Addr)
	if carrier == nil && !tap.Without {
		f.record(ctx, "held_for_network", v, slog.String("reason", string(reason)))
		return Next{Show: ShowWiFi, Page: pageOf(v, client)}, nil
	}
	click := verify.Click{
		At: f.now(), Addr: tap.Addr.Unmap().WithZone(""), Browser: tap.Browser.digest(),
		IPMatch: verify.SameAddress(v.SourceAddr, tap.Addr),
	}
	if carrier != nil {
		click.Carrier = carrier.Name()
	}
	if err := f.Store.Consume(ctx, v.ID, click); err != nil {
		return Next{}, err
	}
	f.record(ctx, "clicked", v, slog.String("carrier", click.Carrier))
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
