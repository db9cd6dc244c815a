package operator_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"holdfast/internal/sim/operator"
)

func TestAuthorize(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := func(name, value string) func(url.Values) {
		return func(q url.Values) { q.Set(name, value) }
	}
	without := func(name string) func(url.Values) {
		return func(q url.Values) { q.Del(name) }
	}
	twice := func(name string) func(url.Values) {
		return func(q url.Values) { q.Add(name, q.Get(name)) }
	}
	tests := []struct {
		name   string
		change func(url.Values)
		want   string // the error that comes back; "" a code; "stay" no redirect
	}{
		{"a good request", func(url.Values) {}, ""},
		{"another registered redirect_uri", set("redirect_uri", redirect+"?a=b"), ""},
		{"an unknown client", set("client_id", "nobody"), "stay"},
		{"no client", without("client_id"), "stay"},
		{"the client twice", twice("client_id"), "stay"},
		{"an unknown redirect_uri", set("redirect_uri", "https://evil.example/"), "stay"},
		{"a longer redirect_uri", set("redirect_uri", redirect+"/more"), "stay"},
		{"no redirect_uri", without("redirect_uri"), "stay"},
		{"the redirect_uri twice", twice("redirect_uri"), "stay"},
		{"no response_type", without("response_type"), "invalid_request"},
		{"the implicit flow", set("response_type", "id_token token"), "unsupported_response_type"},
		{"no state", without("state"), "invalid_request"},
		{"no nonce", without("nonce"), "invalid_request"},
		{"the nonce twice", twice("nonce"), "invalid_request"},
		{"no prompt", without("prompt"), "invalid_request"},
		{"a prompt that shows something", set("prompt", "none login"), "invalid_request"},
		{"no PKCE", without("code_challenge"), "invalid_request"},
		{"PKCE in clear", set("code_challenge_method", "plain"), "invalid_request"},
		{"PKCE without a method", without("code_challenge_method"), "invalid_request"},
		{"a challenge that is no SHA-256", set("code_challenge", "short"), "invalid_request"},
		{"no openid", set("scope", "dpv:FraudPreventionAndDetection number-verification:verify"), "invalid_scope"},
		{"no purpose", set("scope", "openid number-verification:verify"), "invalid_scope"},
		{"two purposes", set("scope", "openid dpv:A dpv:B number-verification:verify"), "invalid_scope"},
		{"nothing to do", set("scope", "openid dpv:A"), "invalid_scope"},
		{"an unknown scope", set("scope", "openid dpv:A number-verification:verify profile"), "invalid_scope"},
		{"a request object", set("request", "e30.e30."), "request_not_supported"},
		{"a request by reference", set("request_uri", "https://evil.example/"), "request_uri_not_supported"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := authorizeQuery()
			tt.change(q)
			a := w.authorize(q)
			if tt.want == "stay" {
				if a.status != 400 || a.header.Get("Location") != "" {
					t.Fatalf("got %d to %q", a.status, a.header.Get("Location"))
				}
				return
			}
			back := a.back(t)
			if back.Get("error") != tt.want || (back.Get("code") == "") != (tt.want != "") {
				t.Errorf("came back with %v, want error %q", back, tt.want)
			}
			if back.Get("iss") != w.issuer || back.Get("state") != q.Get("state") {
				t.Errorf("iss is %q, state %q", back.Get("iss"), back.Get("state"))
			}
		})
	}
}

func TestAuthorizeAsksTheNetwork(t *testing.T) {
	t.Parallel()
	for name, phone := range map[string]struct{ sim, net string }{
		"wifi":   {ours, "wifi"},
		"no SIM": {"", "cellular"},
	} {
		w := newWorld(t)
		w.sim, w.net = phone.sim, phone.net
		if back := w.authorize(authorizeQuery()).back(t); back.Get("error") != "login_required" || back.Has("code") {
			t.Errorf("%s: came back with %v", name, back)
		}
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"ES256", "RS256"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			options := []option{func(c *operator.Config, _ *world) { c.Alg = alg }}
			if alg == "RS256" {
				options = append(options, withRSA)
			}
			w := newWorld(t, options...)
			a := w.token(w.tokenForm(w.code()))
			if a.status != 200 || a.body["token_type"] != "Bearer" || a.body["expires_in"] != 300.0 || a.header.Get("Cache-Control") != "no-store" {
				t.Fatalf("got %d %s", a.status, a.text)
			}
			if _, refreshes := a.body["refresh_token"]; refreshes {
				t.Error("a refresh token came")
			}
			provider, err := oidc.NewProvider(t.Context(), w.issuer)
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := a.body["id_token"].(string)
			token, err := provider.Verifier(&oidc.Config{ClientID: "holdfast"}).Verify(t.Context(), raw)
			if err != nil {
				t.Fatal(err)
			}
			if token.Nonce != nonce || token.Subject == "" || strings.Contains(token.Subject, "4155550123") {
				t.Errorf("nonce %q, subject %q", token.Nonce, token.Subject)
			}
			if err := token.VerifyAccessToken(a.body["access_token"].(string)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTokenRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := w.clock.Now()
	claim := func(name string, value any) func(url.Values) {
		return func(f url.Values) { f.Set("client_assertion", w.assertion(map[string]any{name: value})) }
	}
	set := func(name, value string) func(url.Values) {
		return func(f url.Values) { f.Set(name, value) }
	}
	tests := []struct {
		name   string
		change func(url.Values)
		want   string // "" means that it is good
	}{
		{"nothing", func(url.Values) {}, ""},
		{"the issuer as audience", claim("aud", w.issuer), ""},
		{"the audience as a list", claim("aud", []string{w.issuer + "/token"}), ""},
		{"an unknown client", func(f url.Values) {
			f.Set("client_assertion", w.assertion(map[string]any{"iss": "nobody", "sub": "nobody"}))
		}, "invalid_client"},
		{"another issuer than subject", claim("iss", "other"), "invalid_client"},
		{"another audience", claim("aud", "https://other.example/token"), "invalid_client"},
		{"two audiences", claim("aud", []string{w.issuer, "https://other.example"}), "invalid_client"},
		{"no jti", claim("jti", nil), "invalid_client"},
		{"no exp", claim("exp", nil), "invalid_client"},
		{"no iat", claim("iat", nil), "invalid_client"},
		{"over 300 s", claim("exp", now.Add(301*time.Second).Unix()), "invalid_client"},
		{"expired", func(f url.Values) {
			f.Set("client_assertion", w.assertion(map[string]any{"iat": now.Add(-time.Hour).Unix(), "exp": now.Add(-time.Hour + time.Minute).Unix()}))
		}, "invalid_client"},
		{"from the future", func(f url.Values) {
			f.Set("client_assertion", w.assertion(map[string]any{"iat": now.Add(time.Hour).Unix(), "exp": now.Add(time.Hour + time.Minute).Unix()}))
		}, "invalid_client"},
		{"no assertion", func(f url.Values) { f.Del("client_assertion") }, "invalid_client"},
		{"an unsigned assertion", set("client_assertion", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJob2xkZmFzdCJ9."), "invalid_client"},
		{"no assertion type", func(f url.Values) { f.Del("client_assertion_type") }, "invalid_client"},
		{"a password beside", set("client_secret", "x"), "invalid_client"},
		{"another client_id beside", set("client_id", "other"), "invalid_client"},
		{"the same client_id beside", set("client_id", "holdfast"), ""},
		{"no grant type", func(f url.Values) { f.Del("grant_type") }, "invalid_request"},
		{"another grant type", set("grant_type", "client_credentials"), "unsupported_grant_type"},
		{"a parameter twice", func(f url.Values) { f.Add("code", "x") }, "invalid_request"},
		{"no code", func(f url.Values) { f.Del("code") }, "invalid_request"},
		{"a made-up code", set("code", "made-up"), "invalid_grant"},
		{"another redirect_uri", set("redirect_uri", redirect+"?a=b"), "invalid_grant"},
		{"another verifier", set("code_verifier", strings.Repeat("x", 43)), "invalid_grant"},
		{"no verifier", func(f url.Values) { f.Del("code_verifier") }, "invalid_request"},
		{"another client's code", func(f url.Values) {
			f.Set("client_assertion", w.assertion(map[string]any{"iss": "other", "sub": "other"}))
		}, "invalid_grant"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			form := w.tokenForm(w.code())
			tt.change(form)
			a := w.token(form)
			if tt.want == "" {
				if a.status != 200 {
					t.Fatalf("got %d %s", a.status, a.text)
				}
				return
			}
			status := 400
			if tt.want == "invalid_client" {
				status = 401
			}
			if a.status != status || a.body["error"] != tt.want {
				t.Errorf("got %d %s, want %s", a.status, a.text, tt.want)
			}
		})
	}
}

func TestAssertionWorksOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	form := w.tokenForm(w.code())
	w.token(form)
	form.Set("code", w.code())
	if a := w.token(form); a.body["error"] != "invalid_client" {
		t.Errorf("got %d %s", a.status, a.text)
	}
}

func TestForeignKeySignsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.code()
	w.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if a := w.token(w.tokenForm(code)); a.body["error"] != "invalid_client" {
		t.Errorf("another key under a known kid: got %d %s", a.status, a.text)
	}
	w.kid = "key-2"
	if a := w.token(w.tokenForm(code)); a.body["error"] != "invalid_client" {
		t.Errorf("an unknown kid: got %d %s", a.status, a.text)
	}
}

func TestCodeExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.code()
	w.clock.Advance(time.Minute)
	if a := w.token(w.tokenForm(code)); a.body["error"] != "invalid_grant" {
		t.Errorf("got %d %s", a.status, a.text)
	}
}

// RFC 6749 section 4.1.2: a code used twice takes its token with it.
func TestCodeUsedTwiceRevokesItsToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.code()
	token, _ := w.token(w.tokenForm(code)).body["access_token"].(string)
	if a := w.token(w.tokenForm(code)); a.body["error"] != "invalid_grant" {
		t.Fatalf("got %d %s", a.status, a.text)
	}
	isError(t, w.call("POST", "/verify", token, phoneNumber(ours)), 401, "UNAUTHENTICATED")
}

// A client that rotates its keys is asked again, and not for every made-up kid.
func TestClientKeysAreFetched(t *testing.T) {
	t.Parallel()
	var (
		asked atomic.Int32
		w     *world
	)
	keys := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_ = json.NewEncoder(rw).Encode(w.publicKeys())
	}))
	t.Cleanup(keys.Close)
	w = newWorld(t, func(c *operator.Config, _ *world) {
		c.Clients = map[string]operator.Client{"holdfast": {RedirectURIs: []string{redirect}, JWKSURL: keys.URL}}
	})
	expect := func(what string, status int, requests int32) {
		t.Helper()
		if a := w.token(w.tokenForm(w.code())); a.status != status || asked.Load() != requests {
			t.Errorf("%s: got %d %s, asked %d times", what, a.status, a.text, asked.Load())
		}
	}
	expect("the first", 200, 1)
	expect("the second", 200, 1)
	w.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.kid = "key-2"
	expect("a new key at once", 401, 1)
	w.clock.Advance(2 * time.Second)
	expect("a new key", 200, 2)
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, _ := http.NewRequest("GET", w.issuer+"/.well-known/openid-configuration", nil)
	a := w.do(r)
	for name, want := range map[string]any{
		"issuer":                 w.issuer,
		"authorization_endpoint": w.issuer + "/authorize",
		"token_endpoint":         w.issuer + "/token",
		"jwks_uri":               w.issuer + "/jwks",
		"authorization_response_iss_parameter_supported": true,
	} {
		if a.body[name] != want {
			t.Errorf("%s is %v, want %v", name, a.body[name], want)
		}
	}
	r, _ = http.NewRequest("GET", w.issuer+"/jwks", nil)
	if a := w.do(r); strings.Contains(a.text, `"d"`) || !strings.Contains(a.text, `"kid"`) {
		t.Error("the key set has a private part, or no key")
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]operator.Config{
		"no issuer":       {Lines: lines{}},
		"a final slash":   {Issuer: "https://operator.example/", Lines: lines{}},
		"a query":         {Issuer: "https://operator.example?x", Lines: lines{}},
		"no lines":        {Issuer: "https://operator.example"},
		"a symmetric alg": {Issuer: "https://operator.example", Lines: lines{}, Alg: "HS256"},
	} {
		if _, err := operator.New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
