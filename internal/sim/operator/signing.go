package operator

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// makeKeys makes the key that signs ID tokens, and the key set to publish.
func (o *Operator) makeKeys() (jwks []byte, err error) {
	published, signer, err := newKey(o.Alg)
	if err != nil {
		return nil, err
	}
	o.signer = signer
	// The forger's key has the same id, or its signature would not even be tried.
	if o.forger, err = signerFor(o.Alg, published.KeyID); err != nil {
		return nil, err
	}
	return json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{published}})
}

func newKey(alg string) (jose.JSONWebKey, jose.Signer, error) {
	private, algorithm, err := generate(alg)
	if err != nil {
		return jose.JSONWebKey{}, nil, err
	}
	public := jose.JSONWebKey{Key: private.Public(), Use: "sig", Algorithm: string(algorithm)}
	thumbprint, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return jose.JSONWebKey{}, nil, err
	}
	public.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	signer, err := signerOf(private, algorithm, public.KeyID)
	return public, signer, err
}

func signerFor(alg, id string) (jose.Signer, error) {
	private, algorithm, err := generate(alg)
	if err != nil {
		return nil, err
	}
	return signerOf(private, algorithm, id)
}

func signerOf(private crypto.Signer, alg jose.SignatureAlgorithm, id string) (jose.Signer, error) {
	return jose.NewSigner(
		jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: private, KeyID: id}},
		(&jose.SignerOptions{}).WithType("JWT"))
}

func generate(alg string) (crypto.Signer, jose.SignatureAlgorithm, error) {
	switch alg {
	case "", "ES256":
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		return key, jose.ES256, err
	case "RS256":
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		return key, jose.RS256, err
	default:
		return nil, "", fmt.Errorf("operator: ID tokens are signed with ES256 or RS256, not %q", alg)
	}
}
