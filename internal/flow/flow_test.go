package flow_test

import (
	"context"
	"errors"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/carrier"
	"holdfast/internal/flow"
	"holdfast/internal/secret"
	"holdfast/internal/sms"
	"holdfast/internal/store/sqlite"
	"holdfast/internal/tenant"
	"holdfast/internal/testkit"
	"holdfast/internal/verify"
)

var (
	cellular = netip.MustParseAddr("100.64.1.2")
	wifi     = netip.MustParseAddr("203.0.113.9")
)

// world is a flow over a real store, with fakes only for what the network
// can't reach: the gateway and the carrier.
type world struct {
	*flow.Flow
	t       *testing.T
	store   *sqlite.Store
	clock   *testkit.Clock
	carrier *testkit.Carrier
	gateway *testkit.Gateway
	client  tenant.Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx := t.Context()
	config := sqlite.Config{Path: filepath.Join(t.TempDir(), "flow.db")}
	if err := sqlite.Migrate(ctx, config); err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.New(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	key, _ := secret.GenerateKey()
	w := &world{
		t: t, store: store, clock: testkit.NewClock(), carrier: testkit.NewCarrier(), gateway: &testkit.Gateway{},
		client: tenant.Client{
			ID: 1, Username: "acme", Business: "Acme Bank", CreatedAt: time.Unix(0, 0).UTC(),
			Settings: tenant.Settings{Targets: []string{"https://app.example.com"}},
		},
	}
	if err := store.CreateClient(ctx, w.client); err != nil {
		t.Fatal(err)
	}
	w.Flow, err = flow.New(flow.Config{
		Store: store, Clients: store, Outbox: sendAtOnce{w}, Gateways: w.gateway, Networks: w.carrier, Key: key,
		IDs: verify.NewIDs(1, w.clock.Now), Node: 1, PublicURL: &url.URL{Scheme: "https", Host: "v.example.com"}, Now: w.clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// sendAtOnce is an outbox without a queue: it sends in the caller's goroutine.
type sendAtOnce struct{ w *world }

func (o sendAtOnce) Hand(m verify.Message) {
	ctx, w := o.w.t.Context(), o.w
	attempt := verify.Attempt{ID: m.ID, N: m.Attempts + 1, Gateway: w.Gateway(m), At: w.clock.Now()}
	if err := w.store.BeginAttempt(ctx, 1, attempt); err != nil {
		w.t.Error(err)
	}
	end := w.Send(ctx, m, attempt)
	if end.Result == verify.AttemptRetry {
		end.RetryAt = w.clock.Now().Add(time.Second)
	}
	if err := w.store.EndAttempt(ctx, end); err != nil {
		w.t.Error(err)
	}
}

func sendLink() flow.SendLink {
	return flow.SendLink{TargetURL: "https://app.example.com/done?order=7", MobileNumber: "2125550123", CountryCode: "US", SourceIP: cellular.String()}
}

// request sends a link and returns its handle and the link's token, as the phone
// reads it.
func (w *world) request(in flow.SendLink) (verify.Handle, string) {
	w.t.Helper()
	handle, err := w.Request(w.t.Context(), w.client, in)
	if err != nil {
		w.t.Fatal(err)
	}
	sent := w.gateway.Sent()
	_, token, found := strings.Cut(sent[len(sent)-1].Text, "https://v.example.com"+flow.LinkPath)
	if !found {
		w.t.Fatalf("no link in the text")
	}
	return handle, token[:secret.TokenSize]
}

func (w *world) tap(token string) flow.Tap {
	return flow.Tap{Token: token, Browser: "browser-a", Addr: cellular}
}

func (w *world) confirm(tap flow.Tap) flow.Next {
	w.t.Helper()
	next, err := w.Confirm(w.t.Context(), tap)
	if err != nil {
		w.t.Fatal(err)
	}
	return next
}

// callback is what a browser brings back from the authorize URL it was sent to.
func callback(next flow.Next, browser flow.Browser) flow.Callback {
	u, _ := url.Parse(next.URL)
	return flow.Callback{Carrier: "testnet", Browser: browser, Query: url.Values{"state": {u.Query().Get("state")}, "code": {"c1"}}}
}

func (w *world) authenticate(cb flow.Callback) flow.Next {
	w.t.Helper()
	next, err := w.Authenticate(w.t.Context(), cb)
	if err != nil {
		w.t.Fatal(err)
	}
	return next
}

func (w *world) status(h verify.Handle) verify.Result {
	w.t.Helper()
	r, err := w.Status(w.t.Context(), w.client, h.RequestID, h.SessionID)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func vfpOf(next flow.Next) string {
	u, _ := url.Parse(next.URL)
	return u.Query().Get("vfp")
}

func TestJourney(t *testing.T) {
	w := newWorld(t)
	handle, token := w.request(sendLink())
	if r := w.status(handle); r.Status != verify.StatusPending || r.LinkClicked || r.Delivery != verify.Sent {
		t.Fatalf("before the click: %+v", r)
	}
	page, err := w.Open(t.Context(), w.tap(token))
	if err != nil || page.Show != flow.ShowLink || page.Page.Business != "Acme Bank" || page.Page.LastDigits != "23" {
		t.Fatalf("Open = %+v, %v", page, err)
	}
	next := w.confirm(w.tap(token))
	if next.Show != flow.ShowRedirect || !strings.HasPrefix(next.URL, "https://carrier.example/authorize?") {
		t.Fatalf("Confirm = %+v", next)
	}
	home := w.authenticate(callback(next, "browser-a"))
	if home.Show != flow.ShowRedirect || !strings.HasPrefix(home.URL, "https://app.example.com/done?order=7&vfp=") {
		t.Fatalf("Authenticate = %+v", home)
	}
	r, err := w.Redeem(t.Context(), w.client, vfpOf(home))
	if err != nil || r.Verdict != verify.VerdictVerified || r.Match != verify.MatchTrue || !r.IPMatch || r.Verification.SessionID != handle.SessionID {
		t.Fatalf("Redeem = %+v, %v", r, err)
	}
	if r := w.status(handle); r.Status != verify.StatusCompleted || r.Verdict != verify.VerdictVerified {
		t.Fatalf("Status = %+v", r)
	}
}

func TestAnswersBecomeResults(t *testing.T) {
	for _, tc := range []struct {
		name    string
		answer  carrier.Answer
		verdict verify.Verdict
	}{
		{"match", carrier.Answer{Match: verify.MatchTrue}, verify.VerdictVerified},
		{"other SIM", carrier.Answer{Match: verify.MatchFalse}, verify.VerdictFailed},
		{"no answer", carrier.Answer{Reasons: []verify.Reason{verify.ReasonCarrierTimeout}, Err: errors.New("slow")}, verify.VerdictIndeterminate},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			handle, token := w.request(sendLink())
			w.carrier.Say(tc.answer)
			home := w.authenticate(callback(w.confirm(w.tap(token)), "browser-a"))
			if home.Show != flow.ShowRedirect || vfpOf(home) == "" {
				t.Fatalf("not sent home: %+v", home)
			}
			r := w.status(handle)
			if r.Verdict != tc.verdict || r.Match != tc.answer.Match || !r.LinkClicked {
				t.Errorf("result %+v", r)
			}
		})
	}
}

func TestWiFiKeepsTheLink(t *testing.T) {
	w := newWorld(t)
	handle, token := w.request(sendLink())
	onWiFi := flow.Tap{Token: token, Browser: "browser-a", Addr: wifi}
	if next := w.confirm(onWiFi); next.Show != flow.ShowWiFi {
		t.Fatalf("Confirm on Wi-Fi = %+v", next)
	}
	if r := w.status(handle); r.LinkClicked || r.Status != verify.StatusPending {
		t.Fatalf("the link was spent: %+v", r)
	}
	if w.OnNetwork(t.Context(), wifi) || !w.OnNetwork(t.Context(), cellular) {
		t.Error("OnNetwork is wrong")
	}
	t.Run("then cellular", func(t *testing.T) {
		if next := w.confirm(w.tap(token)); next.Show != flow.ShowRedirect {
			t.Fatalf("Confirm = %+v", next)
		}
	})
	t.Run("kept", func(t *testing.T) {
		handle, token := w.request(sendLink())
		home := w.confirm(flow.Tap{Token: token, Browser: "browser-a", Addr: wifi, Without: true})
		if vfpOf(home) == "" {
			t.Fatalf("Confirm without = %+v", home)
		}
		if r := w.status(handle); !r.LinkClicked || r.Match != verify.MatchIndeterminate || r.Reasons[0] != verify.ReasonWiFi || r.Verdict != verify.VerdictIndeterminate {
			t.Errorf("result %+v", r)
		}
	})
}

func TestDeny(t *testing.T) {
	w := newWorld(t)
	handle, token := w.request(sendLink())
	next, err := w.Deny(t.Context(), w.tap(token))
	if err != nil || next.Show != flow.ShowDenied {
		t.Fatalf("Deny = %+v, %v", next, err)
	}
	if r := w.status(handle); r.Status != verify.StatusDenied || r.Verdict != verify.VerdictFailed || r.LinkClicked {
		t.Errorf("result %+v", r)
	}
	if next := w.confirm(w.tap(token)); next.Show != flow.ShowDenied {
		t.Errorf("a denied link was confirmed: %+v", next)
	}
	t.Run("after Continue", func(t *testing.T) {
		_, token := w.request(sendLink())
		w.confirm(w.tap(token))
		next, err := w.Deny(t.Context(), w.tap(token))
		if err != nil || next.Show != flow.ShowLink || !next.Page.Confirmed {
			t.Errorf("Deny = %+v, %v; the page must say that it is too late", next, err)
		}
	})
	t.Run("too late", func(t *testing.T) {
		handle, token := w.request(sendLink())
		w.confirm(w.tap(token))
		other := w.tap(token)
		other.Browser = "browser-b"
		if next, err := w.Deny(t.Context(), other); err != nil || next.Show != flow.ShowUnusable {
			t.Errorf("Deny = %+v, %v", next, err)
		}
		if r := w.status(handle); r.Status != verify.StatusPending {
			t.Errorf("result %+v", r)
		}
	})
}

func TestExpiry(t *testing.T) {
	w := newWorld(t)
	handle, token := w.request(sendLink())
	w.clock.Advance(5*time.Minute - time.Microsecond)
	if page, _ := w.Open(t.Context(), w.tap(token)); page.Show != flow.ShowLink {
		t.Fatalf("a microsecond before: %+v", page)
	}
	w.clock.Advance(time.Microsecond)
	for name, next := range map[string]func() (flow.Next, error){
		"open":    func() (flow.Next, error) { return w.Open(t.Context(), w.tap(token)) },
		"confirm": func() (flow.Next, error) { return w.Confirm(t.Context(), w.tap(token)) },
		"deny":    func() (flow.Next, error) { return w.Deny(t.Context(), w.tap(token)) },
	} {
		if got, err := next(); err != nil || got.Show != flow.ShowExpired {
			t.Errorf("%s = %+v, %v", name, got, err)
		}
	}
	if r := w.status(handle); r.Status != verify.StatusExpired || r.LinkClicked || r.Match != verify.MatchIndeterminate {
		t.Errorf("result %+v", r)
	}
}

// A stranger can't tell an unknown link from a used one, nor from one with
// another's secret.
func TestStrangersSeeOneAnswer(t *testing.T) {
	w := newWorld(t)
	_, token := w.request(sendLink())
	w.confirm(w.tap(token))
	known, _ := secret.ParseToken(token)
	forged := secret.NewToken(known.ID).Reveal()
	unknown := secret.NewToken(known.ID + 1).Reveal()
	for name, text := range map[string]string{"used": token, "forged": forged, "unknown": unknown, "nonsense": "x", "empty": ""} {
		for _, browser := range []flow.Browser{"", "browser-b"} {
			tap := flow.Tap{Token: text, Browser: browser, Addr: cellular}
			opened, err := w.Open(t.Context(), tap)
			if err != nil || opened != (flow.Next{Show: flow.ShowUnusable}) {
				t.Errorf("%s: Open = %+v, %v", name, opened, err)
			}
			confirmed, err := w.Confirm(t.Context(), tap)
			if err != nil || confirmed != (flow.Next{Show: flow.ShowUnusable}) {
				t.Errorf("%s: Confirm = %+v, %v", name, confirmed, err)
			}
			denied, err := w.Deny(t.Context(), tap)
			if err != nil || denied != (flow.Next{Show: flow.ShowUnusable}) {
				t.Errorf("%s: Deny = %+v, %v", name, denied, err)
			}
		}
	}
}

func TestDoubleTapAndReload(t *testing.T) {
	w := newWorld(t)
	_, token := w.request(sendLink())
	first := w.confirm(w.tap(token))
	if again := w.confirm(w.tap(token)); again != first {
		t.Fatalf("a double tap got another step: %+v", again)
	}
	home := w.authenticate(callback(first, "browser-a"))
	if again := w.authenticate(callback(first, "browser-a")); again != home {
		t.Fatalf("a reload of the callback got another step: %+v", again)
	}
	if again := w.confirm(w.tap(token)); again != home {
		t.Fatalf("the page's button after the end: %+v", again)
	}
	if w.carrier.Asked() != 1 {
		t.Errorf("the carrier was asked %d times", w.carrier.Asked())
	}
	w.clock.Advance(flow.ReplayTime)
	if late := w.authenticate(callback(first, "browser-a")); late.Show != flow.ShowUnusable {
		t.Errorf("after the grace: %+v", late)
	}
}

func TestSixteenTapsOneWinner(t *testing.T) {
	w := newWorld(t)
	_, token := w.request(sendLink())
	var won, page atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			tap := w.tap(token)
			tap.Browser = flow.Browser("browser-" + string(rune('a'+i)))
			switch next, err := w.Confirm(t.Context(), tap); {
			case err != nil:
				t.Error(err)
			case next.Show == flow.ShowRedirect:
				won.Add(1)
			case next.Show == flow.ShowUnusable:
				page.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || page.Load() != 15 {
		t.Errorf("%d won, %d were refused", won.Load(), page.Load())
	}
}

// What does not belong together gets a page and changes nothing: the right
// browser can still finish.
func TestForeignCallbacksChangeNothing(t *testing.T) {
	w := newWorld(t)
	handle, token := w.request(sendLink())
	next := w.confirm(w.tap(token))
	_, otherToken := w.request(sendLink())
	otherTap := w.tap(otherToken)
	otherTap.Browser = "browser-b"
	otherNext := w.confirm(otherTap)

	good := callback(next, "browser-a")
	id := w.status(handle).Verification.ID
	with := func(change func(*flow.Callback)) flow.Callback {
		cb := callback(next, "browser-a")
		change(&cb)
		return cb
	}
	for name, cb := range map[string]flow.Callback{
		"another browser":       with(func(c *flow.Callback) { c.Browser = "browser-b" }),
		"no browser":            with(func(c *flow.Callback) { c.Browser = "" }),
		"another journey":       with(func(c *flow.Callback) { c.Query = callback(otherNext, "").Query }),
		"forged state":          with(func(c *flow.Callback) { c.Query.Set("state", secret.NewToken(int64(id)).Reveal()) }),
		"unknown state":         with(func(c *flow.Callback) { c.Query.Set("state", secret.NewToken(77).Reveal()) }),
		"no state":              with(func(c *flow.Callback) { c.Query.Del("state") }),
		"another carrier":       with(func(c *flow.Callback) { c.Carrier = "other" }),
		"a link for a state":    with(func(c *flow.Callback) { c.Query.Set("state", token) }),
		"nonsense for a state":  with(func(c *flow.Callback) { c.Query.Set("state", "x") }),
		"a state with an extra": with(func(c *flow.Callback) { c.Query.Set("state", c.Query.Get("state")+"A") }),
	} {
		got := w.authenticate(cb)
		if got.Show != flow.ShowOtherBrowser && got.Show != flow.ShowUnusable {
			t.Errorf("%s: %+v", name, got)
		}
	}
	w.carrier.Say(carrier.Answer{Foreign: true, Err: errors.New("wrong nonce")})
	if got := w.authenticate(good); got.Show != flow.ShowForeignAnswer {
		t.Errorf("wrong nonce: %+v", got)
	}
	if r := w.status(handle); r.Status != verify.StatusPending || !r.Verification.AwaitsAnswer(w.clock.Now()) {
		t.Fatalf("the verification was changed: %+v", r)
	}
	w.carrier.Say(carrier.Answer{Match: verify.MatchTrue})
	if got := w.authenticate(good); got.Show != flow.ShowRedirect {
		t.Errorf("the right callback, afterwards: %+v", got)
	}
}

// A late state ends as a page: nothing was looked up, so there is no fingerprint
// to be sent home with.
func TestLateCallback(t *testing.T) {
	w := newWorld(t)
	handle, token := w.request(sendLink())
	next := w.confirm(w.tap(token))
	for _, step := range []struct {
		after time.Duration
		want  flow.Show
	}{
		{verify.AnswerTime, flow.ShowUnusable},
		{verify.AnswerGrace, flow.ShowFinished},
		{flow.ReplayTime, flow.ShowUnusable},
	} {
		w.clock.Advance(step.after)
		opened, err := w.Open(t.Context(), w.tap(token))
		if err != nil || opened.Show != step.want || opened.URL != "" {
			t.Errorf("Open = %+v, %v; want %v", opened, err, step.want)
		}
		if got := w.authenticate(callback(next, "browser-a")); got.Show != step.want || got.URL != "" {
			t.Errorf("Authenticate = %+v, want %v", got, step.want)
		}
	}
	r := w.status(handle)
	if r.Status != verify.StatusCompleted || r.Reasons[0] != verify.ReasonCarrierTimeout || w.carrier.Asked() != 0 {
		t.Errorf("result %+v, carrier asked %d times", r, w.carrier.Asked())
	}
}

// A node that died while it looked an answer up leaves a journey that ends a
// minute later, on a page.
func TestLostLookup(t *testing.T) {
	w := newWorld(t)
	handle, token := w.request(sendLink())
	next := w.confirm(w.tap(token))
	if err := w.store.ClaimAnswer(t.Context(), w.status(handle).Verification.ID, w.clock.Now()); err != nil {
		t.Fatal(err)
	}
	if got := w.authenticate(callback(next, "browser-a")); got.Show != flow.ShowWait {
		t.Errorf("meanwhile: %+v", got)
	}
	w.clock.Advance(verify.AnswerGrace)
	if got := w.authenticate(callback(next, "browser-a")); got.Show != flow.ShowFinished {
		t.Errorf("afterwards: %+v", got)
	}
	if r := w.status(handle); r.Status != verify.StatusCompleted || r.Reasons[0] != verify.ReasonCarrierTimeout {
		t.Errorf("result %+v", r)
	}
}

// Two callbacks at once: one asks the carrier, the other waits and then gets the
// same way home.
func TestConcurrentCallbacksAskOnce(t *testing.T) {
	w := newWorld(t)
	_, token := w.request(sendLink())
	next := w.confirm(w.tap(token))
	entered, release := make(chan struct{}), make(chan struct{})
	w.carrier.SayBy(func(carrier.Journey, url.Values) carrier.Answer {
		close(entered)
		<-release
		return carrier.Answer{Match: verify.MatchTrue}
	})
	home := make(chan flow.Next, 1)
	go func() {
		got, _ := w.Authenticate(context.WithoutCancel(t.Context()), callback(next, "browser-a"))
		home <- got
	}()
	<-entered
	if waiting := w.authenticate(callback(next, "browser-a")); waiting.Show != flow.ShowWait {
		t.Errorf("meanwhile: %+v", waiting)
	}
	close(release)
	if got := <-home; got != w.authenticate(callback(next, "browser-a")) || got.Show != flow.ShowRedirect {
		t.Errorf("afterwards: %+v", got)
	}
	if w.carrier.Asked() != 1 {
		t.Errorf("asked %d times", w.carrier.Asked())
	}
}

// A browser that goes away while the carrier is asked loses nothing.
func TestBrowserGoesAwayWhileAsked(t *testing.T) {
	w := newWorld(t)
	handle, token := w.request(sendLink())
	next := w.confirm(w.tap(token))
	ctx, cancel := context.WithCancel(t.Context())
	w.carrier.SayBy(func(carrier.Journey, url.Values) carrier.Answer {
		cancel()
		return carrier.Answer{Match: verify.MatchTrue}
	})
	if _, err := w.Authenticate(ctx, callback(next, "browser-a")); err != nil {
		t.Fatal(err)
	}
	if r := w.status(handle); r.Verdict != verify.VerdictVerified {
		t.Errorf("result %+v", r)
	}
}

func TestCarrierUnreachable(t *testing.T) {
	w := newWorld(t)
	handle, token := w.request(sendLink())
	w.carrier.Break(errors.New("discovery failed"))
	if home := w.confirm(w.tap(token)); vfpOf(home) == "" {
		t.Fatalf("Confirm = %+v", home)
	}
	if r := w.status(handle); r.Reasons[0] != verify.ReasonCarrierUnavailable || !r.LinkClicked {
		t.Errorf("result %+v", r)
	}
}

func TestTargetIsCheckedAgain(t *testing.T) {
	w := newWorld(t)
	_, token := w.request(sendLink())
	next := w.confirm(w.tap(token))
	w.client.Settings.Targets = []string{"https://elsewhere.example.com"}
	if err := w.store.SetSettings(t.Context(), w.client.ID, w.client.Business, w.client.Settings); err != nil {
		t.Fatal(err)
	}
	if got := w.authenticate(callback(next, "browser-a")); got.Show != flow.ShowFinished || got.URL != "" {
		t.Errorf("sent to a target that is no longer allowed: %+v", got)
	}
}

func TestRedeemRefuses(t *testing.T) {
	w := newWorld(t)
	handle, token := w.request(sendLink())
	home := w.authenticate(callback(w.confirm(w.tap(token)), "browser-a"))
	vfp := vfpOf(home)
	other := tenant.Client{ID: 2}
	parsed, _ := secret.ParseToken(vfp)
	for name, redeem := range map[string]func() (verify.Result, error){
		"another client's": func() (verify.Result, error) { return w.Redeem(t.Context(), other, vfp) },
		"made up": func() (verify.Result, error) {
			return w.Redeem(t.Context(), w.client, secret.NewToken(parsed.ID).Reveal())
		},
		"the link":       func() (verify.Result, error) { return w.Redeem(t.Context(), w.client, token) },
		"empty":          func() (verify.Result, error) { return w.Redeem(t.Context(), w.client, "") },
		"other's status": func() (verify.Result, error) { return w.Status(t.Context(), other, handle.RequestID, handle.SessionID) },
		"other session": func() (verify.Result, error) {
			return w.Status(t.Context(), w.client, handle.RequestID, verify.NewSessionID())
		},
		"swapped ids": func() (verify.Result, error) {
			return w.Status(t.Context(), w.client, handle.SessionID, handle.RequestID)
		},
	} {
		if r, err := redeem(); !errors.Is(err, verify.ErrNotFound) || r.Status != "" {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	w.clock.Advance(time.Hour - time.Microsecond)
	if _, err := w.Redeem(t.Context(), w.client, vfp); err != nil {
		t.Errorf("within its hour: %v", err)
	}
	w.clock.Advance(time.Microsecond)
	if _, err := w.Redeem(t.Context(), w.client, vfp); !errors.Is(err, verify.ErrNotFound) {
		t.Errorf("after its hour: %v", err)
	}
	if r := w.status(handle); r.Status != verify.StatusCompleted {
		t.Errorf("the poll stopped answering: %+v", r)
	}
}

func TestRequestListsEveryBadField(t *testing.T) {
	w := newWorld(t)
	text := "see evil.com {link}"
	_, err := w.Request(t.Context(), w.client, flow.SendLink{
		TargetURL: "http://app.example.com", MobileNumber: "123", CountryCode: "US", SourceIP: "1.2.3.4:5", CustomSMS: &text,
	})
	var invalid *verify.Error
	if !errors.As(err, &invalid) || invalid.Code != verify.CodeInvalid || len(invalid.Fields) != 4 {
		t.Fatalf("Request = %v", err)
	}
	if len(w.gateway.Sent()) != 0 {
		t.Error("something was sent")
	}
}

func TestIdempotency(t *testing.T) {
	w := newWorld(t)
	in := sendLink()
	in.IdempotencyKey = "order-7"
	first, _ := w.request(in)
	again, err := w.Request(t.Context(), w.client, in)
	if err != nil || again != first || len(w.gateway.Sent()) != 1 {
		t.Fatalf("repeated: %v, %v, %d sent", again, err, len(w.gateway.Sent()))
	}
	in.MobileNumber = "2125550124"
	if _, err := w.Request(t.Context(), w.client, in); !errors.Is(err, verify.ErrKeyReused) {
		t.Errorf("another body: %v", err)
	}
	w.clock.Advance(verify.IdempotencyTime + time.Microsecond)
	if after, err := w.Request(t.Context(), w.client, in); err != nil || after == first {
		t.Errorf("after a day: %v, %v", after, err)
	}
}

func TestTexts(t *testing.T) {
	w := newWorld(t)
	w.request(sendLink())
	text := w.gateway.Sent()[0].Text
	if !strings.HasPrefix(text, "Acme Bank: ") || len(text) > 160 || !strings.Contains(text, "Wi-Fi") {
		t.Errorf("default text (%d): %s", len(text), text)
	}
	in, custom := sendLink(), "Hi from Acme: #### — thanks"
	in.CustomSMS = &custom
	handle, _ := w.request(in)
	if got := w.gateway.Sent()[1].Text; !strings.HasPrefix(got, "Hi from Acme: https://v.example.com/l/") || !strings.HasSuffix(got, " — thanks") {
		t.Errorf("custom text: %s", got)
	}
	if v := w.status(handle).Verification; v.Segments != 2 {
		t.Errorf("segments = %d: the dash makes it UCS-2, 70 to a segment", v.Segments)
	}
	custom = strings.Repeat("emoji 😀 ", 30)
	if _, err := w.Request(t.Context(), w.client, in); !errors.Is(err, verify.Invalid()) {
		t.Errorf("too many segments: %v", err)
	}
}

func TestReceipts(t *testing.T) {
	w := newWorld(t)
	handle, _ := w.request(sendLink())
	ref := w.gateway.Sent()[0].Ref
	for _, step := range []struct {
		status sms.Status
		want   verify.DeliveryState
	}{
		{sms.OnItsWay, verify.Sent},
		{sms.Ignored, verify.Sent},
		{sms.Arrived, verify.Delivered},
		{sms.OnItsWay, verify.Delivered},
		{sms.Undeliverable, verify.Delivered},
		{sms.Arrived, verify.Delivered},
	} {
		if err := w.Receipt(t.Context(), sms.Receipt{Ref: ref, Status: step.status}); err != nil {
			t.Fatal(err)
		}
		if got := w.status(handle).Delivery; got != step.want {
			t.Errorf("after %v: %v, want %v", step.status, got, step.want)
		}
	}
	parsed, _ := secret.ParseToken(ref)
	for _, bad := range []string{"", "x", secret.NewToken(parsed.ID).Reveal(), secret.NewToken(1).Reveal()} {
		if err := w.Receipt(t.Context(), sms.Receipt{Ref: bad, Status: sms.Arrived}); !errors.Is(err, verify.ErrNotFound) {
			t.Errorf("a made-up reference: %v", err)
		}
	}
}

func TestSendOutcomes(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want verify.DeliveryState
	}{
		{"accepted", nil, verify.Sent},
		{"lost", &sms.Error{Class: sms.Lost, Code: "timeout"}, verify.Unknown},
		{"refused", &sms.Error{Class: sms.Refused, Code: "21610"}, verify.Failed},
		{"busy", &sms.Error{Class: sms.Retry, Code: "http_503"}, verify.Queued},
		{"unclassified", errors.New("x"), verify.Unknown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.gateway.Say(func(sms.Message) (sms.Accepted, error) { return sms.Accepted{}, tc.err })
			handle, _ := w.request(sendLink())
			if got := w.status(handle).Delivery; got != tc.want {
				t.Errorf("delivery %v, want %v", got, tc.want)
			}
		})
	}
}
