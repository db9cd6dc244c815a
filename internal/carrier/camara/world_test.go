package camara

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/carrier"
	"holdfast/internal/phone"
	"holdfast/internal/sim/operator"
	"holdfast/internal/testkit"
)

const (
	ours     = "+14155550123"
	redirect = "https://holdfast.example/carrier/sim/callback"
)

// sim is the phone in the test's hand.
type sim struct {
	number string
	wifi   bool
}

func (s *sim) Line(*http.Request) (string, bool) { return s.number, !s.wifi }

// world is an operator on a socket, our keys on another, and a phone.
type world struct {
	t        *testing.T
	clock    *testkit.Clock
	sim      sim
	folder   string // of our keys
	keys     *Keys
	operator *httptest.Server
	issuer   string
	config   Config
	asked    [6]atomic.Int32 // by operator.Step
	browse   *http.Client
}

// faults makes steps go wrong; the steps that it does not name go well.
type faults map[operator.Step]operator.Fault

func newWorld(t *testing.T, f faults, change ...func(*world)) *world {
	t.Helper()
	w := &world{
		t: t, clock: testkit.ClockAt(time.Now()), sim: sim{number: ours}, folder: t.TempDir(),
		browse: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	if err := GenerateKey(filepath.Join(w.folder, "first.pem")); err != nil {
		t.Fatal(err)
	}
	w.aged("first.pem", -48*time.Hour)
	w.operator = httptest.NewUnstartedServer(nil)
	w.issuer = "http://" + w.operator.Listener.Addr().String() + "/sim/carrier"
	w.config = Config{
		Name: "sim", Issuer: w.issuer, ClientID: "holdfast", RedirectURL: redirect, APIRoot: w.issuer, Now: w.clock.Now,
		HTTP: &http.Client{Transport: &http.Transport{}},
	}
	for _, c := range change {
		c(w)
	}
	w.serve(f)
	w.config.Keys = w.keys
	return w
}

// aged sets a key file's time of change, relative to now.
func (w *world) aged(name string, by time.Duration) {
	w.t.Helper()
	at := w.clock.Now().Add(by)
	if err := os.Chtimes(filepath.Join(w.folder, name), at, at); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) serve(f faults) {
	w.t.Helper()
	var err error
	if w.keys, err = NewKeys(KeysConfig{Paths: []string{w.folder}, Now: w.clock.Now}); err != nil {
		w.t.Fatal(err)
	}
	published := httptest.NewServer(w.keys.JWKS())
	w.t.Cleanup(published.Close)
	o, err := operator.New(operator.Config{
		Issuer: w.issuer, Lines: &w.sim, Now: w.clock.Now,
		Clients: map[string]operator.Client{"holdfast": {RedirectURIs: []string{redirect}, JWKSURL: published.URL}},
		Faults: func(_ *http.Request, step operator.Step, _ string) operator.Fault {
			w.asked[step].Add(1)
			return f[step]
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.operator.Config.Handler = o
	w.operator.Start()
	w.t.Cleanup(w.operator.Close)
}

func (w *world) carrier() *Carrier {
	w.t.Helper()
	c, err := New(w.t.Context(), w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func journey() carrier.Journey {
	random := make([]byte, 32)
	rand.Read(random)
	return carrier.Journey{
		Phone: phone.Stored(ours, phone.US), State: rand.Text(), Nonce: rand.Text(),
		Verifier: base64.RawURLEncoding.EncodeToString(random), Correlator: "b4333c46-49c0-4f62-80d7-f0ef930f1c46",
	}
}

// away opens an authorization URL in the phone's browser and returns the query
// that it comes back with.
func (w *world) away(to string) url.Values {
	w.t.Helper()
	resp, err := w.browse.Get(to)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	back, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || resp.StatusCode != http.StatusFound || back.Host != "holdfast.example" {
		w.t.Fatalf("the browser is not sent back: %d to %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	return back.Query()
}

// begin goes the way there and back.
func (w *world) begin(c *Carrier, j carrier.Journey) url.Values {
	w.t.Helper()
	to, err := c.Begin(context.Background(), j)
	if err != nil {
		w.t.Fatal(err)
	}
	back := w.away(to)
	if back.Get("state") != j.State {
		w.t.Fatalf("the state came back as %q", back.Get("state"))
	}
	return back
}
