package camara

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"holdfast/internal/sim/operator"
)

func TestBegin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c, j := w.carrier(), journey()
	to, err := c.Begin(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	expect := url.Values{
		"response_type": {"code"}, "client_id": {"holdfast"}, "redirect_uri": {redirect},
		"scope": {"openid dpv:FraudPreventionAndDetection number-verification:verify"},
		"state": {j.State}, "nonce": {j.Nonce}, "prompt": {"none"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(j.Verifier)}, "code_challenge_method": {"S256"},
	}
	if got := u.Query(); got.Encode() != expect.Encode() {
		t.Errorf("got  %v\nwant %v", got, expect)
	}
	if strings.Contains(to, "4155550123") || strings.Contains(to, j.Verifier) {
		t.Error("the URL has the number or the verifier")
	}
	if again, _ := c.Begin(t.Context(), j); again != to {
		t.Error("the same journey got another URL")
	}
}

// An authorization endpoint may have a query of its own (RFC 6749 section 3.1).
func TestBeginKeepsTheEndpointsQuery(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, func(w *world) {
		w.config.Endpoints = Endpoints{w.issuer + "/authorize?realm=a%20b", w.issuer + "/token", w.issuer + "/jwks"}
	})
	to, err := w.carrier().Begin(t.Context(), journey())
	if err != nil {
		t.Fatal(err)
	}
	if u, err := url.Parse(to); err != nil || u.Query().Get("realm") != "a b" || u.Query().Get("client_id") != "holdfast" {
		t.Errorf("got %s", to)
	}
}

// switched is discovery that can be broken and counted.
type switched struct {
	inner http.Handler
	asked atomic.Int32
	down  atomic.Bool
	held  atomic.Pointer[chan struct{}]
}

func (s *switched) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/openid-configuration") {
		s.asked.Add(1)
		if held := s.held.Load(); held != nil {
			<-*held
		}
		if s.down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
	}
	s.inner.ServeHTTP(w, r)
}

func switchedWorld(t *testing.T) (*world, *switched) {
	w := newWorld(t, nil)
	s := &switched{inner: w.operator.Config.Handler}
	w.operator.Config.Handler = s
	return w, s
}

// A carrier that is down when the server starts is found when it comes up, and
// is not asked for every tap meanwhile.
func TestDiscoveryDownThenUp(t *testing.T) {
	t.Parallel()
	w, s := switchedWorld(t)
	s.down.Store(true)
	c := w.carrier()
	begin := func(what string, good bool, asked int32) {
		t.Helper()
		_, err := c.Begin(t.Context(), journey())
		if (err == nil) != good || s.asked.Load() != asked {
			t.Errorf("%s: error %v, asked %d times, want %d", what, err, s.asked.Load(), asked)
		}
	}
	begin("down", false, 1)
	begin("at once again", false, 1)
	w.clock.Advance(firstRetry)
	begin("after the first back-off", false, 2)
	w.clock.Advance(firstRetry)
	begin("the second is longer", false, 2)
	for range 10 {
		w.clock.Advance(lastRetry)
		_, _ = c.Begin(t.Context(), journey())
	}
	s.down.Store(false)
	asked := s.asked.Load()
	begin("before the longest back-off has passed", false, asked)
	w.clock.Advance(lastRetry)
	begin("up", true, asked+1)
	begin("known", true, asked+1)

	j := journey()
	yes.check(t, c.Answer(t.Context(), j, w.begin(c, j)))
}

func TestConcurrentBeginsShareOneDiscovery(t *testing.T) {
	t.Parallel()
	w, s := switchedWorld(t)
	held := make(chan struct{})
	s.held.Store(&held)
	c := w.carrier()
	var taps sync.WaitGroup
	for range 50 {
		taps.Go(func() {
			if _, err := c.Begin(context.Background(), journey()); err != nil {
				t.Error(err)
			}
		})
	}
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Begin(impatient, journey()); err == nil {
		t.Error("a caller that gave up got an answer")
	}
	close(held)
	taps.Wait()
	if n := s.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// Endpoints that have grown stale are used while they are looked up again
// behind, and when that fails.
func TestStaleEndpointsAreUsed(t *testing.T) {
	t.Parallel()
	w, s := switchedWorld(t)
	c := w.carrier()
	begin := func() {
		t.Helper()
		if _, err := c.Begin(t.Context(), journey()); err != nil {
			t.Error(err)
		}
	}
	landed := func() {
		t.Helper()
		c.dir.mu.Lock()
		f := c.dir.flight
		c.dir.mu.Unlock()
		if f != nil {
			<-f.done
		}
	}
	begin()
	first := c.dir.known.Load()
	s.down.Store(true)
	w.clock.Advance(time.Hour)
	begin()
	landed()
	begin()
	if n := s.asked.Load(); n != 2 || c.dir.known.Load() != first {
		t.Errorf("asked %d times; the endpoints from before are gone: %v", n, c.dir.known.Load() != first)
	}
	s.down.Store(false)
	w.clock.Advance(firstRetry)
	begin()
	landed()
	begin()
	if n := s.asked.Load(); n != 3 || c.dir.known.Load() == first {
		t.Errorf("asked %d times; not looked up again: %v", n, c.dir.known.Load() == first)
	}
	if c.dir.known.Load().keys != first.keys {
		t.Error("the carrier's keys were thrown away")
	}
}

func TestDiscoveryRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(string) string{
		"another issuer":      func(s string) string { return strings.Replace(s, `/sim/carrier","jwks`, `/other","jwks`, 1) },
		"a plain endpoint":    func(s string) string { return strings.ReplaceAll(s, "http://127.0.0.1", "http://carrier.example") },
		"no JSON":             func(string) string { return "<html>" },
		"no endpoints":        func(s string) string { return strings.ReplaceAll(s, "_endpoint", "_end") },
		"an endless document": func(string) string { return `{"issuer":"` + strings.Repeat("x", maxBody) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			recorded := httptest.NewRecorder()
			w.operator.Config.Handler.ServeHTTP(recorded, httptest.NewRequest("GET", w.issuer+"/.well-known/openid-configuration", nil))
			good := recorded.Body.String()
			if change(good) == good {
				t.Fatalf("the test changes nothing of %s", good)
			}
			w.operator.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(rw, change(good))
			})
			if to, err := w.carrier().Begin(t.Context(), journey()); err == nil {
				t.Errorf("was taken: %s", to)
			}
		})
	}
}

func TestNewTellsEveryMistake(t *testing.T) {
	t.Parallel()
	_, err := New(t.Context(), Config{
		Name: "No Good", Issuer: "http://carrier.example", RedirectURL: "/callback", APIRoot: "",
		Endpoints: Endpoints{Authorization: "https://carrier.example/authorize#x"}, Purpose: "dpv:A dpv:B", Alg: "HS256",
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, told := range []string{
		"the name must", "the issuer is not https", "the redirect URL is not an absolute URL", "the API root is missing",
		"the authorization endpoint has a user name or a fragment", "the token endpoint is missing", "the keys' address is missing",
		"the client id is missing", "the purpose must", "the client keys are missing",
	} {
		if !strings.Contains(err.Error(), told) {
			t.Errorf("%q is not told in:\n%v", told, err)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		faults faults
		change func(*world)
		want   []string // none: all is well
	}{
		{name: "all well"},
		{name: "endpoints instead of discovery", change: func(w *world) {
			w.config.Endpoints = Endpoints{w.issuer + "/authorize", w.issuer + "/token", w.issuer + "/jwks"}
		}},
		{name: "discovery down", faults: faults{operator.AtDiscovery: {Status: 503}}, want: []string{"discovery: HTTP 503"}},
		{name: "keys down", faults: faults{operator.AtJWKS: {Status: 404}}, want: []string{"keys: HTTP 404"}},
		{name: "no keys", faults: faults{operator.AtJWKS: {Status: 200, Body: `{"keys":[]}`}}, want: []string{"keys: none"}},
		{name: "not registered", change: func(w *world) { w.config.ClientID = "nobody" }, want: []string{"token: the carrier does not accept our client assertion"}},
		{name: "the wrong audience", change: func(w *world) { w.config.Audience = "https://other.example" }, want: []string{"token: the carrier does not accept our client assertion"}},
		{name: "the wrong API root", change: func(w *world) { w.config.APIRoot = w.issuer + "/elsewhere" }, want: []string{"verify: HTTP 404"}},
		{
			name: "all of it", faults: faults{operator.AtDiscovery: {Status: 503}}, change: func(w *world) { w.config.APIRoot = w.issuer + "/elsewhere" },
			want: []string{"discovery: HTTP 503", "verify: HTTP 404"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			change := tt.change
			if change == nil {
				change = func(*world) {}
			}
			w := newWorld(t, tt.faults, change)
			err := w.carrier().Check(t.Context())
			if len(tt.want) == 0 && err != nil {
				t.Errorf("got %v", err)
			}
			for _, told := range tt.want {
				if err == nil || !strings.Contains(err.Error(), told) {
					t.Errorf("%q is not told in: %v", told, err)
				}
			}
			if w.asked[operator.AtAuthorize].Load()+w.asked[operator.AtVerify].Load() > 0 {
				t.Error("a phone was asked about")
			}
		})
	}
}
