package main

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"holdfast/internal/carrier/camara"
	"holdfast/internal/config"
	"holdfast/internal/flow"
	"holdfast/internal/networks"
)

// carriers are all that are configured, and the keys by which they know us.
type carriers struct {
	networks *networks.Table
	keys     *camara.Keys // nil where there is no carrier
	all      []*camara.Carrier
}

// jwks serves our keys' public parts; nil where there are none.
func (c *carriers) jwks() http.Handler {
	if c.keys == nil {
		return nil
	}
	return c.keys.JWKS()
}

// newCarriers makes the configured carriers, or tells all that is wrong with
// them. ctx ends what they do in the background.
func newCarriers(ctx context.Context, c *config.Config) (*carriers, config.Problems) {
	made := &carriers{}
	var bad config.Problems
	if len(c.CarrierKeys.Paths) > 0 {
		var err error
		made.keys, err = camara.NewKeys(camara.KeysConfig{Paths: c.CarrierKeys.Paths, Overlap: c.CarrierKeys.Overlap})
		if err != nil {
			bad = append(bad, config.Problem{Field: "carrier_keys.paths", Text: "can't be used: " + err.Error()})
			return made, bad
		}
	}
	var entries []networks.Entry
	for i, one := range c.Carriers {
		carrier, err := newCarrier(ctx, one, c.Public, made.keys)
		if err != nil {
			bad = append(bad, config.Problem{Field: "carriers[" + strconv.Itoa(i) + "]", Text: "can't be used: " + err.Error()})
			continue
		}
		made.all = append(made.all, carrier)
		entries = append(entries, networks.Entry{Carrier: carrier, Prefixes: one.Prefixes})
	}
	var err error
	if made.networks, err = networks.New(networks.Config{Entries: entries}); err != nil {
		bad = append(bad, config.Problem{Field: "carriers", Text: "can't be used: " + err.Error()})
	}
	return made, bad
}

func newCarrier(ctx context.Context, c config.Carrier, public *url.URL, keys *camara.Keys) (*camara.Carrier, error) {
	o := c.Camara
	return camara.New(ctx, camara.Config{
		Name: c.Name, Issuer: o.Issuer, ClientID: o.ClientID, Alg: o.Alg, Audience: o.Audience, Keys: keys,
		Endpoints:   camara.Endpoints{Authorization: o.Endpoints.Authorization, Token: o.Endpoints.Token, JWKS: o.Endpoints.JWKS},
		APIRoot:     o.APIRoot,
		VersionPath: o.VersionPath, Purpose: o.Purpose, HashedNumber: o.HashedNumber,
		RedirectURL: callbackURL(public, c.Name),
	})
}

// callbackURL is the redirect URI that is registered with a carrier.
func callbackURL(public *url.URL, name string) string {
	return public.Scheme + "://" + public.Host + flow.CarrierPath + name + "/callback"
}
