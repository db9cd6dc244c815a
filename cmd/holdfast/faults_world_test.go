package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/access"
	"holdfast/internal/bench"
	"holdfast/internal/carrier/camara"
	"holdfast/internal/config"
	"holdfast/internal/flow"
	"holdfast/internal/secret"
	"holdfast/internal/sim/operator"
	"holdfast/internal/tenant"
	"holdfast/internal/testkit/pgcluster"
	"holdfast/internal/verify"
)

// What a server of these tests is configured with. The tests play the proxy that
// ends TLS for its public host.
const (
	faultHost     = "verify.example.com"
	faultCarrier  = "pretend"
	faultClientID = "holdfast-faults"
	faultUser     = "acme"
	faultPassword = "a-password-of-acme"
	faultOrigin   = "https://app.example.com"
	faultTarget   = faultOrigin + "/return?order=private-4711"
	onCellular    = "203.0.113.7"  // a phone's address in its carrier's network
	onWiFi        = "198.51.100.9" // and elsewhere
)

// faultStores are the databases that a fault test runs on.
var faultStores = map[string]func(t *testing.T) config.Database{
	"sqlite": func(t *testing.T) config.Database {
		return config.Database{URL: secret.Text("sqlite:" + filepath.Join(t.TempDir(), "holdfast.db"))}
	},
	"postgres": func(t *testing.T) config.Database {
		return config.Database{URL: secret.Text(pgcluster.Database(t))}
	},
}

// faultWorld is all that is outside of a server and outlives it: the database,
// the SMS gateway, the operator, and the client's access token.
type faultWorld struct {
	t          *testing.T
	ctx        context.Context // ends when the test's patience does
	cancel     context.CancelFunc
	database   config.Database
	keyFile    string // the private key by which the operator knows us
	configFile string
	issuer     string
	gateway    string // its URL

	hooks   sync.Mutex // guards the two below, which may change at any time
	receive func(text) (status int)
	faults  operator.Faults
	// around wraps the operator, and overhear is told of every answer of a server.
	around   func(http.Handler) http.Handler
	overhear func(reply)
	// operator is its server.
	operator *httptest.Server
}

// text is an SMS as it reached the gateway.
type text struct {
	To         string `json:"to"`
	Text       string `json:"text"`
	Ref        string `json:"ref"`
	ReceiptURL string `json:"receipt_url"`
}

// token is the link's.
func (m text) token() string {
	_, after, _ := strings.Cut(m.Text, faultHost+flow.LinkPath)
	return after[:min(secret.TokenSize, len(after))]
}

// patienceWithFaults is how long a test goes on before it is a failed one.
const patienceWithFaults = 90 * time.Second

func newFaultWorld(t *testing.T, database config.Database) *faultWorld {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patienceWithFaults)
	t.Cleanup(cancel)
	w := &faultWorld{
		t: t, ctx: ctx, cancel: cancel, database: database,
		receive: func(text) int { return http.StatusOK },
		faults:  func(*http.Request, operator.Step, string) operator.Fault { return operator.Fault{} },
		around:  func(h http.Handler) http.Handler { return h }, overhear: func(reply) {},
	}
	sink := httptest.NewServer(http.HandlerFunc(w.takeText))
	t.Cleanup(sink.Close)
	w.gateway = sink.URL
	dir := t.TempDir()
	keyFile := filepath.Join(dir, "carrier-key.pem")
	if err := camara.GenerateKey(keyFile); err != nil {
		t.Fatal(err)
	}
	w.startOperator(keyFile)
	w.addClient()
	w.keyFile, w.configFile = keyFile, filepath.Join(dir, "holdfast.yaml")
	w.configure(w.settings())
	return w
}

// onText has receive told of every text that reaches the gateway, before it is
// answered, and answer it.
func (w *faultWorld) onText(receive func(text) (status int)) {
	w.hooks.Lock()
	defer w.hooks.Unlock()
	w.receive = receive
}

// onStep has faults asked at each of the operator's steps.
func (w *faultWorld) onStep(faults operator.Faults) {
	w.hooks.Lock()
	defer w.hooks.Unlock()
	w.faults = faults
}

func (w *faultWorld) takeText(rw http.ResponseWriter, r *http.Request) {
	var m text
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		w.t.Error(err)
	}
	w.hooks.Lock()
	receive := w.receive
	w.hooks.Unlock()
	status := receive(m)
	rw.WriteHeader(status)
	if status != http.StatusOK {
		fmt.Fprintf(rw, "not to %s: %s", m.To, m.Text) // gateways do say such things
		return
	}
	_, _ = io.WriteString(rw, `{"id":"gateway-1"}`)
}

// startOperator starts the pretend operator. It has our keys from where we could
// not serve them when dead.
func (w *faultWorld) startOperator(keyFile string) {
	keys, err := camara.NewKeys(camara.KeysConfig{Paths: []string{keyFile}})
	if err != nil {
		w.t.Fatal(err)
	}
	jwks := httptest.NewServer(keys.JWKS())
	w.t.Cleanup(jwks.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.issuer = "http://" + listener.Addr().String()
	provider, err := operator.New(operator.Config{
		Issuer: w.issuer, Lines: bench.SIMs{}, HTTP: &http.Client{Transport: faultTransport},
		Faults: func(r *http.Request, step operator.Step, number string) operator.Fault {
			w.hooks.Lock()
			faults := w.faults
			w.hooks.Unlock()
			return faults(r, step, number)
		},
		Clients: map[string]operator.Client{faultClientID: {
			RedirectURIs: []string{"https://" + faultHost + flow.CarrierPath + faultCarrier + "/callback"}, JWKSURL: jwks.URL,
		}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.operator = &httptest.Server{Listener: listener, Config: &http.Server{
		Handler:           http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.around(provider).ServeHTTP(rw, r) }),
		ReadHeaderTimeout: readTime,
	}}
	w.operator.Start()
	w.t.Cleanup(w.operator.Close)
}

// addClient makes the tables and the one client.
func (w *faultWorld) addClient() {
	if err := migrate(w.ctx, w.database); err != nil {
		w.t.Fatal(err)
	}
	w.withStore(func(db store) {
		node, err := db.NextNode(w.ctx)
		if err != nil {
			w.t.Fatal(err)
		}
		admin, err := access.New(access.Config{Store: db, IDs: verify.NewIDs(node, time.Now), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := admin.AddWithPassword(w.ctx, access.NewClient{
			Username: faultUser, Business: "Acme Bank", Settings: tenant.Settings{Targets: []string{faultOrigin}},
		}, faultPassword); err != nil {
			w.t.Fatal(err)
		}
	})
}

func (w *faultWorld) withStore(do func(store)) {
	w.t.Helper()
	db, err := openStore(w.ctx, w.database)
	if err != nil {
		w.t.Fatal(err)
	}
	do(db)
	if err := db.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// settings are a server's configuration.
func (w *faultWorld) settings() map[string]any {
	_, key := secret.GenerateKey()
	return map[string]any{
		"public_url": "https://" + faultHost, "listen": "127.0.0.1:0", "metrics_listen": "",
		"secret_key": key.Reveal(), "trusted_proxies": []string{"127.0.0.1"},
		"database": map[string]any{"url": w.database.URL.Reveal()},
		"sms": map[string]any{"gateway": "sink", "gateways": map[string]any{"sink": map[string]any{
			"kind": "generic", "url": w.gateway, "id_path": "id",
		}}},
		"carriers": []any{map[string]any{
			"name": faultCarrier, "kind": "camara", "issuer": w.issuer, "client_id": faultClientID, "api_root": w.issuer,
			"insecure_http": true, "networks": []string{onCellular + "/32"},
		}},
		"carrier_keys": map[string]any{"paths": []string{w.keyFile}},
	}
}

// configure writes the configuration of the servers that are started from now on.
func (w *faultWorld) configure(settings map[string]any) {
	content, err := json.Marshal(settings) // JSON is YAML
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(w.configFile, content, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// start starts a server on the world's database; see parsePlan.
func (w *faultWorld) start(plan string) *faultServer {
	w.t.Helper()
	return startFaultServer(w.t, w.configFile, plan)
}
