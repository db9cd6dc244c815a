package operator

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"
)

// The forms of the API's document (components/schemas).
var (
	correlatorForm = regexp.MustCompile(`^[a-zA-Z0-9-_:;./<>{}]{0,256}$`)
	numberForm     = regexp.MustCompile(`^\+[1-9][0-9]{4,14}$`)
	hashForm       = regexp.MustCompile(`^[a-fA-F0-9]{64}$`)
)

// apiError is ErrorInfo of the API's document.
type apiError struct {
	Status  int    `json:"status"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// The errors of the API's document, with its own examples' words.
var (
	invalidArgument = apiError{400, "INVALID_ARGUMENT", "Client specified an invalid argument, request body or query param"}
	unauthenticated = apiError{401, "UNAUTHENTICATED", "Request not authenticated due to missing, invalid, or expired credentials. A new authentication is required."}
	noPermission    = apiError{403, "PERMISSION_DENIED", "Client does not have sufficient permissions to perform this action."}
	otherNetwork    = apiError{403, "NUMBER_VERIFICATION.USER_NOT_AUTHENTICATED_BY_MOBILE_NETWORK", "Client must authenticate via the mobile network to use this service"}
	otherMedia      = apiError{415, "UNSUPPORTED_MEDIA_TYPE", "The server refuses to accept the request because the payload format is in an unsupported format"}
)

func (e apiError) answer(w http.ResponseWriter) {
	if e.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer") // RFC 6750 section 3
	}
	writeJSON(w, e.Status, e)
}

// correlated echoes x-correlator, and refuses one of another form.
func (o *Operator) correlated(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		correlator := r.Header.Get("X-Correlator")
		if !correlatorForm.MatchString(correlator) {
			invalidArgument.answer(w)
			return
		}
		if correlator != "" {
			w.Header().Set("X-Correlator", correlator)
		}
		next(w, r)
	}
}

// verify is the operation phoneNumberVerify.
func (o *Operator) verify(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		invalidArgument.answer(w)
		return
	}
	line, ok := o.authorized(w, r, func(a access) bool { return a.verify })
	if !ok || o.faulty(w, r, AtVerify, line.number) {
		return
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if len(body) > 0 && kind != "application/json" {
		otherMedia.answer(w)
		return
	}
	same, err := matches(body, line.number)
	if err != nil {
		invalidArgument.answer(w)
		return
	}
	writeJSON(w, http.StatusOK, map[string]bool{"devicePhoneNumberVerified": same})
}

// share is the operation phoneNumberShare.
func (o *Operator) share(w http.ResponseWriter, r *http.Request) {
	line, ok := o.authorized(w, r, func(a access) bool { return a.share })
	if !ok || o.faulty(w, r, AtShare, line.number) {
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"devicePhoneNumber": line.number})
}

// authorized spends the access token and tells which line it is for; where it is
// no good it answers.
func (o *Operator) authorized(w http.ResponseWriter, r *http.Request, scope func(access) bool) (access, bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		unauthenticated.answer(w)
		return access{}, false
	}
	line, good := o.state.take(keyOf(token), o.Now())
	switch {
	case !good:
		unauthenticated.answer(w)
	case !scope(line):
		noPermission.answer(w)
	case !line.network:
		otherNetwork.answer(w)
	default:
		return line, true
	}
	return access{}, false
}

func (o *Operator) faulty(w http.ResponseWriter, r *http.Request, step Step, number string) bool {
	fault := o.Faults(r, step, number)
	if fault.Code != "" {
		status := fault.Status
		if status == 0 {
			status = http.StatusForbidden
		}
		apiError{status, fault.Code, "as asked for"}.answer(w)
		return true
	}
	return fault.instead(w)
}

var errBody = errors.New("operator: not a NumberVerificationRequestBody")

// matches reads NumberVerificationRequestBody, exactly one property of two, and
// compares it with the line's number.
func matches(body []byte, number string) (bool, error) {
	var properties map[string]json.RawMessage
	if err := json.Unmarshal(body, &properties); err != nil || len(properties) != 1 {
		return false, errBody
	}
	var value *string
	for name, raw := range properties {
		if err := json.Unmarshal(raw, &value); err != nil || value == nil {
			return false, errBody
		}
		switch {
		case name == "phoneNumber" && numberForm.MatchString(*value):
			return *value == number, nil
		case name == "hashedPhoneNumber" && hashForm.MatchString(*value):
			digest := sha256.Sum256([]byte(number))
			return strings.EqualFold(*value, hex.EncodeToString(digest[:])), nil
		}
	}
	return false, errBody
}
