package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/api/apitest"
)

var ctx = context.Background()

var wish = Request{TargetURL: apitest.Target, MobileNumber: "2125550123", CountryCode: "US", SourceIP: "100.64.0.1", CustomSMS: "Acme: <link>"}

// connect returns a client of the server whose pauses move the server's clock
// instead of taking time, and are written down.
func connect(t testing.TB, s *apitest.Server) (*Client, *pauses) {
	t.Helper()
	c, err := New(Config{BaseURL: s.URL + "/", Username: apitest.Username, Password: apitest.Password})
	if err != nil {
		t.Fatal(err)
	}
	p := &pauses{}
	c.now = s.Clock.Now
	c.sleep = func(ctx context.Context, d time.Duration) error {
		p.add(d)
		s.Clock.Advance(d)
		return ctx.Err()
	}
	return c, p
}

type pauses struct {
	mu   sync.Mutex
	list []time.Duration
	then func(n int) // called at each pause
}

func (p *pauses) add(d time.Duration) {
	p.mu.Lock()
	p.list = append(p.list, d)
	n, then := len(p.list), p.then
	p.mu.Unlock()
	if then != nil {
		then(n)
	}
}

// faulty answers in the server's place, or loses its answers, as fault says.
type faulty struct {
	next  http.Handler
	fault func(w http.ResponseWriter, r *http.Request, n int) (answered bool)
	calls atomic.Int64
}

func (f *faulty) wrap(next http.Handler) http.Handler {
	f.next = next
	return f
}

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !f.fault(w, r, int(f.calls.Add(1))) {
		f.next.ServeHTTP(w, r)
	}
}

func TestJourney(t *testing.T) {
	t.Parallel()
	s := apitest.New(t)
	c, _ := connect(t, s)
	sent, err := c.SendLink(ctx, wish)
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Status(ctx, sent)
	if err != nil || r.Status != Pending || r.Verdict != VerdictPending || r.PhoneMatch != MatchIndeterminate || r.Delivery != DeliveryQueued || r.Verified() {
		t.Errorf("before: %+v, %v", r, err)
	}
	vfp := s.Tap()
	r, err = c.Result(ctx, vfp, sent)
	if err != nil {
		t.Fatal(err)
	}
	want := Result{
		TransactionID: sent.RequestID, SessionID: sent.SessionID, RequestID: sent.RequestID, PhoneNumber: "+12125550123", CountryCode: "US",
		LinkClicked: true, PhoneMatch: MatchTrue, IPAddressMatch: true, DeviceIP: "100.64.0.1", Status: Completed, Verdict: Verified,
		Reasons: []string{}, Delivery: DeliveryQueued, ExpiresAt: r.ExpiresAt,
	}
	if fmt.Sprintf("%+v", r) != fmt.Sprintf("%+v", want) || !r.Verified() || time.Until(r.ExpiresAt) == 0 {
		t.Errorf("after\n%+v\nwant\n%+v", r, want)
	}
	if err := c.Logout(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.Logout(ctx); err != nil {
		t.Errorf("twice: %v", err)
	}
	if _, err := c.Status(ctx, sent); err != nil {
		t.Errorf("after a log-out it logs in again: %v", err)
	}
}

// A fingerprint that was won in another session must not pass for this one's.
func TestResultOfAnotherSessionIsRefused(t *testing.T) {
	t.Parallel()
	s := apitest.New(t)
	c, _ := connect(t, s)
	victims, err := c.SendLink(ctx, wish)
	if err != nil {
		t.Fatal(err)
	}
	attackers, err := c.SendLink(ctx, wish)
	if err != nil {
		t.Fatal(err)
	}
	vfp := s.Tap()
	for name, started := range map[string]Sent{
		"another verification": victims, "none": {}, "its request, another session": {RequestID: attackers.RequestID, SessionID: victims.SessionID},
		"its session, another request": {RequestID: victims.RequestID, SessionID: attackers.SessionID},
	} {
		if r, err := c.Result(ctx, vfp, started); !errors.Is(err, ErrSessionMismatch) || r.Status != "" {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if _, err := c.Result(ctx, vfp, attackers); err != nil {
		t.Errorf("its own: %v", err)
	}
	_, err = c.Result(ctx, "made-up", attackers)
	var refused *Error
	if !errors.As(err, &refused) || refused.StatusCode != 404 || refused.Type != "not_found" {
		t.Errorf("made up: %v", err)
	}
}

func TestErrorHasEverything(t *testing.T) {
	t.Parallel()
	s := apitest.New(t)
	c, p := connect(t, s)
	_, err := c.SendLink(ctx, Request{TargetURL: "https://evil.example", MobileNumber: "8005550123", CountryCode: "US"})
	var refused *Error
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	if refused.StatusCode != 400 || refused.Type != "validation_failed" || refused.Name != "ValidationError" || refused.RequestID == "" || len(refused.Fields) != 2 || refused.Fields[0].Name != "targetUrl" {
		t.Errorf("%+v", refused)
	}
	for _, part := range []string{"400", "validation_failed", "targetUrl", "mobileNumber", refused.RequestID} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not have %s", err, part)
		}
	}
	if len(p.list) != 0 {
		t.Error("bad input was tried again")
	}
}

// Whatever becomes of the answers, one call sends one SMS.
func TestSendLinkRetriesWithoutSendingTwice(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request, http.Handler) bool{
		"no answer at all": func(http.ResponseWriter, *http.Request, http.Handler) bool { panic(http.ErrAbortHandler) },
		"lost answer": func(_ http.ResponseWriter, r *http.Request, next http.Handler) bool {
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		},
		"half an answer": func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			w.Header().Set("Content-Length", fmt.Sprint(rec.Body.Len()))
			w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
			panic(http.ErrAbortHandler)
		},
		"a proxy's 502": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
			http.Error(w, "<h1>Bad gateway</h1>", http.StatusBadGateway)
			return true
		},
		"429": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(429)
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &faulty{}
			f.fault = func(w http.ResponseWriter, r *http.Request, n int) bool {
				return r.URL.Path == sendPath && n <= 3 && fault(w, r, f.next) // the login is the first
			}
			s := apitest.New(t, f.wrap)
			c, p := connect(t, s)
			if _, err := c.SendLink(ctx, wish); err != nil {
				t.Fatal(err)
			}
			if n := len(s.Sent()); n != 1 {
				t.Errorf("%d messages", n)
			}
			if name == "429" && !slices.Equal(p.list, []time.Duration{7 * time.Second, 7 * time.Second}) {
				t.Errorf("waited %v", p.list)
			}
		})
	}
}

func TestGivesUp(t *testing.T) {
	t.Parallel()
	f := &faulty{fault: func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		w.WriteHeader(503)
		return true
	}}
	c, p := connect(t, apitest.New(t, f.wrap))
	_, err := c.SendLink(ctx, wish)
	var refused *Error
	if !errors.As(err, &refused) || refused.StatusCode != 503 || refused.Message != "Service Unavailable" || len(p.list) != attempts-1 {
		t.Errorf("%v after %v", err, p.list)
	}
	for i, d := range p.list {
		if most := firstWait << i; d > most || d < most/2 {
			t.Errorf("pause %d: %v", i, d)
		}
	}
	f.fault = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(429)
		return true
	}
	calls := f.calls.Load()
	if err := c.Login(ctx); !errors.As(err, &refused) || refused.RetryAfter != time.Hour || f.calls.Load() != calls+1 {
		t.Errorf("an hour is not waited for: %v", err)
	}
}

func TestTokenIsKeptAndRenewed(t *testing.T) {
	t.Parallel()
	var logins atomic.Int64
	f := &faulty{fault: func(_ http.ResponseWriter, r *http.Request, _ int) bool {
		if r.URL.Path == loginPath {
			logins.Add(1)
		}
		return false
	}}
	s := apitest.New(t, f.wrap)
	c, _ := connect(t, s)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := c.SendLink(ctx, wish); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := logins.Load(); n != 1 {
		t.Errorf("%d logins for 8 calls at once", n)
	}
	s.Clock.Advance(13 * 24 * time.Hour) // of 14
	if _, err := c.SendLink(ctx, wish); err != nil || logins.Load() != 2 {
		t.Errorf("before the token's end: %d logins, %v", logins.Load(), err)
	}
	// Somebody revokes it.
	if _, err := s.Access.Disable(ctx, apitest.Username); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Access.Enable(ctx, apitest.Username); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SendLink(ctx, wish); err != nil || logins.Load() != 3 {
		t.Errorf("after a revocation: %d logins, %v", logins.Load(), err)
	}
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	s := apitest.New(t)
	c, p := connect(t, s)
	c.password = "wrong"
	err := c.Login(ctx)
	var refused *Error
	if !errors.As(err, &refused) || refused.Type != "bad_credentials" || len(p.list) != 0 {
		t.Errorf("%v", err)
	}
	if _, err := c.SendLink(ctx, wish); !errors.As(err, &refused) || refused.Type != "bad_credentials" {
		t.Errorf("%v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]Config{
		"nothing": {}, "no password": {BaseURL: "https://x.example", Username: "a"}, "plain http": {BaseURL: "http://x.example", Username: "a", Password: "b"},
		"no scheme": {BaseURL: "x.example", Username: "a", Password: "b"}, "userinfo": {BaseURL: "https://a:b@x.example", Username: "a", Password: "b"},
		"path": {BaseURL: "https://x.example", Username: "a", Password: "b", SendLinkPath: "x"},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, c := range map[string]Config{
		"https": {BaseURL: "https://x.example/holdfast/", Username: "a", Password: "b"}, "loopback": {BaseURL: "http://127.0.0.1:8080", Username: "a", Password: "b"},
		"insecure": {BaseURL: "http://holdfast:8080", Username: "a", Password: "b", InsecureHTTP: true},
	} {
		if _, err := New(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if text := fmt.Sprintf("%v %+v %#v", Config{Password: "hunter2"}, Config{Password: "hunter2"}, Config{Password: "hunter2"}); strings.Contains(text, "hunter2") {
		t.Error("a Config prints its password")
	}
}

// A redirect must not carry the password or the token elsewhere.
func TestFollowsNoRedirect(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was followed") }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	c, err := New(Config{BaseURL: server.URL, Username: "a", Password: "b"})
	if err != nil {
		t.Fatal(err)
	}
	var refused *Error
	if err := c.Login(ctx); !errors.As(err, &refused) || refused.StatusCode != 307 {
		t.Errorf("%v", err)
	}
}
