package main

import (
	"context"
	"maps"
	"net/url"
	"slices"

	"holdfast/internal/config"
	"holdfast/internal/flow"
	"holdfast/internal/phone"
	"holdfast/internal/receipts"
	"holdfast/internal/sms/generic"
	"holdfast/internal/sms/twilio"
)

// gateway is what every configured gateway can do.
type gateway interface {
	flow.Gateway
	receipts.Gateway
	// Check reports what is wrong between the gateway and us; it sends nothing.
	Check(ctx context.Context) error
	Close()
}

// gateways are all that are configured, and the one that sends.
type gateways struct {
	sends    flow.Gateway
	all      map[string]gateway
	receipts map[string]receipts.Gateway // all, as receipts sees them
}

// newGateways makes the configured gateways, or tells all that is wrong with them.
func newGateways(c config.SMS, public *url.URL) (*gateways, config.Problems) {
	g := &gateways{all: map[string]gateway{}, receipts: map[string]receipts.Gateway{}}
	var bad config.Problems
	for _, name := range slices.Sorted(maps.Keys(c.Gateways)) {
		one, err := newGateway(name, c.Gateways[name], public)
		if err != nil {
			bad = append(bad, config.Problem{Field: "sms.gateways." + name, Text: "can't be used: " + err.Error()})
			continue
		}
		g.all[name], g.receipts[name] = one, one
		if name == c.Gateway {
			g.sends = one
		}
	}
	return g, bad
}

func newGateway(name string, c config.Gateway, public *url.URL) (gateway, error) {
	switch {
	case c.Twilio != nil:
		t := c.Twilio
		return twilio.New(twilio.Config{
			Name: name, AccountSID: t.AccountSID, AuthToken: t.AuthToken, KeySID: t.KeySID, KeySecret: t.KeySecret,
			From: t.From, MessagingServiceSID: t.MessagingServiceSID, BaseURL: t.BaseURL, PublicURL: public,
		})
	default:
		g := c.Generic
		return generic.New(generic.Config{
			Name: name, URL: g.URL, Method: g.Method, Headers: g.Headers, Body: g.Body, ContentType: g.ContentType,
			Secrets: g.Secrets, IDPath: g.IDPath, CallbackSecret: g.CallbackSecret, PublicURL: public,
		})
	}
}

// Route implements flow.Gateways.
func (g *gateways) Route(phone.Number) flow.Gateway { return g.sends }

func (g *gateways) close() {
	for _, one := range g.all {
		one.Close()
	}
}
