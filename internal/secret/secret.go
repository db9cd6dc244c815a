// Package secret holds what must not be printed, and the few cryptographic
// forms that the rest of Holdfast builds on: text that prints redacted, one-time
// tokens of which only a digest is kept, and the server's key with what is
// derived from it and sealed under it.
//
// Every digest, derived value and seal names its purpose, so that what proves
// one step can't be handed in for another.
package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"log/slog"
)

const redacted = "[redacted]"

// Text is a secret string: a password, a gateway's token. It prints redacted.
type Text string

// Reveal returns the secret in clear.
func (t Text) Reveal() string { return string(t) }

// String, GoString, LogValue and MarshalJSON redact.
func (t Text) String() string { return redacted }

// GoString redacts.
func (t Text) GoString() string { return redacted }

// LogValue redacts.
func (t Text) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON redacts.
func (t Text) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// Purpose names what a digest, a derived value or a seal is for.
type Purpose string

// The purposes in use. A new one gets a new name; a name is never used twice.
const (
	ForLink    Purpose = "link/v1"
	ForVFP     Purpose = "vfp/v1"
	ForAccess  Purpose = "access-token/v1"
	ForBrowser Purpose = "browser/v1"
	ForState   Purpose = "oidc-state/v1"
	ForNonce   Purpose = "oidc-nonce/v1"
	ForPKCE    Purpose = "oidc-pkce/v1"
	ForReceipt Purpose = "receipt-callback/v1"
	ForIdem    Purpose = "idempotency-key/v1"
	ForBody    Purpose = "idempotency-body/v1"
	ForLogin   Purpose = "login-limit/v1"
)

// Digest is SHA-256 over a purpose and what it protects: enough for secrets of
// 128 and more random bits, which no one can guess through it.
type Digest [sha256.Size]byte

// DigestOf digests b for purpose.
func DigestOf(purpose Purpose, b []byte) Digest {
	buf := make([]byte, 0, 128)
	buf = append(buf, purpose...)
	buf = append(buf, 0)
	buf = append(buf, b...)
	return sha256.Sum256(buf)
}

// Equal compares in constant time. No digest equals the zero Digest.
func (d Digest) Equal(other Digest) bool {
	return subtle.ConstantTimeCompare(d[:], other[:]) == 1 && d != Digest{}
}

// String redacts: a digest is no secret, but it has no business in a log.
func (d Digest) String() string { return redacted }

// TokenSize is the length of a Token's text: 24 bytes in base64url.
const TokenSize = 32

// Token is a bearer secret that carries the time-ordered id of the row it opens:
// 8 bytes of id, then 16 random bytes. The id finds the row without an index on
// random values; the digest of the whole proves it. Its text is 32 characters
// of base64url (RFC 4648 section 5), all of them one septet in GSM-7.
type Token struct {
	ID     int64
	Random [16]byte
}

// NewToken mints a token for the row id from crypto/rand.
func NewToken(id int64) Token {
	t := Token{ID: id}
	rand.Read(t.Random[:]) // never fails (crypto/rand, Go 1.24)
	return t
}

// ParseToken reads a token's text. It tells only whether the text has a token's
// form, not whether the token opens anything.
func ParseToken(text string) (Token, bool) {
	var raw [24]byte
	if len(text) != TokenSize {
		return Token{}, false
	}
	// The count matters: the decoder skips line breaks.
	if n, err := base64.RawURLEncoding.Strict().Decode(raw[:], []byte(text)); err != nil || n != len(raw) {
		return Token{}, false
	}
	t := Token{ID: int64(binary.BigEndian.Uint64(raw[:8])), Random: [16]byte(raw[8:])}
	return t, t.ID > 0
}

func (t Token) bytes() [24]byte {
	var raw [24]byte
	binary.BigEndian.PutUint64(raw[:8], uint64(t.ID))
	copy(raw[8:], t.Random[:])
	return raw
}

// Reveal returns the token's text.
func (t Token) Reveal() string {
	raw := t.bytes()
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// Digest is what a store keeps of the token.
func (t Token) Digest(purpose Purpose) Digest {
	raw := t.bytes()
	return DigestOf(purpose, raw[:])
}

// String redacts.
func (t Token) String() string { return redacted }

// GoString redacts.
func (t Token) GoString() string { return redacted }

// LogValue redacts.
func (t Token) LogValue() slog.Value { return slog.StringValue(redacted) }
