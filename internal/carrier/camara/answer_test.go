package camara

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/carrier"
	"holdfast/internal/phone"
	"holdfast/internal/sim/operator"
	"holdfast/internal/verify"
)

// want is what an answer should be.
type want struct {
	match   verify.PhoneMatch
	reason  verify.Reason // "" means none
	foreign bool
	log     string // something that the operator's log must say; "" means nothing may be logged
}

func (x want) check(t *testing.T, got carrier.Answer) {
	t.Helper()
	var reasons []verify.Reason
	if x.reason != "" {
		reasons = []verify.Reason{x.reason}
	}
	if got.Match != x.match || !slices.Equal(got.Reasons, reasons) || got.Foreign != x.foreign {
		t.Errorf("got %v %v, foreign %v (%v); want %v %v, foreign %v", got.Match, got.Reasons, got.Foreign, got.Err, x.match, reasons, x.foreign)
	}
	switch {
	case x.log == "" && got.Err != nil:
		t.Errorf("logs %q, want nothing", got.Err)
	case x.log != "" && (got.Err == nil || !strings.Contains(got.Err.Error(), x.log)):
		t.Errorf("logs %q, want %q", got.Err, x.log)
	}
}

var (
	yes          = want{match: verify.MatchTrue}
	no           = want{match: verify.MatchFalse}
	notMobile    = want{reason: verify.ReasonNotMobileNetwork}
	needsConsent = want{reason: verify.ReasonCarrierConsent}
)

func failed(log string) want      { return want{reason: verify.ReasonCarrierError, log: log} }
func declined(log string) want    { return want{reason: verify.ReasonCarrierRefused, log: log} }
func unavailable(log string) want { return want{reason: verify.ReasonCarrierUnavailable, log: log} }
func unsupported(log string) want { return want{reason: verify.ReasonCarrierUnsupported, log: log} }
func foreigner(log string) want   { return want{foreign: true, log: log} }

func TestAnswer(t *testing.T) {
	t.Parallel()
	type test struct {
		name   string
		faults faults
		change func(*world)
		back   func(url.Values) // changes what the browser brings back
		want   want
	}
	otherSIM := func(w *world) { w.sim.number = "+14155550199" }
	authorize := func(f operator.Fault) faults { return faults{operator.AtAuthorize: f} }
	token := func(f operator.Fault) faults { return faults{operator.AtToken: f} }
	asked := func(f operator.Fault) faults { return faults{operator.AtVerify: f} }
	claim := func(name string, value any) faults {
		return token(operator.Fault{IDToken: func(c map[string]any) { c[name] = value }})
	}
	tests := []test{
		{name: "the phone's own SIM", want: yes},
		{name: "another SIM", change: otherSIM, want: no},
		{name: "hashed", change: func(w *world) { w.config.HashedNumber = true }, want: yes},
		{name: "hashed, another SIM", change: func(w *world) { w.config.HashedNumber = true; otherSIM(w) }, want: no},
		{name: "the issuer as audience", change: func(w *world) { w.config.Audience = w.issuer }, want: yes},
		{name: "endpoints instead of discovery", change: func(w *world) {
			w.config.Endpoints = Endpoints{w.issuer + "/authorize", w.issuer + "/token", w.issuer + "/jwks"}
		}, faults: faults{operator.AtDiscovery: {Status: 500}}, want: yes},
		{name: "wifi", change: func(w *world) { w.sim.wifi = true }, want: notMobile},

		{name: "login_required", faults: authorize(operator.Fault{Code: "login_required"}), want: notMobile},
		{name: "account_selection_required", faults: authorize(operator.Fault{Code: "account_selection_required"}), want: notMobile},
		{name: "consent_required", faults: authorize(operator.Fault{Code: "consent_required"}), want: needsConsent},
		{name: "interaction_required", faults: authorize(operator.Fault{Code: "interaction_required"}), want: needsConsent},
		{name: "access_denied", faults: authorize(operator.Fault{Code: "access_denied"}), want: declined("authorize: refused, access_denied")},
		{name: "temporarily_unavailable", faults: authorize(operator.Fault{Code: "temporarily_unavailable"}), want: unavailable("temporarily_unavailable")},
		{name: "server_error", faults: authorize(operator.Fault{Code: "server_error"}), want: failed("server_error")},
		{name: "invalid_scope", faults: authorize(operator.Fault{Code: "invalid_scope"}), want: failed("invalid_scope")},
		{name: "an error of the browser's own making", back: func(q url.Values) { q.Del("code"); q.Set("error", ours) }, want: failed("an unusual code")},
		{name: "an error beside a code", back: func(q url.Values) { q.Set("error", "access_denied") }, want: declined("access_denied")},
		{name: "neither code nor error", back: func(q url.Values) { q.Del("code") }, want: failed("neither")},
		{name: "an empty code", back: func(q url.Values) { q.Set("code", "") }, want: failed("neither")},
		{name: "another issuer", faults: authorize(operator.Fault{Issuer: "https://evil.example"}), want: foreigner("another issuer")},
		{name: "no issuer, though announced", faults: authorize(operator.Fault{Issuer: "none"}), want: foreigner("another issuer")},
		{name: "no issuer, nor announced", faults: authorize(operator.Fault{Issuer: "none"}), change: func(w *world) {
			w.config.Endpoints = Endpoints{w.issuer + "/authorize", w.issuer + "/token", w.issuer + "/jwks"}
		}, want: yes},
		{name: "a made-up code", back: func(q url.Values) { q.Set("code", "made-up") }, want: foreigner("the code")},
		{name: "two codes", back: func(q url.Values) { q.Add("code", "another") }, want: foreigner("twice")},

		{name: "token: invalid_grant", faults: token(operator.Fault{Code: "invalid_grant"}), want: foreigner("the code")},
		{name: "token: invalid_client", faults: token(operator.Fault{Code: "invalid_client", Status: 401}), want: failed("invalid_client")},
		{name: "token: invalid_dpop_proof", faults: token(operator.Fault{Code: "invalid_dpop_proof"}), want: failed("invalid_dpop_proof")},
		{name: "token: 500", faults: token(operator.Fault{Status: 500, Body: "oops " + ours}), want: failed("Internal Server Error")},
		{name: "token: 503", faults: token(operator.Fault{Status: 503}), want: unavailable("Service Unavailable")},
		{name: "token: a redirect", faults: token(operator.Fault{Status: 307, Header: http.Header{"Location": {"/elsewhere"}}}), want: failed("Temporary Redirect")},
		{name: "token: no JSON", faults: token(operator.Fault{Status: 200, Body: "<html>"}), want: failed("can't be read")},
		{name: "token: endless", faults: token(operator.Fault{Status: 200, Body: strings.Repeat(" ", maxBody+1)}), want: failed("can't be read")},
		{name: "token: nothing in it", faults: token(operator.Fault{Status: 200, Body: "{}"}), want: failed("can't be read")},
		{name: "token: no bearer", faults: token(operator.Fault{Status: 200, Body: `{"access_token":"x","token_type":"DPoP"}`}), want: failed("bearer")},
		{name: "no ID token", faults: token(operator.Fault{NoIDToken: true}), want: failed("no ID token")},
		{name: "ID token: forged", faults: token(operator.Fault{Forged: true}), want: failed("not signed")},
		{name: "ID token: another nonce", faults: claim("nonce", "another"), want: foreigner("nonce")},
		{name: "ID token: no nonce", faults: claim("nonce", ""), want: foreigner("nonce")},
		{name: "ID token: another issuer", faults: claim("iss", "https://evil.example"), want: failed("another issuer")},
		{name: "ID token: another client", faults: claim("aud", "other"), want: failed("another client")},
		{name: "ID token: given out to another", faults: claim("azp", "other"), want: failed("another client")},
		{name: "ID token: given out to us", faults: claim("azp", "holdfast"), want: yes},
		{name: "ID token: expired", faults: claim("exp", 1), want: failed("expired")},
		{name: "ID token: another access token's", faults: claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), want: failed("another access token")},
		{name: "ID token: the keys are down", faults: faults{operator.AtJWKS: {Status: 503}}, want: failed("keys")},

		{name: "not by the network", faults: authorize(operator.Fault{OtherLogin: true}), want: notMobile},
		{name: "verify: PERMISSION_DENIED", faults: asked(operator.Fault{Code: "PERMISSION_DENIED"}), want: declined("PERMISSION_DENIED")},
		{name: "verify: UNAUTHENTICATED", faults: asked(operator.Fault{Code: "UNAUTHENTICATED", Status: 401}), want: failed("UNAUTHENTICATED")},
		{name: "verify: INVALID_ARGUMENT", faults: asked(operator.Fault{Code: "INVALID_ARGUMENT", Status: 400}), want: failed("INVALID_ARGUMENT")},
		{name: "verify: IDENTIFIER_NOT_FOUND", faults: asked(operator.Fault{Code: "IDENTIFIER_NOT_FOUND", Status: 404}), want: unsupported("IDENTIFIER_NOT_FOUND")},
		{name: "verify: TOO_MANY_REQUESTS", faults: asked(operator.Fault{Code: "TOO_MANY_REQUESTS", Status: 429}), want: unavailable("TOO_MANY_REQUESTS")},
		{name: "verify: 403 without a code", faults: asked(operator.Fault{Status: 403}), want: declined("Forbidden")},
		{name: "verify: 500", faults: asked(operator.Fault{Status: 500}), want: failed("Internal Server Error")},
		{name: "verify: 502", faults: asked(operator.Fault{Status: 502, Body: "<html>"}), want: unavailable("Bad Gateway")},
		{name: "verify: 504", faults: asked(operator.Fault{Status: 504}), want: want{reason: verify.ReasonCarrierTimeout, log: "Gateway Timeout"}},
		{name: "verify: a redirect", faults: asked(operator.Fault{Status: 307, Header: http.Header{"Location": {"/elsewhere"}}}), want: failed("Temporary Redirect")},
		{name: "verify: a yes with another status", faults: asked(operator.Fault{Status: 202, Body: `{"devicePhoneNumberVerified":true}`}), want: failed("Accepted")},
		{name: "verify: a word for a yes", faults: asked(operator.Fault{Status: 200, Body: `{"devicePhoneNumberVerified":"true"}`}), want: failed("neither true nor false")},
		{name: "verify: null", faults: asked(operator.Fault{Status: 200, Body: `{"devicePhoneNumberVerified":null}`}), want: failed("neither true nor false")},
		{name: "verify: nothing", faults: asked(operator.Fault{Status: 200, Body: `{}`}), want: failed("neither true nor false")},
		{name: "verify: two values", faults: asked(operator.Fault{Status: 200, Body: `{"devicePhoneNumberVerified":true} {}`}), want: failed("neither true nor false")},
		{name: "verify: no JSON", faults: asked(operator.Fault{Status: 200, Body: `{"devicePhoneNumberVerified":true}`, Header: http.Header{"Content-Type": {"text/html"}}}), want: failed("neither true nor false")},
		{name: "verify: endless", faults: asked(operator.Fault{Status: 200, Body: strings.Repeat(" ", maxBody+1)}), want: failed("too large")},
		{name: "verify: a code that is none", faults: asked(operator.Fault{Status: 400, Code: "no " + ours}), want: failed("an unusual code")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			change := tt.change
			if change == nil {
				change = func(*world) {}
			}
			w := newWorld(t, tt.faults, change)
			c, j := w.carrier(), journey()
			back := w.begin(c, j)
			code := back.Get("code")
			if tt.back != nil {
				tt.back(back)
			}
			got := c.Answer(t.Context(), j, back)
			tt.want.check(t, got)
			if n := w.asked[operator.AtVerify].Load(); n > 1 {
				t.Errorf("/verify was called %d times", n)
			}
			if log := fmt.Sprint(got.Err); strings.Contains(log, "4155550123") || code != "" && strings.Contains(log, code) {
				t.Errorf("the log would have a number or a code: %s", log)
			}
		})
	}
}

// A code that was answered can't be brought back, and another journey's is
// nobody's: both change nothing.
func TestCodesBelongToOneJourney(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c, j := w.carrier(), journey()
	back := w.begin(c, j)

	stranger := journey()
	foreigner("the code").check(t, c.Answer(t.Context(), stranger, back))
	yes.check(t, c.Answer(t.Context(), j, back))
	foreigner("the code").check(t, c.Answer(t.Context(), j, back))
	if n := w.asked[operator.AtVerify].Load(); n != 1 {
		t.Errorf("/verify was called %d times", n)
	}
}

// A time-out after the request left is never tried again: the code or the token
// may be spent. The journey's time runs out here while the carrier is at it.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	late := want{reason: verify.ReasonCarrierTimeout, log: "deadline exceeded"}
	for _, path := range []string{"/token", "/jwks", "/verify"} {
		w := newWorld(t, nil)
		ctx, runOut := context.WithCancel(t.Context())
		held := make(chan struct{})
		var calls atomic.Int32
		inner := w.operator.Config.Handler
		w.operator.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, path) {
				inner.ServeHTTP(rw, r)
				return
			}
			calls.Add(1)
			_, _ = io.Copy(io.Discard, r.Body)
			runOut()
			<-held
		})
		c, j := w.carrier(), journey()
		late.check(t, c.Answer(ctx, j, w.begin(c, j)))
		close(held)
		w.operator.Close()
		if n := calls.Load(); n != 1 {
			t.Errorf("%s was called %d times", path, n)
		}
	}
}

// recorder keeps how much time each call was given.
type recorder struct {
	next  http.RoundTripper
	mu    sync.Mutex
	given map[string]time.Duration
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	if deadline, ok := req.Context().Deadline(); ok {
		r.mu.Lock()
		r.given[path.Base(req.URL.Path)] = time.Until(deadline)
		r.mu.Unlock()
	}
	return r.next.RoundTrip(req)
}

// Every call has its own bound, so that one slow carrier can't hold journeys up
// for longer than the operator allows.
func TestEachCallIsBounded(t *testing.T) {
	t.Parallel()
	r := &recorder{next: &http.Transport{}, given: map[string]time.Duration{}}
	w := newWorld(t, nil, func(w *world) {
		w.config.Timeouts = Timeouts{Discovery: time.Hour, Token: 2 * time.Hour, Verify: 3 * time.Hour}
		w.config.HTTP = &http.Client{Transport: r}
	})
	c, j := w.carrier(), journey()
	yes.check(t, c.Answer(t.Context(), j, w.begin(c, j)))
	for call, most := range map[string]time.Duration{
		"openid-configuration": time.Hour, "token": 2 * time.Hour, "jwks": 2 * time.Hour, "verify": 3 * time.Hour,
	} {
		if got := r.given[call]; got <= most-time.Hour || got > most {
			t.Errorf("%s was given %v, want %v", call, got, most)
		}
	}
}

// A carrier that goes away between the two halves is unavailable, not broken:
// nothing of the call left.
func TestCarrierGoesAway(t *testing.T) {
	t.Parallel()
	// Over a connection from before it would not be known how far the call came.
	w := newWorld(t, nil, func(w *world) { w.config.HTTP.Transport = &http.Transport{DisableKeepAlives: true} })
	c, j := w.carrier(), journey()
	back := w.begin(c, j)
	w.operator.Close()
	unavailable("token: no connection").check(t, c.Answer(t.Context(), j, back))
}

// What leaves for /verify, byte for byte.
func TestQuestion(t *testing.T) {
	t.Parallel()
	for _, hashed := range []bool{false, true} {
		var header http.Header
		var path, body string
		api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text, _ := io.ReadAll(r.Body)
			header, path, body = r.Header, r.Method+" "+r.URL.Path, string(text)
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			_, _ = io.WriteString(w, `{"devicePhoneNumberVerified":true}`)
		}))
		w := newWorld(t, nil, func(w *world) {
			w.config.HashedNumber = hashed
			w.config.APIRoot = api.URL + "/some/path/"
			w.config.VersionPath = "/number-verification/v3"
		})
		c, j := w.carrier(), journey()
		yes.check(t, c.Answer(t.Context(), j, w.begin(c, j)))
		api.Close()

		expect := `{"phoneNumber":"+14155550123"}`
		if hashed {
			digest := sha256.Sum256([]byte("+14155550123"))
			expect = `{"hashedPhoneNumber":"` + hex.EncodeToString(digest[:]) + `"}`
		}
		if body != expect || path != "POST /some/path/number-verification/v3/verify" {
			t.Errorf("asked %s of %s", body, path)
		}
		if header.Get("X-Correlator") != j.Correlator || !strings.HasPrefix(header.Get("Authorization"), "Bearer ") || header.Get("Content-Type") != "application/json" {
			t.Errorf("asked with %v", header)
		}
	}
}

// A correlator that the API would refuse is left out rather than risked.
func TestOddCorrelator(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c, j := w.carrier(), journey()
	j.Correlator = "not (a correlator)"
	yes.check(t, c.Answer(t.Context(), j, w.begin(c, j)))
}

func FuzzCallback(f *testing.F) {
	for _, seed := range []string{"code=x&state=y", "error=access_denied", "code=a&code=b", "iss=x", "", "error=%2B14155550123"} {
		f.Add(seed)
	}
	c := &Carrier{Config: Config{Issuer: "https://carrier.example"}}
	f.Fuzz(func(t *testing.T, query string) {
		values, _ := url.ParseQuery(query)
		code, ended := c.code(&provider{}, values)
		if (code == "") == (ended == nil) {
			t.Fatalf("code %q, ended %v", code, ended)
		}
		if ended != nil && ended.Match != verify.MatchIndeterminate {
			t.Fatal("a callback alone decided")
		}
	})
}

func BenchmarkBegin(b *testing.B) {
	c := &Carrier{Config: Config{Now: time.Now, ClientID: "holdfast", RedirectURL: redirect}, scopes: []string{"openid", DefaultPurpose, scopeVerify}}
	c.dir.life = context.Background()
	c.keysHTTP = client(nil)
	c.dir.known.Store(c.newProvider(metadata{AuthorizationEndpoint: "https://carrier.example/authorize"}, nil))
	j := journey()
	j.Phone = phone.Stored(ours, phone.US)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Begin(context.Background(), j); err != nil {
			b.Fatal(err)
		}
	}
}
