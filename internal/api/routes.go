package api

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// maxBody is the largest body in bytes.
const maxBody = 64 << 10

// routes registers every route. Middleware runs from left to right, and all of
// it before a body is looked at:
//
//	plain  refuses tokens in the URL and unknown query parameters; no-store
//	token  finds the client by its access token
//	json   refuses bodies that don't claim to be JSON in UTF-8
func (a *api) routes(h huma.API) {
	route(h, "POST", loginPath, loginDoc, a.login, plain, jsonBody)
	route(h, "POST", logoutPath, logoutDoc, a.logout, plain, a.token)
	route(h, "POST", sendLinkPath, sendLinkDoc, a.sendLink, plain, a.token, jsonBody)
	for _, path := range a.SendLinkPaths {
		if path == sendLinkPath {
			continue
		}
		route(h, "POST", path, hidden(sendLinkDoc), a.sendLink, plain, a.token, jsonBody)
	}
	route(h, "GET", statusPath, statusDoc, a.status, plain, a.token)
	route(h, "POST", resultPath, resultDoc, a.result, plain, a.token, jsonBody)
}

// doc is what an endpoint says of itself.
type doc struct {
	id, summary, text string
	open              bool // needs no token
	hidden            bool
	errors            []int // beside 400 and 500, which all have, and 401 where a token is needed
}

func hidden(d doc) doc {
	d.hidden = true
	return d
}

type middleware = func(huma.Context, func(huma.Context))

func route[I, O any](h huma.API, method, path string, d doc, handler endpoint[I, O], through ...middleware) {
	op := huma.Operation{
		OperationID: d.id, Method: method, Path: path, Summary: d.summary, Description: d.text,
		Hidden: d.hidden, Middlewares: through, MaxBodyBytes: maxBody + 1, // huma refuses at the limit
		SkipValidateParams: true, SkipValidateBody: true,
		Errors: []int{http.StatusBadRequest},
	}
	if method == http.MethodPost {
		op.Errors = append(op.Errors, http.StatusRequestEntityTooLarge)
	}
	if !d.open {
		op.Errors = append(op.Errors, http.StatusUnauthorized)
		op.Security = []map[string][]string{{securityRaw: {}}, {securityBearer: {}}}
	}
	op.Errors = append(op.Errors, d.errors...)
	huma.Register(h, op, handler)
}
