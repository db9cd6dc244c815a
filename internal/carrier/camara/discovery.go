package camara

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// metadata is what we read of a provider's (OpenID Connect Discovery 1.0 section
// 3, RFC 8414 section 2, RFC 9207 section 3).
type metadata struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	JWKSURI               string   `json:"jwks_uri"`
	IssParameter          bool     `json:"authorization_response_iss_parameter_supported"`
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgs         []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	ChallengeMethods      []string `json:"code_challenge_methods_supported"`
	Scopes                []string `json:"scopes_supported"`
}

// provider is a carrier's authorization server as it is known now. It does not
// change; another takes its place.
type provider struct {
	metadata
	begin    string // the authorization URL up to what differs by journey
	exchange oauth2.Config
	audience string
	keys     *oidc.RemoteKeySet
	staleAt  time.Time // zero: never
}

// directory finds the provider when it is first needed, and keeps it.
type directory struct {
	life  context.Context // of New: ends what runs in the background
	known atomic.Pointer[provider]

	mu       sync.Mutex
	flight   *flight // the one look-up under way
	failures int
	retryAt  time.Time
	lastErr  error
}

// flight is a look-up that any number of callers wait for.
type flight struct {
	done chan struct{}
	p    *provider
	err  error
}

// The back-off after a failed look-up doubles from the first to the last.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// provider returns what is known of the authorization server. The first call
// looks it up, and those that come meanwhile wait with it; after a failure calls
// fail at once until the back-off has passed. What has grown stale is used on
// while it is looked up again behind: yesterday's endpoints are better than none.
func (c *Carrier) provider(ctx context.Context) (*provider, error) {
	now := c.Now()
	p := c.dir.known.Load()
	if p != nil && (p.staleAt.IsZero() || now.Before(p.staleAt)) {
		return p, nil
	}
	f, err := c.lookUp(now)
	if p != nil {
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	return f.wait(ctx)
}

func (f *flight) wait(ctx context.Context) (*provider, error) {
	select {
	case <-f.done:
		return f.p, f.err
	case <-ctx.Done():
		return nil, &callError{call: "discovery", problem: ctx.Err()}
	}
}

// lookUp joins the look-up under way or starts one, unless it is too early.
func (c *Carrier) lookUp(now time.Time) (*flight, error) {
	d := &c.dir
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.flight != nil {
		return d.flight, nil
	}
	if now.Before(d.retryAt) {
		return nil, d.lastErr
	}
	return c.launch(), nil
}

// launch starts a look-up; d.mu is held and none is under way.
func (c *Carrier) launch() *flight {
	d := &c.dir
	f := &flight{done: make(chan struct{})}
	d.flight = f
	go func() {
		ctx, cancel := context.WithTimeout(d.life, c.Timeouts.Discovery)
		defer cancel()
		m, err := c.discover(ctx)
		c.land(f, m, err)
	}()
	return f
}

func (c *Carrier) land(f *flight, m metadata, err error) {
	d := &c.dir
	d.mu.Lock()
	defer d.mu.Unlock()
	defer close(f.done)
	d.flight = nil
	if err != nil {
		f.err, d.lastErr = err, err
		d.retryAt = c.Now().Add(min(firstRetry<<min(d.failures, 6), lastRetry))
		d.failures++
		return
	}
	p := c.newProvider(m, d.known.Load())
	p.staleAt = c.Now().Add(c.Refresh)
	f.p = p
	d.known.Store(p)
	d.failures, d.retryAt, d.lastErr = 0, time.Time{}, nil
}

// discover fetches the metadata and checks that it is the issuer's own.
func (c *Carrier) discover(ctx context.Context) (m metadata, err error) {
	wrong := func(problem string) (metadata, error) {
		return metadata{}, &callError{call: "discovery", problem: errors.New(problem)}
	}
	where := strings.TrimSuffix(c.Issuer, "/") + "/.well-known/openid-configuration"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return wrong("the issuer is no URL")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return m, lost("discovery", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return wrong(fmt.Sprintf("HTTP %d", resp.StatusCode))
	}
	if err := json.NewDecoder(resp.Body).Decode(&m); err != nil {
		if timedOut(err) {
			return m, lost("discovery", err)
		}
		return wrong("the answer is not the JSON that it should be")
	}
	if m.Issuer != c.Issuer {
		// Exactly, or another issuer could speak for this one (OpenID Connect
		// Discovery 1.0 section 4.3).
		return wrong("the metadata names another issuer than the configured " + c.Issuer)
	}
	for _, endpoint := range []string{m.AuthorizationEndpoint, m.TokenEndpoint, m.JWKSURI} {
		if problem := badURL(endpoint); problem != "" {
			return wrong("an endpoint in the metadata " + problem)
		}
	}
	return m, nil
}

// newProvider builds all that does not differ by journey. The keys of the one
// before are kept where they come from the same place.
func (c *Carrier) newProvider(m metadata, before *provider) *provider {
	p := &provider{metadata: m, audience: c.Audience}
	if p.audience == "" {
		p.audience = m.TokenEndpoint
	}
	p.exchange = oauth2.Config{
		ClientID:    c.ClientID,
		RedirectURL: c.RedirectURL,
		Scopes:      c.scopes,
		Endpoint: oauth2.Endpoint{
			AuthURL:  m.AuthorizationEndpoint,
			TokenURL: m.TokenEndpoint,
			// Anything else would send a Basic header beside the assertion.
			AuthStyle: oauth2.AuthStyleInParams,
		},
	}
	p.begin = p.exchange.AuthCodeURL("", oauth2.SetAuthURLParam("prompt", "none"),
		oauth2.SetAuthURLParam("code_challenge_method", "S256")) + "&state="
	if before != nil && before.JWKSURI == m.JWKSURI {
		p.keys = before.keys
	} else {
		p.keys = oidc.NewRemoteKeySet(oidc.ClientContext(c.dir.life, c.keysHTTP), m.JWKSURI)
	}
	return p
}

// badURL tells what is wrong with an address that secrets are sent to, or "".
func badURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return "is missing"
	case err != nil || u.Host == "" || u.Opaque != "":
		return "is not an absolute URL"
	case u.User != nil || u.Fragment != "":
		return "has a user name or a fragment"
	case u.Scheme == "http" && slices.Contains([]string{"127.0.0.1", "::1", "localhost"}, u.Hostname()):
		return "" // development and tests: nothing leaves the machine
	case u.Scheme != "https":
		return "is not https"
	}
	return ""
}
