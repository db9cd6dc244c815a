package camara

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"

	"github.com/go-jose/go-jose/v4"
)

// minRSA is the shortest RSA modulus in bits (RFC 7518 section 3.3).
const minRSA = 2048

// maxPEM bounds what is read of a key file; an RSA key of 16384 bits fits.
const maxPEM = 64 << 10

// readPEM reads the one private key in a file: PKCS #8, SEC 1 or PKCS #1.
func readPEM(path string) (crypto.Signer, jose.SignatureAlgorithm, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, "", err
	}
	if len(text) > maxPEM {
		return nil, "", errors.New("is too large for a key")
	}
	// EC keys written by openssl may have their parameters in a block before.
	var block *pem.Block
	for block == nil || block.Type == "EC PARAMETERS" {
		if block, text = pem.Decode(text); block == nil {
			return nil, "", errors.New("holds no private key in PEM")
		}
	}
	key, err := parsePrivate(block)
	if err != nil {
		return nil, "", err
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if key.N.BitLen() < minRSA {
			return nil, "", errors.New("is an RSA key of less than 2048 bits")
		}
		return key, jose.RS256, nil
	case *ecdsa.PrivateKey:
		if key.Curve != elliptic.P256() {
			return nil, "", errors.New("is an EC key, but not on the curve P-256")
		}
		return key, jose.ES256, nil
	default:
		return nil, "", errors.New("is neither an RSA nor an EC key")
	}
}

func parsePrivate(block *pem.Block) (any, error) {
	switch block.Type {
	case "PRIVATE KEY":
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("is encrypted; store it in clear where only the server can read it")
	default:
		return nil, errors.New("holds no private key in PEM")
	}
}

// GenerateKey makes an EC P-256 key (for ES256) and writes it to path, in PKCS #8
// PEM that only the owner may read. A file that is there is left as it is and
// answered with an error that is fs.ErrExist.
func GenerateKey(path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(pem.Encode(file, &pem.Block{Type: "PRIVATE KEY", Bytes: der}), file.Sync(), file.Close())
	if err != nil {
		_ = os.Remove(path) // half a key would keep the others from being read
	}
	return err
}
