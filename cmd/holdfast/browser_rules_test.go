package main

import (
	"net/http"
	"testing"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"holdfast/internal/flow"
	"holdfast/internal/secret"
	"holdfast/internal/tenant"
)

// expect compares the walk's end with what it must be.
func (j *walk) expect(want ending) {
	j.Helper()
	if diff := cmp.Diff(want, j.end(want.Phone)); diff != "" {
		j.Fatalf("the journey ended otherwise (-want +got):\n%s", diff)
	}
}

// address is where the link in the newest text leads.
func (j *walk) address() string {
	j.Helper()
	return evaluate[string](j.phone, "document.querySelector('.bubble:last-child a').href")
}

// hang lets requests that fit the pattern wait for ever.
func (b *tab) hang(pattern string) {
	b.t.Helper()
	call(b, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: pattern}}})
}

// The phone's pages need no script, not even the Wi-Fi page, nor does the page
// that waits.
func testWithoutScript(t *testing.T, browser *chromium) {
	j := begin(t, browser, startDev(t), false)
	waiting := evaluate[string](j.form, "location.href")
	j.form.script(false)
	j.form.open(waiting)
	j.choose("wifi")
	j.link = j.phone.tab()
	j.link.script(false)
	j.link.open(j.address())
	j.link.tap("#continue button")
	j.link.titled(titleWiFi)
	if evaluate[bool](j.link, "document.getElementById('watch').checkVisibility()") {
		t.Error("without script the Wi-Fi page promises to go on by itself")
	}
	j.link.shoot("wifi")
	j.choose("cellular")
	j.link.tap("#off button")
	j.expect(verified)
}

// With "landing: auto" the tap on the link is the only one.
func testLandingAuto(t *testing.T, browser *chromium) {
	dev := startDev(t)
	dev.set(t, func(s *tenant.Settings) { s.AutoSubmit = true })
	j := begin(t, browser, dev, true)
	j.link = j.phone.follow(".bubble:last-child a")
	j.expect(verified)

	// Without script there is a button to press.
	j = begin(t, browser, dev, false)
	j.link = j.phone.tab()
	j.link.script(false)
	j.link.open(j.address())
	j.link.tap("#continue button")
	j.expect(verified)
}

// Whoever has the link but not the browser that used it learns nothing.
func testStranger(t *testing.T, browser *chromium) {
	j := begin(t, browser, startDev(t), false)
	stranger := browser.profile(t, true).tab()
	stranger.open(j.address())
	stranger.titled(titleLink) // nobody has used it yet
	proceed(j)
	j.expect(verified)

	stranger.tap("#continue button")
	stranger.titled(titleUnusable)
	used := evaluate[string](stranger, "document.body.innerHTML")
	stranger.open(j.address())
	stranger.titled(titleUnusable)
	stranger.open(j.dev.base + flow.LinkPath + secret.NewToken(1).Reveal())
	stranger.titled(titleUnusable)
	if unknown := evaluate[string](stranger, "document.body.innerHTML"); unknown != used {
		t.Errorf("a used link and an unknown one differ:\n%s", cmp.Diff(used, unknown))
	}
	stranger.shoot("unusable")
}

// A second tap that comes before the answer to the first sends the form again.
// The answer to the first is lost then, and the browser takes the second's.
func testDoubleTap(t *testing.T, browser *chromium) {
	j := begin(t, browser, startDev(t), false)
	j.open()
	answered := make(chan *fetch.EventRequestPaused, 2)
	if err := chromedp.Listen(j.link.ctx, func(event any) {
		if e, ok := event.(*fetch.EventRequestPaused); ok {
			answered <- e
		}
	}); err != nil {
		t.Fatal(err)
	}
	call(j.link, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{
		{URLPattern: "*" + flow.LinkPath + "*", RequestStage: fetch.RequestStageResponse},
	}})
	button := j.link.find("#continue button")
	tapped := func() *fetch.EventRequestPaused {
		t.Helper()
		j.link.press(button)
		eventually(t, "the server has answered a tap", func() bool { return len(answered) > 0 })
		e := <-answered
		if e.Request.Method != http.MethodPost || e.ResponseStatusCode != http.StatusSeeOther {
			t.Fatalf("%s was answered with %d", e.Request.Method, e.ResponseStatusCode)
		}
		return e
	}
	tapped() // and no answer comes
	call(j.link, fetch.ContinueResponse, fetch.ContinueResponseParams{RequestID: tapped().RequestID})
	j.expect(verified)
}

// Back from the target leads to the link, and that leads the browser which used
// it to the target again, as a second tap in the messages does. After a while it
// is a used link.
func testBack(t *testing.T, browser *chromium) {
	j := begin(t, browser, startDev(t), false)
	proceed(j)
	j.expect(verified)
	first := evaluate[string](j.link, "location.href")

	link := call(j.link, page.GetNavigationHistory, noParams).Entries[0]
	j.link.leave(func() {
		call(j.link, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: link.ID})
	})
	j.expect(verified)
	back := evaluate[string](j.link, "location.href")
	j.link = j.phone.follow(".bubble:last-child a")
	j.expect(verified)
	if again := evaluate[string](j.link, "location.href"); back != first || again != first {
		t.Error("the link led elsewhere the second time")
	}

	j.dev.clock.move(flow.ReplayTime)
	j.phone.follow(".bubble:last-child a").titled(titleUnusable)
}
