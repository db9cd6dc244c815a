package generic

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"holdfast/internal/secret"
	"holdfast/internal/sms/exchange"
)

// Values are what the templates may use.
type Values struct {
	To           string // E.164: "+1" and ten digits
	Text         string
	Ref          string // our reference of the message: 32 characters of base64url
	ReceiptURL   string // where the provider's glue posts receipts; "" where none are taken
	ValidSeconds int    // how long the text is worth sending, 1 and more
}

// functions are the templates' functions besides text/template's own:
//
//	{{json .Text}}     a JSON string, its quotes included
//	{{query .Text}}    escaped for a query or a form
//	{{path .Ref}}      escaped for one segment of a path
//	{{digits .To}}     the digits alone, without the plus sign
//	{{base64 "a:b"}}   standard base64, for Basic authentication
//	{{secret "key"}}   an entry of Config.Secrets
func functions(secrets map[string]secret.Text) template.FuncMap {
	return template.FuncMap{
		"json":   func(s string) string { return string(appendJSON(nil, s)) },
		"query":  url.QueryEscape,
		"path":   url.PathEscape,
		"digits": digits,
		"base64": func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"secret": func(name string) (string, error) {
			value, known := secrets[name]
			if !known {
				return "", fmt.Errorf("there is no secret named %q", name)
			}
			return value.Reveal(), nil
		},
	}
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// request is the parsed description. What does not depend on the message is made
// once: url is nil where urlTemplate is needed, and likewise for the header.
type request struct {
	host        *url.URL // scheme and host alone
	url         *url.URL
	urlTemplate *template.Template
	header      http.Header
	headers     map[string]*template.Template // by canonical name
	body        *template.Template            // nil for the default body
	noBody      bool
}

func parse(c Config) (request, error) {
	r := request{noBody: c.Method == http.MethodGet, header: http.Header{"User-Agent": {exchange.UserAgent}}}
	if c.ContentType == "" {
		c.ContentType = "application/json"
	}
	if !r.noBody {
		r.header.Set("Content-Type", c.ContentType)
	}
	made, err := newTemplate("url", c.URL, c.Secrets)
	if err != nil {
		return r, err
	}
	r.urlTemplate = made
	for name, text := range c.Headers {
		if !httpguts.ValidHeaderFieldName(name) || slices.Contains(ownHeaders, textproto.CanonicalMIMEHeaderKey(name)) {
			return r, fmt.Errorf("header %q can't be set", name)
		}
		if made, err = newTemplate("header "+name, text, c.Secrets); err != nil {
			return r, err
		}
		if r.headers == nil {
			r.headers = map[string]*template.Template{}
		}
		r.headers[textproto.CanonicalMIMEHeaderKey(name)] = made
	}
	if c.Body != "" {
		if r.noBody {
			return r, errors.New("body can't be sent with GET; put the values into the URL's query")
		}
		if r.body, err = newTemplate("body", strings.TrimSpace(c.Body), c.Secrets); err != nil {
			return r, err
		}
	}
	return r.proved(c.ContentType)
}

// ownHeaders are the client's, not the template's.
var ownHeaders = []string{"Host", "Content-Length", "Transfer-Encoding", "Connection", "Content-Type", "Trailer", "Te", "Upgrade", "Expect"}

func newTemplate(what, text string, secrets map[string]secret.Text) (*template.Template, error) {
	made, err := template.New(what).Option("missingkey=error").Funcs(functions(secrets)).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return made, nil
}

// samples are two messages that differ in everything and hold what breaks a
// template that forgets to escape.
var samples = [2]Values{
	{To: "+12125550123", Text: "plain", Ref: strings.Repeat("a", secret.TokenSize), ReceiptURL: "https://a.example/receipts/x/y", ValidSeconds: 300},
	{
		To: "+16135550187", Text: "a \"quote\" \\ & = % + # ? / \u2028\n{€} 🔒 <b>\x7f", Ref: strings.Repeat("-_", secret.TokenSize/2),
		ReceiptURL: "https://b.example/receipts/z/w", ValidSeconds: 1,
	},
}

// proved tries the templates on the samples: a mistake must show when the server
// starts, not when the first text with a quote in it is lost. It then makes what
// came out the same for both once and for all.
func (r request) proved(contentType string) (request, error) {
	var made [2]exchange.Request
	for i, values := range samples {
		var err error
		if made[i], err = r.render(values); err != nil {
			return r, err
		}
	}
	if err := wellFormed(made[0].Body, made[1].Body, contentType); err != nil {
		return r, err
	}
	a, b := made[0].URL, made[1].URL
	if a.Scheme != "https" && a.Scheme != "http" || a.Host == "" || a.User != nil || a.Fragment != "" {
		return r, errors.New("url must be an absolute http or https address without user name and fragment")
	}
	if a.Scheme != b.Scheme || a.Host != b.Host {
		return r, errors.New("url has a host that depends on the message")
	}
	if !escaped(a.RawQuery, b.RawQuery) {
		return r, errors.New("url has a query that a text or a plus sign can break; write {{query .Text}} and {{query .To}}")
	}
	r.host = &url.URL{Scheme: a.Scheme, Host: a.Host}
	if a.String() == b.String() {
		r.url = a
	}
	header := r.header.Clone()
	for name := range r.headers {
		if made[0].Header.Get(name) == made[1].Header.Get(name) {
			header[name] = made[0].Header[name]
			delete(r.headers, name)
		}
	}
	r.header = header
	return r, nil
}

// wellFormed looks at the bodies that the two samples made.
func wellFormed(plain, awkward []byte, contentType string) error {
	media, _, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil:
		return errors.New("content type can't be read")
	case len(awkward) == 0:
	case media == "application/json" || strings.HasSuffix(media, "+json"):
		if !json.Valid(awkward) {
			return errors.New(`body is not JSON once a text with quotes is in it; write "text": {{json .Text}}, without quotes around it`)
		}
	case media == "application/x-www-form-urlencoded":
		if !escaped(string(plain), string(awkward)) {
			return errors.New("body is a form that a text or a plus sign can break; write text={{query .Text}}&to={{query .To}}")
		}
	}
	return nil
}

// escaped reports whether two queries or forms, made from the two samples, have
// the same keys and no number whose plus sign became a space.
func escaped(plain, awkward string) bool {
	a, errA := url.ParseQuery(plain)
	b, errB := url.ParseQuery(awkward)
	if errA != nil || errB != nil || len(a) != len(b) || strings.ContainsAny(awkward, " \n") {
		return false
	}
	for key, values := range b {
		if !a.Has(key) || slices.ContainsFunc(values, func(v string) bool {
			return strings.Contains(v, strings.Replace(samples[1].To, "+", " ", 1))
		}) {
			return false
		}
	}
	return true
}

// render makes the request for one message.
func (r request) render(v Values) (exchange.Request, error) {
	made := exchange.Request{URL: r.url, Header: r.header}
	if made.URL == nil {
		text, err := fill(r.urlTemplate, v)
		if err != nil {
			return made, err
		}
		if made.URL, err = url.Parse(string(text)); err != nil {
			return made, errors.New("url can't be read, or only without spaces and line feeds in the text; write {{query .Text}}")
		}
	}
	if len(r.headers) > 0 {
		made.Header = r.header.Clone()
		for name, template := range r.headers {
			text, err := fill(template, v)
			if err != nil {
				return made, err
			}
			if !httpguts.ValidHeaderFieldValue(string(text)) {
				return made, fmt.Errorf("header %q would get a character that no header may have; escape it with {{query …}}", name)
			}
			made.Header[name] = []string{string(text)}
		}
	}
	switch {
	case r.noBody:
	case r.body == nil:
		made.Body = defaultBody(v)
	default:
		text, err := fill(r.body, v)
		if err != nil {
			return made, err
		}
		made.Body = text
	}
	return made, nil
}

func fill(t *template.Template, v Values) ([]byte, error) {
	var out bytes.Buffer
	out.Grow(512)
	err := t.Execute(&out, v)
	return out.Bytes(), err
}

// defaultBody is the body where none is configured, written without reflection:
// it is made thousands of times a second.
func defaultBody(v Values) []byte {
	b := make([]byte, 0, 128+len(v.Text)+len(v.Ref)+len(v.ReceiptURL))
	b = append(b, `{"to":`...)
	b = appendJSON(b, v.To)
	b = append(b, `,"text":`...)
	b = appendJSON(b, v.Text)
	b = append(b, `,"ref":`...)
	b = appendJSON(b, v.Ref)
	if v.ReceiptURL != "" {
		b = append(b, `,"receipt_url":`...)
		b = appendJSON(b, v.ReceiptURL)
	}
	b = append(b, `,"valid_seconds":`...)
	b = strconv.AppendInt(b, int64(v.ValidSeconds), 10)
	return append(b, '}')
}

// appendJSON appends s as a JSON string (RFC 8259 section 7). Bytes that are not
// UTF-8 become the replacement character.
func appendJSON(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, '\\', 'n')
		case r < ' ' || r == 0x7F:
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&0xF])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
