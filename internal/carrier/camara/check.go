package camara

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"holdfast/internal/carrier"
)

// Check tells everything that is wrong between this carrier and us, for
// "holdfast doctor": its metadata, its keys, whether it accepts our client
// assertion, whether the API is where we think. It asks nothing of a phone; the
// code that it hands to the token endpoint is made up, and the API is called
// without a token.
func (c *Carrier) Check(ctx context.Context) error {
	var problems []error
	wrong := func(err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("camara: carrier %q: %w", c.Config.Name, err))
		}
	}
	wrong(c.Keys.Reload())
	wrong(c.checkAPI(ctx))
	p, err := c.checkDiscovery(ctx)
	wrong(err)
	if p != nil {
		wrong(c.checkMetadata(p.metadata))
		wrong(c.checkKeys(ctx, p))
		wrong(c.checkClient(ctx, p))
	}
	return errors.Join(problems...)
}

// checkDiscovery looks the endpoints up now, whatever the back-off.
func (c *Carrier) checkDiscovery(ctx context.Context) (*provider, error) {
	if c.Endpoints != (Endpoints{}) {
		return c.dir.known.Load(), nil
	}
	d := &c.dir
	d.mu.Lock()
	f := d.flight
	if f == nil {
		f = c.launch()
	}
	d.mu.Unlock()
	return f.wait(ctx)
}

func (c *Carrier) checkMetadata(m metadata) error {
	key, err := c.Keys.signing(c.Alg)
	if err != nil {
		return err
	}
	var problems []error
	// A list that is left out says nothing.
	lacks := func(list []string, want, what string) {
		if len(list) > 0 && !slices.Contains(list, want) {
			problems = append(problems, fmt.Errorf("discovery: %s is not among the supported %s", want, what))
		}
	}
	lacks(m.TokenAuthMethods, "private_key_jwt", "ways of client authentication")
	lacks(m.TokenAuthAlgs, string(key.alg), "algorithms of client assertions")
	lacks(m.ChallengeMethods, "S256", "PKCE methods")
	lacks(m.Scopes, "openid", "scopes")
	return errors.Join(problems...)
}

// checkKeys fetches the keys that ID tokens are verified with.
func (c *Carrier) checkKeys(ctx context.Context, p *provider) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeouts.Token)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.JWKSURI, nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return lost("keys", err)
	}
	defer resp.Body.Close()
	var set jose.JSONWebKeySet
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("keys: HTTP %d", resp.StatusCode)
	}
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil {
		return errors.New("keys: the answer is not a JSON Web Key Set")
	}
	usable := func(k jose.JSONWebKey) bool {
		return k.Valid() && k.IsPublic() && (k.Use == "" || k.Use == "sig") &&
			(k.Algorithm == "" || slices.Contains(idTokenAlgs, k.Algorithm))
	}
	if !slices.ContainsFunc(set.Keys, usable) {
		return errors.New("keys: none that can sign an ID token as we take it (" + strings.Join(idTokenAlgs, ", ") + ")")
	}
	return nil
}

// checkClient tries a code that nobody gave out: a server that knows our key
// says that the code is wrong, one that doesn't says that the client is.
func (c *Carrier) checkClient(ctx context.Context, p *provider) error {
	assertion, err := c.assertion(p)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, c.http), c.Timeouts.Token)
	defer cancel()
	_, err = p.exchange.Exchange(ctx, rand.Text(),
		oauth2.VerifierOption(rand.Text()+rand.Text()),
		oauth2.SetAuthURLParam("client_assertion_type", assertionType),
		oauth2.SetAuthURLParam("client_assertion", assertion))
	var said *oauth2.RetrieveError
	switch {
	case err == nil:
		return errors.New("token: a made-up code was accepted")
	case !errors.As(err, &said):
		return notExchanged(ctx, err).Err
	case said.ErrorCode == "invalid_client" || said.ErrorCode == "unauthorized_client":
		return fmt.Errorf("token: the carrier does not accept our client assertion (%s): are the client id, the audience and our key set registered there?", said.ErrorCode)
	case said.ErrorCode == "":
		return fmt.Errorf("token: HTTP %d without an OAuth error", said.Response.StatusCode)
	}
	return nil
}

// checkAPI calls /verify without a token: anything but "no such thing" will do.
func (c *Carrier) checkAPI(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeouts.Verify)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.verifyURL, strings.NewReader(c.question(carrier.Journey{})))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return lost("verify", err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusBadRequest, http.StatusForbidden:
		return nil
	default:
		return fmt.Errorf("verify: HTTP %d where 401 is due; check the API root and the version path", resp.StatusCode)
	}
}
