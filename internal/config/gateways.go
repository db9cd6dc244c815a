package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"holdfast/internal/secret"
)

// Gateway is one way to send texts: a kind and that kind's settings beside it.
type Gateway struct {
	Kind    string   `key:"kind"`
	Twilio  *Twilio  `kind:"twilio"`
	Generic *Generic `kind:"generic"`
}

// Twilio is an account at Twilio, or at whoever speaks its Messages API.
type Twilio struct {
	AccountSID    string      `key:"account_sid"` // AC and 32 hex digits
	AuthToken     secret.Text `key:"auth_token"`
	AuthTokenFile string      `key:"auth_token_file"`
	// KeySID (SK…) and KeySecret are an API key that sends in the token's place; the
	// token still proves receipts. Both or neither.
	KeySID        string      `key:"key_sid"`
	KeySecret     secret.Text `key:"key_secret"`
	KeySecretFile string      `key:"key_secret_file"`
	// From is the sending number in E.164 form; MessagingServiceSID (MG…) instead
	// leaves the choice to the service. One of the two is required.
	From                string `key:"from"`
	MessagingServiceSID string `key:"messaging_service_sid"`
	// BaseURL is where the API is; "" means Twilio's own.
	BaseURL string `key:"base_url"`
}

// Generic is any gateway that takes a text by one HTTP request. Its URL, headers
// and body are templates; docs/operations.md has what stands in them.
type Generic struct {
	// URL is where a message is sent. Required.
	URL string `key:"url"`
	// Method is POST, PUT or GET; "" means POST.
	Method string `key:"method"`
	// Headers are sent along.
	Headers map[string]string `key:"headers"`
	// Body is the request's body; "" means JSON with to, text, ref, receipt_url and
	// valid_seconds.
	Body string `key:"body"`
	// ContentType is the body's; "" means application/json.
	ContentType string `key:"content_type"`
	// Secrets are what {{secret "name"}} stands for; SecretFiles name files that
	// hold them.
	Secrets     map[string]secret.Text `key:"secrets"`
	SecretFiles map[string]string      `key:"secret_files"`
	// IDPath is where a JSON answer has the gateway's id of the message, such as
	// "messages.0.id"; "" means that it has none.
	IDPath string `key:"id_path"`
	// CallbackSecret is the key of receipts' signatures; "" refuses all receipts.
	CallbackSecret     secret.Text `key:"callback_secret"`
	CallbackSecretFile string      `key:"callback_secret_file"`
	// InsecureHTTP lets URL be plain http to another machine. It is safe only where
	// nobody else can listen between the two: whoever can reads numbers and links.
	InsecureHTTP bool `key:"insecure_http"`
}

// gatewayName is what can stand in a receipt's path.
var gatewayName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

// eachGateway calls visit with every gateway, its path, in the order of names.
func (c *Config) eachGateway(visit func(path string, g Gateway)) {
	for _, name := range slices.Sorted(maps.Keys(c.SMS.Gateways)) {
		visit("sms.gateways."+name, c.SMS.Gateways[name])
	}
}

func (c *Config) readGatewaySecrets(read func(string) ([]byte, error), bad *Problems) {
	c.eachGateway(func(path string, g Gateway) {
		switch {
		case g.Twilio != nil:
			secretFrom(&g.Twilio.AuthToken, g.Twilio.AuthTokenFile, path+".auth_token", read, bad)
			secretFrom(&g.Twilio.KeySecret, g.Twilio.KeySecretFile, path+".key_secret", read, bad)
		case g.Generic != nil:
			g.Generic.readSecrets(path, read, bad)
		}
	})
}

func (c *Config) checkSMS(bad *Problems) {
	const field = "sms.gateway"
	if len(c.SMS.Gateways) == 0 {
		bad.add("sms.gateways", "is required: at least one gateway that sends texts")
	}
	_, known := c.SMS.Gateways[c.SMS.Gateway]
	switch {
	case c.SMS.Gateway == "":
		bad.add(field, "is required: the name of the gateway that sends")
	case !known:
		bad.add(field, "names a gateway that sms.gateways does not have")
	}
	c.eachGateway(func(path string, g Gateway) {
		if name := strings.TrimPrefix(path, "sms.gateways."); !gatewayName.MatchString(name) {
			bad.add(path, "has a name that can't stand in a URL: use a-z, 0-9, - and _, at most 32 characters")
		}
		switch {
		case g.Twilio != nil:
			g.Twilio.check(path, bad)
		case g.Generic != nil:
			g.Generic.check(path, bad)
		}
	})
}

var (
	origin     = regexp.MustCompile(`^[a-z]+://[^/?#]*`)
	accountSID = regexp.MustCompile(`^AC[0-9a-fA-F]{32}$`)
	serviceSID = regexp.MustCompile(`^MG[0-9a-fA-F]{32}$`)
	sender     = regexp.MustCompile(`^(\+[1-9][0-9]{6,14}|[0-9]{3,8})$`)
)

func (t *Twilio) check(path string, bad *Problems) {
	if !accountSID.MatchString(t.AccountSID) {
		bad.add(path+".account_sid", `is required: "AC" and 32 hexadecimal digits, from the account's console page`)
	}
	if t.AuthToken == "" && t.AuthTokenFile == "" {
		bad.add(path+".auth_token", "or auth_token_file is required: it also proves that receipts are genuine")
	}
	if hasSecret := t.KeySecret != "" || t.KeySecretFile != ""; hasSecret != (t.KeySID != "") {
		bad.add(path+".key_sid", "and key_secret or key_secret_file go together: set both or neither")
	}
	switch {
	case (t.From == "") == (t.MessagingServiceSID == ""):
		bad.add(path+".from", "or messaging_service_sid is required, and not both")
	case t.From != "" && !sender.MatchString(t.From):
		bad.add(path+".from", `must be a number such as "+12125550123" or a short code`)
	case t.From == "" && !serviceSID.MatchString(t.MessagingServiceSID):
		bad.add(path+".messaging_service_sid", `must be "MG" and 32 hexadecimal digits`)
	}
	if t.BaseURL != "" {
		checkURL(path+".base_url", t.BaseURL, false, bad)
	}
}

func (g *Generic) readSecrets(path string, read func(string) ([]byte, error), bad *Problems) {
	secretFrom(&g.CallbackSecret, g.CallbackSecretFile, path+".callback_secret", read, bad)
	for _, name := range slices.Sorted(maps.Keys(g.SecretFiles)) {
		if _, twice := g.Secrets[name]; twice {
			bad.add(path+".secrets."+name, "and the one of that name in secret_files are both set; keep one")
			continue
		}
		var text secret.Text
		secretFile(&text, g.SecretFiles[name], path+".secret_files."+name, read, bad)
		if g.Secrets == nil {
			g.Secrets = map[string]secret.Text{}
		}
		g.Secrets[name] = text
	}
}

// check judges what can be judged here; the templates are tried by the gateway.
func (g *Generic) check(path string, bad *Problems) {
	switch {
	case g.URL == "":
		bad.add(path+".url", "is required: where the gateway takes messages")
	case strings.HasPrefix(g.URL, "https://"), g.InsecureHTTP && strings.HasPrefix(g.URL, "http://"):
	default:
		// Up to the path there is no template in it.
		checkURL(path+".url", origin.FindString(g.URL), false, bad)
	}
}
