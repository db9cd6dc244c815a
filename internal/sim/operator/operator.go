// Package operator is the pretend mobile operator of "holdfast dev" and of tests:
// a provider of CAMARA Number Verification 2.1 behind OpenID Connect, over real
// HTTP, as strict as a real one should be and quick enough for the bench.
//
// It knows one thing that a real operator learns from its network: whose SIM is
// in the phone that a browser runs on. That is Lines, which the virtual phone
// implements. What may go wrong with an operator is asked for through Faults.
//
//	operator.go   configuration, routes, discovery and keys
//	authorize.go  /authorize: recognise the line, give out a code
//	token.go      /token: a code for an access token and an ID token
//	signing.go    the keys that sign ID tokens
//	client.go     who asks: the client assertion and its keys
//	api.go        /number-verification/v2: the two operations and their errors
//	faults.go     what may go wrong
//	state.go      codes, tokens and assertions seen, bounded and forgotten in time
//
// Codes work once and for a minute, an access token for one API call (released
// CAMARA does not say so yet; its main branch does), an assertion once.
package operator

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Lines tells whose SIM a browser's phone has.
type Lines interface {
	// Line returns the number of the SIM (E.164) in the phone that sent r, and
	// whether r came by way of the mobile network rather than Wi-Fi.
	Line(r *http.Request) (number string, onNetwork bool)
}

// Client is a registered API consumer.
type Client struct {
	// RedirectURIs are compared exactly.
	RedirectURIs []string
	// JWKSURL is where the client publishes its keys; they are fetched when needed,
	// and again when a key is not known.
	JWKSURL string
	// JWKS are its keys themselves; used where JWKSURL is empty.
	JWKS *jose.JSONWebKeySet
}

// Config is what an Operator is made of.
type Config struct {
	// Issuer is the base URL as browsers and clients reach it, its path included,
	// such as http://127.0.0.1:8080/sim/carrier: the Handler serves below that path
	// and is mounted without stripping it. Required; it is the API root too.
	Issuer string
	// Clients by client id. None means that nobody is served.
	Clients map[string]Client
	// Lines is required.
	Lines Lines
	// Alg signs ID tokens: "ES256" or "RS256"; "" means ES256.
	Alg string
	// Faults may make any step go wrong; nil means that none does.
	Faults Faults
	// Remember bounds how many codes, access tokens and assertions, each, are kept
	// at least; beyond it the oldest are forgotten early. 0 means 65,536.
	Remember int
	// HTTP fetches clients' keys; nil means a client with a 3 s time-out.
	HTTP *http.Client
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Operator is an http.Handler for everything below the issuer's path.
type Operator struct {
	Config
	mux      *http.ServeMux
	state    *state
	clients  map[string]*clientKeys
	signer   jose.Signer
	forger   jose.Signer // a key that is not published
	subjects []byte      // secret of the pairwise subjects
}

// New returns an Operator with a new signing key, or what is wrong.
func New(c Config) (*Operator, error) {
	issuer, err := url.Parse(c.Issuer)
	if err != nil || issuer.Host == "" || issuer.RawQuery != "" || issuer.Fragment != "" || strings.HasSuffix(c.Issuer, "/") {
		return nil, fmt.Errorf("operator: the issuer %q must be an absolute URL without query, fragment and final slash", c.Issuer)
	}
	if c.Lines == nil {
		return nil, errors.New("operator: lines are required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.HTTP == nil {
		c.HTTP = &http.Client{Timeout: 3 * time.Second}
	}
	if c.Remember == 0 {
		c.Remember = 1 << 16
	}
	if c.Faults == nil {
		c.Faults = func(*http.Request, Step, string) Fault { return Fault{} }
	}
	o := &Operator{
		Config: c, state: newState(c.Remember), clients: make(map[string]*clientKeys),
		subjects: []byte(rand.Text()),
	}
	for id, client := range c.Clients {
		o.clients[id] = newClientKeys(client, c.HTTP)
	}
	keys, err := o.makeKeys()
	if err != nil {
		return nil, err
	}
	metadata, err := json.Marshal(o.describe())
	if err != nil {
		return nil, err
	}
	o.route(issuer.Path, metadata, keys)
	return o, nil
}

// The paths below the issuer's.
const (
	pathDiscovery = "/.well-known/openid-configuration"
	pathJWKS      = "/jwks"
	pathAuthorize = "/authorize"
	pathToken     = "/token"
	pathVerify    = "/number-verification/v2/verify"
	pathShare     = "/number-verification/v2/device-phone-number"
)

func (o *Operator) route(prefix string, metadata, keys []byte) {
	o.mux = http.NewServeMux()
	o.mux.HandleFunc("GET "+prefix+pathDiscovery, o.serve(AtDiscovery, metadata))
	o.mux.HandleFunc("GET "+prefix+pathJWKS, o.serve(AtJWKS, keys))
	// An authorization endpoint takes both (OpenID Connect Core section 3.1.2.1).
	o.mux.HandleFunc("GET "+prefix+pathAuthorize, o.authorize)
	o.mux.HandleFunc("POST "+prefix+pathAuthorize, o.authorize)
	o.mux.HandleFunc("POST "+prefix+pathToken, o.token)
	o.mux.HandleFunc("POST "+prefix+pathVerify, o.correlated(o.verify))
	o.mux.HandleFunc("GET "+prefix+pathShare, o.correlated(o.share))
}

// ServeHTTP implements http.Handler.
func (o *Operator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	o.mux.ServeHTTP(w, r)
}

// maxBody bounds every request's body; the largest is a token request.
const maxBody = 16 << 10

// describe is the provider's metadata (OpenID Connect Discovery 1.0 section 3).
func (o *Operator) describe() map[string]any {
	alg := o.Alg
	if alg == "" {
		alg = "ES256"
	}
	return map[string]any{
		"issuer":                                           o.Issuer,
		"authorization_endpoint":                           o.Issuer + pathAuthorize,
		"token_endpoint":                                   o.Issuer + pathToken,
		"jwks_uri":                                         o.Issuer + pathJWKS,
		"scopes_supported":                                 []string{"openid", scopeVerify, scopeShare},
		"response_types_supported":                         []string{"code"},
		"response_modes_supported":                         []string{"query"},
		"grant_types_supported":                            []string{"authorization_code"},
		"prompt_values_supported":                          []string{"none"},
		"subject_types_supported":                          []string{"pairwise"},
		"id_token_signing_alg_values_supported":            []string{alg},
		"token_endpoint_auth_methods_supported":            []string{"private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": []string{"RS256", "ES256"},
		"code_challenge_methods_supported":                 []string{"S256"},
		"authorization_response_iss_parameter_supported":   true,
		"request_parameter_supported":                      false,
		"request_uri_parameter_supported":                  false,
	}
}

func (o *Operator) serve(step Step, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if o.Faults(r, step, "").instead(w) {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "public, max-age=300")
		_, _ = w.Write(body)
	}
}

// writeJSON answers with a value of our own.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

var _ http.Handler = (*Operator)(nil)
