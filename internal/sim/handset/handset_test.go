package handset_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"holdfast/internal/phone"
	"holdfast/internal/sim/handset"
	"holdfast/internal/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	ada   = phone.Stored("+12125550123", phone.US)
	grace = phone.Stored("+14165550134", phone.CA)
	at    = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
)

// world is a server with the phones' routes, and a browser on it.
type world struct {
	*handset.Phones
	t       *testing.T
	base    string
	browser *http.Client
}

func start(t *testing.T) world {
	t.Helper()
	p := handset.New(handset.Config{Now: func() time.Time { return at }, Error: web.Error})
	mux := http.NewServeMux()
	p.Register(mux)
	mux.HandleFunc("GET /line", func(w http.ResponseWriter, r *http.Request) {
		number, on := p.Line(r)
		l, known := handset.LineFrom(r.Context())
		if known != (number != "" || l.Network == handset.WiFi) || known && l.OnNetwork() != on {
			t.Errorf("Line says %v, the context %v", on, l.OnNetwork())
		}
		_, _ = io.WriteString(w, number+" "+map[bool]string{true: "on", false: "off"}[on])
	})
	srv := httptest.NewServer(web.Wrap(p.Middleware(mux), web.Config{Log: slog.New(slog.DiscardHandler)}))
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Stop(context.Background())
		srv.Close()
	})
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return world{Phones: p, t: t, base: srv.URL, browser: &http.Client{Jar: jar, Transport: transport}}
}

func (w world) do(c *http.Client, method, path, body string) (status int, text string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.base+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := c.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func (w world) get(path string) (status int, text string) {
	w.t.Helper()
	return w.do(w.browser, "GET", path, "")
}

// script is a client without cookies.
func (w world) script() *http.Client { return &http.Client{Transport: w.browser.Transport} }

func TestMessagesAreNewestFirst(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.Deliver(ada, "first <b>&")
	w.Deliver(grace, "another phone's")
	w.Deliver(ada, "second http://127.0.0.1:8080/l/a-b_c?x=1&y=2")
	for _, number := range []string{"+12125550123", "%2B12125550123", "%2012125550123", "12125550123"} {
		status, body := w.get("/phone/messages?number=" + number)
		var got []handset.Message
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 {
			t.Fatalf("%s: %d %v", number, status, err)
		}
		if len(got) != 2 || got[1].Text != "first <b>&" || got[0].To != "+12125550123" || !got[0].At.Equal(at) {
			t.Errorf("%s: got %v", number, got)
		}
		// A script finds the link with grep.
		if !strings.Contains(body, "http://127.0.0.1:8080/l/a-b_c?x=1&y=2") {
			t.Errorf("the link is escaped: %s", body)
		}
	}
	if _, body := w.get("/phone/messages?number=+12125550177"); strings.TrimSpace(body) != "[]" {
		t.Errorf("an empty inbox is %q", body)
	}
}

func TestInboxesAreBounded(t *testing.T) {
	t.Parallel()
	w := start(t)
	for range 60 {
		w.Deliver(ada, "x")
	}
	if n := len(w.Messages(ada)); n != 50 {
		t.Errorf("%d messages are kept", n)
	}
	for i := range 600 {
		w.Deliver(phone.Stored(fmt.Sprintf("+1416555%04d", i), phone.CA), "y")
	}
	if n := len(w.Messages(ada)); n != 0 {
		t.Errorf("the phone texted longest ago still has %d messages", n)
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, tc := range []struct{ method, path, body, field string }{
		{"GET", "/phone/messages", "", "number"},
		{"GET", "/phone/messages?number=5550123", "", "number"},
		{"GET", "/phone/messages?number=++12125550123", "", "number"},
		{"GET", "/phone/messages?number=+18005550123", "", "number"},
		{"GET", "/phone/events?number=x", "", "number"},
		{"PUT", "/phone/network", "", "body"},
		{"PUT", "/phone/network", "{", "body"},
		{"PUT", "/phone/network", `{"number":"+12125550123","network":"wifi","x":1}`, "body"},
		{"PUT", "/phone/network", `{"number":"+12125550123","network":"` + strings.Repeat("w", 5000) + `"}`, "body"},
		{"PUT", "/phone/network", `{"number":"+12125550123","network":"wifi"} x`, "body"},
		{"PUT", "/phone/network", `{"number":"+12125550123","network":"wifi"}{}`, "body"},
		{"PUT", "/phone/network", `{"number":"+12125550123","network":"5g"}`, "network"},
		{"PUT", "/phone/network", `{"number":"+12125550123"}`, "network"},
		{"PUT", "/phone/network", `{"number":"","network":"wifi"}`, "number"},
	} {
		status, body := w.do(w.browser, tc.method, tc.path, tc.body)
		var problem web.Problem
		if err := json.Unmarshal([]byte(body), &problem); err != nil || status != 400 {
			t.Errorf("%s %.40s: %d %s", tc.method, tc.path, status, body)
			continue
		}
		if f := problem.Error.Fields; len(f) != 1 || f[0].Name != tc.field {
			t.Errorf("%s %s: %v", tc.method, tc.path, f)
		}
	}
}

func TestErrorsWithoutTheServersShape(t *testing.T) {
	t.Parallel()
	p := handset.New(handset.Config{})
	mux := http.NewServeMux()
	p.Register(mux)
	rec := httptest.NewRecorder()
	mux.ServeHTTP(rec, httptest.NewRequest("GET", "/phone/messages?number=1", nil))
	if rec.Code != 400 || !strings.Contains(rec.Body.String(), "validation_failed") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestNetworks(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		number, network, line string
	}{
		{"+12125550123", "cellular", "+12125550123 on"},
		{"+12125550123", "other-sim", "+12125550199 on"},
		{"+12125550199", "other-sim", "+12125550198 on"},
		{"+12125550123", "wifi", " off"},
	} {
		w := start(t)
		status, _ := w.do(w.browser, "PUT", "/phone/network", `{"number":"`+tc.number+`","network":"`+tc.network+`"}`)
		if status != 200 {
			t.Fatalf("%v: %d", tc, status)
		}
		if _, line := w.get("/line"); line != tc.line {
			t.Errorf("%v: the operator sees %q", tc, line)
		}
	}
}

// Which phone a request comes from, in the order in which a person would play.
func TestWhichPhone(t *testing.T) {
	t.Parallel()
	w := start(t)
	script := w.script()
	line := func(c *http.Client) string {
		_, body := w.do(c, "GET", "/line", "")
		return body
	}
	if got := line(script); got != " off" {
		t.Errorf("without any phone: %q", got)
	}
	w.Deliver(ada, "x")
	if got := line(script); got != "+12125550123 on" {
		t.Errorf("the phone last texted: %q", got)
	}
	w.Deliver(grace, "x")
	if got := line(script); got != "+14165550134 on" {
		t.Errorf("the phone last texted: %q", got)
	}
	w.do(script, "PUT", "/phone/network", `{"number":"+12125550123","network":"cellular"}`)
	w.Deliver(grace, "x")
	if got := line(script); got != "+12125550123 on" {
		t.Errorf("a phone that was set goes before one that was texted: %q", got)
	}
	w.get("/phone?number=" + "%2B14165550134")
	if got := line(w.browser); got != "+14165550134 on" {
		t.Errorf("the phone that the browser holds: %q", got)
	}
	if got := line(script); got != "+12125550123 on" {
		t.Errorf("a browser's choice is not the scripts': %q", got)
	}
}

func TestPageHandsOutAPhone(t *testing.T) {
	t.Parallel()
	w := start(t)
	if _, body := w.get("/phone"); !strings.Contains(html.UnescapeString(body), `data-number="+12125550123"`) {
		t.Error("a newcomer gets no phone")
	}
	w.Deliver(grace, "Northwind: tap https://go.example/l/AbC-_9. Not <b>you</b>? Don't tap (https://go.example).")
	status, body := w.get("/phone?number=(416)+555-0134")
	if status != 200 || !strings.Contains(html.UnescapeString(body), `data-number="+14165550134"`) {
		t.Fatalf("%d", status)
	}
	for _, want := range []string{
		`<a href="https://go.example/l/AbC-_9" target="_blank" rel="noopener">https://go.example/l/AbC-_9</a>. Not &lt;b&gt;you&lt;/b&gt;?`,
		`<a href="https://go.example" target="_blank" rel="noopener">https://go.example</a>).`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the text lacks %s", want)
		}
	}
	if _, body = w.get("/phone"); !strings.Contains(html.UnescapeString(body), `data-number="+14165550134"`) {
		t.Error("the browser lost its phone")
	}
	status, body = w.get("/phone?number=%3Cscript%3E1")
	if status != 400 || !strings.Contains(body, "That is no phone number") || strings.Contains(body, "<script>1") {
		t.Errorf("a bad number: %d %s", status, body)
	}
}

func TestEventsArriveLive(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.Deliver(ada, "before the page")
	r, err := http.NewRequestWithContext(t.Context(), "GET", w.base+"/phone/events?number=+12125550123&after=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := w.browser.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	expect := func(wants ...string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), wants[0]) {
				if wants = wants[1:]; len(wants) == 0 {
					return
				}
			}
		}
		t.Fatalf("the stream ended before %q", wants)
	}
	expect("event: network", `data: {"network":"cellular"}`)
	w.Deliver(ada, "hello there")
	expect("event: message", "id: 2", "hello there")
	w.Deliver(grace, "elsewhere")
	expect("event: elsewhere", "id: 3", `"+14165550134"`)
	if err := w.SetNetwork(ada, handset.WiFi); err != nil {
		t.Fatal(err)
	}
	expect("event: network", `data: {"network":"wifi"}`)

	// A server that shuts down does not wait for pages that are open.
	for range 2 {
		if err := w.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for lines.Scan() {
		continue
	}
	if lines.Err() != nil {
		t.Errorf("the stream broke off: %v", lines.Err())
	}
}

// A page that lost its stream gets what it missed; after a restart of the server
// the numbers begin again, and it gets all.
func TestEventsResume(t *testing.T) {
	t.Parallel()
	for last, want := range map[string]string{"1": "two", "99": "one", "x": "one"} {
		w := start(t)
		w.Deliver(ada, "one")
		w.Deliver(ada, "two")
		r, err := http.NewRequestWithContext(t.Context(), "GET", w.base+"/phone/events?number=+12125550123&after=0", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Last-Event-ID", last)
		_ = w.Stop(t.Context()) // the stream then ends after what there is
		resp, err := w.browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(body), "one") != (want == "one") || !strings.Contains(string(body), "two") {
			t.Errorf("after %s: %s", last, body)
		}
	}
}

func TestCurlJourneyIsAShellScript(t *testing.T) {
	t.Parallel()
	script := handset.CurlJourney("http://127.0.0.1:9/")
	if strings.Contains(script, "{base}") || !strings.Contains(script, "BASE=http://127.0.0.1:9\n") || strings.Contains(script, "jq") {
		t.Errorf("got:\n%s", script)
	}
	for line := range strings.Lines(script) {
		// An interactive zsh takes neither comments nor an apostrophe in one.
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			t.Errorf("a comment: %s", line)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-n")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
