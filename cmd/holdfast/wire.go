package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"holdfast/internal/access"
	"holdfast/internal/api"
	"holdfast/internal/click"
	"holdfast/internal/config"
	"holdfast/internal/flow"
	"holdfast/internal/metrics"
	"holdfast/internal/outbox"
	"holdfast/internal/receipts"
	"holdfast/internal/secret"
	"holdfast/internal/verify"
	"holdfast/internal/web"
)

// parts are what serve, dev and bench make differently. Every field is required
// but those that say otherwise.
type parts struct {
	public   *url.URL // scheme and host
	key      secret.Key
	store    store // closed with the server
	gateways *gateways
	networks flow.Networks
	log      *slog.Logger

	listener net.Listener // the public one
	// metricsListener serves metrics and health besides; nil: nothing does.
	metricsListener net.Listener
	// publicMetrics serves metrics on the public listener; for development.
	publicMetrics bool

	proxies       []netip.Prefix // may be empty
	login         config.Login
	sendLinkPaths []string     // may be empty
	jwks          http.Handler // nil: there is no carrier that needs our keys

	// now is the clock of links, tokens and messages; nil means time.Now.
	now func() time.Time
	// development lets targets and cookies do without TLS on loopback.
	development bool
	// mount adds development's routes; nil adds none.
	mount func(ctx context.Context, mux *http.ServeMux, a *access.Access) error
	// around wraps everything, so that what it puts into a request's context is seen
	// by all; nil leaves it as it is.
	around func(http.Handler) http.Handler
	// stopping is called before the listeners close, to end what would not end by
	// itself; nil calls nothing.
	stopping func()
}

// server is a whole Holdfast, wired and not yet started.
type server struct {
	parts
	node    verify.Node
	access  *access.Access
	outbox  *outbox.Outbox
	flow    *flow.Flow
	metrics *metrics.Metrics
	health  health
	handler http.Handler
}

// newServer wires the parts: store → access → outbox → flow → routes → web.
func newServer(ctx context.Context, p parts) (*server, error) {
	if p.now == nil {
		p.now = time.Now
	}
	s := &server{parts: p, health: health{ping: p.store.Ping, log: p.log}}
	var err error
	if s.node, err = p.store.NextNode(ctx); err != nil {
		return nil, err
	}
	if s.metrics, err = metrics.New(metrics.Config{Backlog: p.store, Version: version(), Log: p.log, Now: p.now}); err != nil {
		return nil, err
	}
	if err := s.wireFlow(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	if err := s.mountRoutes(ctx, mux); err != nil {
		return nil, err
	}
	s.handler = web.Wrap(mux, web.Config{Log: p.log, Proxies: p.proxies, Observe: s.metrics.ObserveRequest})
	if p.around != nil {
		s.handler = p.around(s.handler)
	}
	return s, nil
}

func (s *server) wireFlow() error {
	ids := verify.NewIDs(s.node, s.now)
	var err error
	if s.access, err = access.New(access.Config{
		Store: s.store, IDs: ids, Now: s.now, Log: s.log, Loopback: s.development,
		TokenTTL: s.login.TokenTTL, Hashing: s.login.Hashing,
		UserLimit:    access.Limit{Burst: s.login.UserAttempts, Every: s.login.UserInterval},
		AddressLimit: access.Limit{Burst: s.login.AddressAttempts, Every: s.login.AddressInterval},
	}); err != nil {
		return err
	}
	if s.outbox, err = outbox.New(outbox.Config{
		Store: s.store, Node: s.node, Lease: flow.LeaseTime, Now: s.now, Log: s.log, Observe: s.metrics.Observe,
	}); err != nil {
		return err
	}
	s.flow, err = flow.New(flow.Config{
		Store: s.store, Clients: s.access, Outbox: s.outbox, Gateways: s.gateways, Networks: s.networks,
		Key: s.key, IDs: ids, Node: s.node, PublicURL: s.public, Loopback: s.development,
		Now: s.now, Log: s.log, Observe: s.metrics.Observe,
	})
	return err
}

// jwksPath is where carriers fetch our public keys.
const jwksPath = "/.well-known/jwks.json"

func (s *server) mountRoutes(ctx context.Context, mux *http.ServeMux) error {
	if err := api.Register(mux, api.Config{Flow: s.flow, Access: s.access, SendLinkPaths: s.sendLinkPaths, PublicURL: s.public.String()}); err != nil {
		return err
	}
	click.Register(mux, click.Config{Flow: s.flow, Insecure: s.development, Now: s.now})
	receipts.Register(mux, receipts.Config{Flow: s.flow, Gateways: s.gateways.receipts})
	if s.jwks != nil {
		mux.Handle("GET "+jwksPath, s.jwks)
	}
	s.health.register(mux)
	if s.publicMetrics {
		mux.Handle("GET /metrics", s.metrics.Handler())
	}
	if s.mount != nil {
		return s.mount(ctx, mux, s.access)
	}
	return nil
}

// The end is bounded: first requests under way, of which one that asks a carrier
// may take 20 seconds (flow.answerTime) and must not be cut before; then messages
// under way.
const (
	requestsEnd = 25 * time.Second
	messagesEnd = 15 * time.Second
)

// metricsHandler answers on the listener that is not for the public.
func (s *server) metricsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.Handler())
	s.health.register(mux)
	return web.Wrap(mux, web.Config{Log: s.log})
}

// run serves until ctx ends, then stops in order: no new requests, those under
// way end, messages under way end and leases are released, the store closes.
func (s *server) run(ctx context.Context) error {
	servers := []*httpServer{newHTTPServer(s.listener, s.handler, s.log)}
	if s.metricsListener != nil {
		servers = append(servers, newHTTPServer(s.metricsListener, s.metricsHandler(), s.log))
	}
	tuneCollector()
	s.outbox.Start(s.flow)
	ended := make(chan error, len(servers))
	for _, one := range servers {
		go func() { ended <- one.serve() }()
	}
	started := []any{"version", version(), "node", int(s.node), "address", s.listener.Addr().String()}
	if s.metricsListener != nil {
		started = append(started, "metrics", s.metricsListener.Addr().String())
	}
	s.log.Info("started", started...)
	var err error
	select {
	case <-ctx.Done():
	case err = <-ended:
	}
	return errors.Join(err, s.stop(servers))
}

func (s *server) stop(servers []*httpServer) error {
	s.health.draining.Store(true)
	s.log.Info("stopping")
	if s.stopping != nil {
		s.stopping()
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestsEnd)
	defer cancel()
	var problems []error
	for _, one := range servers {
		problems = append(problems, one.stop(ctx))
	}
	ctx, cancel = context.WithTimeout(context.Background(), messagesEnd)
	defer cancel()
	problems = append(problems, s.outbox.Stop(ctx), s.store.Close())
	s.gateways.close()
	s.log.Info("stopped")
	return errors.Join(problems...)
}
