package operator

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// The scopes that the API knows (its document, security of the two operations).
const (
	scopeVerify = "number-verification:verify"
	scopeShare  = "number-verification:device-phone-number:read"
)

var (
	purposeForm   = regexp.MustCompile(`^dpv:[A-Za-z0-9]+$`)
	challengeForm = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`) // RFC 7636 section 4.2, S256
)

// authorize is the authorization endpoint (OpenID Connect Core section 3.1.2).
func (o *Operator) authorize(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the request can't be read", http.StatusBadRequest)
		return
	}
	// Whoever is not known, or wants the answer elsewhere, is never redirected: that
	// would make an open redirector of us.
	client, known := o.Clients[r.Form.Get("client_id")]
	redirect := r.Form.Get("redirect_uri")
	if !known || !slices.Contains(client.RedirectURIs, redirect) || len(r.Form["client_id"]) > 1 || len(r.Form["redirect_uri"]) > 1 {
		http.Error(w, "the client or its redirect_uri is not registered here", http.StatusBadRequest)
		return
	}
	if code, why := badRequest(r.Form); code != "" {
		o.sendBack(w, r, o.Issuer, url.Values{"error": {code}, "error_description": {why}})
		return
	}
	number, onNetwork := o.Lines.Line(r)
	fault := o.Faults(r, AtAuthorize, number)
	if fault.instead(w) {
		return
	}
	issuer := o.Issuer
	if fault.Issuer != "" {
		issuer = fault.Issuer
	}
	recognised := number != "" && (onNetwork || fault.OtherLogin)
	switch {
	case fault.Code != "":
		o.sendBack(w, r, issuer, url.Values{"error": {fault.Code}})
	case !recognised:
		o.sendBack(w, r, issuer, url.Values{
			"error": {"login_required"}, "error_description": {"the device is not on the mobile network"},
		})
	default:
		code := o.giveCode(r.Form, number, onNetwork && !fault.OtherLogin)
		o.sendBack(w, r, issuer, url.Values{"code": {code}})
	}
}

// badRequest checks all but the client and its redirect_uri; "" means that
// nothing is wrong.
func badRequest(form url.Values) (code, why string) {
	for name, values := range form {
		if len(values) > 1 {
			return "invalid_request", name + " comes twice"
		}
	}
	switch {
	case form.Has("request"):
		return "request_not_supported", "send plain parameters"
	case form.Has("request_uri"):
		return "request_uri_not_supported", "send plain parameters"
	case form.Get("response_type") == "":
		return "invalid_request", "response_type is missing"
	case form.Get("response_type") != "code":
		return "unsupported_response_type", "response_type must be code"
	case form.Get("state") == "":
		return "invalid_request", "state is missing"
	case form.Get("nonce") == "":
		return "invalid_request", "nonce is missing"
	case form.Get("prompt") != "none":
		return "invalid_request", "prompt must be none"
	case form.Get("code_challenge_method") != "S256" || !challengeForm.MatchString(form.Get("code_challenge")):
		return "invalid_request", "PKCE with S256 is required"
	}
	return badScope(strings.Fields(form.Get("scope")))
}

// badScope wants openid, one purpose, and something to do.
func badScope(scopes []string) (code, why string) {
	purposes, uses := 0, 0
	for _, scope := range scopes {
		switch {
		case scope == "openid":
		case scope == scopeVerify, scope == scopeShare:
			uses++
		case purposeForm.MatchString(scope):
			purposes++
		default:
			return "invalid_scope", "an unknown scope"
		}
	}
	switch {
	case !slices.Contains(scopes, "openid"):
		return "invalid_scope", "openid is missing"
	case purposes != 1:
		return "invalid_scope", "exactly one dpv: purpose is required"
	case uses == 0:
		return "invalid_scope", "no scope of Number Verification"
	}
	return "", ""
}

func (o *Operator) giveCode(form url.Values, number string, network bool) string {
	now, code := o.Now(), rand.Text()
	scopes := strings.Fields(form.Get("scope"))
	o.state.putCode(keyOf(code), &grant{
		client: form.Get("client_id"), redirect: form.Get("redirect_uri"),
		challenge: form.Get("code_challenge"), nonce: form.Get("nonce"), scope: form.Get("scope"),
		access: access{
			number: number, network: network,
			verify: slices.Contains(scopes, scopeVerify), share: slices.Contains(scopes, scopeShare),
			expires: now.Add(codeTime),
		},
	}, now)
	return code
}

// sendBack redirects to the registered URI with the answer, the state and who
// answers (RFC 9207).
func (o *Operator) sendBack(w http.ResponseWriter, r *http.Request, issuer string, answer url.Values) {
	if state := r.Form.Get("state"); state != "" {
		answer.Set("state", state)
	}
	if issuer != "none" {
		answer.Set("iss", issuer)
	}
	to, separator := r.Form.Get("redirect_uri"), "?"
	if strings.Contains(to, "?") {
		separator = "&"
	}
	w.Header().Set("Location", to+separator+answer.Encode())
	w.WriteHeader(http.StatusFound)
}
