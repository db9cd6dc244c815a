// Package camara asks a mobile network by CAMARA Number Verification 2.1 whether
// the phone that a browser runs on has the number that a text went to.
//
// The browser is sent through the carrier's authorization endpoint (OpenID
// Connect authorization code flow with state, nonce, prompt=none and PKCE S256),
// where the network recognises the SIM. It comes back with a code, which is
// exchanged for a token (private_key_jwt, RFC 7523) that answers one question:
// POST …/verify.
//
// Codes and tokens work once, so nothing after the redirect is ever tried again:
// what is not known after one call is indeterminate, with a reason (reasons.go).
// What does not belong to the journey (another issuer's callback, a replayed
// code, a wrong nonce) is foreign and changes nothing.
//
//	camara.go     configuration, the way there
//	discovery.go  the carrier's endpoints, found when first needed
//	answer.go     the way back: callback, token, ID token
//	ask.go        the one question
//	reasons.go    what every "no" means
//	keys.go       our own keys and their rotation; pem.go reads them
//	transport.go  how calls are made, and how they fail
//	check.go      what "holdfast doctor" asks
package camara

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"holdfast/internal/carrier"
)

// Defaults of Config.
const (
	DefaultVersionPath = "number-verification/v2"
	DefaultPurpose     = "dpv:FraudPreventionAndDetection"
)

// scopeVerify is the permission to call /verify.
const scopeVerify = "number-verification:verify"

// Endpoints are an authorization server's, where it has no discovery.
type Endpoints struct {
	Authorization string
	Token         string
	JWKS          string
}

// Timeouts bound the calls to a carrier, each for itself.
type Timeouts struct {
	Discovery time.Duration // 0 means 3 s
	Token     time.Duration // with the ID token's keys; 0 means 6 s
	Verify    time.Duration // 0 means 8 s
}

// Config is one carrier.
type Config struct {
	// Name is the carrier's name with us, of a–z, 0–9 and hyphens, at most 32; it
	// stands in the redirect URI. Required.
	Name string
	// Issuer is the authorization server's issuer identifier, exactly as it calls
	// itself. Required.
	Issuer string
	// Endpoints of the authorization server; the zero value means that they are
	// discovered from Issuer. All three or none.
	Endpoints Endpoints
	// ClientID is what the carrier calls us. Required.
	ClientID string
	// RedirectURL is where the carrier sends browsers back to, as registered there.
	// Required.
	RedirectURL string
	// Keys sign our client assertions. Required.
	Keys *Keys
	// Alg is "RS256" or "ES256", as registered with the carrier; "" means that of
	// the newest key.
	Alg string
	// Audience is the aud of client assertions, as the carrier wants it: its token
	// endpoint or its issuer. "" means the token endpoint's URL.
	Audience string
	// APIRoot is where the carrier's APIs are, without the API's own path. Required.
	APIRoot string
	// VersionPath is the API's path below APIRoot; "" means DefaultVersionPath.
	VersionPath string
	// Purpose is the one dpv: scope (W3C Data Privacy Vocabulary); "" means DefaultPurpose.
	Purpose string
	// HashedNumber sends SHA-256 of the number instead of the number.
	HashedNumber bool
	// Timeouts of the calls; zero fields mean their defaults.
	Timeouts Timeouts
	// Refresh is how long discovered endpoints are used before they are looked up
	// again; 0 means 1 h.
	Refresh time.Duration
	// HTTP makes the calls; its redirects and cookies are not used. nil means a
	// client with a pool of its own.
	HTTP *http.Client
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Carrier is one carrier. Its methods may be called concurrently.
type Carrier struct {
	Config
	http      *http.Client
	keysHTTP  *http.Client // for the carrier's keys, which are fetched outside a journey's deadline
	scopes    []string
	verifyURL string
	dir       directory
}

// New returns a Carrier, or all that is wrong with its configuration. It makes
// no call: a carrier that is down does not keep a server from starting. ctx ends
// what runs in the background (looking endpoints up again).
func New(ctx context.Context, c Config) (*Carrier, error) {
	c.setDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	made := &Carrier{
		Config:    c,
		http:      client(c.HTTP),
		scopes:    []string{"openid", c.Purpose, scopeVerify},
		verifyURL: strings.TrimSuffix(c.APIRoot, "/") + "/" + strings.Trim(c.VersionPath, "/") + "/verify",
		dir:       directory{life: ctx},
	}
	keysHTTP := *made.http
	keysHTTP.Timeout = c.Timeouts.Token
	made.keysHTTP = &keysHTTP
	if c.Endpoints != (Endpoints{}) {
		made.dir.known.Store(made.newProvider(metadata{
			Issuer:                c.Issuer,
			AuthorizationEndpoint: c.Endpoints.Authorization,
			TokenEndpoint:         c.Endpoints.Token,
			JWKSURI:               c.Endpoints.JWKS,
		}, nil))
	}
	return made, nil
}

func (c *Config) setDefaults() {
	set := func(text *string, value string) {
		if *text == "" {
			*text = value
		}
	}
	wait := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&c.VersionPath, DefaultVersionPath)
	set(&c.Purpose, DefaultPurpose)
	wait(&c.Timeouts.Discovery, 3*time.Second)
	wait(&c.Timeouts.Token, 6*time.Second)
	wait(&c.Timeouts.Verify, 8*time.Second)
	wait(&c.Refresh, time.Hour)
	if c.Now == nil {
		c.Now = time.Now
	}
}

var (
	nameForm    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)
	purposeForm = regexp.MustCompile(`^dpv:[A-Za-z0-9]+$`)
)

func (c *Config) validate() error {
	var problems []error
	wrong := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("camara: carrier %q: "+format, append([]any{c.Name}, args...)...))
	}
	if !nameForm.MatchString(c.Name) {
		wrong("the name must be of a-z, 0-9 and hyphens, 1 to 32 of them")
	}
	addresses := []struct{ what, url string }{
		{"the issuer", c.Issuer}, {"the redirect URL", c.RedirectURL}, {"the API root", c.APIRoot},
	}
	if e := c.Endpoints; e != (Endpoints{}) {
		addresses = append(addresses, []struct{ what, url string }{
			{"the authorization endpoint", e.Authorization}, {"the token endpoint", e.Token}, {"the keys' address", e.JWKS},
		}...)
	}
	for _, a := range addresses {
		if problem := badURL(a.url); problem != "" {
			wrong("%s %s", a.what, problem)
		}
	}
	if c.ClientID == "" {
		wrong("the client id is missing")
	}
	if !purposeForm.MatchString(c.Purpose) {
		wrong(`the purpose must be one scope like "%s"`, DefaultPurpose)
	}
	switch {
	case c.Keys == nil:
		wrong("the client keys are missing")
	case c.Alg != "" && c.Alg != "RS256" && c.Alg != "ES256":
		wrong(`the algorithm must be "RS256" or "ES256"`)
	default:
		if _, err := c.Keys.signing(c.Alg); err != nil {
			wrong("%w", err)
		}
	}
	return errors.Join(problems...)
}

// Name returns the configured name.
func (c *Carrier) Name() string { return c.Config.Name }

// Begin returns the authorization URL for the journey (OpenID Connect Core
// section 3.1.2.1, RFC 7636 section 4.3). An error means that the carrier's
// endpoints are not known and can't be found now.
func (c *Carrier) Begin(ctx context.Context, j carrier.Journey) (string, error) {
	p, err := c.provider(ctx)
	if err != nil {
		return "", err
	}
	return p.begin + url.QueryEscape(j.State) + "&nonce=" + url.QueryEscape(j.Nonce) +
		"&code_challenge=" + oauth2.S256ChallengeFromVerifier(j.Verifier), nil
}
