package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"holdfast/internal/flow"
)

// profile is somebody's browser: tabs that share cookies with one another and
// with nobody else.
type profile struct {
	t       *testing.T
	browser *chromium
	ctx     context.Context
	small   bool // every tab is a small phone's
}

func (c *chromium) profile(t *testing.T, small bool) *profile {
	t.Helper()
	ctx, closed := chromedp.NewContext(c.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(closed)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return &profile{t: t, browser: c, ctx: ctx, small: small}
}

// tab is one tab. When the test ends it fails for every error that the browser
// reported of its pages: exceptions, the console, violations of a policy.
type tab struct {
	*profile
	ctx context.Context

	mu       sync.Mutex
	problems []string
}

// tab opens a new one.
func (p *profile) tab() *tab { return p.attach() }

func (p *profile) attach(options ...chromedp.ContextOption) *tab {
	p.t.Helper()
	b := &tab{profile: p}
	ctx, closed := chromedp.NewContext(p.ctx, append(options, chromedp.WithListener(b.hear))...)
	b.ctx = ctx
	if err := chromedp.Do(ctx); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		defer closed()
		evaluate[bool](b, "true") // what was reported before has arrived then
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, problem := range b.problems {
			p.t.Errorf("the browser reports %s", problem)
		}
	})
	if p.small {
		b.do(chromedp.EmulateViewport(320, 568, chromedp.EmulateMobile, chromedp.EmulateTouch))
	}
	call(b, log.Enable, noParams)
	call(b, audits.Enable, noParams)
	return b
}

// documentStatus is what the browser says of a page that comes with an error's
// status, which is no error of the page.
var documentStatus = regexp.MustCompile(`^Failed to load resource: the server responded with a status of (400|403|404|410|500) `)

// hear gets all events of the tab.
func (b *tab) hear(event any) {
	said := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		said = "an exception: " + asJSON(e.ExceptionDetails)
	case *runtime.EventConsoleAPICalled:
		said = fmt.Sprintf("%s on the console: %s", e.Type, asJSON(e.Args))
	case *log.EventEntryAdded:
		at, err := url.Parse(e.Entry.URL)
		if documentStatus.MatchString(e.Entry.Text) && err == nil && mayFail(at.Path) {
			return
		}
		said = fmt.Sprintf("%s %s at %s: %s", e.Entry.Source, e.Entry.Level, e.Entry.URL, e.Entry.Text)
	case *audits.EventIssueAdded:
		said = "an issue: " + asJSON(e.Issue)
	}
	if said != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.problems = append(b.problems, said)
	}
}

// mayFail is for the pages that tell of errors, whose statuses other tests look at.
func mayFail(path string) bool {
	return path == "/demo/return" || strings.HasPrefix(path, flow.LinkPath) && !strings.HasSuffix(path, "/network")
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepTime)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.fail(err.Error())
	}
}

// fail ends the test with what the tab shows.
func (b *tab) fail(what string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepTime)
	defer cancel()
	shown, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("location + '\\n' + document.body.innerText"))
	b.shoot("failed")
	b.t.Fatalf("%s; the tab shows\n%s", what, shown)
}

// open goes to an address and waits for its page.
func (b *tab) open(address string) {
	b.t.Helper()
	b.do(chromedp.Navigate(address))
}

// script lets the tab's pages run scripts, or not.
func (b *tab) script(on bool) {
	b.t.Helper()
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
}

// front makes the tab the one that is seen.
func (b *tab) front() {
	b.t.Helper()
	call(b, page.BringToFront, noParams)
}

// until waits until a JavaScript condition holds, on whatever page is there then.
func (b *tab) until(condition string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepTime)
	defer cancel()
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	for {
		// There is an error while a page makes way for the next; the condition decides.
		holds, _ := chromedp.Run(ctx, chromedp.Evaluate[bool]("document.readyState === 'complete' && !!("+condition+")"))
		if holds {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			b.fail("still not so: " + condition)
		}
	}
}

// shows waits for an element that can be seen.
func (b *tab) shows(selector string) {
	b.t.Helper()
	b.until("document.querySelector(" + quoted(selector) + ")?.checkVisibility()")
}

// leave does something and waits until another page has taken this one's place.
func (b *tab) leave(do func()) {
	b.t.Helper()
	evaluate[chromedp.Void](b, "void (window.here = true)")
	do()
	b.until("!window.here")
}

// titled waits for the page with a title.
func (b *tab) titled(title string) {
	b.t.Helper()
	b.until("document.title === " + quoted(title))
}

// place is a point of a page, in its own pixels.
type place struct{ X, Y float64 }

// find scrolls to the first element that fits and returns its middle, where
// nothing may cover it.
func (b *tab) find(selector string) place {
	b.t.Helper()
	b.front()
	b.shows(selector)
	return evaluate[place](b, `(() => {
		const e = document.querySelector(`+quoted(selector)+`);
		e.scrollIntoView({block: 'center', behavior: 'instant'});
		const at = e.getClientRects()[0];
		const [X, Y] = [at.x + at.width / 2, at.y + at.height / 2];
		if (!e.contains(document.elementFromPoint(X, Y))) throw new Error('covered: ' + e.outerHTML);
		return {X, Y};
	})()`)
}

// tap presses an element, with a finger on a phone and else with a mouse.
func (b *tab) tap(selector string) {
	b.t.Helper()
	b.press(b.find(selector))
}

func (b *tab) press(at place) {
	b.t.Helper()
	if b.small {
		b.do(chromedp.TapXY(at.X, at.Y))
	} else {
		b.do(chromedp.MouseClickXY(at.X, at.Y))
	}
}

// write types into an empty field.
func (b *tab) write(selector, text string) {
	b.t.Helper()
	b.tap(selector)
	evaluate[chromedp.Void](b, "document.querySelector("+quoted(selector)+").select()")
	b.do(chromedp.KeyEvent(text))
}

// follow taps a link that opens a tab of its own, and returns that.
func (b *tab) follow(selector string) *tab {
	b.t.Helper()
	at := b.find(selector)
	ctx, cancel := context.WithTimeout(b.ctx, stepTime)
	defer cancel()
	self := chromedp.FromContext(b.ctx).Target.TargetID
	opened := chromedp.WaitNewTarget(ctx, func(info *target.Info) bool { return info.OpenerID == self })
	b.press(at)
	select {
	case id := <-opened:
		return b.attach(chromedp.WithTargetID(id))
	case <-ctx.Done():
		b.fail("no tab was opened by " + selector)
		return nil
	}
}

// shoot keeps a picture of the tab, if anybody wants one.
func (b *tab) shoot(name string) {
	b.t.Helper()
	if b.browser.screenshots == "" {
		return
	}
	b.front() // nothing paints what nobody sees
	ctx, cancel := context.WithTimeout(b.ctx, stepTime)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err == nil {
		file := strings.NewReplacer("/", "_", " ", "_").Replace(b.t.Name()+"."+name) + ".png"
		err = os.WriteFile(filepath.Join(b.browser.screenshots, file), picture, 0o600)
	}
	if err != nil {
		b.t.Logf("no picture: %v", err)
	}
}

// evaluate returns what a JavaScript expression, which changes nothing, is on the
// tab's page.
func evaluate[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepTime)
	defer cancel()
	for {
		value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
		if err == nil {
			return value
		}
		// Another error comes from a page that makes way for the next.
		var thrown *chromedp.ExceptionError
		if errors.As(err, &thrown) || ctx.Err() != nil {
			b.fail(err.Error() + " in " + expression)
		}
	}
}

var noParams = cdp.Empty{}

// call sends the tab one command of the DevTools protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepTime)
	defer cancel()
	result, err := chromedp.Call(ctx, command, params)
	if err != nil {
		b.t.Fatalf("%s: %v", command.Method, err)
	}
	return result
}

// quoted is a text as JavaScript has it.
func quoted(text string) string { return asJSON(text) }

func asJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
