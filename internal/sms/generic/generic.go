// Package generic is the SMS gateway for every provider that takes a text by one
// HTTP request: the operator describes the request in templates (URL, headers,
// body) and where in the answer the provider's id stands. Receipts come back in
// a small JSON format of our own, signed, which a few lines of glue can speak
// for any provider.
//
// What an answer means goes by its status alone: 2xx took the message, a
// redirect is never followed, and the rest is exchange.Answer.Error's table. A
// 2xx with a body that can't be read still took it.
package generic

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/secret"
	"holdfast/internal/sms"
	"holdfast/internal/sms/exchange"
)

// Config describes the provider's request. URL, Headers' values and Body are
// templates (text/template) over Values, with the functions that Functions lists.
type Config struct {
	// Name is the gateway's name in receipts' paths, attempts and logs; required.
	Name string
	// URL is where a message is sent; required. Its scheme and host may not depend
	// on the message.
	URL string
	// Method is POST, PUT or GET; "" means POST. GET sends no body, and opens a
	// connection for each message.
	Method string
	// Headers are sent along; nil sends none but our own.
	Headers map[string]string
	// Body is the request's body; "" means JSON with to, text, ref, receipt_url and
	// valid_seconds, which is also the quickest.
	Body string
	// ContentType is the body's; "" means application/json.
	ContentType string
	// Secrets are what {{secret "name"}} stands for, so that no template holds a
	// secret itself; nil means none.
	Secrets map[string]secret.Text
	// IDPath is where in a JSON answer the provider's id of the message is: keys and
	// list positions joined by dots ("messages.0.id"); "" means that it has none.
	IDPath string
	// CallbackSecret is the key of receipts' signatures; "" refuses all receipts.
	CallbackSecret secret.Text
	// PublicURL is where the provider reaches us; nil leaves ReceiptURL empty.
	PublicURL *url.URL
	// Timeout bounds one request; 0 means 10 s.
	Timeout time.Duration
	// RootCAs are who may sign the provider's certificate; nil means the system's.
	RootCAs *x509.CertPool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Gateway sends by one provider. Its methods may be called concurrently.
type Gateway struct {
	name     string
	method   string
	request  request
	idPath   []string
	receipts string
	callback secret.Text
	now      func() time.Time
	client   *exchange.Client
}

// New reads the templates and tries them out on awkward texts; the error names
// what is wrong and how to cure it, and no secret.
func New(c Config) (*Gateway, error) {
	if c.Name == "" {
		return nil, errors.New("name is required")
	}
	if c.Method == "" {
		c.Method = http.MethodPost
	}
	if c.Method != http.MethodPost && c.Method != http.MethodPut && c.Method != http.MethodGet {
		return nil, errors.New("method must be POST, PUT or GET")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	request, err := parse(c)
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		name: c.Name, method: c.Method, request: request, callback: c.CallbackSecret,
		receipts: exchange.ReceiptURL(c.PublicURL, c.Name), now: c.Now,
		client: exchange.New(exchange.Config{Timeout: c.Timeout, RootCAs: c.RootCAs, OneShot: c.Method == http.MethodGet, Now: c.Now}),
	}
	if c.IDPath != "" {
		g.idPath = strings.Split(c.IDPath, ".")
	}
	return g, nil
}

// Name is the configured name.
func (g *Gateway) Name() string { return g.name }

// Close closes the connections that are idle.
func (g *Gateway) Close() { g.client.Close() }

// Check reports whether the provider's host answers; it sends no message. The
// error is fit for an operator.
func (g *Gateway) Check(ctx context.Context) error { return g.client.Reach(ctx, g.request.host) }

// Send makes the one request for m. Every error is an *sms.Error.
func (g *Gateway) Send(ctx context.Context, m sms.Message) (sms.Accepted, error) {
	values := Values{
		To: m.To.E164(), Text: m.Text, Ref: m.Ref,
		ValidSeconds: max(int(m.ValidFor/time.Second), 1),
	}
	if g.receipts != "" {
		values.ReceiptURL = g.receipts + m.Ref
	}
	req, err := g.request.render(values)
	if err != nil {
		return sms.Accepted{}, &sms.Error{Class: sms.Refused, Code: "template_failed", Err: errTemplate}
	}
	req.Method, req.WantBody = g.method, g.idPath != nil
	answer, err := g.client.Do(ctx, req)
	switch {
	case err != nil:
		return sms.Accepted{}, err
	case !answer.OK():
		return sms.Accepted{}, answer.Error()
	}
	return sms.Accepted{ProviderID: idAt(answer.Body, g.idPath)}, nil
}

// errTemplate hides what text/template says, which repeats the values.
var errTemplate = errors.New("the request can't be made from its templates")

// maxID is the longest provider's id that is kept.
const maxID = 128

// idAt finds the text or number at path in a JSON document; whatever is not
// there, or no id, is "".
func idAt(body []byte, path []string) string {
	if path == nil {
		return ""
	}
	at := json.RawMessage(body)
	for _, step := range path {
		var object map[string]json.RawMessage
		var list []json.RawMessage
		if json.Unmarshal(at, &object) == nil {
			at = object[step]
		} else if i, err := strconv.Atoi(step); err == nil && json.Unmarshal(at, &list) == nil && i >= 0 && i < len(list) {
			at = list[i]
		} else {
			return ""
		}
	}
	var id string
	if json.Unmarshal(at, &id) != nil {
		var number json.Number
		if json.Unmarshal(at, &number) != nil {
			return ""
		}
		id = number.String()
	}
	if len(id) > maxID || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7F }) {
		return ""
	}
	return id
}

// String names the gateway and shows none of its settings.
func (g *Gateway) String() string { return fmt.Sprintf("generic gateway %q", g.name) }
