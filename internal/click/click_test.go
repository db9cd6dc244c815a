package click_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/click"
	"holdfast/internal/flow"
	"holdfast/internal/verify"
)

// Message apps, carriers and scanners fetch links with GET and HEAD; neither may
// reach a step that changes anything.
func TestGetAndHeadOnlyOpen(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "HEAD"} {
		f := shows(flow.ShowLink)
		p := start(t, f)
		got := p.do(method, "/l/"+token, nil, nil)
		p.do(method, "/l/"+token+"/network", nil, nil)
		if got.StatusCode != 200 || got.ContentLength <= 0 {
			t.Errorf("%s: %s with length %d, want 200 and a page's length", method, got.Status, got.ContentLength)
		}
		if (method == "HEAD") != (got.body == "") {
			t.Errorf("%s: body of %d bytes", method, len(got.body))
		}
		p.do(method, "/l/"+token+"/deny", nil, nil)
		if !slices.Equal(f.calls, []string{"open", "network"}) {
			t.Errorf("%s reached %v", method, f.calls)
		}
		if f.taps[0].Token != token {
			t.Errorf("%s: the flow got another token", method)
		}
	}
}

func TestOtherMethodsAreRefused(t *testing.T) {
	t.Parallel()
	f := shows(flow.ShowLink)
	p := start(t, f)
	for _, path := range []string{"/l/" + token, "/l/" + token + "/deny", "/l/" + token + "/network", "/carrier/north/callback"} {
		for _, method := range []string{"PUT", "DELETE", "PATCH"} {
			if got := p.do(method, path, nil, nil); got.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %s", method, path, got.Status)
			}
		}
	}
	if len(f.calls) != 0 {
		t.Errorf("the flow was asked: %v", f.calls)
	}
}

// allShows are all that a browser can be shown, with the status of a GET and of
// a form.
var allShows = []struct {
	show      flow.Show
	get, post int
}{
	{flow.ShowUnusable, 404, 404},
	{flow.ShowRedirect, 303, 303},
	{flow.ShowLink, 200, 200},
	{flow.ShowWiFi, 200, 200},
	{flow.ShowWait, 200, 303},
	{flow.ShowExpired, 410, 410},
	{flow.ShowDenied, 410, 200},
	{flow.ShowOtherBrowser, 403, 403},
	{flow.ShowFinished, 200, 200},
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	for _, tc := range allShows {
		f := shows(tc.show)
		f.next.URL = "https://app.example/return?a=1&vfp=x"
		p := start(t, f)
		for path, want := range map[string]int{"/l/" + token: tc.get, "/carrier/north/callback?state=x": tc.get} {
			if got := p.get(path); got.StatusCode != want {
				t.Errorf("%v: GET %s is %d, want %d", tc.show, path, got.StatusCode, want)
			}
		}
		for _, path := range []string{"/l/" + token, "/l/" + token + "/deny"} {
			if got := p.post(path); got.StatusCode != tc.post {
				t.Errorf("%v: POST %s is %d, want %d", tc.show, path, got.StatusCode, tc.post)
			}
		}
	}
}

func TestRedirectsByGetAndWithoutABody(t *testing.T) {
	t.Parallel()
	f := shows(flow.ShowRedirect)
	f.next.URL = "https://carrier.example/authorize?a=b&c=d%20e"
	p := start(t, f)
	for _, got := range []answer{p.get("/l/" + token), p.post("/l/" + token), p.get("/carrier/north/callback")} {
		if got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != f.next.URL || got.body != "" {
			t.Errorf("%s to %q with %d bytes", got.Status, got.Header.Get("Location"), len(got.body))
		}
	}
}

// The wait page loads itself again; were it the answer to a form, some browsers
// would send the form again.
func TestWaitingAfterAFormIsAPageOfItsOwn(t *testing.T) {
	t.Parallel()
	p := start(t, shows(flow.ShowWait))
	if got := p.post("/l/" + token + "/deny").Header.Get("Location"); got != "/l/"+token {
		t.Errorf("sent to %q", got)
	}
	if !strings.Contains(p.get("/l/"+token).body, `<meta http-equiv="refresh" content="1">`) {
		t.Error("the wait page does not load itself again")
	}
}

func TestTheCallbackCarriesAll(t *testing.T) {
	t.Parallel()
	f := shows(flow.ShowFinished)
	p := start(t, f)
	p.get("/l/" + token)
	p.get("/carrier/north/callback?code=c&state=s&iss=https%3A%2F%2Fop.example")
	want := url.Values{"code": {"c"}, "state": {"s"}, "iss": {"https://op.example"}}
	if f.back.Carrier != "north" || f.back.Query.Encode() != want.Encode() || f.back.Browser == "" {
		t.Errorf("got carrier %q, query %v, browser set: %v", f.back.Carrier, f.back.Query, f.back.Browser != "")
	}
}

func TestFormsSayWhatTheButtonSays(t *testing.T) {
	t.Parallel()
	f := shows(flow.ShowWiFi)
	p := start(t, f)
	p.do("POST", "/l/"+token+"?without=1", url.Values{}, nil)
	p.do("POST", "/l/"+token, url.Values{"without": {"1"}}, nil)
	p.do("POST", "/l/"+token+"/deny", url.Values{}, nil)
	if !slices.Equal(f.calls, []string{"confirm", "confirm", "deny"}) {
		t.Fatalf("calls: %v", f.calls)
	}
	if f.taps[0].Without || !f.taps[1].Without {
		t.Error("only the form may say that the consumer goes on without")
	}
	for _, tap := range f.taps {
		if tap.Addr.String() != "127.0.0.1" {
			t.Errorf("a tap came without the client's address: %v", tap.Addr)
		}
	}
}

func TestNetworkTellsTheScript(t *testing.T) {
	t.Parallel()
	for _, cellular := range []bool{true, false} {
		p := start(t, &fakeFlow{cellular: cellular})
		got := p.get("/l/" + token + "/network")
		want := map[bool]string{true: `{"cellular":true}`, false: `{"cellular":false}`}[cellular]
		if strings.TrimSpace(got.body) != want || got.Header.Get("Content-Type") != "application/json" || len(got.Cookies()) != 0 {
			t.Errorf("got %q as %s with %d cookies", got.body, got.Header.Get("Content-Type"), len(got.Cookies()))
		}
	}
}

// Only our own pages' forms may confirm or deny.
func TestCrossOriginForms(t *testing.T) {
	t.Parallel()
	f := shows(flow.ShowLink)
	p := start(t, f)
	for name, tc := range map[string]struct {
		header http.Header
		passes bool
	}{
		"same origin":            {http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {"null"}}, true},
		"typed by the user":      {http.Header{"Sec-Fetch-Site": {"none"}}, true},
		"curl":                   {nil, true},
		"old browser, own page":  {http.Header{"Origin": {"null"}}, true},
		"same origin by Origin":  {http.Header{"Origin": {p.base}}, true},
		"cross site":             {http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"null"}}, false},
		"same site":              {http.Header{"Sec-Fetch-Site": {"same-site"}}, false},
		"old browser, elsewhere": {http.Header{"Origin": {"https://evil.example"}}, false},
	} {
		f.calls = nil
		for _, path := range []string{"/l/" + token, "/l/" + token + "/deny"} {
			got := p.do("POST", path, url.Values{}, tc.header)
			if !tc.passes && (got.StatusCode != 403 || !strings.Contains(got.body, "open the link again")) {
				t.Errorf("%s: POST %s is %s", name, path, got.Status)
			}
		}
		if passed := len(f.calls) == 2; passed != tc.passes || len(f.calls) == 1 {
			t.Errorf("%s: the flow got %v", name, f.calls)
		}
	}
}

func TestBadFormsChangeNothing(t *testing.T) {
	t.Parallel()
	f := shows(flow.ShowLink)
	p := start(t, f)
	huge := url.Values{"without": {strings.Repeat("1", 5000)}}
	if got := p.do("POST", "/l/"+token, huge, nil); got.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a huge form: %s", got.Status)
	}
	broken := http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset="}}
	if got := p.do("POST", "/l/"+token, nil, broken); got.StatusCode != http.StatusBadRequest {
		t.Errorf("a broken content type: %s", got.Status)
	}
	if len(f.calls) != 0 {
		t.Errorf("the flow was asked: %v", f.calls)
	}
}

func TestFailuresAreAPageThatTellsNothing(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err    error
		status int
	}{
		"unknown":     {errors.New("dial tcp 10.0.0.7: secret detail"), 500},
		"unavailable": {&verify.Error{Code: verify.CodeUnavailable, Message: "busy", RetryAfter: 3 * time.Second}, 503},
		"limited":     {&verify.Error{Code: verify.CodeRateLimited, Message: "slow down"}, 429},
	} {
		p := start(t, &fakeFlow{err: tc.err})
		for _, got := range []answer{p.get("/l/" + token), p.post("/l/" + token), p.post("/l/" + token + "/deny"), p.get("/carrier/n/callback")} {
			if got.StatusCode != tc.status || strings.Contains(got.body, "secret detail") || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/html") {
				t.Errorf("%s: %s as %s", name, got.Status, got.Header.Get("Content-Type"))
			}
			if tc.status >= 500 && !strings.Contains(got.body, got.Header.Get("X-Request-Id")) {
				t.Errorf("%s: the page does not name the request", name)
			}
			if tc.status != 500 && got.Header.Get("Retry-After") == "" {
				t.Errorf("%s: no Retry-After", name)
			}
		}
	}
}

func TestMangledLinksAreAPage(t *testing.T) {
	t.Parallel()
	p := start(t, shows(flow.ShowUnusable))
	want := p.get("/l/" + token).body
	for _, path := range []string{"/l/", "/l/" + token + "/", "/l/" + token + "/x", "/l/%20)", "/l/" + strings.Repeat("A", 4000)} {
		if got := p.get(path); got.StatusCode != 404 || got.body != want {
			t.Errorf("%.20s: %s, or another page", path, got.Status)
		}
	}
}

func TestCookie(t *testing.T) {
	t.Parallel()
	f := shows(flow.ShowLink)
	p := start(t, f)

	set := p.get("/l/" + token).Cookies()
	if len(set) != 1 {
		t.Fatalf("%d cookies", len(set))
	}
	c := set[0]
	if c.Name != click.CookieName || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode ||
		c.Path != "/" || c.Domain != "" || c.MaxAge != 900 || len(c.Value) < 22 {
		t.Errorf("the cookie is %v", c)
	}
	if again := p.get("/l/" + token).Cookies(); len(again) != 0 {
		t.Error("a browser that has its cookie got another one")
	}
	renewed := p.post("/l/" + token).Cookies()
	if len(renewed) != 1 || renewed[0].Value != c.Value || renewed[0].MaxAge != 900 {
		t.Errorf("a form must renew the cookie, got %v", renewed)
	}
	if f.taps[0].Browser != "" || string(f.taps[2].Browser) != c.Value {
		t.Error("the flow must know the browser by what it sent")
	}
}

// In development a client that keeps no Secure cookie without TLS is bound by the
// other one; elsewhere that one counts for nothing.
func TestInsecureCookieCountsOnlyInDevelopment(t *testing.T) {
	t.Parallel()
	value := "AAECAwQFBgcICQoLDA0ODxAR"
	for _, insecure := range []bool{true, false} {
		f := shows(flow.ShowLink)
		mux := http.NewServeMux()
		click.Register(mux, click.Config{Flow: f, Insecure: insecure})
		r := httptest.NewRequest("POST", "/l/"+token, nil)
		r.Header.Set("Cookie", click.InsecureCookieName+"="+value)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		if taken := string(f.taps[0].Browser) == value; taken != insecure {
			t.Errorf("insecure %v: taken %v", insecure, taken)
		}
		names := []string{}
		for _, c := range w.Result().Cookies() {
			names = append(names, c.Name)
		}
		if want := map[bool]int{true: 2, false: 1}[insecure]; len(names) != want || names[0] != click.CookieName {
			t.Errorf("insecure %v: set %v", insecure, names)
		}
	}
}

// A double tap without the page, or a script's only request, must be bound too.
func TestAFormWithoutCookieIsBound(t *testing.T) {
	t.Parallel()
	f := shows(flow.ShowWiFi)
	p := start(t, f)
	set := p.post("/l/" + token).Cookies()
	if len(set) != 1 || string(f.taps[0].Browser) != set[0].Value {
		t.Errorf("got %v", set)
	}
}

func TestForeignCookiesAreReplaced(t *testing.T) {
	t.Parallel()
	good := "AAECAwQFBgcICQoLDA0ODxAR"
	for name, value := range map[string]string{
		"empty":    "",
		"short":    good[:20],
		"long":     good + strings.Repeat("A", 5000),
		"alphabet": strings.Repeat("*", 24),
		"padded":   good[:22] + "==",
	} {
		f := shows(flow.ShowLink)
		p := start(t, f)
		got := p.do("POST", "/l/"+token, url.Values{}, http.Header{"Cookie": {click.CookieName + "=" + value}})
		if len(got.Cookies()) != 1 || got.Cookies()[0].Value == value || string(f.taps[0].Browser) == value {
			t.Errorf("%s: a value that we never made was kept", name)
		}
	}
	f := shows(flow.ShowLink)
	p := start(t, f)
	p.do("POST", "/l/"+token, url.Values{}, http.Header{"Cookie": {click.CookieName + "=x; " + click.CookieName + "=" + good}})
	if string(f.taps[0].Browser) != good {
		t.Error("a planted cookie hid the browser's own")
	}
}
