// Package config is the one configuration of a Holdfast server: a YAML file,
// over which HOLDFAST_… environment variables go, read into one struct and
// judged once, with every problem reported together.
//
// Secrets stand in files of their own (…_file) or in the environment and print
// redacted. Options that take a protection away are named insecure_… .
package config

import (
	"net/netip"
	"net/url"
	"strings"
	"time"

	"holdfast/internal/secret"
)

// Config is what an operator sets. Load fills and judges it.
type Config struct {
	// PublicURL is where phones, carriers and gateways reach this server: https
	// and a host, no path. Links in texts begin with it.
	PublicURL string `key:"public_url"`
	// Listen is the TCP address to serve on; by default 127.0.0.1:8080, behind a
	// proxy that ends TLS.
	Listen string `key:"listen"`
	// MetricsListen is where /metrics is served, apart from the public listener;
	// by default 127.0.0.1:9090, "" for nowhere.
	MetricsListen string `key:"metrics_listen"`
	// SecretKey is the key that all nodes share: 32 random bytes in base64.
	// SecretKeyFile names a file with it. One of the two is required.
	SecretKey     secret.Text `key:"secret_key"`
	SecretKeyFile string      `key:"secret_key_file"`
	// TrustedProxies are the networks whose X-Forwarded-For is believed; empty
	// believes nobody's.
	TrustedProxies []string `key:"trusted_proxies"`

	Database Database  `key:"database"`
	API      API       `key:"api"`
	Login    Login     `key:"login"`
	SMS      SMS       `key:"sms"`
	Carriers []Carrier `key:"carriers"`
	// CarrierKeys are the keys by which this server is known to carriers.
	CarrierKeys CarrierKeys `key:"carrier_keys"`
	Log         Log         `key:"log"`

	// Public, Key and Proxies are PublicURL, SecretKey and TrustedProxies as Load
	// read them.
	Public  *url.URL
	Key     secret.Key
	Proxies []netip.Prefix
}

// Database says where everything is kept.
type Database struct {
	// URL is "sqlite:PATH" or "postgres://…"; URLFile names a file with it, for
	// one that holds a password. One of the two is required.
	URL     secret.Text `key:"url"`
	URLFile string      `key:"url_file"`
}

// SQLitePath returns the file of a "sqlite:PATH" URL.
func (d Database) SQLitePath() (string, bool) { return strings.CutPrefix(d.URL.Reveal(), "sqlite:") }

// API shapes the clients' API.
type API struct {
	// SendLinkPaths are paths under which Send Link answers besides its own. The API
	// knows which of them can be (api.WrongPaths).
	SendLinkPaths []string `key:"send_link_paths"`
}

// Login shapes clients' access tokens and limits attempts to get one.
type Login struct {
	// TokenTTL is how long an access token is valid; 0 means 336h.
	TokenTTL time.Duration `key:"token_ttl"`
	// UserAttempts are the logins of one user name from one address at once, and
	// another comes every UserInterval; 0 means 10 and 15s.
	UserAttempts int           `key:"user_attempts"`
	UserInterval time.Duration `key:"user_interval"`
	// AddressAttempts and AddressInterval bound all logins from one address; 0
	// means 50 and 1s.
	AddressAttempts int           `key:"address_attempts"`
	AddressInterval time.Duration `key:"address_interval"`
	// Hashing is how many passwords are hashed at a time, 19 MiB each; 0 means 2.
	Hashing int `key:"hashing"`
}

// SMS says how texts leave.
type SMS struct {
	// Gateway names the one of Gateways that sends. Required.
	Gateway string `key:"gateway"`
	// Gateways are by name; the name stands in receipts' paths. All of them take
	// receipts, so that one can be changed for another while texts are under way.
	Gateways map[string]Gateway `key:"gateways"`
}

// Log says what is logged.
type Log struct {
	// Level is debug, info, warn or error; "" means info.
	Level string `key:"level"`
}

// defaults are what Load starts from.
func defaults() Config {
	return Config{
		Listen:        "127.0.0.1:8080",
		MetricsListen: "127.0.0.1:9090",
		Log:           Log{Level: "info"},
	}
}
