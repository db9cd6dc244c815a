package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// Key is the server's own key: 32 random bytes that every node of an
// installation shares. What the browser or the database must hold but not
// choose is derived from it or sealed under it.
type Key struct {
	macs *sync.Pool // of *mac: a keyed HMAC costs twice as much to make as to use
	aead cipher.AEAD
}

// mac is a keyed HMAC and the room that its input and output need.
type mac struct {
	hash.Hash
	frame [8]byte
	sum   [sha256.Size]byte
}

// ErrKey says what a key must look like.
var ErrKey = errors.New("the secret key must be 32 random bytes in base64; make one with: openssl rand -base64 32")

// ErrSeal says that a sealed value was not sealed under this key for this
// purpose and row.
var ErrSeal = errors.New("a sealed value does not open under this key")

// ParseKey reads a key from base64 (standard or URL alphabet, padded or not);
// white space around it is ignored.
func ParseKey(text string) (Key, error) {
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	text = strings.NewReplacer("+", "-", "/", "_").Replace(text)
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != 32 {
		return Key{}, ErrKey
	}
	return newKey(raw), nil
}

// GenerateKey makes a random key and the text that ParseKey reads.
func GenerateKey() (Key, Text) {
	raw := make([]byte, 32)
	rand.Read(raw)
	return newKey(raw), Text(base64.StdEncoding.EncodeToString(raw))
}

func newKey(raw []byte) Key {
	// Two keys from one, so that no key serves two algorithms (RFC 5869, expand).
	signing, sealing := expand(raw, "holdfast/hmac"), expand(raw, "holdfast/aes-256-gcm")
	block, err := aes.NewCipher(sealing)
	if err != nil {
		panic(err) // 32 bytes always make an AES-256 key
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has GCM's block size
	}
	macs := &sync.Pool{New: func() any { return &mac{Hash: hmac.New(sha256.New, signing)} }}
	return Key{macs: macs, aead: aead}
}

func expand(raw []byte, info string) []byte {
	h := hmac.New(sha256.New, raw)
	h.Write([]byte(info))
	h.Write([]byte{1})
	return h.Sum(nil)
}

// IsZero reports whether k holds no key.
func (k Key) IsZero() bool { return k.aead == nil }

// Derive returns HMAC-SHA256 over the purpose, the row's id and the parts: the
// same inputs give the same value on every node and after a restart.
func (k Key) Derive(purpose Purpose, id int64, parts ...[]byte) [32]byte {
	h := k.macs.Get().(*mac)
	defer k.macs.Put(h)
	h.Reset()
	io.WriteString(h, string(purpose))
	h.Write(zero)
	h.number(id)
	for _, part := range parts {
		h.number(int64(len(part)))
		h.Write(part)
	}
	h.Sum(h.sum[:0])
	return h.sum
}

var zero = []byte{0}

func (m *mac) number(n int64) {
	binary.BigEndian.PutUint64(m.frame[:], uint64(n))
	m.Write(m.frame[:])
}

// DeriveToken derives a Token for the row id: its 16 bytes are unpredictable to
// whoever lacks the key, and the same each time they are asked for.
func (k Key) DeriveToken(purpose Purpose, id int64, parts ...[]byte) Token {
	full := k.Derive(purpose, id, parts...)
	return Token{ID: id, Random: [16]byte(full[:16])}
}

// SealToken encrypts a token's random part for storage beside its row
// (AES-256-GCM; 32 bytes). The nonce is made of the purpose and the row's id,
// which is why a purpose seals at most one value for a row.
func (k Key) SealToken(purpose Purpose, t Token) []byte {
	return k.aead.Seal(nil, nonce(purpose, t.ID), t.Random[:], []byte(purpose))
}

// OpenToken decrypts what SealToken made; anything else is ErrSeal.
func (k Key) OpenToken(purpose Purpose, id int64, sealed []byte) (Token, error) {
	raw, err := k.aead.Open(nil, nonce(purpose, id), sealed, []byte(purpose))
	if err != nil || len(raw) != 16 {
		return Token{}, ErrSeal
	}
	return Token{ID: id, Random: [16]byte(raw)}, nil
}

func nonce(purpose Purpose, id int64) []byte {
	n := make([]byte, 12)
	of := sha256.Sum256([]byte(purpose))
	copy(n, of[:4])
	binary.BigEndian.PutUint64(n[4:], uint64(id))
	return n
}

// String redacts.
func (k Key) String() string { return redacted }

// GoString redacts.
func (k Key) GoString() string { return redacted }

// LogValue redacts.
func (k Key) LogValue() slog.Value { return slog.StringValue(redacted) }
