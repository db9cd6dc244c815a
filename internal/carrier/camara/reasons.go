package camara

import (
	"errors"
	"net/http"
	"strings"

	"holdfast/internal/carrier"
	"holdfast/internal/verify"
)

// This file alone decides what a carrier's "no" means. "Yes" and "another number"
// are the network's word; everything else is indeterminate with one of these
// reasons. A code that is not here is verify.ReasonCarrierError.

// callbackReasons are for the authorization endpoint's errors: RFC 6749 section
// 4.1.2.1, OpenID Connect Core section 3.1.2.6, CAMARA Security and
// Interoperability Profile.
var callbackReasons = map[string]verify.Reason{
	// The phone is not on the carrier's network, or the network can't tell which
	// of its lines it is.
	"login_required":             verify.ReasonNotMobileNetwork,
	"account_selection_required": verify.ReasonNotMobileNetwork,
	// The carrier wants something of its subscriber first, and prompt=none forbids.
	"consent_required":     verify.ReasonCarrierConsent,
	"interaction_required": verify.ReasonCarrierConsent,
	// The carrier or its subscriber will not have it.
	"access_denied": verify.ReasonCarrierRefused,
	// Not now.
	"temporarily_unavailable": verify.ReasonCarrierUnavailable,
	// Broken, on the carrier's side or in our registration there.
	"server_error":               verify.ReasonCarrierError,
	"invalid_request":            verify.ReasonCarrierError,
	"unauthorized_client":        verify.ReasonCarrierError,
	"unsupported_response_type":  verify.ReasonCarrierError,
	"invalid_scope":              verify.ReasonCarrierError,
	"invalid_request_object":     verify.ReasonCarrierError,
	"invalid_request_uri":        verify.ReasonCarrierError,
	"request_not_supported":      verify.ReasonCarrierError,
	"request_uri_not_supported":  verify.ReasonCarrierError,
	"registration_not_supported": verify.ReasonCarrierError,
}

// tokenReasons are for the token endpoint's errors (RFC 6749 section 5.2).
// invalid_grant is not among them: the code is not this journey's, or was used.
var tokenReasons = map[string]verify.Reason{
	"invalid_request":         verify.ReasonCarrierError,
	"invalid_client":          verify.ReasonCarrierError,
	"unauthorized_client":     verify.ReasonCarrierError,
	"unsupported_grant_type":  verify.ReasonCarrierError,
	"invalid_scope":           verify.ReasonCarrierError,
	"invalid_dpop_proof":      verify.ReasonCarrierError,
	"server_error":            verify.ReasonCarrierError,
	"access_denied":           verify.ReasonCarrierRefused,
	"temporarily_unavailable": verify.ReasonCarrierUnavailable,
}

// verifyReasons are for the API's own codes: CAMARA Number Verification 2.1, and
// CAMARA Commonalities 0.6 for those that the API leaves to it.
var verifyReasons = map[string]verify.Reason{
	"NUMBER_VERIFICATION.USER_NOT_AUTHENTICATED_BY_MOBILE_NETWORK": verify.ReasonNotMobileNetwork,

	"PERMISSION_DENIED":                         verify.ReasonCarrierRefused,
	"INVALID_TOKEN_CONTEXT":                     verify.ReasonCarrierError,
	"NUMBER_VERIFICATION.INVALID_TOKEN_CONTEXT": verify.ReasonCarrierError,

	"UNAUTHENTICATED":         verify.ReasonCarrierError,
	"AUTHENTICATION_REQUIRED": verify.ReasonCarrierError,
	"INVALID_ARGUMENT":        verify.ReasonCarrierError,
	"OUT_OF_RANGE":            verify.ReasonCarrierError,
	"NOT_FOUND":               verify.ReasonCarrierError,
	"METHOD_NOT_ALLOWED":      verify.ReasonCarrierError,
	"INTERNAL":                verify.ReasonCarrierError,

	"IDENTIFIER_NOT_FOUND":   verify.ReasonCarrierUnsupported,
	"SERVICE_NOT_APPLICABLE": verify.ReasonCarrierUnsupported,
	"UNSUPPORTED_IDENTIFIER": verify.ReasonCarrierUnsupported,
	"NOT_IMPLEMENTED":        verify.ReasonCarrierUnsupported,

	"TOO_MANY_REQUESTS": verify.ReasonCarrierUnavailable,
	"QUOTA_EXCEEDED":    verify.ReasonCarrierUnavailable,
	"BAD_GATEWAY":       verify.ReasonCarrierUnavailable,
	"UNAVAILABLE":       verify.ReasonCarrierUnavailable,
	"TIMEOUT":           verify.ReasonCarrierTimeout,
}

// statusReasons are for answers of any endpoint without a code that is known.
var statusReasons = map[int]verify.Reason{
	http.StatusForbidden:          verify.ReasonCarrierRefused,
	http.StatusTooManyRequests:    verify.ReasonCarrierUnavailable,
	http.StatusNotImplemented:     verify.ReasonCarrierUnsupported,
	http.StatusBadGateway:         verify.ReasonCarrierUnavailable,
	http.StatusServiceUnavailable: verify.ReasonCarrierUnavailable,
	http.StatusGatewayTimeout:     verify.ReasonCarrierTimeout,
}

// expected are the reasons that say something of the phone or its subscriber;
// the operator's log need not hear of them.
var expected = map[verify.Reason]bool{
	verify.ReasonNotMobileNetwork: true,
	verify.ReasonCarrierConsent:   true,
}

// refused is the answer where a carrier said no with a code, a status, or both.
func refused(call string, reasons map[string]verify.Reason, code string, status int) *carrier.Answer {
	reason, known := reasons[code]
	if !known {
		reason = statusReasons[status]
	}
	if reason == "" {
		reason = verify.ReasonCarrierError
	}
	answer := &carrier.Answer{Reasons: []verify.Reason{reason}}
	if !expected[reason] {
		answer.Err = &callError{call: call, problem: refusal{plain(code), status}}
	}
	return answer
}

// unanswered is the answer where a call brought none. One that may have reached
// the carrier is a timeout or an error, and is never repeated: a code and a token
// work once.
func unanswered(err error) *carrier.Answer {
	reason := verify.ReasonCarrierError
	var failed *callError
	switch {
	case errors.As(err, &failed) && failed.unsent:
		reason = verify.ReasonCarrierUnavailable
	case timedOut(err):
		reason = verify.ReasonCarrierTimeout
	}
	return &carrier.Answer{Reasons: []verify.Reason{reason}, Err: err}
}

// broken is the answer where a carrier said something that can't be relied on.
func broken(call, problem string) *carrier.Answer {
	err := &callError{call: call, problem: errors.New(problem)}
	return &carrier.Answer{Reasons: []verify.Reason{verify.ReasonCarrierError}, Err: err}
}

// foreign is the answer to a callback that is not this journey's.
func foreign(problem string) *carrier.Answer {
	return &carrier.Answer{Foreign: true, Err: &callError{call: "callback", problem: errors.New(problem)}}
}

// refusal is a carrier's no, for the log.
type refusal struct {
	code   string
	status int
}

func (r refusal) Error() string {
	text := "refused"
	if r.code != "" {
		text += ", " + r.code
	}
	if r.status != 0 {
		text += ", HTTP " + http.StatusText(r.status)
	}
	return text
}

// plain lets a code through to a log only where it looks like one: the callback's
// comes by way of the browser, and none may carry a number.
func plain(code string) string {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '_' && r != '.'
	}
	if len(code) > 80 || strings.ContainsFunc(code, odd) {
		return "an unusual code"
	}
	return code
}
