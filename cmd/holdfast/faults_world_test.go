package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
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
	"holdfast/internal/click"
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
	database   config.Database
	configFile string
	issuer     string
	gateway    string // its URL

	// receive is told of every text that reaches the gateway, before it is
	// answered, and answers. faults is asked at each of the operator's steps.
	receive func(text) (status int)
	faults  operator.Faults
	// around wraps the operator.
	around func(http.Handler) http.Handler
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
		t: t, ctx: ctx, database: database,
		receive: func(text) int { return http.StatusOK },
		faults:  func(*http.Request, operator.Step, string) operator.Fault { return operator.Fault{} },
		around:  func(h http.Handler) http.Handler { return h },
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
	w.configFile = w.writeConfig(dir, keyFile)
	return w
}

func (w *faultWorld) takeText(rw http.ResponseWriter, r *http.Request) {
	var m text
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		w.t.Error(err)
	}
	rw.WriteHeader(w.receive(m))
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
		Issuer: w.issuer, Lines: bench.SIMs{},
		Faults: func(r *http.Request, step operator.Step, number string) operator.Fault {
			return w.faults(r, step, number)
		},
		Clients: map[string]operator.Client{faultClientID: {
			RedirectURIs: []string{"https://" + faultHost + flow.CarrierPath + faultCarrier + "/callback"}, JWKSURL: jwks.URL,
		}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{
		Handler:           http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.around(provider).ServeHTTP(rw, r) }),
		ReadHeaderTimeout: headerTime,
	}}
	server.Start()
	w.t.Cleanup(server.Close)
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

func (w *faultWorld) settings(keyFile string) map[string]any {
	_, key := secret.GenerateKey()
	return map[string]any{
		"public_url": "https://" + faultHost, "listen": "127.0.0.1:0", "metrics_listen": "",
		"secret_key": key.Reveal(), "trusted_proxies": []string{"127.0.0.1"},
		"database": map[string]any{"url": w.database.URL.Reveal()},
		"sms": map[string]any{"gateway": "sink", "gateways": map[string]any{"sink": map[string]any{
			"kind": "generic", "url": w.gateway, "id_path": "id",
		}}},
		"carriers": []any{map[string]any{
			"name": faultCarrier, "kind": "camara", "issuer": w.issuer, "client_id": faultClientID, "api_root": w.issuer, "insecure_http": true,
			"networks": []string{onCellular + "/32"},
		}},
		"carrier_keys": map[string]any{"paths": []string{keyFile}},
	}
}

func (w *faultWorld) writeConfig(dir, keyFile string) (file string) {
	content, err := json.Marshal(w.settings(keyFile)) // JSON is YAML
	if err != nil {
		w.t.Fatal(err)
	}
	file = filepath.Join(dir, "holdfast.yaml")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return file
}

// start starts a server on the world's database; see parsePlan.
func (w *faultWorld) start(plan string) *faultServer {
	w.t.Helper()
	return startFaultServer(w.t, w.configFile, plan)
}

// reply is an answer, read.
type reply struct {
	status   int
	location string
	header   http.Header
	body     string
}

// do sends one request to a server, as the proxy in front of it would. An error
// means that there was no answer.
func (w *faultWorld) do(addr, method, path, from string, header map[string]string, body string) (reply, error) {
	req, err := http.NewRequestWithContext(w.ctx, method, "http://"+addr+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	req.Host = faultHost
	req.Header.Set("X-Forwarded-For", from)
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := faultTransport.RoundTrip(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header.Get("Location"), resp.Header, string(read)}, err
}

// faultTransport opens a connection for each request: none is left to a server
// that is dead, and no request is repeated unasked.
var faultTransport = &http.Transport{DisableKeepAlives: true}

// api calls the clients' API; in and out are JSON, and either may be nil.
func (w *faultWorld) api(addr, method, path string, header map[string]string, in, out any) (reply, error) {
	sent := map[string]string{"Content-Type": "application/json"}
	maps.Copy(sent, header)
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return reply{}, err
		}
	}
	r, err := w.do(addr, method, path, "192.0.2.80", sent, body.String())
	if err == nil && out != nil && r.status == http.StatusOK {
		err = json.Unmarshal([]byte(r.body), out)
	}
	return r, err
}

// login returns the header that the client's calls have from now on.
func (w *faultWorld) login(addr string) map[string]string {
	w.t.Helper()
	var session struct{ ID string }
	r, err := w.api(addr, "POST", "/api/customers/login", nil, map[string]string{"username": faultUser, "password": faultPassword}, &session)
	if err != nil || session.ID == "" {
		w.t.Fatalf("login: %v, %+v", err, r)
	}
	return map[string]string{"Authorization": session.ID}
}

// asked is Send Link's answer.
type asked struct{ RequestID, SessionID string }

const sendLinkPath = "/api/v3/us-kyc/send-link"

func (w *faultWorld) sendLink(addr, national string, header map[string]string) (asked, reply, error) {
	var a asked
	r, err := w.api(addr, "POST", sendLinkPath, header, map[string]string{
		"targetUrl": faultTarget, "mobileNumber": national, "countryCode": "US", "sourceIp": onCellular,
	}, &a)
	return a, r, err
}

// polled is what these tests read of a result.
type polled struct{ RequestID, SessionID, PhoneNumber, PhoneMatch, Status, Verdict, Delivery string }

func (w *faultWorld) status(addr string, a asked, header map[string]string) (polled, reply, error) {
	var o polled
	r, err := w.api(addr, "GET", "/api/v3/us-kyc/poll-check-verify/request/"+a.RequestID+"/session/"+a.SessionID, header, nil, &o)
	return o, r, err
}

func (w *faultWorld) redeem(addr, vfp string, header map[string]string) (polled, reply, error) {
	var o polled
	r, err := w.api(addr, "POST", "/api/v3/us-kyc/link-result", header, map[string]string{"vfp": vfp}, &o)
	return o, r, err
}

// handheld is a phone's browser. It keeps one cookie, which a real one would have
// over TLS only.
type handheld struct {
	w    *faultWorld
	sim  string // its number
	from string // its address
	mu   sync.Mutex
	held string
}

func (w *faultWorld) handheld(sim string) *handheld {
	return &handheld{w: w, sim: sim, from: onCellular}
}

func (h *handheld) cookie() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held
}

// visit sends one request to a server; form is nil for GET.
func (h *handheld) visit(addr, path string, form *string) (reply, error) {
	method, body, header := "GET", "", map[string]string{}
	if form != nil {
		method, body, header["Content-Type"] = "POST", *form, "application/x-www-form-urlencoded"
	}
	if cookie := h.cookie(); cookie != "" {
		header["Cookie"] = click.CookieName + "=" + cookie
	}
	r, err := h.w.do(addr, method, path, h.from, header, body)
	for _, line := range r.header["Set-Cookie"] {
		if set, err := http.ParseSetCookie(line); err == nil && set.Name == click.CookieName {
			h.mu.Lock()
			h.held = set.Value
			h.mu.Unlock()
		}
	}
	return r, err
}

func (h *handheld) open(addr, token string) (reply, error) {
	return h.visit(addr, flow.LinkPath+token, nil)
}

func (h *handheld) post(addr, path string) (reply, error) {
	form := ""
	return h.visit(addr, path, &form)
}

func (h *handheld) confirm(addr, token string) (reply, error) {
	return h.post(addr, flow.LinkPath+token)
}

// authorize goes where a confirmation sent the browser, and returns the path and
// query by which the operator sends it back to the server.
func (h *handheld) authorize(location string) (callback string, err error) {
	req, err := http.NewRequestWithContext(h.w.ctx, http.MethodGet, location, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Cookie", "sim="+h.sim)
	resp, err := faultTransport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	resp.Body.Close()
	callback, ok := strings.CutPrefix(resp.Header.Get("Location"), "https://"+faultHost)
	if !ok {
		return "", fmt.Errorf("the operator answered %s and sent the browser to %q", resp.Status, resp.Header.Get("Location"))
	}
	return callback, nil
}

// toCarrier reports whether a confirmation sends the browser to the operator: the
// link was used.
func (w *faultWorld) toCarrier(r reply) bool {
	return r.status == http.StatusSeeOther && strings.HasPrefix(r.location, w.issuer)
}

// vfp is what a redirect to the target brings.
func (r reply) vfp() (vfp string, ok bool) {
	if r.status != http.StatusSeeOther {
		return "", false
	}
	_, vfp, ok = strings.Cut(r.location, faultTarget+"&vfp=")
	return vfp, ok
}

// fictitious is the nth of the 2,000 numbers here that belong to nobody.
func fictitious(n int) (national, e164 string) {
	areas := []int{201, 202, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 301, 302, 303, 304}
	national = fmt.Sprintf("%d55501%02d", areas[n/100%len(areas)], n%100)
	return national, "+1" + national
}
