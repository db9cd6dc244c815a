package camara

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"holdfast/internal/carrier"
	"holdfast/internal/verify"
)

// assertionTime is how long a client assertion is good for. CAMARA allows 300 s;
// it is used at once, so this is only for clocks that differ.
const assertionTime = 2 * time.Minute

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// idTokenAlgs are the signatures that we take on an ID token. "none" and the
// symmetric ones are not among them.
var idTokenAlgs = []string{oidc.RS256, oidc.ES256, oidc.PS256}

// Answer takes what the browser brought back, exchanges the code and asks the
// network, once. Its own methods return nil to go on, or the answer that ends it.
func (c *Carrier) Answer(ctx context.Context, j carrier.Journey, callback url.Values) carrier.Answer {
	p, err := c.provider(ctx)
	if err != nil {
		return carrier.Answer{Reasons: []verify.Reason{verify.ReasonCarrierUnavailable}, Err: err}
	}
	code, ended := c.code(p, callback)
	if ended != nil {
		return *ended
	}
	token, ended := c.token(ctx, p, j, code)
	if ended != nil {
		return *ended
	}
	return c.ask(ctx, j, token)
}

// code reads the authorization response (RFC 6749 section 4.1.2, RFC 9207
// section 2.4). The state was checked by the flow.
func (c *Carrier) code(p *provider, callback url.Values) (string, *carrier.Answer) {
	for _, name := range []string{"code", "error", "iss"} {
		if len(callback[name]) > 1 {
			return "", foreign("a parameter comes twice") // RFC 6749 section 3.1
		}
	}
	if callback.Has("iss") && callback.Get("iss") != c.Issuer || p.IssParameter && !callback.Has("iss") {
		return "", foreign("another issuer's")
	}
	if callback.Has("error") {
		return "", refused("authorize", callbackReasons, callback.Get("error"), 0)
	}
	code := callback.Get("code")
	if code == "" {
		return "", broken("callback", "neither a code nor an error")
	}
	return code, nil
}

// token exchanges the code for the access token of the one question, and proves
// by the ID token that the code was given out for this journey.
func (c *Carrier) token(ctx context.Context, p *provider, j carrier.Journey, code string) (string, *carrier.Answer) {
	assertion, err := c.assertion(p)
	if err != nil {
		return "", broken("token", "no client assertion can be signed with the configured keys")
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, c.http), c.Timeouts.Token)
	defer cancel()
	token, err := p.exchange.Exchange(ctx, code,
		oauth2.VerifierOption(j.Verifier),
		oauth2.SetAuthURLParam("client_assertion_type", assertionType),
		oauth2.SetAuthURLParam("client_assertion", assertion))
	if err != nil {
		return "", notExchanged(ctx, err)
	}
	if !strings.EqualFold(token.TokenType, "Bearer") {
		return "", broken("token", "the access token is not a bearer token")
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return "", broken("token", "no ID token came, although openid was asked for")
	}
	if ended := c.checkIDToken(ctx, p, j, raw, token.AccessToken); ended != nil {
		return "", ended
	}
	return token.AccessToken, nil
}

func notExchanged(ctx context.Context, err error) *carrier.Answer {
	var said *oauth2.RetrieveError
	switch {
	case errors.As(err, &said) && said.ErrorCode == "invalid_grant":
		return foreign("the code is another journey's, was used, or is too old")
	case errors.As(err, &said):
		return refused("token", tokenReasons, said.ErrorCode, said.Response.StatusCode)
	}
	var failed *url.Error
	if !errors.As(err, &failed) && ctx.Err() == nil {
		return broken("token", "the answer can't be read") // it came, but is no token response
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return unanswered(lost("token", err))
}

// assertion proves who we are (RFC 7523 section 3, OpenID Connect Core section 9).
func (c *Carrier) assertion(p *provider) (string, error) {
	key, err := c.Keys.signing(c.Alg)
	if err != nil {
		return "", err
	}
	now := c.Now()
	claims, err := json.Marshal(struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		ID       string `json:"jti"`
		IssuedAt int64  `json:"iat"`
		Expires  int64  `json:"exp"`
	}{c.ClientID, c.ClientID, p.audience, rand.Text(), now.Unix(), now.Add(assertionTime).Unix()})
	if err != nil {
		return "", err
	}
	signed, err := key.signer.Sign(claims)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// checkIDToken validates an ID token that came from the token endpoint (OpenID
// Connect Core section 3.1.3.7).
func (c *Carrier) checkIDToken(ctx context.Context, p *provider, j carrier.Journey, raw, access string) *carrier.Answer {
	keys := carrierKeys{remote: p.keys}
	verifier := oidc.NewVerifier(c.Issuer, &keys, &oidc.Config{
		ClientID: c.ClientID, SupportedSigningAlgs: idTokenAlgs, Now: c.Now,
	})
	token, err := verifier.Verify(ctx, raw)
	var expired *oidc.TokenExpiredError
	switch {
	case keys.unreachable != nil:
		return unanswered(lost("keys", keys.unreachable))
	case errors.As(err, &expired):
		return broken("id_token", "has expired")
	case err != nil && !keys.signed:
		return broken("id_token", "is not signed by the carrier's keys")
	case err != nil:
		return broken("id_token", "is another issuer's or for another client")
	}
	var claims struct {
		Party string `json:"azp"`
	}
	if err := token.Claims(&claims); err != nil || claims.Party != "" && claims.Party != c.ClientID {
		return broken("id_token", "was given out to another client")
	}
	if token.AccessTokenHash != "" && token.VerifyAccessToken(access) != nil {
		return broken("id_token", "belongs to another access token")
	}
	// go-oidc leaves the nonce to its caller.
	if subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(j.Nonce)) != 1 || j.Nonce == "" {
		return foreign("the nonce is another journey's")
	}
	return nil
}

// carrierKeys remembers how far the signature's check came: the verifier tells only
// in words.
type carrierKeys struct {
	remote      *oidc.RemoteKeySet
	signed      bool
	unreachable error
}

// VerifySignature implements oidc.KeySet.
func (k *carrierKeys) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	payload, err := k.remote.VerifySignature(ctx, raw)
	k.signed = err == nil
	// Only a failure to fetch the keys has something underneath.
	k.unreachable = errors.Unwrap(err)
	return payload, err
}
