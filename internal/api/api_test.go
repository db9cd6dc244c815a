package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/access"
	"holdfast/internal/api"
	"holdfast/internal/api/apitest"
	"holdfast/internal/tenant"
)

const (
	loginPath  = "/api/customers/login"
	logoutPath = "/api/customers/logout"
	sendPath   = "/api/v3/us-kyc/send-link"
	resultPath = "/api/v3/us-kyc/link-result"
	pollPath   = "/api/v3/us-kyc/poll-check-verify/request/"
)

// answer is a response, read.
type answer struct {
	status int
	header http.Header
	body   string
	Error  struct {
		Name, Message, Status, Reason, Type string
		StatusCode                          int
		Fields                              []struct{ Name, Reason string }
	} `json:"error"`
}

func (a answer) names() []string {
	var names []string
	for _, f := range a.Error.Fields {
		names = append(names, f.Name)
	}
	return names
}

// call sends a request; headers come in pairs.
func call(t testing.TB, s *apitest.Server, method, path, body string, headers ...string) answer {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, s.URL+path, reader)
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		switch {
		case headers[i+1] == "-":
			r.Header.Del(headers[i])
		case headers[i] == "Content-Type":
			r.Header.Set(headers[i], headers[i+1])
		default:
			r.Header.Add(headers[i], headers[i+1])
		}
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: res.StatusCode, header: res.Header, body: string(text)}
	if res.StatusCode >= 400 {
		if err := json.Unmarshal(text, &a); err != nil {
			t.Fatalf("an error is not JSON: %s", text)
		}
		if a.Error.StatusCode != a.status || a.Error.Status != http.StatusText(a.status) || a.Error.Message == "" || a.Error.Reason == "" || a.Error.Name == "" {
			t.Errorf("not the contract's error: %s", text)
		}
	}
	if len(a.header.Get("X-Request-Id")) < 10 || a.status >= 400 && a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers of %s %s: %v", method, path, a.header)
	}
	for name, lines := range a.header {
		if len(lines) > 1 {
			t.Errorf("%s %s has %s more than once: %q", method, path, name, lines)
		}
	}
	return a
}

func read[T any](t testing.TB, a answer) (v T) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(a.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil || a.status != 200 {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return v
}

const good = `{"targetUrl":"https://app.acme.example/done?a=1","mobileNumber":"2125550123","countryCode":"US"}`

type handle struct{ RequestID, SessionID string }

func TestJourney(t *testing.T) {
	t.Parallel()
	s := apitest.New(t)
	login := read[struct {
		ID, UserID string
		TTL        int
		Created    time.Time
	}](t, call(t, s, "POST", loginPath, `{"username":"acme","password":"acme-password"}`))
	if login.TTL != 1209600 || len(login.ID) != 32 || login.UserID == "" || !login.Created.Equal(s.Clock.Now()) {
		t.Errorf("login %+v", login)
	}
	token := login.ID
	sent := read[handle](t, call(t, s, "POST", sendPath, `{"targetUrl":"https://app.acme.example/done","mobileNumber":"(212) 555-0123","countryCode":"US","sourceIp":"100.64.0.1","customSms":"Acme: <link>"}`, "Authorization", token))
	if n := len(s.Sent()); n != 1 {
		t.Fatalf("%d messages", n)
	}
	poll := pollPath + sent.RequestID + "/session/" + sent.SessionID
	before := call(t, s, "GET", poll, "", "Authorization", "Bearer "+token)
	want := `{"TransactionId":"` + sent.RequestID + `","SessionId":"` + sent.SessionID + `","RequestId":"` + sent.RequestID +
		`","PhoneNumber":"+12125550123","CountryCode":"US","Carrier":"","LineType":"","LinkClicked":false,"PhoneMatch":"indeterminate","IpAddressMatch":false` +
		`,"Status":"pending","Verdict":"pending","Reasons":[],"Delivery":"queued","ExpiresAt":"2026-11-23T12:05:00Z"}` + "\n"
	if before.body != want {
		t.Errorf("before the click\n%swant\n%s", before.body, want)
	}
	vfp := s.Tap()
	after := call(t, s, "POST", resultPath, `{"vfp":"`+vfp+`"}`, "Authorization", token)
	want = strings.NewReplacer(`"LinkClicked":false`, `"LinkClicked":true`, `"PhoneMatch":"indeterminate"`, `"PhoneMatch":"true"`,
		`"IpAddressMatch":false`, `"IpAddressMatch":true,"DeviceIp":"100.64.0.1"`, `"Status":"pending"`, `"Status":"completed"`, `"Verdict":"pending"`, `"Verdict":"verified"`).Replace(want)
	if after.body != want {
		t.Errorf("after the click\n%swant\n%s", after.body, want)
	}
	if polled := call(t, s, "GET", poll, "", "Authorization", token); polled.body != after.body {
		t.Errorf("polled: %s", polled.body)
	}
	if a := call(t, s, "POST", logoutPath, "", "Authorization", token); a.status != 204 || a.body != "" {
		t.Errorf("log-out: %d %s", a.status, a.body)
	}
	if a := call(t, s, "GET", poll, "", "Authorization", token); a.status != 401 {
		t.Errorf("after the log-out: %d", a.status)
	}
	for _, hidden := range []string{"2125550123", token, vfp, apitest.Password} {
		if strings.Contains(s.Log.String(), hidden) {
			t.Errorf("the log has %q", hidden)
		}
	}
}

func TestSendLinkHasFurtherPaths(t *testing.T) {
	t.Parallel()
	s := apitest.New(t)
	read[handle](t, call(t, s, "POST", apitest.OldSendLink, good, "Authorization", s.Token()))
	if a := call(t, s, "POST", apitest.OldSendLink, good, "Authorization", "x"); a.status != 401 {
		t.Errorf("without a token: %d", a.status)
	}
}

// A path that can't be mounted is refused before the mux panics at it; Send Link's
// own among them changes nothing.
func TestFurtherPathsThatCanNotBe(t *testing.T) {
	t.Parallel()
	s := apitest.New(t)
	for _, tc := range []struct{ path, reason string }{
		{sendPath, ""},
		{"/api/v3/instant-link", ""},
		{"/api/customers", ""},
		{loginPath, "another call's"},
		{logoutPath, "another call's"},
		{resultPath, "another call's"},
		{pollPath + "a/session/b", "another call's"},
		{strings.TrimSuffix(pollPath, "/request/"), "another call's"},
		{"/send", `"/api/"`},
		{"/l/x", `"/api/"`},
		{"/carrier/x/callback", `"/api/"`},
		{"/receipts/x/y", `"/api/"`},
		{"/healthz", `"/api/"`},
		{"/docs", `"/api/"`},
		{"", "plain path"},
		{"api/send", "plain path"},
		{"POST /api/send", "plain path"},
		{"/api", `"/api/"`},
		{"/api/", "plain path"},
		{"/api/{x}", "plain path"},
		{"/api/send/{$}", "plain path"},
		{"/api//send", "plain path"},
		{"/api/send/", "plain path"},
		{"/api/../l/x", "plain path"},
		{"/api/./send", "plain path"},
		{"/api/a%20b", "plain path"},
		{"/api/envoyé", "plain path"},
		{"/api/a?b", "plain path"},
		{"/api/a\n", "plain path"},
	} {
		bad := api.WrongPaths([]string{tc.path})
		if tc.reason == "" && len(bad) > 0 || tc.reason != "" && (len(bad) != 1 || bad[0].Name != "send_link_paths[0]" || !strings.Contains(bad[0].Reason, tc.reason)) {
			t.Errorf("%q: %v", tc.path, bad)
		}
		err := api.Register(http.NewServeMux(), api.Config{Flow: s.Flow, Access: s.Access, SendLinkPaths: []string{tc.path}})
		if (err == nil) != (tc.reason == "") {
			t.Errorf("%q: Register: %v", tc.path, err)
		}
	}
	if bad := api.WrongPaths([]string{"/api/a", sendPath, "/api/a"}); len(bad) != 1 || bad[0].Name != "send_link_paths[2]" || bad[0].Reason != "is there twice" {
		t.Errorf("twice: %v", bad)
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	s := apitest.New(t)
	token := s.Token()
	send := func(body, key string) answer {
		return call(t, s, "POST", sendPath, body, "Authorization", token, "Idempotency-Key", key)
	}
	first, again := send(good, "order-1"), send(good, "order-1")
	if first.status != 200 || again.body != first.body {
		t.Errorf("%s then %s", first.body, again.body)
	}
	if other := send(good, "order-2"); other.body == first.body {
		t.Error("another key got the same answer")
	}
	if n := len(s.Sent()); n != 2 {
		t.Errorf("%d messages", n)
	}
	a := send(strings.Replace(good, "a=1", "a=2", 1), "order-1")
	if a.status != 409 || a.Error.Type != "idempotency_key_reused" {
		t.Errorf("another body: %s", a.body)
	}
}

func TestUnauthorized(t *testing.T) {
	t.Parallel()
	s := apitest.New(t)
	token := s.Token()
	poll := pollPath + "00000000-0000-0000-0000-000000000000/session/00000000-0000-0000-0000-000000000000"
	for _, path := range []string{sendPath, resultPath, logoutPath, poll} {
		method := "POST"
		if path == poll {
			method = "GET"
		}
		for name, headers := range map[string][]string{
			"none":           nil,
			"empty":          {"Authorization", ""},
			"garbage":        {"Authorization", "x"},
			"Basic":          {"Authorization", "Basic " + token},
			"Bearer alone":   {"Authorization", "Bearer "},
			"twice":          {"Authorization", token, "Authorization", token},
			"another's case": {"Authorization", strings.ToLower(token)},
		} {
			// The body is nonsense: it must not be looked at before the token.
			a := call(t, s, method, path, "{{{", headers...)
			if a.status != 401 || a.Error.Type != "unauthorized" || a.Error.Name != "UnauthorizedError" || a.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s, token %s: %d %s", path, name, a.status, a.body)
			}
		}
		for _, query := range []string{"?access_token=" + token, "?a=b&Access_Token=" + token, "?access_token", "?%61ccess_token=x"} {
			a := call(t, s, method, path+query, good, "Authorization", token)
			if a.status != 400 || a.Error.Type != "token_in_url" || strings.Contains(a.body, token) {
				t.Errorf("%s, token in the URL: %d %s", path, a.status, a.body)
			}
		}
		a := call(t, s, method, path+"?x=1", good, "Authorization", token)
		if a.status != 400 || !slices.Equal(a.names(), []string{"query"}) {
			t.Errorf("%s with an unknown query parameter: %d %s", path, a.status, a.body)
		}
	}
	if a := call(t, s, "POST", loginPath+"?access_token=x", `{}`); a.Error.Type != "token_in_url" {
		t.Errorf("login: %s", a.body)
	}
}

func TestLoginIsRefused(t *testing.T) {
	t.Parallel()
	s := apitest.New(t)
	for _, body := range []string{`{"username":"acme","password":"x"}`, `{"username":"x","password":"acme-password"}`} {
		if a := call(t, s, "POST", loginPath, body); a.status != 401 || a.Error.Type != "bad_credentials" {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	var last answer
	for range 20 {
		if last = call(t, s, "POST", loginPath, `{"username":"acme","password":"x"}`); last.status == 429 {
			break
		}
	}
	if last.status != 429 || last.Error.Type != "rate_limited" || last.header.Get("Retry-After") != "15" {
		t.Errorf("never limited: %d %s %v", last.status, last.body, last.header)
	}
}

func TestResultsAreTheClientsOwn(t *testing.T) {
	t.Parallel()
	s := apitest.New(t)
	token := s.Token()
	sent := read[handle](t, call(t, s, "POST", sendPath, good, "Authorization", token))
	other := read[handle](t, call(t, s, "POST", sendPath, good, "Authorization", token))
	vfp := s.Tap()
	_, err := s.Access.AddWithPassword(context.Background(), access.NewClient{
		Username: "rival", Business: "Rival", Settings: tenant.Settings{Targets: []string{"https://rival.example"}},
	}, "rival-password")
	if err != nil {
		t.Fatal(err)
	}
	rival := read[struct{ ID, UserID, Created, TTL any }](t, call(t, s, "POST", loginPath, `{"username":"rival","password":"rival-password"}`)).ID.(string)

	poll := func(request, session string) string { return pollPath + request + "/session/" + session }
	redeem := func(vfp string) string { return `{"vfp":"` + vfp + `"}` }
	for _, tc := range []struct{ name, method, path, body, token string }{
		{"another's vfp", "POST", resultPath, redeem(vfp), rival},
		{"a made-up vfp", "POST", resultPath, redeem(vfp[:31] + map[bool]string{true: "B", false: "A"}[vfp[31] == 'A']), token},
		{"no vfp at all", "POST", resultPath, redeem("x"), token},
		{"another's ids", "GET", poll(other.RequestID, other.SessionID), "", rival},
		{"ids of two requests", "GET", poll(sent.RequestID, other.SessionID), "", token},
		{"unknown ids", "GET", poll(other.SessionID, other.SessionID), "", token},
	} {
		a := call(t, s, tc.method, tc.path, tc.body, "Authorization", tc.token)
		if a.status != 404 || a.Error.Type != "not_found" {
			t.Errorf("%s: %d %s", tc.name, a.status, a.body)
		}
	}
	if a := call(t, s, "POST", resultPath, redeem(vfp), "Authorization", token); a.status != 200 {
		t.Errorf("the owner: %s", a.body)
	}
	s.Clock.Advance(time.Hour)
	if a := call(t, s, "POST", resultPath, redeem(vfp), "Authorization", token); a.status != 404 {
		t.Errorf("an expired vfp: %d", a.status)
	}
}

// A result says where the click came from only to clients that may see it.
func TestDeviceIPIsTheSettings(t *testing.T) {
	t.Parallel()
	s := apitest.New(t)
	_, err := s.Access.Set(context.Background(), apitest.Username, access.Change{Settings: &tenant.Settings{Targets: []string{"https://app.acme.example"}}})
	if err != nil {
		t.Fatal(err)
	}
	token := s.Token()
	call(t, s, "POST", sendPath, good, "Authorization", token)
	a := call(t, s, "POST", resultPath, `{"vfp":"`+s.Tap()+`"}`, "Authorization", token)
	if a.status != 200 || strings.Contains(a.body, "DeviceIp") || strings.Contains(a.body, "100.64.") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestUnmatchedPathsAreJSON(t *testing.T) {
	t.Parallel()
	s := apitest.New(t)
	for _, tc := range []struct {
		method, path string
		status       int
		kind         string
	}{
		{"GET", "/api/nothing", 404, "not_found"},
		{"POST", pollPath, 404, "not_found"},
		{"GET", sendPath, 405, "method_not_allowed"},
		{"DELETE", loginPath, 405, "method_not_allowed"},
		{"PUT", "/openapi.json", 405, "method_not_allowed"},
	} {
		if a := call(t, s, tc.method, tc.path, ""); a.status != tc.status || a.Error.Type != tc.kind {
			t.Errorf("%s %s: %d %s", tc.method, tc.path, a.status, a.body)
		}
	}
}

// The store goes away: the client learns nothing but an id, and the log has it all.
func TestInternalErrorSaysNothing(t *testing.T) {
	t.Parallel()
	s := apitest.New(t)
	token := s.Token()
	call(t, s, "GET", pollPath+"00000000-0000-0000-0000-000000000000/session/00000000-0000-0000-0000-000000000000", "", "Authorization", token)
	if err := s.Store.Close(); err != nil {
		t.Fatal(err)
	}
	a := call(t, s, "POST", sendPath, good, "Authorization", token)
	id := a.header.Get("X-Request-Id")
	if a.status != 500 || a.Error.Message != "internal error" || a.Error.Reason != "request id "+id || a.Error.Type != "internal_error" {
		t.Errorf("%d %s", a.status, a.body)
	}
	var found bool
	for line := range strings.Lines(s.Log.String()) {
		found = found || strings.Contains(line, id) && strings.Contains(line, `"internal error"`)
	}
	if !found {
		t.Error("the log has no word of it")
	}
}

// nothingWritten fails the test if a verification or a message is there.
func nothingWritten(t *testing.T, s *apitest.Server) {
	t.Helper()
	depth, _, err := s.Store.Backlog(context.Background())
	if err != nil || depth != 0 || len(s.Sent()) != 0 {
		t.Errorf("%d rows and %d messages were written, %v", depth, len(s.Sent()), err)
	}
}

func TestBodyThatNeverArrivesWhole(t *testing.T) {
	t.Parallel()
	s := apitest.New(t)
	r, err := http.NewRequest("POST", s.URL+sendPath, io.MultiReader(strings.NewReader(good[:20]), failing{}))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", s.Token())
	r.ContentLength = int64(len(good))
	if res, err := http.DefaultTransport.RoundTrip(r); err == nil {
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 400 || !bytes.Contains(text, []byte("whole")) {
			t.Errorf("%d %s", res.StatusCode, text)
		}
	}
	nothingWritten(t, s)
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
