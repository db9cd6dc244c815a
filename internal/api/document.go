package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// The two ways of sending a token.
const (
	securityRaw    = "token"
	securityBearer = "bearer"
)

// version of the API, not of the program: it changes when the contract does.
const version = "3.0.0"

// description is the document before huma adds the routes.
func description() *huma.OpenAPI {
	const prefix = "#/components/schemas/"
	return &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "Holdfast", Version: version,
			Description: "Sends a one-time link to a phone and asks the mobile network whether the phone that tapped it is the number's. " +
				"Log in, send a link, and read the result by its fingerprint or by polling. " +
				"Every error has the same shape; every answer has an X-Request-Id. Bodies are JSON in UTF-8 of at most 64 KiB, " +
				"without fields that are not named here.",
		},
		Components: &huma.Components{
			Schemas: huma.NewMapRegistry(prefix, huma.DefaultSchemaNamer),
			SecuritySchemes: map[string]*huma.SecurityScheme{
				securityRaw:    {Type: "apiKey", In: "header", Name: "Authorization", Description: "The id that login answered, as it is."},
				securityBearer: {Type: "http", Scheme: "bearer", Description: "The same, after \"Bearer \"."},
			},
		},
	}
}

// finish corrects what huma takes for granted, and adds what all answers have.
func finish(document *huma.OpenAPI) {
	for name, schema := range document.Components.Schemas.Map() {
		if !strings.HasSuffix(name, "Request") {
			schema.AdditionalProperties = nil // an answer may grow
		}
	}
	for _, path := range document.Paths {
		for _, op := range []*huma.Operation{path.Get, path.Post} {
			if op == nil {
				continue
			}
			delete(op.Responses, "422") // bad input is 400 here
			for status, response := range op.Responses {
				if response.Headers == nil {
					response.Headers = map[string]*huma.Header{}
				}
				response.Headers["X-Request-Id"] = textHeader("Names this request in the server's log")
				if status == "429" || status == "503" {
					response.Headers["Retry-After"] = textHeader("Seconds to wait")
				}
			}
		}
	}
}

func textHeader(description string) *huma.Header {
	return &huma.Header{Description: description, Schema: &huma.Schema{Type: huma.TypeString}}
}

// Document returns the OpenAPI 3.1 document of the API, indented.
func Document() ([]byte, error) {
	document, err := build(http.NewServeMux(), Config{})
	if err != nil {
		return nil, err
	}
	return indented(document)
}

func indented(document *huma.OpenAPI) ([]byte, error) {
	compact, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, compact, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}
