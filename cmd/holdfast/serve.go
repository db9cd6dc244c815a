package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/alexedwards/argon2id"

	"holdfast/internal/api"
	"holdfast/internal/config"
	"holdfast/internal/verify"
)

type serveCommand struct{}

// Run serves until ctx ends.
func (serveCommand) Run(ctx context.Context, env *environment) error {
	cfg, problems := env.load()
	wired := wireConfig(ctx, cfg, &problems)
	if err := problems.Err(); err != nil {
		return err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Log.Level)); err != nil {
		return err
	}
	log := newLogs(env.stderr, level)
	defer log.Stop()
	slog.SetDefault(log.Logger)

	db, err := openStore(ctx, cfg.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := refuseDemoClient(ctx, db); err != nil {
		return err
	}
	p := parts{
		public: cfg.Public, key: cfg.Key, store: db, log: log.Logger,
		gateways: wired.gateways, networks: wired.carriers.networks, jwks: wired.carriers.jwks(),
		proxies: cfg.Proxies, login: cfg.Login, sendLinkPaths: cfg.API.SendLinkPaths,
	}
	if p.listener, err = listen(cfg.Listen); err != nil {
		return err
	}
	defer p.listener.Close()
	if cfg.MetricsListen != "" {
		if p.metricsListener, err = listen(cfg.MetricsListen); err != nil {
			return err
		}
		defer p.metricsListener.Close()
	}
	s, err := newServer(ctx, p)
	if err != nil {
		return err
	}
	return s.run(ctx)
}

// wiredConfig are the adapters that a configuration asks for.
type wiredConfig struct {
	gateways *gateways
	carriers *carriers
}

// wireConfig makes the adapters of a configuration that has no problem of its
// own where they are concerned, and adds to its problems what they, and the API,
// say.
func wireConfig(ctx context.Context, cfg *config.Config, problems *config.Problems) wiredConfig {
	var wired wiredConfig
	var bad config.Problems
	for _, wrong := range api.WrongPaths(cfg.API.SendLinkPaths) {
		*problems = append(*problems, config.Problem{Field: "api." + wrong.Name, Text: wrong.Reason})
	}
	if cfg.Public == nil {
		return wired
	}
	if len(problems.In("sms")) == 0 {
		wired.gateways, bad = newGateways(cfg.SMS, cfg.Public)
		*problems = append(*problems, bad...)
	}
	if len(problems.In("carriers")) == 0 && len(problems.In("carrier_keys")) == 0 {
		wired.carriers, bad = newCarriers(ctx, cfg)
		*problems = append(*problems, bad...)
	}
	return wired
}

// The demo client's credentials, which everybody knows.
const (
	demoUsername = "demo"
	demoPassword = "demo-password"
)

var errDemoClient = errors.New(`the database has the client "demo" with the password of "holdfast dev", which everybody knows: ` +
	`disable it (holdfast client disable demo) or give it another password (holdfast client rotate demo)`)

// refuseDemoClient keeps a development database from going live.
func refuseDemoClient(ctx context.Context, db store) error {
	client, err := db.ClientByUsername(ctx, demoUsername)
	if errors.Is(err, verify.ErrNotFound) {
		return nil
	}
	if err != nil || client.Disabled {
		return err
	}
	known, err := argon2id.ComparePasswordAndHash(demoPassword, client.PasswordHash)
	if err == nil && known {
		err = errDemoClient
	}
	return err
}
