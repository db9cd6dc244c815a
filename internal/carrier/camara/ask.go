package camara

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"

	"holdfast/internal/carrier"
	"holdfast/internal/verify"
)

// correlatorForm is XCorrelator of the API's document.
var correlatorForm = regexp.MustCompile(`^[a-zA-Z0-9-_:;./<>{}]{0,256}$`)

// ask is the one call of /verify (operation phoneNumberVerify). The token is
// spent by it whatever comes back.
func (c *Carrier) ask(ctx context.Context, j carrier.Journey, token string) carrier.Answer {
	ctx, cancel := context.WithTimeout(ctx, c.Timeouts.Verify)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.verifyURL, strings.NewReader(c.question(j)))
	if err != nil {
		return *broken("verify", "the API root is no URL")
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if j.Correlator != "" && correlatorForm.MatchString(j.Correlator) {
		req.Header.Set("X-Correlator", j.Correlator)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return *unanswered(lost("verify", err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return *unanswered(lost("verify", err))
	}
	return said(resp, body)
}

// question is the body: exactly one of the number and its digest. Neither needs
// escaping in JSON.
func (c *Carrier) question(j carrier.Journey) string {
	number := j.Phone.E164()
	if !c.HashedNumber {
		return `{"phoneNumber":"` + number + `"}`
	}
	digest := sha256.Sum256([]byte(number))
	return `{"hashedPhoneNumber":"` + hex.EncodeToString(digest[:]) + `"}`
}

// said reads the answer. Only a 200 with JSON and a boolean is the network's word.
func said(resp *http.Response, body []byte) carrier.Answer {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	var answer struct {
		Verified *bool  `json:"devicePhoneNumberVerified"`
		Code     string `json:"code"`
	}
	readable := kind == "application/json" && json.Unmarshal(body, &answer) == nil
	switch {
	case resp.StatusCode != http.StatusOK:
		return *refused("verify", verifyReasons, answer.Code, resp.StatusCode)
	case !readable || answer.Verified == nil:
		return *broken("verify", "the answer is neither true nor false")
	case *answer.Verified:
		return carrier.Answer{Match: verify.MatchTrue}
	default:
		return carrier.Answer{Match: verify.MatchFalse}
	}
}
