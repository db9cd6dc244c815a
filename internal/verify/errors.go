package verify

import (
	"errors"
	"strings"
	"time"
)

// Code is a stable snake_case word that a program can switch on: the "type" of
// an API error. internal/web alone turns it into an HTTP status.
type Code string

// The codes of errors that a caller can do something about. Whatever has none
// is an internal error, of which a caller learns nothing.
const (
	CodeInvalid       Code = "validation_failed"
	CodeUnauthorized  Code = "unauthorized"
	CodeForbidden     Code = "forbidden"
	CodeNotFound      Code = "not_found"
	CodeConflict      Code = "conflict"
	CodeKeyReused     Code = "idempotency_key_reused"
	CodeRateLimited   Code = "rate_limited"
	CodeTokenInURL    Code = "token_in_url"
	CodeUnavailable   Code = "unavailable"
	CodeBadCredential Code = "bad_credentials"
)

// Field is one field of the input that is wrong, and the cure.
type Field struct {
	Name   string // as the caller knows it, e.g. "mobileNumber"
	Reason string // what is wrong and what to send instead; never the value
}

// Error is the one coded error of the domain. Its text is fit for the caller: it
// names no number, token or secret.
type Error struct {
	Code       Code
	Message    string        // one sentence for a person
	Reason     string        // what to do; empty where Fields say it
	Fields     []Field       // every bad field at once, with CodeInvalid
	RetryAfter time.Duration // with CodeRateLimited and CodeUnavailable: when to come again
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(string(e.Code) + ": " + e.Message)
	for _, f := range e.Fields {
		b.WriteString("; " + f.Name + " " + f.Reason)
	}
	return b.String()
}

// Is makes errors.Is compare by code.
func (e *Error) Is(target error) bool {
	var other *Error
	return errors.As(target, &other) && other.Code == e.Code
}

// Invalid is the error for bad input.
func Invalid(fields ...Field) *Error {
	return &Error{Code: CodeInvalid, Message: "The request is not valid.", Fields: fields}
}

// ErrNotFound: there is no such row, or none that the caller may see; the two
// are never told apart.
var ErrNotFound = &Error{Code: CodeNotFound, Message: "There is no such thing here.", Reason: "Check the ids; results are kept for a limited time."}

// ErrConflict: the event can't happen in the state that was found. A store
// returns it when a guarded write changed no row; the flow then reads again and
// decides.
var ErrConflict = &Error{Code: CodeConflict, Message: "The verification has moved on."}

// ErrKeyReused: an Idempotency-Key came again with another body.
var ErrKeyReused = &Error{
	Code: CodeKeyReused, Message: "This Idempotency-Key was used with another request.",
	Reason: "Use a new key for a new request; repeat a request with the same body.",
}
