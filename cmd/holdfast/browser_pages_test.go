package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"holdfast/internal/click"
	"holdfast/internal/flow"
	"holdfast/internal/web"
)

// pagesFlow shows the page that the link's token names.
type pagesFlow map[string]flow.Next

func (f pagesFlow) Open(_ context.Context, tap flow.Tap) (flow.Next, error) {
	if next, ok := f[tap.Token]; ok {
		return next, nil
	}
	return flow.Next{}, errors.New("a fault of ours")
}

func (f pagesFlow) Confirm(ctx context.Context, tap flow.Tap) (flow.Next, error) {
	return f.Open(ctx, tap)
}

func (f pagesFlow) Deny(ctx context.Context, tap flow.Tap) (flow.Next, error) {
	return f.Open(ctx, tap)
}
func (pagesFlow) OnNetwork(context.Context, netip.Addr) bool { return false }
func (pagesFlow) Authenticate(context.Context, flow.Callback) (flow.Next, error) {
	return flow.Next{Show: flow.ShowOtherBrowser}, nil
}

// startPages serves all that a phone can get to see, and a stranger's page that
// sends our form.
func startPages(t *testing.T) (base string, paths []string) {
	t.Helper()
	asked := flow.Page{
		Business: devBusiness, LastDigits: "23",
		AskedAt: time.Now().Add(-2 * time.Minute), ExpiresAt: time.Now().Add(3 * time.Minute),
	}
	long := asked
	long.Business = "Grundstücksverkehrsgenehmigungszuständigkeitsübertragungsgesellschaft & Sons of <Llanfairpwllgwyngyll>"
	again := asked
	again.Confirmed = true
	shows := pagesFlow{
		"link": {Show: flow.ShowLink, Page: asked}, "long-link": {Show: flow.ShowLink, Page: long},
		"wifi": {Show: flow.ShowWiFi, Page: asked}, "long-wifi": {Show: flow.ShowWiFi, Page: long},
		"link-again": {Show: flow.ShowLink, Page: again}, "foreign-answer": {Show: flow.ShowForeignAnswer, Page: asked},
		"wait": {Show: flow.ShowWait, Page: asked}, "unusable": {Show: flow.ShowUnusable},
		"expired": {Show: flow.ShowExpired, Page: asked}, "denied": {Show: flow.ShowDenied, Page: asked},
		"other-browser": {Show: flow.ShowOtherBrowser, Page: asked}, "finished": {Show: flow.ShowFinished, Page: asked},
	}
	mux := http.NewServeMux()
	click.Register(mux, click.Config{Flow: shows, Insecure: true})
	server := httptest.NewServer(web.Wrap(mux, web.Config{Log: slog.New(slog.DiscardHandler)}))
	t.Cleanup(server.Close)
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><title>elsewhere</title><form method="post" action="`+server.URL+`/l/link"></form>
			<script>onload = () => document.forms[0].submit()</script>`)
	}))
	t.Cleanup(stranger.Close)
	for token := range shows {
		paths = append(paths, server.URL+"/l/"+token)
	}
	return server.URL, append(paths, server.URL+"/l/failed", stranger.URL+"/foreign-form")
}

// looks is what inspection.js finds wrong with how a page looks.
type looks struct {
	Width  float64  // of what there is to scroll
	Wide   []string // elements that stick out
	Faint  []string // texts with a contrast below 4.5 (WCAG 2.2, 1.4.3)
	Small  []string // buttons that a finger misses (below 44 pixels)
	Button float64  // where the first one ends
	Ground float64  // luminance of the background
	Buttons,
	Headings int
}

// inspection finds it.
const inspection = `(() => {
	const rgba = text => { const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number); return {r, g, b, a}; };
	const lum = ({r, g, b}) => { const [R, G, B] = [r, g, b].map(c => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4); return .2126 * R + .7152 * G + .0722 * B; };
	const ratio = (a, b) => { const [x, y] = [lum(a), lum(b)].sort((m, n) => n - m); return (x + .05) / (y + .05); };
	const dark = /dark/.test(getComputedStyle(document.documentElement).colorScheme) && matchMedia('(prefers-color-scheme: dark)').matches;
	const canvas = dark ? {r: 18, g: 18, b: 18} : {r: 255, g: 255, b: 255}; // what the browser paints by itself
	const over = (a, b) => ({r: a.a * a.r + (1 - a.a) * b.r, g: a.a * a.g + (1 - a.a) * b.g, b: a.a * a.b + (1 - a.a) * b.b, a: 1});
	const ground = e => e ? over(rgba(getComputedStyle(e).backgroundColor), ground(e.parentElement)) : canvas;
	const name = e => e.outerHTML.slice(0, 90);
	const seen = [...document.body.querySelectorAll('*')].filter(e => e.checkVisibility() && !e.closest('.sr'));
	const scrolls = e => { for (; e; e = e.parentElement) if (/auto|scroll/.test(getComputedStyle(e).overflowX)) return true; return false; };
	const texts = seen.filter(e => !e.closest('svg') && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()));
	const buttons = [...document.querySelectorAll('button,.button')].filter(e => e.checkVisibility());
	return {
		Width: Math.max(document.documentElement.scrollWidth, innerWidth),
		Wide: seen.filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + .5 && !scrolls(e)).map(name).slice(0, 5),
		Faint: texts.filter(e => ratio(rgba(getComputedStyle(e).color), ground(e)) < 4.5).map(name).slice(0, 5),
		Small: buttons.filter(e => e.getBoundingClientRect().height < 44).map(name),
		Button: buttons[0]?.getBoundingClientRect().bottom ?? 0,
		Ground: lum(ground(document.body)),
		Buttons: buttons.length,
		Headings: document.querySelectorAll('h1').length,
	};
})()`

// colours are what a person can prefer.
var colours = []string{"light", "dark"}

func (b *tab) prefer(colour string) {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: colour}},
	})
}

// inspect judges the page that the tab shows, on a screen so many pixels wide.
func (b *tab) inspect(name, colour string, width float64) looks {
	b.t.Helper()
	b.prefer(colour)
	b.until("document.title && document.title !== 'elsewhere'")
	l := evaluate[looks](b, inspection)
	if l.Width != width || len(l.Wide) > 0 {
		b.t.Errorf("%s, %s: the page is %v pixels wide on a screen of %v: %q", name, colour, l.Width, width, l.Wide)
	}
	if len(l.Faint) > 0 {
		b.t.Errorf("%s, %s: too little contrast: %q", name, colour, l.Faint)
	}
	if dark := l.Ground < 0.2; dark != (colour == "dark") {
		b.t.Errorf("%s, %s: the background's luminance is %v", name, colour, l.Ground)
	}
	if l.Headings != 1 {
		b.t.Errorf("%s: %d main headings", name, l.Headings)
	}
	b.shoot(fmt.Sprint(name, " ", width, " ", colour))
	return l
}

// Each page fits a small phone, in either colour, and its buttons can be seen,
// touched and reached by keys.
func testPhonePages(t *testing.T, browser *chromium) {
	base, addresses := startPages(t)
	b := browser.profile(t, true).tab()
	for _, address := range addresses {
		name := address[strings.LastIndex(address, "/")+1:]
		for _, colour := range colours {
			b.open(address)
			l := b.inspect(name, colour, 320)
			if len(l.Small) > 0 {
				t.Errorf("%s: too small for a finger: %q", name, l.Small)
			}
			if name == "link" && l.Button > 568 {
				t.Errorf("Continue ends at %v, below the screen", l.Button)
			}
			for i := range l.Buttons {
				b.focused(fmt.Sprintf("%s, %s, button %d", name, colour, i))
			}
		}
	}

	b.open(base + "/l/link")
	b.do(chromedp.KeyEvent(kb.Tab))
	if text := evaluate[string](b, "document.activeElement.textContent"); text != "Continue" {
		t.Errorf("the first key reaches %q", text)
	}
}

// focused presses Tab, after which a button must have the focus, and show it.
func (b *tab) focused(which string) {
	b.t.Helper()
	call(b, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	b.do(chromedp.KeyEvent(kb.Tab))
	state := evaluate[string](b, `(() => {
		const e = document.activeElement, s = getComputedStyle(e);
		return [e.localName, e.matches(':focus-visible'), s.outlineStyle, s.outlineWidth].join(' ');
	})()`)
	if state != "button true solid 3px" {
		b.t.Errorf("%s: Tab leads to %s", which, state)
	}
}

// The pages around, on a desk and on a phone.
func testDevPages(t *testing.T, browser *chromium) {
	j := begin(t, browser, startDev(t), true)
	j.form.do(chromedp.EmulateViewport(1280, 800))
	look := func(name, address string) {
		for _, b := range []*tab{j.phone, j.form} {
			b.open(address)
			for _, colour := range colours {
				b.inspect(name, colour, map[bool]float64{true: 320, false: 1280}[b.small])
			}
		}
	}
	waiting := evaluate[string](j.form, "location.href")
	j.open()
	look("wait", waiting)
	j.link.tap("#deny button")
	j.link.titled(titleDenied)
	look("result", waiting)
	for name, path := range map[string]string{
		"home": "/", "play": "/play", "form": "/demo", "phone": "/phone", "docs": "/docs", "stray": "/demo/return",
	} {
		look(name, j.dev.base+path)
	}
}
