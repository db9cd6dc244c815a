package demo_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"holdfast/client"
	"holdfast/internal/sim/demo"
	"holdfast/internal/web"
)

// api is the API as the demo sees it.
type api struct {
	sent   []client.Request
	status client.Result
	vfps   map[string]client.Result
	err    error
	asked  int
}

var started = client.Sent{RequestID: "r-1", SessionID: "s-1"}

func (a *api) SendLink(_ context.Context, in client.Request) (client.Sent, error) {
	a.sent = append(a.sent, in)
	return started, a.err
}

func (a *api) Status(_ context.Context, of client.Sent) (client.Result, error) {
	a.asked++
	if of != started {
		return client.Result{}, errors.New("another session")
	}
	return a.status, a.err
}

func (a *api) Result(_ context.Context, vfp string, of client.Sent) (client.Result, error) {
	res, ok := a.vfps[vfp]
	if !ok || of != started {
		return client.Result{}, &client.Error{StatusCode: 404, Type: "not_found", Message: "There is no such thing here."}
	}
	return res, nil
}

var pending = client.Result{Status: "pending", Verdict: "pending", PhoneMatch: "indeterminate", Delivery: "delivered"}

func completed(verdict client.Verdict, match client.PhoneMatch, reasons ...string) client.Result {
	return client.Result{
		SessionID: "s-1", PhoneNumber: "+12125550123", LinkClicked: true, Status: "completed",
		Verdict: verdict, PhoneMatch: match, Reasons: reasons, Delivery: "delivered",
	}
}

// site is a browser on the demo.
type site struct {
	t    *testing.T
	base string
	c    *http.Client
}

func start(t *testing.T, a *api) site {
	t.Helper()
	mux := http.NewServeMux()
	srv := httptest.NewServer(web.Wrap(mux, web.Config{Log: slog.New(slog.DiscardHandler)}))
	t.Cleanup(srv.Close)
	demo.Register(mux, demo.Config{Client: a, BaseURL: srv.URL + "/", Script: "echo '<b>'"})
	c := *srv.Client()
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return site{t, srv.URL, &c}
}

func (s site) do(method, path string, form url.Values) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := s.c.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(body)
}

func (s site) get(path string) (status int, body string) {
	s.t.Helper()
	resp, body := s.do("GET", path, nil)
	return resp.StatusCode, body
}

// send fills the form in and returns the journey's page and where it returns to.
func (s site) send(a *api) (page, target string) {
	s.t.Helper()
	resp, _ := s.do("POST", "/demo", url.Values{"number": {"(212) 555-0123"}, "country": {"US"}})
	if resp.StatusCode != http.StatusSeeOther || len(a.sent) == 0 {
		s.t.Fatalf("the form: %s", resp.Status)
	}
	return resp.Header.Get("Location"), strings.TrimPrefix(a.sent[len(a.sent)-1].TargetURL, s.base)
}

func TestJourneyFromFormToResult(t *testing.T) {
	t.Parallel()
	a := &api{status: pending, vfps: map[string]client.Result{"f": completed("verified", "true")}}
	s := start(t, a)
	if _, body := s.get("/demo"); !strings.Contains(body, "Northwind Bank") || !strings.Contains(body, "(212) 555-0123") {
		t.Error("the form lacks the business or the example")
	}
	page, target := s.send(a)
	if got := a.sent[0]; got.MobileNumber != "(212) 555-0123" || got.CountryCode != "US" || got.SourceIP != "127.0.0.1" ||
		!strings.HasPrefix(got.TargetURL, s.base+"/demo/return?journey=") {
		t.Errorf("sent %+v", got)
	}
	if status, body := s.get(page); status != 200 || !strings.Contains(body, "We texted a link to") || !strings.Contains(body, "•••• 23") {
		t.Errorf("the waiting page: %d", status)
	}
	statusOf := "/demo/status?" + page[strings.Index(page, "journey="):]
	if _, body := s.get(statusOf); !strings.Contains(body, `"over":false`) || !strings.Contains(body, `"delivery":"delivered"`) {
		t.Errorf("the waiting page is told %s", body)
	}
	status, body := s.get(target + "&vfp=f")
	if status != 200 || !strings.Contains(body, "Verified") || !strings.Contains(html.UnescapeString(body), `"PhoneMatch": "true"`) {
		t.Errorf("the target page: %d", status)
	}
	// The tab that waited learns the same, without asking again.
	before := a.asked
	if _, body := s.get(statusOf); !strings.Contains(body, `"over":true`) {
		t.Errorf("the waiting page is told %s", body)
	}
	if _, body := s.get(page); !strings.Contains(body, `data-verdict="verified"`) {
		t.Error("the waiting page does not show the result")
	}
	if a.asked != before {
		t.Error("a journey that is over was asked about")
	}
}

func TestResultsInWords(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		res   client.Result
		wants []string
	}{
		"match":         {completed("verified", "true"), []string{"Verified", "the one with this number"}},
		"address":       {completed("verified", "indeterminate", "wifi"), []string{"Verified", "its policy accepts"}},
		"mismatch":      {completed("failed", "false", "phone_mismatch"), []string{"Not verified", "another number", "phone_mismatch"}},
		"wifi":          {completed("indeterminate", "indeterminate", "wifi"), []string{"Nobody can tell", "on Wi-Fi"}},
		"denied":        {client.Result{Status: "denied", Verdict: "failed"}, []string{"Not verified", "this wasn't me"}},
		"expired":       {client.Result{Status: "expired", Verdict: "indeterminate"}, []string{"time was over"}},
		"undeliverable": {client.Result{Status: "undeliverable", Verdict: "indeterminate"}, []string{"could not be delivered"}},
		"cancelled":     {client.Result{Status: "cancelled", Verdict: "indeterminate"}, []string{"withdrawn"}},
		"unknown code":  {completed("indeterminate", "indeterminate", "solar_flare"), []string{"solar_flare"}},
	} {
		a := &api{status: tc.res}
		s := start(t, a)
		page, _ := s.send(a)
		status, body := s.get(page)
		for _, want := range tc.wants {
			if status != 200 || !strings.Contains(html.UnescapeString(body), want) {
				t.Errorf("%s: %d, or does not say %q", name, status, want)
			}
		}
	}
}

func TestFormShowsWhyItWasRefused(t *testing.T) {
	t.Parallel()
	a := &api{err: &client.Error{StatusCode: 400, Fields: []client.Field{{Name: "mobileNumber", Reason: "<is> too short"}}}}
	s := start(t, a)
	resp, body := s.do("POST", "/demo", url.Values{"number": {`12"><b>`}, "country": {"CA"}})
	if resp.StatusCode != 400 || !strings.Contains(body, "mobileNumber &lt;is&gt; too short") || !strings.Contains(body, `<option value="CA" selected>`) {
		t.Errorf("%s", resp.Status)
	}
	if strings.Contains(body, "<b>") {
		t.Error("what was typed became HTML")
	}
}

func TestReturnsThatDoNotBelong(t *testing.T) {
	t.Parallel()
	a := &api{status: pending, vfps: map[string]client.Result{"f": completed("verified", "true")}}
	s := start(t, a)
	_, target := s.send(a)
	for path, want := range map[string]struct {
		status int
		says   string
	}{
		"/demo/return":                   {400, "There is none"},
		target:                           {400, "There is none"},
		target + "&vfp=forged":           {400, "not accepted"},
		"/demo/return?vfp=f":             {200, "did not send it"},
		"/demo/return?journey=x&vfp=<b>": {200, "&lt;b&gt;"},
		"/demo?journey=x":                {404, "not known here"},
	} {
		if status, body := s.get(path); status != want.status || !strings.Contains(body, want.says) || strings.Contains(body, "Verified") {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status, _ := s.get("/demo/status?journey=x"); status != 404 {
		t.Errorf("the status of an unknown journey: %d", status)
	}
	a.err = errors.New("connection refused")
	if status, body := s.get("/demo?" + target[strings.Index(target, "journey="):]); status != 502 || !strings.Contains(body, "connection refused") {
		t.Errorf("without the API: %d", status)
	}
}

func TestFormFromElsewhereIsRefused(t *testing.T) {
	t.Parallel()
	a := &api{}
	s := start(t, a)
	r, err := http.NewRequestWithContext(t.Context(), "POST", s.base+"/demo", strings.NewReader("number=1"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err := s.c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 403 || len(a.sent) != 0 {
		t.Errorf("%s, %d links sent", resp.Status, len(a.sent))
	}
}

func TestPagesAllowOnlyWhatTheyHave(t *testing.T) {
	t.Parallel()
	a := &api{status: pending}
	s := start(t, a)
	page, _ := s.send(a)
	for _, path := range []string{"/", "/play", "/demo", "/demo/return", page} {
		resp, body := s.do("GET", path, nil)
		csp := resp.Header.Get("Content-Security-Policy")
		for _, m := range regexp.MustCompile(`(?s)<(style|script)>(.*?)</`).FindAllStringSubmatch(body, -1) {
			sum := sha256.Sum256([]byte(m[2]))
			if !strings.Contains(csp, m[1]+"-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
				t.Errorf("%s: its own %s is not allowed", path, m[1])
			}
		}
		if strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'self'") || strings.Contains(body, " src=\"http") {
			t.Errorf("%s: %s", path, csp)
		}
	}
	_, body := s.get("/")
	for _, want := range []string{`href="/demo"`, `href="/phone"`, `href="/docs"`, `href="/play"`, "echo &#39;&lt;b&gt;&#39;"} {
		if !strings.Contains(body, want) {
			t.Errorf("the front page lacks %s", want)
		}
	}
}
