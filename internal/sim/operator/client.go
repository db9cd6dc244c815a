package operator

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

var assertionAlgs = []jose.SignatureAlgorithm{jose.RS256, jose.ES256}

// authenticate proves who asks (private_key_jwt: OpenID Connect Core section 9,
// RFC 7523 section 3, with CAMARA's bounds). problem is "" where that went well.
func (o *Operator) authenticate(r *http.Request) (clientID, problem string) {
	form := r.PostForm
	if _, _, basic := r.BasicAuth(); basic || form.Has("client_secret") {
		return "", "one way of authentication, and that is private_key_jwt" // RFC 6749 section 2.3
	}
	if form.Get("client_assertion_type") != assertionType {
		return "", "client_assertion_type is missing or unknown"
	}
	assertion, err := jwt.ParseSigned(form.Get("client_assertion"), assertionAlgs)
	if err != nil || len(assertion.Headers) != 1 {
		return "", "client_assertion is not a JWT signed with RS256 or ES256"
	}
	var unproved jwt.Claims
	if err := assertion.UnsafeClaimsWithoutVerification(&unproved); err != nil {
		return "", "the assertion's claims can't be read"
	}
	keys, known := o.clients[unproved.Subject]
	if !known {
		return "", "the client is not known"
	}
	header := assertion.Headers[0]
	public, err := keys.find(r.Context(), header.KeyID, o.Now())
	if err != nil || public.Algorithm != "" && public.Algorithm != header.Algorithm {
		return "", "the assertion's kid is not among the client's keys"
	}
	var claims jwt.Claims
	if err := assertion.Claims(public, &claims); err != nil {
		return "", "the assertion's signature is wrong"
	}
	if problem := o.badAssertion(claims); problem != "" {
		return "", problem
	}
	if form.Has("client_id") && form.Get("client_id") != claims.Subject {
		return "", "client_id is not the assertion's"
	}
	return claims.Subject, ""
}

func (o *Operator) badAssertion(c jwt.Claims) string {
	now := o.Now()
	switch {
	case c.Issuer != c.Subject:
		return "iss and sub must both be the client id"
	case len(c.Audience) != 1 || c.Audience[0] != o.Issuer+pathToken && c.Audience[0] != o.Issuer:
		return "aud must be the token endpoint or the issuer"
	case c.ID == "":
		return "jti is missing"
	case c.Expiry == nil || c.IssuedAt == nil:
		return "exp and iat are required"
	case c.Expiry.Time().Sub(c.IssuedAt.Time()) > assertionTime:
		return "an assertion is good for 300 s at most"
	case !now.Before(c.Expiry.Time()):
		return "the assertion has expired"
	case c.IssuedAt.Time().After(now.Add(clockSkew)), c.NotBefore != nil && c.NotBefore.Time().After(now.Add(clockSkew)):
		return "the assertion is from the future"
	case !o.state.first(keyOf(c.Subject, c.ID), now):
		return "the assertion was used before"
	}
	return ""
}

// clientKeys are a client's public keys, fetched when needed.
type clientKeys struct {
	url  string
	http *http.Client

	mu      sync.Mutex // held while fetching: others wait for the same answer
	set     jose.JSONWebKeySet
	fetched time.Time
}

// refetch bounds how often an unknown kid makes us ask the client again.
const refetch = time.Second

func newClientKeys(c Client, http *http.Client) *clientKeys {
	k := &clientKeys{url: c.JWKSURL, http: http}
	if c.JWKS != nil {
		k.set = *c.JWKS
	}
	return k
}

var errUnknownKey = errors.New("operator: unknown key")

func (k *clientKeys) find(ctx context.Context, id string, now time.Time) (jose.JSONWebKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if found, ok := k.cached(id); ok {
		return found, nil
	}
	if k.url == "" || !k.fetched.IsZero() && now.Sub(k.fetched) < refetch {
		return jose.JSONWebKey{}, errUnknownKey
	}
	k.fetched = now
	set, err := k.fetch(ctx)
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	k.set = set
	if found, ok := k.cached(id); ok {
		return found, nil
	}
	return jose.JSONWebKey{}, errUnknownKey
}

func (k *clientKeys) cached(id string) (jose.JSONWebKey, bool) {
	i := slices.IndexFunc(k.set.Keys, func(key jose.JSONWebKey) bool { return key.KeyID == id && key.IsPublic() })
	if i < 0 || id == "" {
		return jose.JSONWebKey{}, false
	}
	return k.set.Keys[i], true
}

func (k *clientKeys) fetch(ctx context.Context) (set jose.JSONWebKeySet, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return set, err
	}
	resp, err := k.http.Do(req)
	if err != nil {
		return set, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return set, errors.New("operator: the client's keys can't be fetched")
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&set)
	return set, err
}
