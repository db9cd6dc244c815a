package operator_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"holdfast/internal/sim/operator"
	"holdfast/internal/testkit"
)

const (
	ours      = "+14155550123" // the SIM in the test's phone
	theirs    = "+14155550199"
	redirect  = "https://holdfast.example/carrier/sim/callback"
	state     = "the-state"
	nonce     = "the-nonce"
	verifier  = "a-verifier-of-forty-three-characters-0123456"
	bothUses  = "number-verification:verify number-verification:device-phone-number:read"
	basePath  = "/number-verification/v2"
	assertJWT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// lines takes the number and the network from headers, as the virtual phone does
// from its cookie.
type lines struct{}

func (lines) Line(r *http.Request) (string, bool) {
	return r.Header.Get("Sim"), r.Header.Get("Network") == "cellular"
}

// world is an operator on a socket, one client of it, and a phone.
type world struct {
	t      *testing.T
	issuer string
	clock  *testkit.Clock
	key    crypto.Signer
	alg    jose.SignatureAlgorithm
	kid    string
	browse *http.Client
	sim    string
	net    string
}

type option func(*operator.Config, *world)

func newWorld(t *testing.T, options ...option) *world {
	t.Helper()
	w := &world{
		t: t, clock: testkit.ClockAt(time.Now()), alg: jose.ES256, kid: "key-1", sim: ours, net: "cellular",
		browse: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	w.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	server := httptest.NewUnstartedServer(nil)
	w.issuer = "http://" + server.Listener.Addr().String() + "/sim/carrier"
	c := operator.Config{Issuer: w.issuer, Lines: lines{}, Now: w.clock.Now}
	for _, option := range options {
		option(&c, w)
	}
	if c.Clients == nil {
		c.Clients = map[string]operator.Client{
			"holdfast": {RedirectURIs: []string{redirect, redirect + "?a=b"}, JWKS: w.publicKeys()},
			"other":    {RedirectURIs: []string{redirect}, JWKS: w.publicKeys()},
		}
	}
	o, err := operator.New(c)
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = o
	server.Start()
	t.Cleanup(server.Close)
	return w
}

func withRSA(_ *operator.Config, w *world) {
	w.key, _ = rsa.GenerateKey(rand.Reader, 2048)
	w.alg = jose.RS256
}

func withFault(at operator.Step, fault operator.Fault) option {
	return func(c *operator.Config, _ *world) {
		c.Faults = func(_ *http.Request, step operator.Step, _ string) operator.Fault {
			if step == at {
				return fault
			}
			return operator.Fault{}
		}
	}
}

func (w *world) publicKeys() *jose.JSONWebKeySet {
	return &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: w.key.Public(), KeyID: w.kid, Algorithm: string(w.alg), Use: "sig"}}}
}

// answer is a response, read.
type answer struct {
	status int
	header http.Header
	body   map[string]any
	text   string
}

func (w *world) do(r *http.Request) answer {
	w.t.Helper()
	resp, err := w.browse.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, text: string(text)}
	_ = json.Unmarshal(text, &a.body)
	return a
}

// authorizeQuery is a request that nothing is wrong with.
func authorizeQuery() url.Values {
	return url.Values{
		"response_type": {"code"}, "client_id": {"holdfast"}, "redirect_uri": {redirect},
		"scope": {"openid dpv:FraudPreventionAndDetection " + bothUses},
		"state": {state}, "nonce": {nonce}, "prompt": {"none"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
	}
}

// authorize opens /authorize in the phone's browser.
func (w *world) authorize(q url.Values) answer {
	w.t.Helper()
	r, _ := http.NewRequest(http.MethodGet, w.issuer+"/authorize?"+q.Encode(), nil)
	r.Header.Set("Sim", w.sim)
	r.Header.Set("Network", w.net)
	return w.do(r)
}

// back is the query that a redirect brings back.
func (a answer) back(t *testing.T) url.Values {
	t.Helper()
	to, err := url.Parse(a.header.Get("Location"))
	if err != nil || a.status != http.StatusFound || !strings.HasPrefix(to.String(), redirect) {
		t.Fatalf("no redirect back: %d, %q, %s", a.status, a.header.Get("Location"), a.text)
	}
	return to.Query()
}

func (w *world) code() string {
	w.t.Helper()
	code := w.authorize(authorizeQuery()).back(w.t).Get("code")
	if code == "" {
		w.t.Fatal("no code")
	}
	return code
}

// assertion signs the claims of a good client assertion, changed by some.
func (w *world) assertion(change map[string]any) string {
	w.t.Helper()
	now := w.clock.Now()
	claims := map[string]any{
		"iss": "holdfast", "sub": "holdfast", "aud": w.issuer + "/token", "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: w.alg, Key: jose.JSONWebKey{Key: w.key, KeyID: w.kid}}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	text, _ := json.Marshal(claims)
	signed, err := signer.Sign(text)
	if err != nil {
		w.t.Fatal(err)
	}
	compact, _ := signed.CompactSerialize()
	return compact
}

func (w *world) tokenForm(code string) url.Values {
	w.t.Helper()
	return url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier},
		"client_assertion_type": {assertJWT}, "client_assertion": {w.assertion(nil)},
	}
}

func (w *world) token(form url.Values) answer {
	w.t.Helper()
	r, _ := http.NewRequest(http.MethodPost, w.issuer+"/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return w.do(r)
}

// accessToken goes the whole way to a token with the scopes.
func (w *world) accessToken(uses string) string {
	w.t.Helper()
	q := authorizeQuery()
	q.Set("scope", "openid dpv:FraudPreventionAndDetection "+uses)
	a := w.token(w.tokenForm(w.authorize(q).back(w.t).Get("code")))
	token, _ := a.body["access_token"].(string)
	if token == "" {
		w.t.Fatalf("no token: %s", a.text)
	}
	return token
}

// call calls the API. A body of "" is none.
func (w *world) call(method, path, token, body string) answer {
	w.t.Helper()
	r, _ := http.NewRequest(method, w.issuer+basePath+path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Correlator", "b4333c46-49c0-4f62-80d7-f0ef930f1c46")
	return w.do(r)
}
