package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Error is the server's no.
type Error struct {
	StatusCode int           // HTTP
	Type       string        // a stable code, e.g. "validation_failed"; empty where a proxy answered
	Name       string        // a class, e.g. "ValidationError"
	Message    string        // one sentence
	Reason     string        // what to do, or which fields are wrong and why
	Fields     []Field       // with type "validation_failed"
	RetryAfter time.Duration // when to come again; 0 where the server did not say
	RequestID  string        // names the request in the server's log
}

// Field is a field that is wrong.
type Field struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("holdfast: " + strconv.Itoa(e.StatusCode))
	for _, part := range []string{e.Type, e.Message, e.Reason} {
		if part != "" {
			b.WriteString(" " + part)
		}
	}
	if e.RequestID != "" {
		b.WriteString(" (request " + e.RequestID + ")")
	}
	return b.String()
}

func errorOf(res *http.Response, body []byte) *Error {
	var answer struct {
		Error struct {
			Name    string  `json:"name"`
			Message string  `json:"message"`
			Reason  string  `json:"reason"`
			Type    string  `json:"type"`
			Fields  []Field `json:"fields"`
		} `json:"error"`
	}
	// What is no JSON comes from something in between; its status says enough.
	_ = json.Unmarshal(body, &answer)
	e := &Error{
		StatusCode: res.StatusCode, RequestID: res.Header.Get("X-Request-Id"),
		Type: answer.Error.Type, Name: answer.Error.Name, Message: answer.Error.Message,
		Reason: answer.Error.Reason, Fields: answer.Error.Fields,
	}
	if e.Type == "" {
		e.Message = http.StatusText(res.StatusCode)
	}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}

// passing reports whether an error may pass by itself.
func passing(ctx context.Context, err error) bool {
	var refused *Error
	switch {
	case ctx.Err() != nil:
		return false
	case errors.As(err, &refused):
		return refused.StatusCode == http.StatusTooManyRequests || refused.StatusCode >= 500
	default:
		var unreachable *networkError
		return errors.As(err, &unreachable)
	}
}

func retryAfter(err error) time.Duration {
	var refused *Error
	if errors.As(err, &refused) {
		return refused.RetryAfter
	}
	return 0
}

// networkError is a request without an answer.
type networkError struct{ err error }

func (e *networkError) Error() string { return "holdfast: " + e.err.Error() }
func (e *networkError) Unwrap() error { return e.err }
