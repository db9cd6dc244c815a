package twilio_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"holdfast/internal/sms"
	"holdfast/internal/sms/twilio"
	"holdfast/internal/verify"
)

const ref = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_-"

// callback is a status callback as it comes out of a proxy: Host and scheme are
// the inner ones.
func callback(signature, path, body string) *http.Request {
	r := httptest.NewRequest("POST", "http://10.0.0.7:8080"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set(twilio.SignatureHeader, signature)
	return r
}

func form(status, code string) url.Values {
	f := url.Values{
		"AccountSid": {account}, "ApiVersion": {"2010-04-01"}, "From": {"+12125550100"}, "To": {"+12125550123"},
		"MessageSid": {"SM0123456789abcdef0123456789abcdef"}, "SmsSid": {"SM0123456789abcdef0123456789abcdef"},
		"MessageStatus": {status}, "SmsStatus": {status},
	}
	if code != "" {
		f.Set("ErrorCode", code)
	}
	return f
}

// The example that Twilio's documents work through.
func TestSignatureVector(t *testing.T) {
	t.Parallel()
	got := twilio.Sign("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", url.Values{
		"CallSid": {"CA1234567890ABCDE"}, "Caller": {"+14158675309"}, "Digits": {"1234"}, "From": {"+14158675309"}, "To": {"+18005551212"},
	})
	if want := "RSOYDt4T1cUTdK1PDd93/VVr8B8="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestReceiptStatuses(t *testing.T) {
	t.Parallel()
	g := must(t, config())
	for _, c := range []struct {
		status, code string
		want         sms.Receipt
	}{
		{"queued", "", sms.Receipt{Ref: ref, Status: sms.OnItsWay}},
		{"accepted", "", sms.Receipt{Ref: ref, Status: sms.OnItsWay}},
		{"sending", "", sms.Receipt{Ref: ref, Status: sms.OnItsWay}},
		{"sent", "0", sms.Receipt{Ref: ref, Status: sms.OnItsWay}},
		{"delivered", "", sms.Receipt{Ref: ref, Status: sms.Arrived}},
		{"undelivered", "30003", sms.Receipt{Ref: ref, Status: sms.Undeliverable, Code: "30003"}},
		{"failed", "30034", sms.Receipt{Ref: ref, Status: sms.Undeliverable, Code: "30034"}},
		{"failed", "", sms.Receipt{Ref: ref, Status: sms.Undeliverable}},
		{"failed", "+12125550123", sms.Receipt{Ref: ref, Status: sms.Undeliverable, Code: "other"}},
		{"partially_delivered", "", sms.Receipt{Ref: ref, Status: sms.Ignored}},
		{"", "", sms.Receipt{Ref: ref, Status: sms.Ignored}},
	} {
		f := form(c.status, c.code)
		path := "/receipts/tw/" + ref
		got, err := g.ReadReceipt(callback(twilio.Sign("12345", "https://ok.example"+path, f), path, f.Encode()), []byte(f.Encode()))
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.status, got, err, c.want)
		}
	}
}

func TestReceiptSignature(t *testing.T) {
	t.Parallel()
	const path = "/receipts/tw/" + ref
	f := form("delivered", "")
	changed := form("failed", "")
	for name, c := range map[string]struct {
		public    string
		signature string
		body      url.Values
		path      string
		allowed   bool
	}{
		"as configured":               {"https://ok.example", twilio.Sign("12345", "https://ok.example"+path, f), f, path, true},
		"signed with the port":        {"https://ok.example", twilio.Sign("12345", "https://ok.example:443"+path, f), f, path, true},
		"plain http, with the port":   {"http://ok.example", twilio.Sign("12345", "http://ok.example:80"+path, f), f, path, true},
		"other port":                  {"https://ok.example:8443", twilio.Sign("12345", "https://ok.example:8443"+path, f), f, path, true},
		"other port left out":         {"https://ok.example:8443", twilio.Sign("12345", "https://ok.example"+path, f), f, path, true},
		"IPv6 host":                   {"https://[2001:db8::1]:8443", twilio.Sign("12345", "https://[2001:db8::1]"+path, f), f, path, true},
		"query":                       {"https://ok.example", twilio.Sign("12345", "https://ok.example"+path+"?a=b", f), f, path + "?a=b", true},
		"query that is not signed":    {"https://ok.example", twilio.Sign("12345", "https://ok.example"+path, f), f, path + "?a=b", false},
		"wrong port":                  {"https://ok.example", twilio.Sign("12345", "https://ok.example:8443"+path, f), f, path, false},
		"signed for the inner host":   {"https://ok.example", twilio.Sign("12345", "http://10.0.0.7:8080"+path, f), f, path, false},
		"other scheme":                {"https://ok.example", twilio.Sign("12345", "http://ok.example"+path, f), f, path, false},
		"other reference":             {"https://ok.example", twilio.Sign("12345", "https://ok.example"+path, f), f, path + "A", false},
		"other body":                  {"https://ok.example", twilio.Sign("12345", "https://ok.example"+path, f), changed, path, false},
		"a field more":                {"https://ok.example", twilio.Sign("12345", "https://ok.example"+path, f), url.Values{"X": {""}, "MessageStatus": {"delivered"}}, path, false},
		"other token":                 {"https://ok.example", twilio.Sign("12346", "https://ok.example"+path, f), f, path, false},
		"no signature":                {"https://ok.example", "", f, path, false},
		"not base64":                  {"https://ok.example", "!", f, path, false},
		"cut short":                   {"https://ok.example", twilio.Sign("12345", "https://ok.example"+path, f)[:24], f, path, false},
		"no public address is known":  {"", twilio.Sign("12345", path, f), f, path, false},
		"duplicates, each once":       {"https://ok.example", twilio.Sign("12345", "https://ok.example"+path, url.Values{"A": {"2", "1", "2"}}), url.Values{"A": {"1", "2", "1"}}, path, true},
		"values that run together":    {"https://ok.example", twilio.Sign("12345", "https://ok.example"+path, url.Values{"A": {"1"}}), url.Values{"A": {"2"}}, path, false},
		"an empty form, signed right": {"https://ok.example", twilio.Sign("12345", "https://ok.example"+path, nil), nil, path, true},
	} {
		config := config()
		config.PublicURL = nil
		if c.public != "" {
			config.PublicURL, _ = url.Parse(c.public)
		}
		_, err := must(t, config).ReadReceipt(callback(c.signature, c.path, c.body.Encode()), []byte(c.body.Encode()))
		if c.allowed != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && !errors.Is(err, &verify.Error{Code: verify.CodeForbidden}) {
			t.Errorf("%s: %v, want it forbidden", name, err)
		}
	}
}

func FuzzReceipt(f *testing.F) {
	g := must(f, config())
	f.Add("RSOYDt4T1cUTdK1PDd93/VVr8B8=", "MessageStatus=delivered")
	f.Add("", "")
	f.Add("AAAA", "%zz&;=&&a=b;c")
	f.Fuzz(func(t *testing.T, signature, body string) {
		const path = "/receipts/tw/" + ref
		if _, err := g.ReadReceipt(callback(signature, path, body), []byte(body)); err == nil {
			t.Error("a forged receipt was taken")
		}
		parsed, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		if _, err := g.ReadReceipt(callback(twilio.Sign("12345", "https://ok.example"+path, parsed), path, body), []byte(body)); err != nil {
			t.Errorf("a signed receipt was refused: %v", err)
		}
	})
}
