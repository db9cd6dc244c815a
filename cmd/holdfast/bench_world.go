package main

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"holdfast/internal/access"
	"holdfast/internal/bench"
	"holdfast/internal/config"
	"holdfast/internal/secret"
	"holdfast/internal/sim/operator"
	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

// The bench's world. The server believes that it stands behind a proxy that ends
// TLS for benchHost; the load plays that proxy.
const (
	benchHost     = "bench.example.com"
	benchCarrier  = "bench"
	benchClientID = "holdfast-bench"
	benchUser     = "bench"
	benchPassword = "bench-password"
	benchTarget   = "https://app.example.com"
)

// benchWorld is all that lives while the bench runs.
type benchWorld struct {
	database config.Database
	client   verify.ClientID
	began    time.Time
	sink     *bench.Sink
	server   *benchChild
	bare     *benchChild
	stops    []func() error // last first
}

func startBenchWorld(ctx context.Context, c *benchCommand, env *environment) (w *benchWorld, err error) {
	w = &benchWorld{began: time.Now()}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.stop())
		}
	}()
	folder, err := os.MkdirTemp(c.Folder, "holdfast-bench-")
	if err != nil {
		return w, err
	}
	w.later(func() error { return os.RemoveAll(folder) })
	if err := w.openDatabase(ctx, c, folder); err != nil {
		return w, err
	}
	if w.sink, err = bench.NewSink(); err != nil {
		return w, err
	}
	w.sink.Start()
	w.later(func() error { return w.sink.Stop(ctx) })
	issuer, proxy, err := w.startCarrier()
	if err != nil {
		return w, err
	}
	configFile, err := w.writeConfig(folder, issuer)
	if err != nil {
		return w, err
	}
	if w.bare, err = w.child(env, "bench-bare"); err != nil {
		return w, err
	}
	if w.server, err = w.child(env, "bench-server", "--config", configFile, "--log", cmp.Or(c.ServerLog, os.DevNull)); err != nil {
		return w, err
	}
	proxy.to.Store(&w.server.addr)
	return w, nil
}

func (w *benchWorld) later(stop func() error) { w.stops = append(w.stops, stop) }

// stop ends everything, the last started first.
func (w *benchWorld) stop() error {
	var errs []error
	for i := len(w.stops) - 1; i >= 0; i-- {
		errs = append(errs, w.stops[i]())
	}
	w.stops = nil
	return errors.Join(errs...)
}

func (w *benchWorld) child(env *environment, args ...string) (*benchChild, error) {
	child, err := startBenchChild(env.stderr, args...)
	if err == nil {
		w.later(child.stop)
	}
	return child, err
}

// openDatabase makes the database, its tables and the one client.
func (w *benchWorld) openDatabase(ctx context.Context, c *benchCommand, folder string) error {
	switch {
	case c.Store == "sqlite":
		w.database.URL = secret.Text("sqlite:" + filepath.Join(folder, "holdfast.db"))
	case c.DatabaseURL != "":
		w.database.URL = secret.Text(c.DatabaseURL)
	default:
		url, stop, err := throwAwayPostgres(ctx)
		if err != nil {
			return err
		}
		w.later(func() error { stop(); return nil })
		w.database.URL = secret.Text(url)
	}
	if err := migrate(ctx, w.database); err != nil {
		return err
	}
	return w.withStore(ctx, func(db store) error {
		node, err := db.NextNode(ctx)
		if err != nil {
			return err
		}
		admin, err := access.New(access.Config{Store: db, IDs: verify.NewIDs(node, time.Now), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		client, err := admin.AddWithPassword(ctx, access.NewClient{
			Username: benchUser, Business: "Example Bank",
			// An hour, so that the links in stock for the confirmations still work.
			Settings: tenant.Settings{Targets: []string{benchTarget}, LinkMinutes: 60},
		}, benchPassword)
		w.client = client.ID
		return err
	})
}

func (w *benchWorld) withStore(ctx context.Context, do func(store) error) error {
	db, err := openStore(ctx, w.database)
	if err != nil {
		return err
	}
	return errors.Join(do(db), db.Close())
}

// preload fills the store from this process, so that the server's memory is only
// what serving takes.
func (w *benchWorld) preload(ctx context.Context, n int) error {
	return w.withStore(ctx, func(db store) error {
		p, ok := db.(interface {
			Preload(ctx context.Context, n int, client verify.ClientID, before time.Time) error
		})
		if !ok {
			return errors.New("this store can't be filled")
		}
		return p.Preload(ctx, n, w.client, w.began.Add(-time.Hour))
	})
}

// startCarrier runs the pretend carrier in this process.
func (w *benchWorld) startCarrier() (issuer string, proxy *benchProxy, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	issuer, proxy = "http://"+listener.Addr().String(), &benchProxy{}
	public := "https://" + benchHost
	carrier, err := operator.New(operator.Config{
		Issuer: issuer, Lines: bench.SIMs{}, HTTP: &http.Client{Transport: proxy},
		Clients: map[string]operator.Client{benchClientID: {
			RedirectURIs: []string{public + "/carrier/" + benchCarrier + "/callback"}, JWKSURL: public + "/.well-known/jwks.json",
		}},
	})
	if err != nil {
		return "", nil, errors.Join(err, listener.Close())
	}
	server := &http.Server{Handler: carrier, ReadHeaderTimeout: readTime}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	w.later(func() error {
		err := server.Close()
		<-served
		return err
	})
	return issuer, proxy, nil
}

// benchProxy is the way from the pretend carrier to the server's public URL.
type benchProxy struct{ to atomic.Pointer[string] }

// RoundTrip implements http.RoundTripper.
func (p *benchProxy) RoundTrip(r *http.Request) (*http.Response, error) {
	to := p.to.Load()
	if to == nil {
		return nil, errors.New("the server has not started yet")
	}
	r = r.Clone(r.Context())
	r.Host = r.URL.Host
	r.URL = &url.URL{Scheme: "http", Host: *to, Path: r.URL.Path, RawQuery: r.URL.RawQuery}
	return http.DefaultTransport.RoundTrip(r)
}

// writeConfig writes what an operator would: the server is started by it like
// any other.
func (w *benchWorld) writeConfig(folder, issuer string) (file string, err error) {
	keyFile := filepath.Join(folder, "carrier-key.pem")
	if err := writeCarrierKey(keyFile); err != nil {
		return "", err
	}
	_, key := secret.GenerateKey()
	text, err := json.MarshalIndent(map[string]any{ // JSON is YAML
		"public_url": "https://" + benchHost, "listen": "127.0.0.1:0", "metrics_listen": "",
		"secret_key": key.Reveal(), "trusted_proxies": []string{"127.0.0.1"},
		"database": map[string]any{"url": w.database.URL.Reveal()},
		"sms": map[string]any{"gateway": "sink", "gateways": map[string]any{"sink": map[string]any{
			"kind": "generic", "url": w.sink.URL(), "id_path": bench.SinkIDPath,
		}}},
		"carriers": []any{map[string]any{
			"name": benchCarrier, "kind": "camara", "issuer": issuer, "client_id": benchClientID, "api_root": issuer, "insecure_http": true,
		}},
		"carrier_keys": map[string]any{"paths": []string{keyFile}},
	}, "", "  ")
	if err != nil {
		return "", err
	}
	file = filepath.Join(folder, "holdfast.yaml")
	return file, os.WriteFile(file, text, 0o600)
}

func writeCarrierKey(file string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("the carrier's key: %w", err)
	}
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}
