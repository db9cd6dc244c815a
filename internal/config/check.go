package config

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"holdfast/internal/secret"
)

// DevelopmentKeyMark begins the key that `holdfast dev` makes for itself. ParseKey
// refuses it, so that no server runs on a key that lay about in a work folder.
const DevelopmentKeyMark = "holdfast-dev:"

func (c *Config) readSecrets(read func(string) ([]byte, error), bad *Problems) {
	secretFrom(&c.SecretKey, c.SecretKeyFile, "secret_key", read, bad)
	secretFrom(&c.Database.URL, c.Database.URLFile, "database.url", read, bad)
	c.readGatewaySecrets(read, bad)
}

// check judges every setting and fills what is read from them.
func (c *Config) check(bad *Problems) {
	c.Public = checkPublicURL(c.PublicURL, bad)
	checkListen("listen", c.Listen, bad)
	if c.MetricsListen != "" {
		checkListen("metrics_listen", c.MetricsListen, bad)
		if c.MetricsListen == c.Listen && !strings.HasSuffix(c.Listen, ":0") {
			bad.add("metrics_listen", "must be another address than listen: metrics are not for the public")
		}
	}
	c.checkKey(bad)
	c.checkProxies(bad)
	c.checkDatabase(bad)
	c.checkLogin(bad)
	c.checkSMS(bad)
	c.checkCarriers(bad)
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		bad.add("log.level", "must be debug, info, warn or error")
	}
}

func checkPublicURL(text string, bad *Problems) *url.URL {
	const field = "public_url"
	if text == "" {
		bad.add(field, `is required: where phones reach this server, such as "https://verify.example.com"`)
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "":
		bad.add(field, `must be an absolute URL, such as "https://verify.example.com"`)
	case u.Scheme != "https":
		bad.add(field, "must be https: phones show no other link without a warning; plain http is for `holdfast dev`")
	case u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		bad.add(field, "must be scheme and host only, without user name, path or query")
	case isLoopback(u.Hostname()):
		bad.add(field, "names this machine itself, which no phone can reach; give the public host name, or run `holdfast dev`")
	default:
		u.Path, u.Host = "", strings.ToLower(u.Host)
		return u
	}
	return nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && addr.Unmap().IsLoopback()
}

func checkListen(field, text string, bad *Problems) {
	_, port, err := net.SplitHostPort(text)
	if n, wrong := strconv.Atoi(port); err != nil || wrong != nil || n < 0 || n > 65535 {
		bad.add(field, `must be an address and port, such as "127.0.0.1:8080" or ":8080"`)
	}
}

func (c *Config) checkKey(bad *Problems) {
	const field = "secret_key"
	text := c.SecretKey.Reveal()
	switch {
	case text == "" && c.SecretKeyFile != "": // its problem is listed already
	case text == "":
		bad.add(field, "is required: 32 random bytes in base64, or secret_key_file with the name of a file that holds them; make one with: openssl rand -base64 32")
	case strings.HasPrefix(text, DevelopmentKeyMark):
		bad.add(field, "is the one of a development world; make another with: openssl rand -base64 32")
	default:
		var err error
		if c.Key, err = secret.ParseKey(text); err != nil {
			bad.add(field, "must be 32 random bytes in base64; make one with: openssl rand -base64 32")
		}
	}
}

func (c *Config) checkProxies(bad *Problems) {
	for i, text := range c.TrustedProxies {
		prefix, err := parsePrefix(text)
		field := "trusted_proxies[" + strconv.Itoa(i) + "]"
		switch {
		case err != nil:
			bad.add(field, `must be a network or address, such as "10.0.0.0/8" or "192.0.2.7"`)
		case prefix.Bits() == 0:
			bad.add(field, "would let anyone choose the address that they are seen with; name the proxies' own networks")
		default:
			c.Proxies = append(c.Proxies, prefix)
		}
	}
}

// parsePrefix reads a CIDR or a single address, an IPv4-mapped one as IPv4: that
// is how addresses are compared.
func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), err
}

func (c *Config) checkDatabase(bad *Problems) {
	const field = "database.url"
	text := c.Database.URL.Reveal()
	path, isSQLite := c.Database.SQLitePath()
	switch {
	case text == "" && c.Database.URLFile != "":
	case text == "":
		bad.add(field, `is required: "sqlite:PATH" or "postgres://user@host/database"`)
	case isSQLite && (path == "" || strings.HasPrefix(path, "//") || strings.Contains(path, ":memory:")):
		bad.add(field, `must name a file, such as "sqlite:/var/lib/holdfast/holdfast.db"`)
	case isSQLite:
	case !strings.HasPrefix(text, "postgres://") && !strings.HasPrefix(text, "postgresql://"):
		bad.add(field, `must begin with "sqlite:" or "postgres://"`)
	default:
		if u, err := url.Parse(text); err != nil || strings.Trim(u.Path, "/") == "" {
			bad.add(field, `must be a URL with a database's name, such as "postgres://user@host/holdfast"; percent-encode what is special in a password`)
		}
	}
}

// checkURL judges the URL of someone whom this server calls.
func checkURL(field, text string, insecure bool, bad *Problems) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		bad.add(field, "must be an absolute URL without user name and fragment")
	case u.Scheme == "https":
	case u.Scheme != "http":
		bad.add(field, "must be https")
	case !insecure && !isLoopback(u.Hostname()):
		bad.add(field, "must be https; plain http shows numbers and links to everyone on the way")
	}
}

func (c *Config) checkLogin(bad *Problems) {
	l := c.Login
	for field, n := range map[string]int64{
		"token_ttl": int64(l.TokenTTL), "hashing": int64(l.Hashing),
		"user_attempts": int64(l.UserAttempts), "user_interval": int64(l.UserInterval),
		"address_attempts": int64(l.AddressAttempts), "address_interval": int64(l.AddressInterval),
	} {
		if n < 0 {
			bad.add("login."+field, "must not be negative; 0 is the default")
		}
	}
	if (l.UserAttempts == 0) != (l.UserInterval == 0) {
		bad.add("login.user_attempts", "and login.user_interval go together: set both or neither")
	}
	if (l.AddressAttempts == 0) != (l.AddressInterval == 0) {
		bad.add("login.address_attempts", "and login.address_interval go together: set both or neither")
	}
}
