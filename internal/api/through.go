package api

import (
	"context"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"holdfast/internal/tenant"
	"holdfast/internal/verify"
	"holdfast/internal/web"
)

// endpoint is what huma calls with a decoded request.
type endpoint[I, O any] = func(context.Context, *I) (*O, error)

var errTokenInURL = &verify.Error{
	Code: verify.CodeTokenInURL, Message: "An access token in the URL is not accepted.",
	Reason: "Send it in the Authorization header; URLs end up in logs, so log this token out.",
}

var errNoToken = &verify.Error{
	Code: verify.CodeUnauthorized, Message: "The access token is missing.",
	Reason: "Log in and send the answer's id in the Authorization header.",
}

var noStore = []string{"no-store"}

// plain keeps answers out of caches and refuses query parameters, of which no
// call has any; a token among them gets a clear answer of its own.
func plain(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	w.Header()["Cache-Control"] = noStore[:1:1]
	if r.URL.RawQuery != "" {
		web.Error(w, r, wrongQuery(r.URL.RawQuery))
		return
	}
	next(ctx)
}

func wrongQuery(raw string) error {
	query, _ := url.ParseQuery(raw) // what can be read of it
	for name := range query {
		if strings.EqualFold(name, "access_token") {
			return errTokenInURL
		}
	}
	return verify.Invalid(verify.Field{Name: "query", Reason: "must be empty: no call takes query parameters"})
}

// caller is who a request's token belongs to.
type caller struct {
	client tenant.Client
	token  string
}

type callerKey struct{}

// callerOf returns what the token middleware found.
func callerOf(ctx context.Context) *caller {
	return ctx.Value(callerKey{}).(*caller)
}

// token finds the client by the access token in the Authorization header, raw or
// after "Bearer".
func (a *api) token(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	lines := r.Header["Authorization"]
	if len(lines) != 1 || lines[0] == "" {
		web.Error(w, r, errNoToken)
		return
	}
	text := lines[0]
	if len(text) > 7 && strings.EqualFold(text[:7], "Bearer ") {
		text = strings.TrimLeft(text[7:], " ")
	}
	client, err := a.Access.Authenticate(r.Context(), text)
	if err != nil {
		web.Error(w, r, err)
		return
	}
	web.SetClient(r.Context(), client.ID)
	next(huma.WithValue(ctx, callerKey{}, &caller{client: client, token: text}))
}

// jsonBody refuses bodies that don't claim to be JSON in UTF-8, uncompressed. A
// body without Content-Type is taken for JSON.
func jsonBody(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	var bad []verify.Field
	if !claimsJSON(r.Header["Content-Type"]) {
		bad = append(bad, verify.Field{Name: "Content-Type", Reason: "must be application/json, in UTF-8"})
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		bad = append(bad, verify.Field{Name: "Content-Encoding", Reason: "must be left out: bodies are taken uncompressed"})
	}
	if len(bad) > 0 {
		web.Error(w, r, verify.Invalid(bad...))
		return
	}
	// huma looks its reader up by these very bytes.
	r.Header["Content-Type"] = jsonTypes[:1:1]
	next(ctx)
}

var jsonTypes = []string{jsonType}

func claimsJSON(lines []string) bool {
	switch {
	case len(lines) == 0 || len(lines) == 1 && lines[0] == jsonType:
		return true
	case len(lines) > 1:
		return false
	}
	kind, parameters, err := mime.ParseMediaType(lines[0])
	if err != nil || kind != jsonType {
		return false
	}
	charset, given := parameters["charset"]
	return !given || strings.EqualFold(charset, "utf-8")
}

// header returns a header that may be there once; several are refused by name.
func header(r *http.Request, name string, in *reading) string {
	lines := r.Header[name]
	switch {
	case len(lines) == 0:
		return ""
	case len(lines) > 1:
		in.refuse(name, "is there more than once")
		return ""
	case strings.TrimSpace(lines[0]) == "":
		in.refuse(name, "is empty; leave it out, or give it a value")
		return ""
	}
	return lines[0]
}
