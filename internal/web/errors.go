package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"holdfast/internal/verify"
)

// Codes of errors that only HTTP has.
const (
	CodeBodyTooLarge     verify.Code = "body_too_large"
	CodeMethodNotAllowed verify.Code = "method_not_allowed"
	CodeBadRequest       verify.Code = "bad_request"
	CodeInternal         verify.Code = "internal_error"
)

// StatusClientGone is logged, and seen by nobody, for a request whose client went
// away before its answer.
const StatusClientGone = 499

// Problem is an error as a client sees it (contract section 2, "Errors").
type Problem struct {
	Error ProblemBody `json:"error"`

	retryAfter time.Duration
}

// ProblemBody is the inside of a Problem.
type ProblemBody struct {
	Name       string         `json:"name" doc:"A CamelCase class of errors" example:"ValidationError"`
	Message    string         `json:"message" doc:"One sentence for a person" example:"The request is not valid."`
	Status     string         `json:"status" doc:"The HTTP status's text" example:"Bad Request"`
	Reason     string         `json:"reason" doc:"What to do, or every field that is wrong and why" example:"countryCode must be \"US\" or \"CA\""`
	Type       string         `json:"type" doc:"A stable code that a program can switch on" example:"validation_failed"`
	StatusCode int            `json:"statusCode" doc:"The HTTP status" example:"400"`
	Fields     []ProblemField `json:"fields,omitempty" nullable:"false" doc:"With type validation_failed: the same as reason, field by field"`
}

// ProblemField is one field of the request that is wrong.
type ProblemField struct {
	Name   string `json:"name" doc:"The field's name" example:"countryCode"`
	Reason string `json:"reason" doc:"What is wrong with it, and what to send instead" example:"must be \"US\" or \"CA\""`
}

// classes say which HTTP status and class each code has.
var classes = map[verify.Code]struct {
	status int
	name   string
}{
	verify.CodeInvalid:       {http.StatusBadRequest, "ValidationError"},
	verify.CodeTokenInURL:    {http.StatusBadRequest, "BadRequestError"},
	CodeBadRequest:           {http.StatusBadRequest, "BadRequestError"},
	verify.CodeUnauthorized:  {http.StatusUnauthorized, "UnauthorizedError"},
	verify.CodeBadCredential: {http.StatusUnauthorized, "UnauthorizedError"},
	verify.CodeForbidden:     {http.StatusForbidden, "ForbiddenError"},
	verify.CodeNotFound:      {http.StatusNotFound, "NotFoundError"},
	CodeMethodNotAllowed:     {http.StatusMethodNotAllowed, "MethodNotAllowedError"},
	verify.CodeConflict:      {http.StatusConflict, "ConflictError"},
	verify.CodeKeyReused:     {http.StatusConflict, "ConflictError"},
	CodeBodyTooLarge:         {http.StatusRequestEntityTooLarge, "BodyTooLargeError"},
	verify.CodeRateLimited:   {http.StatusTooManyRequests, "RateLimitError"},
	CodeInternal:             {http.StatusInternalServerError, "InternalError"},
	verify.CodeUnavailable:   {http.StatusServiceUnavailable, "UnavailableError"},
}

// Error answers a request with err: the only translation from errors to HTTP. A
// coded error says what it says; anything else is logged whole, and the caller
// learns no more than the request's id. What stands behind a coded error of
// verify.CodeUnavailable is logged as well, about once a second.
func Error(w http.ResponseWriter, r *http.Request, err error) {
	write(w, ProblemOf(r.Context(), err))
}

// ProblemOf is the translation itself, for a transport that writes its answers
// through a library. It logs what it hides.
func ProblemOf(ctx context.Context, err error) Problem {
	var coded *verify.Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &coded):
		if _, known := classes[coded.Code]; known {
			if err != error(coded) && coded.Code == verify.CodeUnavailable {
				unavailable(ctx, err)
			}
			return problem(coded)
		}
	case errors.As(err, &tooLarge):
		return problem(&verify.Error{
			Code: CodeBodyTooLarge, Message: "The request's body is too large.",
			Reason: "Send at most " + strconv.FormatInt(tooLarge.Limit, 10) + " bytes.",
		})
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		gone := internal(RequestID(ctx))
		gone.Error.StatusCode = StatusClientGone
		return gone
	}
	log := slog.Default()
	if x := of(ctx); x != nil {
		log = x.wrapped.Log
	}
	log.LogAttrs(ctx, slog.LevelError, "internal error", slog.String("request_id", RequestID(ctx)), slog.Any("error", err))
	return internal(RequestID(ctx))
}

// unavailable logs why a request was turned away: with the first of a second, how
// many were before it without a word. An outage must show, and not fill the disk.
func unavailable(ctx context.Context, err error) {
	x := of(ctx)
	if x == nil {
		slog.Default().LogAttrs(ctx, slog.LevelWarn, "unavailable", slog.Any("error", err))
		return
	}
	if unsaid, due := x.wrapped.outage.due(x.wrapped.Now()); due {
		x.wrapped.Log.LogAttrs(ctx, slog.LevelWarn, "unavailable", slog.String("request_id", RequestID(ctx)),
			slog.Any("error", err), slog.Int("unsaid", unsaid))
	}
}

// outage counts what is not said of a fault that hits every request.
type outage struct {
	mu     sync.Mutex
	said   time.Time
	unsaid int
}

func (o *outage) due(now time.Time) (unsaid int, due bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now.Sub(o.said) < time.Second {
		o.unsaid++
		return 0, false
	}
	unsaid, o.unsaid, o.said = o.unsaid, 0, now
	return unsaid, true
}

// Headers are what goes beside the problem in the answer, by canonical name.
func (p Problem) Headers() http.Header {
	h := http.Header{"Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}}
	switch p.Error.StatusCode {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer") // RFC 9110 section 11.6.1 wants one
	case http.StatusRequestEntityTooLarge:
		h.Set("Connection", "close") // the rest of the body is not read
	}
	if p.retryAfter > 0 {
		seconds := int64(math.Ceil(p.retryAfter.Seconds()))
		h.Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	return h
}

func problem(e *verify.Error) Problem {
	class := classes[e.Code]
	body := ProblemBody{
		Name: class.name, Message: e.Message, Status: http.StatusText(class.status),
		Reason: e.Reason, Type: string(e.Code), StatusCode: class.status,
	}
	var reasons []string
	for _, f := range e.Fields {
		body.Fields = append(body.Fields, ProblemField(f))
		reasons = append(reasons, f.Name+" "+f.Reason)
	}
	if body.Reason == "" {
		body.Reason = strings.Join(reasons, "; ")
	}
	retry := e.RetryAfter
	if class.status == http.StatusTooManyRequests || class.status == http.StatusServiceUnavailable {
		retry = max(retry, time.Second)
	}
	return Problem{Error: body, retryAfter: retry}
}

func internal(id string) Problem {
	return problem(&verify.Error{Code: CodeInternal, Message: "internal error", Reason: "request id " + id})
}

// unmatched is the error for a request that no route matches, by the status that
// the mux chose.
func unmatched(status int, allow string) Problem {
	switch status {
	case http.StatusNotFound:
		return problem(&verify.Error{Code: verify.CodeNotFound, Message: "There is no such path.", Reason: "Check the path; /docs lists them all."})
	case http.StatusMethodNotAllowed:
		return problem(&verify.Error{Code: CodeMethodNotAllowed, Message: "This path does not take that method.", Reason: "Use " + allow + "."})
	default:
		return problem(&verify.Error{Code: CodeBadRequest, Message: "The request can't be understood.", Reason: "Check the request line."})
	}
}

func write(w http.ResponseWriter, p Problem) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)  // the answer is not HTML, and says so
	if enc.Encode(p) != nil { // strings and numbers always encode
		panic(http.ErrAbortHandler)
	}
	h := w.Header()
	for name, values := range p.Headers() {
		h[name] = values
	}
	h.Set("Content-Type", "application/json")
	h.Del("Content-Length")
	if rec, ok := w.(*recorder); ok {
		rec.send(p.Error.StatusCode, body.Bytes())
		return
	}
	w.WriteHeader(p.Error.StatusCode)
	_, _ = w.Write(body.Bytes()) // who is gone needs no answer
}
