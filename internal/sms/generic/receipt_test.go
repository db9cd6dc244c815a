package generic_test

import (
	"errors"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"holdfast/internal/secret"
	"holdfast/internal/sms"
	"holdfast/internal/sms/generic"
	"holdfast/internal/verify"
)

const callbackKey = "callback secret"

var receiptTime = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func read(t testing.TB, g *generic.Gateway, signature, body string) (sms.Receipt, error) {
	t.Helper()
	r := httptest.NewRequest("POST", "/receipts/g/x", nil)
	r.Header.Set(generic.SignatureHeader, signature)
	return g.ReadReceipt(r, []byte(body))
}

func receiver(t testing.TB, key secret.Text) *generic.Gateway {
	return must(t, generic.Config{
		Name: "g", URL: "https://sms.example/", CallbackSecret: key,
		Now: func() time.Time { return receiptTime },
	})
}

func TestReceiptStatuses(t *testing.T) {
	t.Parallel()
	g := receiver(t, callbackKey)
	for _, c := range []struct {
		body string
		want sms.Receipt
	}{
		{`{"ref":"R","status":"delivered"}`, sms.Receipt{Ref: "R", Status: sms.Arrived}},
		{`{"ref":"R","status":"Delivered","more":[1]}`, sms.Receipt{Ref: "R", Status: sms.Arrived}},
		{`{"ref":"R","status":"sent"}`, sms.Receipt{Ref: "R", Status: sms.OnItsWay}},
		{`{"ref":"R","status":"failed","code":"E-42"}`, sms.Receipt{Ref: "R", Status: sms.Undeliverable, Code: "E-42"}},
		{`{"ref":"R","status":"expired","code":"+12125550123"}`, sms.Receipt{Ref: "R", Status: sms.Undeliverable, Code: "other"}},
		{`{"ref":"R","status":"failed","code":"212-555-0123"}`, sms.Receipt{Ref: "R", Status: sms.Undeliverable, Code: "other"}},
		{`{"ref":"R","status":"clicked"}`, sms.Receipt{Ref: "R", Status: sms.Ignored}},
	} {
		got, err := read(t, g, generic.Sign(callbackKey, receiptTime, []byte(c.body)), c.body)
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.body, got, err, c.want)
		}
	}
	for _, body := range []string{``, `{`, `null`, `{"ref":"R"}`, `{"status":"sent"}`, `{"ref":1,"status":"sent"}`, `[]`} {
		if _, err := read(t, g, generic.Sign(callbackKey, receiptTime, []byte(body)), body); !errors.Is(err, &verify.Error{Code: verify.CodeInvalid}) {
			t.Errorf("%s: %v, want it invalid", body, err)
		}
	}
}

func TestReceiptSignature(t *testing.T) {
	t.Parallel()
	const body = `{"ref":"R","status":"delivered"}`
	good := generic.Sign(callbackKey, receiptTime, []byte(body))
	at := func(d time.Duration) string { return generic.Sign(callbackKey, receiptTime.Add(d), []byte(body)) }
	t0 := "t=" + strconv.FormatInt(receiptTime.Unix(), 10)
	for name, c := range map[string]struct {
		signature string
		allowed   bool
	}{
		"good":                         {good, true},
		"spaces":                       {t0 + ", " + good[len(t0)+1:], true},
		"two, the second is right":     {t0 + ",v1=00" + good[len(t0):], true},
		"five minutes old":             {at(-5 * time.Minute), true},
		"older":                        {at(-5*time.Minute - time.Second), false},
		"from the future":              {at(5*time.Minute + time.Second), false},
		"another key":                  {generic.Sign("callback secreT", receiptTime, []byte(body)), false},
		"no key":                       {generic.Sign("", receiptTime, []byte(body)), false},
		"another body":                 {generic.Sign(callbackKey, receiptTime, []byte(body+" ")), false},
		"another time, same proof":     {"t=" + strconv.FormatInt(receiptTime.Unix()+1, 10) + good[len(t0):], false},
		"no time":                      {good[len(t0)+1:], false},
		"no proof":                     {t0, false},
		"empty":                        {"", false},
		"not hexadecimal":              {t0 + ",v1=zz", false},
		"empty proof":                  {t0 + ",v1=", false},
		"time beyond any clock":        {"t=9223372036854775807,v1=00", false},
		"a proof cut short":            {good[:len(good)-2], false},
		"proof under an unknown label": {t0 + ",v0=" + good[len(t0)+4:], false},
	} {
		_, err := read(t, receiver(t, callbackKey), c.signature, body)
		if c.allowed != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && !errors.Is(err, &verify.Error{Code: verify.CodeForbidden}) {
			t.Errorf("%s: %v, want it forbidden", name, err)
		}
	}
	if _, err := read(t, receiver(t, ""), generic.Sign("", receiptTime, []byte(body)), body); err == nil {
		t.Error("a gateway without a callback secret took a receipt")
	}
}

func FuzzReceipt(f *testing.F) {
	g := receiver(f, callbackKey)
	f.Add("t=1,v1=00", `{"ref":"R","status":"sent"}`)
	f.Add("", "")
	f.Add("t=,v1=,t=5", "[")
	f.Fuzz(func(t *testing.T, signature, body string) {
		if _, err := read(t, g, signature, body); err == nil {
			t.Error("a forged receipt was taken")
		}
		_, err := read(t, g, generic.Sign(callbackKey, receiptTime, []byte(body)), body)
		if err != nil && !errors.Is(err, &verify.Error{Code: verify.CodeInvalid}) {
			t.Errorf("%v", err)
		}
	})
}
