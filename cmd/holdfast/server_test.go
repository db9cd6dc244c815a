package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/access"
	"holdfast/internal/config"
	"holdfast/internal/networks"
	"holdfast/internal/secret"
	"holdfast/internal/sim/handset"
	"holdfast/internal/sms/virtual"
)

// testParts are a server on SQLite and loopback that texts a virtual phone.
func testParts(t *testing.T) parts {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	db, err := openStore(t.Context(), config.Database{URL: secret.Text("sqlite:" + filepath.Join(t.TempDir(), "holdfast.db"))})
	must(err)
	t.Cleanup(func() { _ = db.Close() })
	gateway, err := virtual.New(virtual.Config{Inbox: handset.New(handset.Config{})})
	must(err)
	none, err := networks.New(networks.Config{})
	must(err)
	listener, err := listen("127.0.0.1:0")
	must(err)
	t.Cleanup(func() { _ = listener.Close() })
	key, _ := secret.GenerateKey()
	return parts{
		public: &url.URL{Scheme: "http", Host: listener.Addr().String()}, key: key, store: db, listener: listener,
		gateways: &gateways{sends: gateway}, networks: none, log: slog.New(slog.DiscardHandler), development: true,
	}
}

// A request that was under way when the stop was asked for gets its answer, and
// only then does the server end.
func TestStopWaitsForRequests(t *testing.T) {
	t.Parallel()
	arrived, answered := make(chan struct{}), make(chan struct{})
	stopping := make(chan struct{})
	p := testParts(t)
	p.mount = func(_ context.Context, mux *http.ServeMux, _ *access.Access) error {
		mux.HandleFunc("GET /slow", func(w http.ResponseWriter, _ *http.Request) {
			close(arrived)
			<-answered
			_, _ = io.WriteString(w, "done")
		})
		return nil
	}
	p.stopping = func() { close(stopping) }
	s, err := newServer(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()

	body := make(chan string, 1)
	go func() {
		resp, err := ownConnections.Get(p.public.String() + "/slow")
		if err != nil {
			body <- err.Error()
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		body <- string(text)
	}()
	<-arrived
	cancel()
	<-stopping
	if status := ask(&s.health, "/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("readyz answers %d while the server stops", status)
	}
	if status := ask(&s.health, "/healthz"); status != http.StatusOK {
		t.Errorf("healthz answers %d while the server stops", status)
	}
	for { // the listener closes a moment after
		conn, err := net.Dial("tcp", p.listener.Addr().String())
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	select {
	case err := <-ended:
		t.Fatalf("the server ended before its request: %v", err)
	default:
	}
	close(answered)
	if got := <-body; got != "done" {
		t.Errorf("the request got %q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := p.store.Ping(t.Context()); err == nil {
		t.Error("the store is still open")
	}
}

func TestReadyAsksTheStore(t *testing.T) {
	t.Parallel()
	var down error
	h := health{ping: func(context.Context) error { return down }, log: slog.New(slog.DiscardHandler)}
	if status := ask(&h, "/readyz"); status != http.StatusOK {
		t.Errorf("readyz = %d", status)
	}
	down = errors.New("gone")
	if status := ask(&h, "/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("readyz = %d without a database", status)
	}
	if status := ask(&h, "/healthz"); status != http.StatusOK {
		t.Errorf("healthz = %d without a database", status)
	}
}

func ask(h *health, path string) int {
	mux := http.NewServeMux()
	h.register(mux)
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
	return answer.Code
}

// The listener for metrics answers as the public one does, and shows no other route.
func TestMetricsListener(t *testing.T) {
	t.Parallel()
	s, err := newServer(t.Context(), testParts(t))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/metrics": 200, "/healthz": 200, "/readyz": 200, "/": 404, "/api/customers/login": 404, "/docs": 404} {
		answer := httptest.NewRecorder()
		s.metricsHandler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		if answer.Code != want || want == 404 && answer.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %v %s", path, answer.Code, answer.Header(), answer.Body)
		}
	}
}

func TestListenSaysWhy(t *testing.T) {
	t.Parallel()
	taken, err := listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := listen(taken.Addr().String()); err == nil || !strings.Contains(err.Error(), "can't listen on "+taken.Addr().String()) {
		t.Errorf("listen = %v", err)
	}
}
