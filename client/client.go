// Package client is the Go client of a Holdfast server, for a business's own
// servers: it logs in by itself, sends links, waits for results and refuses
// results that belong to somebody else's session. It has no dependency outside
// the standard library.
//
//	hf, err := client.New(client.Config{BaseURL: "https://holdfast.example", Username: "acme", Password: secret})
//	sent, err := hf.SendLink(ctx, client.Request{TargetURL: "https://app.acme.example/done", MobileNumber: "2125550123", CountryCode: "US"})
//	// Keep sent in the session of the browser that asked. When a browser comes to targetUrl:
//	result, err := hf.Result(ctx, r.FormValue("vfp"), sent)
//	if err == nil && result.Verified() { … }
package client

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Config says which server, and who asks.
type Config struct {
	// BaseURL is the server's scheme and host, with a path only where the server is
	// mounted below one; required. It must be https, but for loopback hosts.
	BaseURL string
	// Username and Password are the client's credentials; required.
	Username string
	Password string
	// HTTPClient makes the requests; nil means one with a time-out of 15 seconds
	// for each. Redirects are never followed.
	HTTPClient *http.Client
	// SendLinkPath is where the server answers Send Link; empty means the default path.
	SendLinkPath string
	// InsecureHTTP lets BaseURL be plain http to a host that is not loopback: safe
	// only where nobody else can read or change what passes.
	InsecureHTTP bool
}

// String shows no password.
func (c Config) String() string { return "client.Config(" + c.BaseURL + ")" }

// GoString shows no password.
func (c Config) GoString() string { return c.String() }

// Client talks to one server for one business. Its methods may be called
// concurrently; one Client is enough for a process, and shares one access token.
type Client struct {
	base     string
	username string
	password string
	sendPath string
	http     *http.Client

	login chan struct{} // holds one value while nobody logs in
	token token         // guarded by login

	now   func() time.Time
	sleep func(context.Context, time.Duration) error
}

// The server's paths (docs/openapi.json).
const (
	loginPath  = "/api/customers/login"
	logoutPath = "/api/customers/logout"
	sendPath   = "/api/v3/us-kyc/send-link"
	resultPath = "/api/v3/us-kyc/link-result"
	pollPath   = "/api/v3/us-kyc/poll-check-verify/request/"
)

// New returns a Client, or everything that is wrong with its configuration. It
// asks the server nothing.
func New(c Config) (*Client, error) {
	var wrong []error
	base, err := url.Parse(c.BaseURL)
	switch {
	case err != nil || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "":
		wrong = append(wrong, errors.New(`client: BaseURL must be like "https://holdfast.example"`))
	case base.Scheme != "https" && (base.Scheme != "http" || !c.InsecureHTTP && !isLoopback(base.Hostname())):
		wrong = append(wrong, errors.New("client: BaseURL must be https, since the password passes; InsecureHTTP lifts that"))
	}
	if c.Username == "" || c.Password == "" {
		wrong = append(wrong, errors.New("client: Username and Password are required"))
	}
	if c.SendLinkPath == "" {
		c.SendLinkPath = sendPath
	}
	if !strings.HasPrefix(c.SendLinkPath, "/") {
		wrong = append(wrong, errors.New("client: SendLinkPath must begin with /"))
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	transport := http.Client{Timeout: 15 * time.Second}
	if c.HTTPClient != nil {
		transport = *c.HTTPClient
	}
	transport.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	hf := &Client{
		base: strings.TrimRight(c.BaseURL, "/"), username: c.Username, password: c.Password, sendPath: c.SendLinkPath,
		http: &transport, login: make(chan struct{}, 1), now: time.Now, sleep: sleep,
	}
	hf.login <- struct{}{}
	return hf, nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
