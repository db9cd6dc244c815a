package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"holdfast/internal/flow"
	"holdfast/internal/secret"
	"holdfast/internal/sim/operator"
	"holdfast/internal/sms/generic"
	"holdfast/internal/sms/twilio"
)

// begin sends a link and returns its ids, its text and its phone.
func (p *prying) begin(change func(map[string]string)) (asked, text, *handheld) {
	p.t.Helper()
	national, e164 := p.number()
	in := map[string]string{"targetUrl": faultTarget, "mobileNumber": national, "countryCode": "US", "sourceIp": onCellular}
	if change != nil {
		change(in)
	}
	var a asked
	r, err := p.api(p.addr, "POST", sendLinkPath, p.header, in, &a)
	if err != nil || r.status != http.StatusOK {
		p.t.Fatalf("Send Link: %v, %d: %s", err, r.status, r.body)
	}
	return a, p.arrival(p.texts, e164), p.handheld(e164)
}

// tapped opens and confirms, and expects to be sent to the operator.
func (p *prying) tapped(h *handheld, m text) (callback string) {
	p.t.Helper()
	_, openErr := h.open(p.addr, m.token())
	r, err := h.confirm(p.addr, m.token())
	p.hide("a cookie", h.cookie())
	if err := errors.Join(openErr, err); err != nil || !p.toCarrier(r) {
		p.t.Fatalf("the confirmation: %v, %d to %q", err, r.status, r.location)
	}
	callback, err = h.authorize(r.location)
	if err != nil {
		p.t.Fatal(err)
	}
	return callback
}

// back goes back to the server and expects that page, or with 303 the way home,
// where the fingerprint is redeemed and the match as wanted.
func (p *prying) back(h *handheld, path string, status int, match string) {
	p.t.Helper()
	r, err := h.visit(p.addr, path, nil)
	if err != nil || r.status != status {
		p.t.Errorf("back at the server: %v, %d to %q", err, r.status, r.location)
		return
	}
	if status == http.StatusSeeOther {
		p.home(r, match)
	}
}

func (p *prying) home(r reply, match string) {
	p.t.Helper()
	vfp, ok := r.vfp()
	if !ok {
		p.t.Errorf("not sent home: %d to %q", r.status, r.location)
		return
	}
	p.hide("a fingerprint", vfp)
	for range 2 {
		if o, r, err := p.redeem(p.addr, vfp, p.header); err != nil || o.PhoneMatch != match {
			p.t.Errorf("the result: %v, %d: %s", err, r.status, r.body)
		}
	}
}

// refused makes a call that has to be answered with that status.
func (p *prying) refused(status int, method, path string, header map[string]string, body string) {
	p.t.Helper()
	r, err := p.do(p.addr, method, path, "192.0.2.80", header, body)
	if err != nil || r.status != status {
		p.t.Errorf("%s %s answered %v, %d, want %d: %s", method, path, err, r.status, status, r.body)
	}
}

func (p *prying) logins() {
	p.hide("a wrong password", "another-password-of-acme")
	p.refused(http.StatusUnauthorized, "POST", "/api/customers/login", jsonOnly, `{"username":"acme","password":"another-password-of-acme"}`)
	p.refused(http.StatusUnauthorized, "POST", "/api/customers/login", jsonOnly, `{"username":"another-password-of-acme","password":"`+faultPassword+`"}`)
	p.refused(http.StatusBadRequest, "POST", "/api/customers/login", jsonOnly, `{"username":"acme","password":"`+faultPassword+`"`)
	p.refused(http.StatusBadRequest, "POST", "/api/customers/login", jsonOnly, `{"username":["`+faultPassword+`"],"password":"`+faultPassword+`","x":1}`)
	gone := p.login(p.addr)
	p.hide("an access token", gone["Authorization"])
	p.refused(http.StatusNoContent, "POST", "/api/customers/logout", gone, "")
	p.refused(http.StatusUnauthorized, "POST", sendLinkPath, gone, "{}")
	p.header = p.login(p.addr)
	p.hide("an access token", p.header["Authorization"])
	made := secret.NewToken(77).Reveal()
	p.hide("a made-up access token", made)
	p.refused(http.StatusUnauthorized, "POST", sendLinkPath, map[string]string{"Authorization": "Bearer " + made}, "{}")
	p.refused(http.StatusBadRequest, "POST", sendLinkPath+"?access_token="+p.header["Authorization"], jsonOnly, "{}")
}

var jsonOnly = map[string]string{"Content-Type": "application/json"}

// outcomes are all the ways in which a journey ends.
func (p *prying) outcomes() {
	_, m, h := p.begin(nil) // match, and then its link and its callback again
	callback := p.tapped(h, m)
	p.back(h, callback, http.StatusSeeOther, "true")
	p.back(h, callback, http.StatusSeeOther, "true")
	p.back(p.handheld(h.sim), flow.LinkPath+m.token(), http.StatusNotFound, "")

	_, m, h = p.begin(func(in map[string]string) { in["customSms"] = "Our own words, and ####" })
	_, h.sim = p.number() // another SIM
	p.back(h, p.tapped(h, m), http.StatusSeeOther, "false")

	_, m, h = p.begin(nil) // Wi-Fi, then cellular
	h.from = onWiFi
	if r, err := h.confirm(p.addr, m.token()); err != nil || r.status != http.StatusOK {
		p.t.Errorf("the Wi-Fi page: %v, %d", err, r.status)
	}
	p.back(h, flow.LinkPath+m.token()+"/network", http.StatusOK, "")
	h.from = onCellular
	p.back(h, p.tapped(h, m), http.StatusSeeOther, "true")

	_, m, h = p.begin(nil) // Wi-Fi, kept
	h.from = onWiFi
	without := "without=1"
	r, err := h.visit(p.addr, flow.LinkPath+m.token(), &without)
	if err != nil {
		p.t.Error(err)
	}
	p.home(r, "indeterminate")
	p.hide("a cookie", h.cookie())

	sent, m, h := p.begin(nil) // denied
	if r, err := h.post(p.addr, flow.LinkPath+m.token()+"/deny"); err != nil || r.status != http.StatusOK {
		p.t.Errorf("the denial: %v, %d", err, r.status)
	}
	if o, _, err := p.status(p.addr, sent, p.header); err != nil || o.Status != "denied" {
		p.t.Errorf("denied: %v, %+v", err, o)
	}
	p.back(h, flow.LinkPath+m.token(), http.StatusGone, "")
}

func (p *prying) badInput() {
	national, e164 := p.number()
	header := maps.Clone(p.header)
	header["Content-Type"] = "application/json"
	good := `{"targetUrl":"` + faultTarget + `","mobileNumber":"` + national + `","countryCode":"US"}`
	for _, body := range []string{
		strings.Replace(good, national, e164, 1),
		strings.Replace(good, national, national+" x12", 1),
		strings.Replace(good, `"`+national+`"`, national, 1),
		strings.Replace(good, "US", e164, 1),
		strings.Replace(good, "https://", "https://"+national+":a-wrong-password@", 1),
		strings.Replace(good, "US", `US","sourceIp":"`+national, 1),
		strings.Replace(good, "US", `US","customSms":"https://`+national+`.example/ ####`, 1),
		strings.Replace(good, "US", `US","`+national+`":"`+e164, 1),
		strings.Replace(good, "countryCode", "mobileNumber", 1),
		good[:len(good)-1], good + good, "[" + good + "]", national, `"` + e164 + `"`, "mobileNumber=" + national,
	} {
		p.refused(http.StatusBadRequest, "POST", sendLinkPath, header, body)
	}
	p.refused(http.StatusRequestEntityTooLarge, "POST", sendLinkPath, header, `"`+strings.Repeat(national, 1<<13)+`"`)
	made := secret.NewToken(77).Reveal()
	p.hide("a made-up token", made)
	for _, path := range []string{
		"/" + e164, "/api/" + national, "/l/" + national, "/l/" + made, "/" + made, "/carrier/" + national,
		"/api/v3/us-kyc/poll-check-verify/request/00000000-0000-0000-0000-00" + national + "/session/00000000-0000-0000-0000-00" + national,
		"/receipts/" + national + "/" + national,
	} {
		method := "GET"
		if strings.HasPrefix(path, "/receipts") {
			method = "POST"
		}
		p.refused(http.StatusNotFound, method, path, header, "")
	}
	p.refused(http.StatusMethodNotAllowed, "PUT", sendLinkPath+"?mobileNumber="+e164, header, good)
	for _, vfp := range []string{national, made, p.header["Authorization"]} {
		p.refused(http.StatusNotFound, "POST", "/api/v3/us-kyc/link-result", header, `{"vfp":"`+vfp+`"}`)
	}
	p.hide("an Idempotency-Key", "order-of-"+national)
	header["Idempotency-Key"] = "order-of-" + national
	p.refused(http.StatusOK, "POST", sendLinkPath, header, good)
	p.arrival(p.texts, e164)
	p.refused(http.StatusConflict, "POST", sendLinkPath, header, strings.Replace(good, "private", "another", 1))
}

// foreignCallbacks come back with what is not theirs.
func (p *prying) foreignCallbacks() {
	_, m, h := p.begin(nil)
	callback := p.tapped(h, m)
	path, query, _ := strings.Cut(callback, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		p.t.Fatal(err)
	}
	with := func(name, value string) string {
		changed := maps.Clone(values)
		changed[name] = []string{value}
		return path + "?" + changed.Encode()
	}
	p.back(p.handheld(h.sim), callback, http.StatusForbidden, "")
	p.back(h, strings.Replace(callback, faultCarrier, "another", 1), http.StatusForbidden, "")
	p.back(h, path, http.StatusNotFound, "")
	p.back(h, with("state", secret.NewToken(77).Reveal()), http.StatusNotFound, "")
	p.back(h, with("state", m.token()), http.StatusForbidden, "")
	p.goesWrong(operator.AtToken, operator.Fault{IDToken: func(claims map[string]any) { claims["nonce"] = "of-another-journey" }})
	p.back(h, callback, http.StatusForbidden, "")
	// The code is spent now, but the journey is not.
	p.goesWrong(operator.AtToken, operator.Fault{})
	p.back(h, p.tapped(h, m), http.StatusSeeOther, "true")
	// What a foreign page makes up as the operator's words.
	_, m, h = p.begin(nil)
	callback = p.tapped(h, m)
	_, query, _ = strings.Cut(callback, "?")
	if values, err = url.ParseQuery(query); err != nil {
		p.t.Fatal(err)
	}
	values.Del("code")
	values.Set("error", "access_denied_to_"+h.sim)
	p.back(h, with("error_description", "no "+h.sim), http.StatusSeeOther, "indeterminate")
}

// goesWrong has the operator do that at that step from now on.
func (p *prying) goesWrong(at operator.Step, f operator.Fault) {
	p.onStep(func(_ *http.Request, step operator.Step, _ string) operator.Fault {
		if step == at {
			return f
		}
		return operator.Fault{}
	})
}

// carriersTrouble are operators whose errors say more than they should.
func (p *prying) carriersTrouble() {
	for _, at := range []operator.Step{operator.AtToken, operator.AtVerify} {
		for _, status := range []int{http.StatusBadRequest, http.StatusForbidden, http.StatusInternalServerError} {
			_, m, h := p.begin(nil)
			callback := p.tapped(h, m)
			p.goesWrong(at, operator.Fault{Status: status, Body: fmt.Sprintf(
				`{"error":"invalid_grant %[1]s","error_description":"%[1]s %[2]s","status":%[3]d,"code":"INVALID_ARGUMENT_%[1]s","message":"%[1]s %[2]s"}`,
				h.sim, callback, status)})
			p.back(h, callback, http.StatusSeeOther, "indeterminate")
			p.goesWrong(at, operator.Fault{})
		}
	}
	_, m, h := p.begin(nil)
	callback := p.tapped(h, m)
	p.goesWrong(operator.AtToken, operator.Fault{IDToken: func(claims map[string]any) { claims["aud"], claims["sub"] = h.sim, h.sim }})
	p.back(h, callback, http.StatusSeeOther, "indeterminate")
	p.goesWrong(operator.AtToken, operator.Fault{})
}

// gatewaysTrouble are gateways that say no, in words that repeat number and text,
// or hang up.
func (p *prying) gatewaysTrouble() {
	for status, delivery := range map[int]string{
		http.StatusBadRequest: "failed", http.StatusTooManyRequests: "", http.StatusGatewayTimeout: "unknown", hangUp: "unknown",
	} {
		p.onText(func(m text) int {
			p.takeText(m)
			if status == hangUp {
				panic(http.ErrAbortHandler)
			}
			return status
		})
		sent, m, _ := p.begin(nil)
		if delivery != "" {
			if seen := p.settled(p.addr, sent, p.header); seen[len(seen)-1] != delivery {
				p.t.Errorf("after %d the delivery went %v", status, seen)
			}
		}
		p.onText(p.takeText)
		if delivery == "" { // the next try
			p.arrival(p.texts, m.To)
		}
	}
}

const hangUp = -1

func (p *prying) receipts() {
	for _, status := range []string{"delivered", "undelivered"} {
		sent, m, _ := p.begin(nil)
		path := m.ReceiptURL[strings.Index(m.ReceiptURL, "/receipts/"):]
		body := fmt.Sprintf(`{"ref":%q,"status":%q,"code":%q}`, m.Ref, status, m.To)
		signed := func(key, body string) map[string]string {
			return map[string]string{generic.SignatureHeader: generic.Sign(secret.Text(key), time.Now(), []byte(body))}
		}
		p.refused(http.StatusForbidden, "POST", path, nil, body)
		p.refused(http.StatusForbidden, "POST", path, signed("another-secret", body), body)
		p.refused(http.StatusNotFound, "POST", "/receipts/sink/"+m.token(), signed(leakCallbackSecret, body), body)
		p.refused(http.StatusBadRequest, "POST", path, signed(leakCallbackSecret, m.Ref+m.To), m.Ref+m.To)
		p.refused(http.StatusForbidden, "POST", "/receipts/twin/"+m.Ref, map[string]string{
			twilio.SignatureHeader: base64.StdEncoding.EncodeToString([]byte(m.To + "-and-some")), "Content-Type": "application/x-www-form-urlencoded",
		}, "MessageStatus=delivered&To="+url.QueryEscape(m.To)+"&ErrorCode="+url.QueryEscape(m.To))
		p.refused(http.StatusNoContent, "POST", path, signed(leakCallbackSecret, body), body)
		if o, _, err := p.status(p.addr, sent, p.header); err != nil || o.Delivery != map[string]string{"delivered": "delivered", "undelivered": "failed"}[status] {
			p.t.Errorf("after the receipt: %v, %+v", err, o)
		}
	}
}
