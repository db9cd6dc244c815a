package twilio

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"

	"holdfast/internal/secret"
	"holdfast/internal/sms"
	"holdfast/internal/sms/exchange"
	"holdfast/internal/verify"
)

// SignatureHeader carries Twilio's proof of a callback.
const SignatureHeader = "X-Twilio-Signature"

// statuses are MessageStatus' words; others say nothing.
var statuses = map[string]sms.Status{
	"accepted": sms.OnItsWay, "queued": sms.OnItsWay, "sending": sms.OnItsWay, "sent": sms.OnItsWay,
	"delivered": sms.Arrived, "read": sms.Arrived,
	"undelivered": sms.Undeliverable, "failed": sms.Undeliverable, "canceled": sms.Undeliverable,
}

var errUnsigned = &verify.Error{
	Code: verify.CodeForbidden, Message: "The receipt is not signed as it must be.",
	Reason: "Check the account's primary auth token and the public URL that is configured.",
}

// ReadReceipt proves that a status callback comes from Twilio and reads it. The
// message's reference is the last part of the path, which the signature covers.
// Every error is a *verify.Error: forbidden, or invalid.
func (g *Gateway) ReadReceipt(r *http.Request, body []byte) (sms.Receipt, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return sms.Receipt{}, verify.Invalid(verify.Field{Name: "body", Reason: "must be a form"})
	}
	if !g.genuine(r, form) {
		return sms.Receipt{}, errUnsigned
	}
	receipt := sms.Receipt{Ref: path.Base(r.URL.Path), Status: statuses[form.Get("MessageStatus")]}
	// A receipt of a text on its way repeats the code of a try before, or "0".
	if code := exchange.Code(form.Get("ErrorCode")); code != "0" && receipt.Status == sms.Undeliverable {
		receipt.Code = code
	}
	return receipt, nil
}

// genuine checks the signature against the address that Twilio knows us by: the
// configured one, because whatever proxy is in front may have changed Host and
// scheme. Twilio signs with and without the port, so each form is tried.
func (g *Gateway) genuine(r *http.Request, form url.Values) bool {
	if g.public == nil {
		return false
	}
	got, err := base64.StdEncoding.DecodeString(r.Header.Get(SignatureHeader))
	if err != nil || len(got) != sha1.Size {
		return false
	}
	tail := r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		tail += "?" + r.URL.RawQuery
	}
	found := false
	for _, host := range hosts(g.public) {
		found = hmac.Equal(got, signature(g.token, g.public.Scheme+"://"+host+tail, form)) || found
	}
	return found
}

// hosts are the ways to write u's host: without port and with the port it uses.
func hosts(u *url.URL) []string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	bare := u.Host[:len(u.Host)-len(u.Port())]
	if u.Port() != "" {
		bare = bare[:len(bare)-1]
	}
	return []string{bare, bare + ":" + port}
}

// signature is HMAC-SHA1, keyed by the auth token, of the whole address followed
// by each field's name and value in the order of names. SHA-1 is Twilio's choice;
// as a MAC it holds.
func signature(token secret.Text, address string, form url.Values) []byte {
	h := hmac.New(sha1.New, []byte(token.Reveal()))
	h.Write([]byte(address))
	for _, key := range slices.Sorted(maps.Keys(form)) {
		values := slices.Clone(form[key])
		slices.Sort(values)
		for _, value := range slices.Compact(values) {
			h.Write([]byte(key))
			h.Write([]byte(value))
		}
	}
	return h.Sum(nil)
}

// Sign makes the header by which Twilio proves a callback to address with form:
// for pretend providers and tests.
func Sign(token secret.Text, address string, form url.Values) string {
	return base64.StdEncoding.EncodeToString(signature(token, address, form))
}
