package generic

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/secret"
	"holdfast/internal/sms"
	"holdfast/internal/sms/exchange"
	"holdfast/internal/verify"
)

// SignatureHeader carries a receipt's time and proof: "t=1767225600,v1=5f3c…", t
// in Unix seconds and v1 the hexadecimal HMAC-SHA256, keyed by the callback
// secret, of t's digits, a dot and the body as it was sent. There may be several
// v1, while a secret is being changed.
const SignatureHeader = "X-Holdfast-Signature"

// signatureAge is how far a receipt's time may be from ours, either way.
const signatureAge = 5 * time.Minute

// Sign makes the signature header for a receipt's body.
func Sign(key secret.Text, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac(key, t, body))
}

func mac(key secret.Text, t string, body []byte) []byte {
	h := hmac.New(sha256.New, []byte(key.Reveal()))
	h.Write([]byte(t))
	h.Write([]byte{'.'})
	h.Write(body)
	return h.Sum(nil)
}

// statuses are the words that a receipt may use. Others say nothing.
var statuses = map[string]sms.Status{
	"queued": sms.OnItsWay, "accepted": sms.OnItsWay, "sent": sms.OnItsWay,
	"delivered": sms.Arrived,
	"failed":    sms.Undeliverable, "undelivered": sms.Undeliverable, "rejected": sms.Undeliverable, "expired": sms.Undeliverable,
}

// errUnsigned says nothing of what is wrong with a signature: whoever is entitled
// to know can make one.
var errUnsigned = &verify.Error{
	Code: verify.CodeForbidden, Message: "The receipt is not signed as it must be.",
	Reason: "Sign the body with this gateway's callback secret, and check the clock.",
}

// ReadReceipt proves that a receipt comes from who knows the callback secret, and
// reads it: {"ref","status","code"}, status one of queued, accepted, sent,
// delivered, failed, undelivered, rejected and expired. Every error is a
// *verify.Error: forbidden, or invalid.
func (g *Gateway) ReadReceipt(r *http.Request, body []byte) (sms.Receipt, error) {
	if !g.genuine(r.Header.Get(SignatureHeader), body) {
		return sms.Receipt{}, errUnsigned
	}
	var told struct {
		Ref    string `json:"ref"`
		Status string `json:"status"`
		Code   string `json:"code"`
	}
	if json.Unmarshal(body, &told) != nil {
		return sms.Receipt{}, verify.Invalid(verify.Field{Name: "body", Reason: `must be JSON: {"ref","status","code"}, all of them texts`})
	}
	if told.Ref == "" || told.Status == "" {
		return sms.Receipt{}, verify.Invalid(verify.Field{Name: "body", Reason: "must have a ref and a status"})
	}
	return sms.Receipt{Ref: told.Ref, Status: statuses[strings.ToLower(told.Status)], Code: exchange.Code(told.Code)}, nil
}

func (g *Gateway) genuine(header string, body []byte) bool {
	if g.callback == "" {
		return false
	}
	var t string
	var proofs []string
	for part := range strings.SplitSeq(header, ",") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(part), "="); name {
		case "t":
			t = value
		case "v1":
			proofs = append(proofs, value)
		}
	}
	seconds, err := strconv.ParseInt(t, 10, 64)
	if err != nil {
		return false
	}
	if age := g.now().Sub(time.Unix(seconds, 0)); age > signatureAge || age < -signatureAge {
		return false
	}
	want := mac(g.callback, t, body)
	for _, proof := range proofs {
		if got, err := hex.DecodeString(proof); err == nil && hmac.Equal(got, want) {
			return true
		}
	}
	return false
}
