// Package twilio is the SMS gateway for Twilio's Messages API (version
// 2010-04-01), and for whoever speaks it: one form POST for each text, and
// signed status callbacks.
//
// Answers are classified by their HTTP status first, then by a table of Twilio's
// codes that an operator may extend; a code that neither knows is tried again.
package twilio

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"holdfast/internal/secret"
	"holdfast/internal/sms"
	"holdfast/internal/sms/exchange"
)

// DefaultBaseURL is Twilio's own API.
const DefaultBaseURL = "https://api.twilio.com"

// Config is an account and how to send by it.
type Config struct {
	// Name is the gateway's name in receipts' paths, attempts and logs; required.
	Name string
	// AccountSID is the account: "AC" and 32 hexadecimal digits; required.
	AccountSID string
	// AuthToken is the account's token; required. It signs receipts and, without an
	// API key, authenticates requests.
	AuthToken secret.Text
	// KeySID and KeySecret are an API key ("SK…") that authenticates requests in the
	// token's place; empty means the token.
	KeySID    string
	KeySecret secret.Text
	// From is the sending number (E.164) or short code. MessagingServiceSID ("MG…")
	// instead leaves the choice to that service. Exactly one is required.
	From                string
	MessagingServiceSID string
	// BaseURL is where the API is; "" means DefaultBaseURL.
	BaseURL string
	// PublicURL is where Twilio reaches us, as it sees us from outside; nil asks for
	// no receipts and refuses all.
	PublicURL *url.URL
	// Codes extend or overrule the table of Twilio's error codes; nil means none.
	Codes map[int]Rule
	// Timeout bounds one request; 0 means 10 s.
	Timeout time.Duration
	// RootCAs are who may sign the API's certificate; nil means the system's.
	RootCAs *x509.CertPool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Gateway sends by one account. Its methods may be called concurrently.
type Gateway struct {
	name     string
	account  *url.URL // …/2010-04-01/Accounts/AC…
	messages *url.URL
	header   http.Header
	fixed    url.Values
	receipts string
	public   *url.URL
	token    secret.Text
	codes    map[int]Rule
	client   *exchange.Client
}

var (
	accountSID = regexp.MustCompile(`^AC[0-9a-fA-F]{32}$`)
	serviceSID = regexp.MustCompile(`^MG[0-9a-fA-F]{32}$`)
	keySID     = regexp.MustCompile(`^SK[0-9a-fA-F]{32}$`)
	sender     = regexp.MustCompile(`^(\+[1-9][0-9]{6,14}|[0-9]{3,8})$`)
)

// New returns a Gateway, or every problem with c, each naming its field and no
// secret.
func New(c Config) (*Gateway, error) {
	base, err := c.check()
	if err != nil {
		return nil, err
	}
	user, password := c.AccountSID, c.AuthToken
	if c.KeySID != "" {
		user, password = c.KeySID, c.KeySecret
	}
	account := &url.URL{Scheme: base.Scheme, Host: base.Host, Path: base.Path + "/2010-04-01/Accounts/" + c.AccountSID}
	messages := *account
	messages.Path += "/Messages.json"
	g := &Gateway{
		name: c.Name, account: account, messages: &messages,
		header: http.Header{
			"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password.Reveal()))},
			"Content-Type":  {"application/x-www-form-urlencoded"},
			"Accept":        {"application/json"},
			"User-Agent":    {exchange.UserAgent},
		},
		// The link is ours and stays whole: carriers filter shorteners' links.
		fixed:    url.Values{"ShortenUrls": {"false"}},
		receipts: exchange.ReceiptURL(c.PublicURL, c.Name), public: c.PublicURL, token: c.AuthToken,
		codes:  table(c.Codes),
		client: exchange.New(exchange.Config{Timeout: c.Timeout, RootCAs: c.RootCAs, Now: c.Now}),
	}
	if c.From != "" {
		g.fixed.Set("From", c.From)
	} else {
		g.fixed.Set("MessagingServiceSid", c.MessagingServiceSID)
	}
	return g, nil
}

func (c Config) check() (base *url.URL, err error) {
	var bad []error
	refuse := func(wrong bool, field, reason string) {
		if wrong {
			bad = append(bad, fmt.Errorf("%s %s", field, reason))
		}
	}
	if c.BaseURL == "" {
		c.BaseURL = DefaultBaseURL
	}
	base, err = exchange.BaseURL(c.BaseURL)
	if err != nil {
		refuse(true, "base_url", err.Error())
	}
	refuse(c.Name == "", "name", "is required")
	refuse(!accountSID.MatchString(c.AccountSID), "account_sid", `must be "AC" and 32 hexadecimal digits`)
	refuse(c.AuthToken == "", "auth_token", "is required: it also proves that receipts are genuine")
	refuse(c.KeySID != "" && !keySID.MatchString(c.KeySID), "key_sid", `must be "SK" and 32 hexadecimal digits`)
	refuse((c.KeySID == "") != (c.KeySecret == ""), "key_secret", "goes with key_sid, both or neither")
	refuse((c.From == "") == (c.MessagingServiceSID == ""), "from", "or messaging_service_sid is required, and not both")
	refuse(c.From != "" && !sender.MatchString(c.From), "from", `must be a number such as "+12125550123" or a short code`)
	refuse(c.MessagingServiceSID != "" && !serviceSID.MatchString(c.MessagingServiceSID), "messaging_service_sid", `must be "MG" and 32 hexadecimal digits`)
	return base, errors.Join(bad...)
}

// Name is the configured name.
func (g *Gateway) Name() string { return g.name }

// Close closes the connections that are idle.
func (g *Gateway) Close() { g.client.Close() }

// String names the gateway and shows none of its settings.
func (g *Gateway) String() string { return fmt.Sprintf("twilio gateway %q", g.name) }

// Send makes the one request for m. Every error is an *sms.Error.
func (g *Gateway) Send(ctx context.Context, m sms.Message) (sms.Accepted, error) {
	answer, err := g.client.Do(ctx, exchange.Request{
		Method: http.MethodPost, URL: g.messages, Header: g.header, Body: []byte(g.form(m).Encode()), WantBody: true,
	})
	switch {
	case err != nil:
		return sms.Accepted{}, err
	case !answer.OK():
		return sms.Accepted{}, g.failure(answer)
	}
	var told struct {
		SID string `json:"sid"`
	}
	// A 2xx took the message, whatever is wrong with its body.
	if json.Unmarshal(answer.Body, &told) != nil || !messageSID.MatchString(told.SID) {
		told.SID = ""
	}
	return sms.Accepted{ProviderID: told.SID}, nil
}

var messageSID = regexp.MustCompile(`^(SM|MM)[0-9a-fA-F]{32}$`)

// ValidityPeriod's bounds in seconds.
const (
	minValidity = 1
	maxValidity = 36000
)

func (g *Gateway) form(m sms.Message) url.Values {
	form := make(url.Values, 8)
	for key, values := range g.fixed {
		form[key] = values
	}
	form.Set("To", m.To.E164())
	form.Set("Body", m.Text)
	form.Set("ValidityPeriod", strconv.Itoa(min(max(int(m.ValidFor/time.Second), minValidity), maxValidity)))
	if g.receipts != "" {
		form.Set("StatusCallback", g.receipts+m.Ref)
	}
	return form
}

// Check asks Twilio for the account, which proves the address and the
// credentials; it sends no message. The error is fit for an operator. An API key
// that is restricted to messages can't read the account, and is told apart.
func (g *Gateway) Check(ctx context.Context) error {
	account := *g.account
	account.Path += ".json"
	answer, err := g.client.Do(ctx, exchange.Request{Method: http.MethodGet, URL: &account, Header: g.header})
	var failed *sms.Error
	switch {
	case errors.As(err, &failed):
		return fmt.Errorf("%s: %w", g.account.Host, failed.Err)
	case answer.OK():
		return nil
	case answer.Status == http.StatusUnauthorized:
		return errors.New("the account or its credentials are refused; check account_sid and auth_token (or the API key)")
	case answer.Status == http.StatusForbidden:
		return errors.New("the credentials are valid but may not read the account; whether they may send shows with the first message")
	default:
		return fmt.Errorf("%s answers with HTTP status %d", g.account.Host, answer.Status)
	}
}
