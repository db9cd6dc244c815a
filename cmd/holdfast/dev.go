package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"holdfast/client"
	"holdfast/internal/access"
	"holdfast/internal/carrier/camara"
	"holdfast/internal/config"
	"holdfast/internal/flow"
	"holdfast/internal/secret"
	"holdfast/internal/sim/demo"
	"holdfast/internal/sim/handset"
	"holdfast/internal/sim/operator"
	"holdfast/internal/sms/virtual"
	"holdfast/internal/tenant"
	"holdfast/internal/verify"
	"holdfast/internal/web"
)

// devCommand plays the whole journey on one machine. The server is the real one;
// around it are a virtual phone, a pretend carrier that speaks CAMARA, and a demo
// client. None of that is in serve.
type devCommand struct {
	Listen string `default:"127.0.0.1:8080" help:"The loopback address to serve on."`
	Data   string `default:"./data" type:"path" help:"The folder for database and keys; made if it is not there."`

	now func() time.Time // a test's clock; nil means time.Now
}

// Names of the pretend carrier and of us at it.
const (
	devCarrier  = "pretend"
	devClientID = "holdfast-dev"
	devBusiness = "Northwind Bank"
)

// Run serves until ctx ends.
func (c devCommand) Run(ctx context.Context, env *environment) error {
	log := devLogs(env)
	defer log.Stop()
	slog.SetDefault(log.Logger)
	listener, base, err := c.open()
	if err != nil {
		return err
	}
	defer listener.Close()
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return fmt.Errorf("the data folder: %w", err)
	}
	key, err := devKey(filepath.Join(c.Data, "secret.key"))
	if err != nil {
		return err
	}
	db, err := openStore(ctx, config.Database{URL: secret.Text("sqlite:" + filepath.Join(c.Data, "holdfast.db"))})
	if err != nil {
		return err
	}
	defer db.Close()
	p := parts{
		public: base, key: key, store: db, log: log.Logger, listener: listener,
		publicMetrics: true, development: true, now: c.now,
	}
	w, err := newDevWorld(ctx, c.Data, base)
	if err != nil {
		return err
	}
	if err := w.into(ctx, &p); err != nil {
		return err
	}
	s, err := newServer(ctx, p)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "Open %s/ in a browser; stop with Ctrl-C.\n", base)
	return s.run(ctx)
}

// devLogs are text for a person at a terminal, JSON for everything else.
func devLogs(env *environment) *logs {
	if file, ok := env.stderr.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return newTextLogs(env.stderr, slog.LevelInfo)
		}
	}
	return newLogs(env.stderr, slog.LevelInfo)
}

// open listens, on loopback only: the demo client's password is no secret.
func (c devCommand) open() (net.Listener, *url.URL, error) {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return nil, nil, errors.New(`--listen must be an address and port, such as "127.0.0.1:8080"`)
	}
	if addr, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !addr.IsLoopback()) {
		return nil, nil, errors.New("--listen must be a loopback address: everybody knows the password of dev's demo client")
	}
	listener, err := listen(c.Listen)
	if err != nil {
		return nil, nil, fmt.Errorf("%w; choose another with --listen 127.0.0.1:8081", err)
	}
	return listener, &url.URL{Scheme: "http", Host: listener.Addr().String()}, nil
}

// devKey makes the server's key once and keeps it, marked so that serve refuses it.
func devKey(path string) (secret.Key, error) {
	_, text := secret.GenerateKey()
	fresh := []byte(config.DevelopmentKeyMark + text.Reveal() + "\n")
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case err == nil:
		_, err = file.Write(fresh)
		if err = errors.Join(err, file.Close()); err != nil {
			return secret.Key{}, err
		}
	case !errors.Is(err, fs.ErrExist):
		return secret.Key{}, err
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		return secret.Key{}, err
	}
	key, err := secret.ParseKey(strings.TrimPrefix(string(kept), config.DevelopmentKeyMark))
	if err != nil {
		return secret.Key{}, fmt.Errorf("%s is not readable any more; remove it, and what it sealed is lost: %w", path, err)
	}
	return key, nil
}

// devWorld is what stands in for the world outside.
type devWorld struct {
	base     *url.URL
	phones   *handset.Phones
	operator *operator.Operator
	carrier  *camara.Carrier
	keys     *camara.Keys
}

func newDevWorld(ctx context.Context, data string, base *url.URL) (*devWorld, error) {
	keyFile := filepath.Join(data, "carrier-key.pem")
	if err := camara.GenerateKey(keyFile); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	w := &devWorld{base: base, phones: handset.New(handset.Config{Error: web.Error})}
	var err error
	if w.keys, err = camara.NewKeys(camara.KeysConfig{Paths: []string{keyFile}}); err != nil {
		return nil, err
	}
	issuer, callback := base.String()+devIssuerPath, callbackURL(base, devCarrier)
	if w.carrier, err = camara.New(ctx, camara.Config{
		Name: devCarrier, Issuer: issuer, ClientID: devClientID, RedirectURL: callback, Keys: w.keys, APIRoot: issuer,
	}); err != nil {
		return nil, err
	}
	w.operator, err = operator.New(operator.Config{
		Issuer: issuer, Lines: w.phones,
		Clients: map[string]operator.Client{devClientID: {
			RedirectURIs: []string{callback}, JWKSURL: base.String() + jwksPath,
		}},
	})
	return w, err
}

// devIssuerPath is where the pretend carrier lives.
const devIssuerPath = "/sim/carrier"

// into puts the world into a server's parts.
func (w *devWorld) into(_ context.Context, p *parts) error {
	gateway, err := virtual.New(virtual.Config{Inbox: w.phones})
	if err != nil {
		return err
	}
	p.gateways = &gateways{sends: gateway}
	p.networks = devNetworks{w.carrier}
	p.jwks = w.keys.JWKS()
	p.around = w.phones.Middleware
	p.stopping = func() { _ = w.phones.Stop(context.Background()) } // never fails
	p.mount = w.mount
	return nil
}

func (w *devWorld) mount(ctx context.Context, mux *http.ServeMux, a *access.Access) error {
	if err := w.addClient(ctx, a); err != nil {
		return err
	}
	business, err := client.New(client.Config{BaseURL: w.base.String(), Username: demoUsername, Password: demoPassword})
	if err != nil {
		return err
	}
	mux.Handle(devIssuerPath+"/", w.operator)
	w.phones.Register(mux)
	demo.Register(mux, demo.Config{
		Client: business, Business: devBusiness, BaseURL: w.base.String(),
		Script: handset.CurlJourney(w.base.String()),
	})
	return nil
}

// addClient makes the demo client, or gives the one that is there this address's
// origins.
func (w *devWorld) addClient(ctx context.Context, a *access.Access) error {
	_, port, err := net.SplitHostPort(w.base.Host)
	if err != nil {
		return err
	}
	settings := tenant.Settings{
		Targets:      []string{w.base.String(), "http://localhost:" + port},
		ShowDeviceIP: true,
	}
	_, err = a.AddWithPassword(ctx, access.NewClient{Username: demoUsername, Business: devBusiness, Settings: settings}, demoPassword)
	if errors.Is(err, verify.ErrConflict) {
		_, err = a.Set(ctx, demoUsername, access.Change{Settings: &settings})
	}
	return err
}

// devNetworks asks the virtual phone which network it is on, where a real server
// asks the click's address.
type devNetworks struct{ carrier flow.Carrier }

// Choose implements flow.Networks.
func (n devNetworks) Choose(ctx context.Context, _ netip.Addr) (flow.Carrier, verify.Reason) {
	if line, known := handset.LineFrom(ctx); !known || !line.OnNetwork() {
		return nil, verify.ReasonWiFi
	}
	return n.carrier, ""
}

// Named implements flow.Networks.
func (n devNetworks) Named(name string) flow.Carrier {
	if name != n.carrier.Name() {
		return nil
	}
	return n.carrier
}
