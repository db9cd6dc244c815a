package operator

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"
)

// oauthError is an error of the token endpoint (RFC 6749 section 5.2).
type oauthError struct {
	Code string `json:"error"`
	Why  string `json:"error_description,omitempty"`
}

func refuse(w http.ResponseWriter, code, why string) {
	status := http.StatusBadRequest
	if code == "invalid_client" {
		status = http.StatusUnauthorized
	}
	writeJSON(w, status, oauthError{code, why})
}

// token is the token endpoint for the authorization code grant.
func (o *Operator) token(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		refuse(w, "invalid_request", "the request can't be read")
		return
	}
	for name, values := range r.PostForm {
		if len(values) > 1 {
			refuse(w, "invalid_request", name+" comes twice")
			return
		}
	}
	clientID, problem := o.authenticate(r)
	if problem != "" {
		refuse(w, "invalid_client", problem)
		return
	}
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		o.redeem(w, r, clientID)
	case "":
		refuse(w, "invalid_request", "grant_type is missing")
	default:
		refuse(w, "unsupported_grant_type", "only authorization_code")
	}
}

func (o *Operator) redeem(w http.ResponseWriter, r *http.Request, clientID string) {
	form := r.PostForm
	for _, name := range []string{"code", "redirect_uri", "code_verifier"} {
		if form.Get(name) == "" {
			refuse(w, "invalid_request", name+" is missing")
			return
		}
	}
	token := rand.Text() + rand.Text()
	g, ok := o.state.redeem(keyOf(form.Get("code")), keyOf(token), fitting(form, clientID), o.Now())
	if !ok {
		refuse(w, "invalid_grant", "the code is not known, too old, used, or of another request")
		return
	}
	fault := o.Faults(r, AtToken, g.number)
	if fault.instead(w) {
		return
	}
	if fault.Code != "" {
		status := fault.Status
		if status == 0 {
			status = http.StatusBadRequest
		}
		writeJSON(w, status, oauthError{Code: fault.Code})
		return
	}
	idToken, err := o.idToken(g, token, fault)
	if err != nil {
		writeJSON(w, http.StatusInternalServerError, oauthError{Code: "server_error"})
		return
	}
	writeJSON(w, http.StatusOK, struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
		Scope       string `json:"scope"`
		IDToken     string `json:"id_token,omitempty"`
	}{token, "Bearer", int(tokenTime.Seconds()), g.scope, idToken})
}

// fitting tells whether a code belongs to this client, redirect URI and verifier.
func fitting(form url.Values, clientID string) func(*grant) bool {
	challenge := oauth2.S256ChallengeFromVerifier(form.Get("code_verifier"))
	return func(g *grant) bool {
		return g.client == clientID && g.redirect == form.Get("redirect_uri") && g.challenge == challenge
	}
}

// idToken says which request the token answers (OpenID Connect Core section 2).
// Its subject is the same line's each time, and says nothing of the number.
func (o *Operator) idToken(g grant, token string, fault Fault) (string, error) {
	if fault.NoIDToken {
		return "", nil
	}
	now := o.Now()
	subject := keyOf(string(o.subjects), g.client, g.number)
	access := sha256.Sum256([]byte(token))
	claims := map[string]any{
		"iss": o.Issuer, "aud": g.client, "nonce": g.nonce,
		"sub": base64.RawURLEncoding.EncodeToString(subject[:]),
		"iat": now.Unix(), "exp": now.Add(tokenTime).Unix(),
		"at_hash": base64.RawURLEncoding.EncodeToString(access[:16]),
	}
	if fault.IDToken != nil {
		fault.IDToken(claims)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signer := o.signer
	if fault.Forged {
		signer = o.forger
	}
	signed, err := signer.Sign(text)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
