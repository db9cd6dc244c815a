package camara

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"holdfast/internal/verify"
)

// rsa2048 is made once: it takes long.
var rsa2048, _ = rsa.GenerateKey(rand.Reader, 2048)

func writeKey(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func pkcs8(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// published are the key ids of the key set as carriers fetch it.
func published(t *testing.T, k *Keys) []string {
	t.Helper()
	w := httptest.NewRecorder()
	k.JWKS().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/.well-known/jwks.json", nil))
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, key := range set.Keys {
		thumbprint, _ := key.Thumbprint(crypto.SHA256)
		if !key.IsPublic() || !key.Valid() || key.KeyID != base64.RawURLEncoding.EncodeToString(thumbprint) || key.Use != "sig" {
			t.Errorf("published %v, %q", key.IsPublic(), key.KeyID)
		}
		ids = append(ids, key.KeyID)
	}
	return ids
}

// A rotation from one key to the next, as an operator does it, with journeys all
// the way through.
func TestRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.carrier()
	signs := func(what string, keys int) string {
		t.Helper()
		j := journey()
		got := c.Answer(t.Context(), j, w.begin(c, j))
		if got.Match != verify.MatchTrue {
			t.Errorf("%s: %v %v", what, got.Reasons, got.Err)
		}
		if ids := published(t, w.keys); len(ids) != keys {
			t.Errorf("%s: %d keys are published, want %d", what, len(ids), keys)
		}
		key, err := w.keys.signing("")
		if err != nil {
			t.Fatal(err)
		}
		return key.id
	}
	first := signs("one key", 1)
	if err := GenerateKey(filepath.Join(w.folder, "second.pem")); err != nil {
		t.Fatal(err)
	}
	w.aged("second.pem", 0)
	if signs("a new key, not yet noticed", 1) != first {
		t.Error("another key signs")
	}
	w.clock.Advance(time.Minute)
	if signs("a new key, published", 2) != first {
		t.Error("the new key signs before carriers can know it")
	}
	w.clock.Advance(24 * time.Hour)
	second := signs("after the overlap", 2)
	if second == first {
		t.Error("the old key still signs")
	}
	if err := os.Remove(filepath.Join(w.folder, "first.pem")); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Minute)
	if signs("the old key removed", 1) != second {
		t.Error("another key signs")
	}
}

// An orchestrator may give all files the same time. Then the older name signs
// until the overlap has passed, so that all nodes and every start do the same.
func TestKeysOfTheSameAge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if err := GenerateKey(filepath.Join(w.folder, "second.pem")); err != nil {
		t.Fatal(err)
	}
	w.aged("first.pem", 0)
	w.aged("second.pem", 0)
	if err := w.keys.Reload(); err != nil {
		t.Fatal(err)
	}
	ids := published(t, w.keys)
	if key, _ := w.keys.signing(""); key.id != ids[0] {
		t.Error("the newer name signs at once")
	}
	w.clock.Advance(24 * time.Hour)
	if key, _ := w.keys.signing(""); key.id != ids[1] {
		t.Error("the older name signs for ever")
	}
}

func TestAlgorithms(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"RS256", "ES256"} {
		w := newWorld(t, nil, func(w *world) {
			w.config.Alg = alg
			writeKey(t, filepath.Join(w.folder, "rsa.pem"), "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsa2048))
			w.aged("rsa.pem", -72*time.Hour)
		})
		if key, err := w.keys.signing(alg); err != nil || string(key.alg) != alg {
			t.Errorf("%s: signs with %s, %v", alg, key.alg, err)
		}
		c, j := w.carrier(), journey()
		yes.check(t, c.Answer(t.Context(), j, w.begin(c, j)))
		if err := c.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
	w := newWorld(t, nil)
	w.config.Alg = "RS256"
	if _, err := New(t.Context(), w.config); err == nil || !strings.Contains(err.Error(), "no client key can sign RS256") {
		t.Errorf("without an RSA key: %v", err)
	}
}

func TestKeyFiles(t *testing.T) {
	t.Parallel()
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, edwards, _ := ed25519.GenerateKey(rand.Reader)
	sec1, _ := x509.MarshalECPrivateKey(p256)
	public, _ := x509.MarshalPKIXPublicKey(p256.Public())
	short, _ := rsa.GenerateKey(rand.Reader, 1024)
	for name, tt := range map[string]struct {
		kind string
		der  []byte
		want string // "" means that it is good
	}{
		"PKCS #8 EC":    {"PRIVATE KEY", pkcs8(t, p256), ""},
		"PKCS #8 RSA":   {"PRIVATE KEY", pkcs8(t, rsa2048), ""},
		"PKCS #1":       {"RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsa2048), ""},
		"SEC 1":         {"EC PRIVATE KEY", sec1, ""},
		"another curve": {"PRIVATE KEY", pkcs8(t, p384), "P-256"},
		"Ed25519":       {"PRIVATE KEY", pkcs8(t, edwards), "neither an RSA nor an EC key"},
		"a public key":  {"PUBLIC KEY", public, "no private key"},
		"encrypted":     {"ENCRYPTED PRIVATE KEY", []byte("x"), "encrypted"},
		"broken":        {"PRIVATE KEY", []byte("x"), "asn1"},
		"short RSA":     {"RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(short), "less than 2048 bits"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "key.pem")
			writeKey(t, path, tt.kind, tt.der)
			k, err := NewKeys(KeysConfig{Paths: []string{path}})
			if tt.want == "" {
				if err != nil || len(published(t, k)) != 1 {
					t.Errorf("got %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "key.pem") {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestKeysAreMissing(t *testing.T) {
	t.Parallel()
	if _, err := NewKeys(KeysConfig{Paths: []string{t.TempDir()}}); !errors.Is(err, errNoKey) {
		t.Errorf("an empty folder: %v", err)
	}
	if _, err := NewKeys(KeysConfig{Paths: []string{filepath.Join(t.TempDir(), "none")}}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// A key that is half written, or a folder that is gone for a moment, must not
// take the server's identity away.
func TestBrokenKeysKeepTheOldOnes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var log strings.Builder
	w.keys.Log = slog.New(slog.NewTextHandler(&log, nil))
	before, _ := w.keys.signing("")
	if err := os.WriteFile(filepath.Join(w.folder, "half.pem"), []byte("-----BEGIN PRIV"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Minute)
	if after, err := w.keys.signing(""); err != nil || after.id != before.id {
		t.Errorf("signs with %q, %v", after.id, err)
	}
	if !strings.Contains(log.String(), "half.pem") {
		t.Errorf("the log says %q", log.String())
	}
	if err := w.keys.Reload(); err == nil || !strings.Contains(err.Error(), "half.pem") {
		t.Errorf("Reload says %v", err)
	}
	w.config.Keys = w.keys
	if err := w.carrier().Check(t.Context()); err == nil || !strings.Contains(err.Error(), "half.pem") {
		t.Errorf("Check says %v", err)
	}
}

func TestGenerateKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := GenerateKey(path); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("others may read the key: %v", info.Mode())
	}
	if err := GenerateKey(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second time: %v", err)
	}
	if after, _ := os.ReadFile(path); string(after) != string(before) {
		t.Error("the key was overwritten")
	}
}

func TestJWKS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	server := httptest.NewServer(w.keys.JWKS())
	t.Cleanup(server.Close)
	resp, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("Cache-Control") != "public, max-age=3600" {
		t.Errorf("got %v", resp.Header)
	}
}
