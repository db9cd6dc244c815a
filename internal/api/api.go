// Package api is what clients' servers call: JSON over HTTP, by contract section
// 2. Each endpoint is one file that decodes, makes one call and encodes;
// routes.go shows every route with what it passes through first.
//
// huma routes, encodes and writes the OpenAPI document. It does not validate:
// bodies are read by decode.go and judged by the flow, so that one answer lists
// everything that is wrong, and the rules are written once. A test holds the
// document and the reader to each other.
package api

//go:generate go test -run TestDocument -update .

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"

	"holdfast/internal/access"
	"holdfast/internal/flow"
	"holdfast/internal/tenant"
	"holdfast/internal/verify"
	"holdfast/internal/web"
)

// Flow is what the API asks of the journey. Its errors are *verify.Error where a
// caller can do something about them.
type Flow interface {
	Request(ctx context.Context, client tenant.Client, in flow.SendLink) (verify.Handle, error)
	Redeem(ctx context.Context, client tenant.Client, vfp string) (verify.Result, error)
	Status(ctx context.Context, client tenant.Client, request, session uuid.UUID) (verify.Result, error)
}

// Access is who may call. Its errors are like Flow's.
type Access interface {
	Login(ctx context.Context, username, password string, from netip.Addr) (access.Grant, error)
	Authenticate(ctx context.Context, token string) (tenant.Client, error)
	Logout(ctx context.Context, token string) error
}

// Config is what the API needs.
type Config struct {
	Flow   Flow
	Access Access
	// SendLinkPaths are further paths at which Send Link answers, for clients of a
	// product that had it elsewhere; see WrongPaths for those that can't be. Empty
	// means none.
	SendLinkPaths []string
	// PublicURL stands in the examples at /docs; empty means
	// https://holdfast.example.
	PublicURL string
}

// api holds the endpoints.
type api struct{ Config }

// Register puts the API, its OpenAPI document and its readable page on mux. The
// mux must be behind web.Wrap, which knows the client's address.
func Register(mux *http.ServeMux, c Config) error {
	if c.Flow == nil || c.Access == nil {
		return errors.New("api: a flow and an access are required")
	}
	if bad := WrongPaths(c.SendLinkPaths); len(bad) > 0 {
		return fmt.Errorf("api: %w", verify.Invalid(bad...))
	}
	document, err := build(mux, c)
	if err != nil {
		return err
	}
	return registerDocs(mux, document, c.PublicURL)
}

// build registers the routes and returns the document that huma made of them.
func build(mux *http.ServeMux, c Config) (*huma.OpenAPI, error) {
	h := humago.New(mux, huma.Config{
		OpenAPI:       description(),
		Formats:       map[string]huma.Format{jsonType: strictJSON},
		DefaultFormat: jsonType,
	})
	a := &api{Config: c}
	a.routes(h)
	document := h.OpenAPI()
	finish(document)
	return document, nil
}

const jsonType = "application/json"

// strictJSON is how bodies are read and written.
var strictJSON = huma.Format{
	Marshal: func(w io.Writer, v any) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	},
	Unmarshal: func(data []byte, v any) error {
		b, ok := v.(body)
		if !ok {
			return errors.New("api: this body has no reader")
		}
		decode(data, b)
		return nil
	},
}

// problem is the one shape of an error, as huma wants it.
type problem struct{ web.Problem }

func (p *problem) Error() string { return p.Problem.Error.Message }

// GetStatus is the HTTP status.
func (p *problem) GetStatus() int { return p.Problem.Error.StatusCode }

// GetHeaders are the headers that go with the error, less the one that plain has
// set for every answer: huma adds these to what is there.
func (p *problem) GetHeaders() http.Header {
	h := p.Headers()
	h.Del("Cache-Control")
	return h
}

// failed is how an endpoint returns an error.
func failed(ctx context.Context, err error) error {
	return &problem{web.ProblemOf(ctx, err)}
}

// huma keeps its two ways of making errors in variables of its own. Both are
// ours before the first API is built.
func init() {
	huma.NewError = func(int, string, ...error) huma.StatusError { return &problem{} }
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
		p := &problem{web.ProblemOf(ctx.Context(), fromHuma(status, msg, errs))}
		for name, values := range p.Headers() {
			ctx.SetHeader(name, values[0])
		}
		return p
	}
}

// fromHuma translates what huma finds wrong by itself, which is only that a
// body did not arrive.
func fromHuma(status int, msg string, errs []error) error {
	switch {
	case status == http.StatusRequestEntityTooLarge:
		return &http.MaxBytesError{Limit: maxBody}
	case status == http.StatusBadRequest:
		return verify.Invalid(verify.Field{Name: "body", Reason: "is required: a JSON object"})
	case status == http.StatusRequestTimeout, strings.HasPrefix(msg, "cannot read"):
		return verify.Invalid(verify.Field{Name: "body", Reason: "did not arrive whole"})
	default:
		return errors.Join(append(errs, errors.New("api: "+msg))...)
	}
}
