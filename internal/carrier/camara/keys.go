package camara

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// KeysConfig says where the client's keys are.
type KeysConfig struct {
	// Paths are PEM files, and folders whose *.pem files are taken; at least one
	// key must be found. A key is RSA of 2048 bits and more, or EC P-256.
	Paths []string
	// Overlap is how long a key is published before it signs, so that every
	// carrier has fetched it by then; counted from the file's time of change. 0
	// means 24 h, below 0 that a new key signs at once.
	Overlap time.Duration
	// Look is how often, at most, the files are looked at for a change while the
	// keys are in use; 0 means once a minute.
	Look time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log is told when changed files can't be read (the keys from before stay in
	// use); nil means slog.Default.
	Log *slog.Logger
}

// Keys are the keys by which we are known to carriers (private_key_jwt). All are
// published; of those that have been published for the overlap the newest signs.
//
// To rotate: add a key, leave the old one for the overlap and a little more, then
// remove it. Every node reads the same files and so does the same. The methods
// may be called concurrently.
type Keys struct {
	KeysConfig
	loading sync.Mutex
	set     atomic.Pointer[keySet]
	lookAt  atomic.Int64 // Unix nanoseconds
}

// keySet is what the files held when they were last read.
type keySet struct {
	files string // stamps of the files, to notice a change
	keys  []clientKey
	jwks  []byte
}

// clientKey is one key. Its signer may be used concurrently.
type clientKey struct {
	id     string // RFC 7638 thumbprint, SHA-256
	alg    jose.SignatureAlgorithm
	since  time.Time // when its file was written: published from then on
	signer jose.Signer
	public jose.JSONWebKey
}

// errNoKey says that nothing was found.
var errNoKey = errors.New("camara: no client key (*.pem) is there; make one with GenerateKey or: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem")

// NewKeys reads the keys, or tells what is wrong with each file.
func NewKeys(c KeysConfig) (*Keys, error) {
	if c.Overlap == 0 {
		c.Overlap = 24 * time.Hour
	}
	if c.Look == 0 {
		c.Look = time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	k := &Keys{KeysConfig: c}
	if err := k.Reload(); err != nil {
		return nil, err
	}
	return k, nil
}

// Reload reads the files now. On an error, which names each file that is wrong,
// the keys from before stay in use.
func (k *Keys) Reload() error {
	k.loading.Lock()
	defer k.loading.Unlock()
	k.lookAt.Store(k.Now().Add(k.Look).UnixNano())
	stamps, err := k.stamps()
	if err != nil {
		return err
	}
	set, err := k.read(stamps)
	if err != nil {
		return err
	}
	k.set.Store(set)
	return nil
}

// current is the set in use, read again first where the files have changed and
// nobody has looked for a while.
func (k *Keys) current() *keySet {
	due := k.lookAt.Load()
	now := k.Now()
	if now.UnixNano() >= due && k.lookAt.CompareAndSwap(due, now.Add(k.Look).UnixNano()) {
		if err := k.look(); err != nil {
			k.Log.Warn("the changed client keys can't be read; those from before stay in use", "error", err)
		}
	}
	return k.set.Load()
}

func (k *Keys) look() error {
	stamps, err := k.stamps()
	if err != nil {
		return err
	}
	if joined(stamps) == k.set.Load().files {
		return nil
	}
	return k.Reload()
}

// signing picks the key that signs: of those for alg ("" for any), the newest
// that has been published long enough. Where none has, the oldest: it is the one
// that carriers most likely know.
func (k *Keys) signing(alg string) (clientKey, error) {
	now, keys := k.Now(), k.current().keys
	found := -1
	for i := len(keys) - 1; i >= 0; i-- { // newest first
		if alg != "" && string(keys[i].alg) != alg {
			continue
		}
		found = i
		if !now.Before(keys[i].since.Add(k.Overlap)) {
			break
		}
	}
	if found < 0 {
		return clientKey{}, fmt.Errorf("camara: no client key can sign %s", alg)
	}
	return keys[found], nil
}

// JWKS serves the public parts of all keys (RFC 7517 section 5) for
// /.well-known/jwks.json, to GET and HEAD: the route is to let nothing else through.
// It may be cached, for no longer than half the overlap.
func (k *Keys) JWKS() http.Handler {
	age := strconv.Itoa(int(max(0, min(time.Hour, k.Overlap/2)) / time.Second))
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		body := k.current().jwks
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "public, max-age="+age)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	})
}

// stamp is a file, and by what a change of it is noticed.
type stamp struct {
	path    string
	size    int64
	changed time.Time
}

func joined(stamps []stamp) string {
	var b strings.Builder
	for _, s := range stamps {
		fmt.Fprintf(&b, "%s\x00%d\x00%d\n", s.path, s.size, s.changed.UnixNano())
	}
	return b.String()
}

// stamps finds the files, oldest first; of the same age, by name.
func (k *Keys) stamps() ([]stamp, error) {
	var found []stamp
	for _, path := range k.Paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("camara: client keys: %w", err)
		}
		files := []string{path}
		if info.IsDir() {
			if files, err = filepath.Glob(filepath.Join(globEscaper.Replace(path), "*.pem")); err != nil {
				return nil, fmt.Errorf("camara: client keys: %w", err)
			}
		}
		for _, file := range files {
			// Stat follows links, so a secret mounted by an orchestrator, which swaps a
			// link, is noticed too.
			if info, err = os.Stat(file); err != nil {
				return nil, fmt.Errorf("camara: client keys: %w", err)
			}
			found = append(found, stamp{file, info.Size(), info.ModTime()})
		}
	}
	slices.SortFunc(found, func(a, b stamp) int {
		if byAge := a.changed.Compare(b.changed); byAge != 0 {
			return byAge
		}
		return strings.Compare(a.path, b.path)
	})
	return found, nil
}

var globEscaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

func (k *Keys) read(stamps []stamp) (*keySet, error) {
	set := &keySet{files: joined(stamps)}
	var (
		problems []error
		public   jose.JSONWebKeySet
	)
	for _, s := range stamps {
		key, err := readKey(s)
		if err != nil {
			problems = append(problems, fmt.Errorf("camara: client key %s: %w", s.path, err))
			continue
		}
		if slices.ContainsFunc(set.keys, func(other clientKey) bool { return other.id == key.id }) {
			continue // the same key twice; the older file says since when it is known
		}
		set.keys = append(set.keys, key)
		public.Keys = append(public.Keys, key.public)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if len(set.keys) == 0 {
		return nil, errNoKey
	}
	var err error
	set.jwks, err = json.Marshal(public)
	return set, err
}

func readKey(s stamp) (clientKey, error) {
	private, alg, err := readPEM(s.path)
	if err != nil {
		return clientKey{}, err
	}
	jwk := jose.JSONWebKey{Key: private.Public(), Algorithm: string(alg), Use: "sig"}
	thumbprint, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return clientKey{}, err
	}
	jwk.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: private, KeyID: jwk.KeyID}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return clientKey{}, err
	}
	return clientKey{id: jwk.KeyID, alg: alg, since: s.changed, signer: signer, public: jwk}, nil
}
