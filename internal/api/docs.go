package api

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// The readable page is rendered once, from the same document that is served as
// JSON: no script, no asset of anybody else's.

var (
	//go:embed docs.html
	docsHTML string
	//go:embed docs.css
	docsCSS string
)

var docsTemplate = template.Must(template.New("docs").Parse(docsHTML))

func registerDocs(mux *http.ServeMux, document *huma.OpenAPI, publicURL string) error {
	asJSON, err := indented(document)
	if err != nil {
		return err
	}
	page, err := render(document, cmp.Or(strings.TrimRight(publicURL, "/"), "https://holdfast.example"))
	if err != nil {
		return err
	}
	style := sha256.Sum256([]byte(docsCSS))
	policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(style[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	mux.HandleFunc("GET /openapi.json", fixed("application/openapi+json", asJSON, policy))
	mux.HandleFunc("GET /docs", fixed("text/html; charset=utf-8", page, policy))
	return nil
}

func fixed(contentType string, content []byte, policy string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Content-Security-Policy", policy)
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		_, _ = w.Write(content) // who is gone needs no answer
	}
}

// page is what the template shows.
type page struct {
	Title, Version, Text, PublicURL string
	Style                           template.CSS
	Calls                           []call
	Problem                         []property
}

// call is one operation.
type call struct {
	ID, Method, Path, Summary, Text string
	Open                            bool
	Parameters, Body                []property
	Answers, Errors                 []reply
	Curl                            string
}

type reply struct {
	Status, Text string
	Fields       []property
}

type property struct {
	Name, In, Type, Text, Example string
	Required                      bool
}

func render(document *huma.OpenAPI, publicURL string) ([]byte, error) {
	p := page{
		Title: document.Info.Title, Version: document.Info.Version, Text: document.Info.Description,
		PublicURL: publicURL, Style: template.CSS(docsCSS), // our own file
		Problem: propertiesOf(document, &huma.Schema{Ref: "#/components/schemas/ProblemBody"}),
	}
	for path, item := range document.Paths {
		for method, op := range map[string]*huma.Operation{http.MethodGet: item.Get, http.MethodPost: item.Post} {
			if op != nil {
				p.Calls = append(p.Calls, callOf(document, method, path, op))
			}
		}
	}
	order := []string{loginDoc.id, sendLinkDoc.id, statusDoc.id, resultDoc.id, logoutDoc.id} // as in a journey
	slices.SortFunc(p.Calls, func(a, b call) int {
		return cmp.Compare(slices.Index(order, a.ID), slices.Index(order, b.ID))
	})
	var out bytes.Buffer
	if err := docsTemplate.Execute(&out, p); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func callOf(document *huma.OpenAPI, method, path string, op *huma.Operation) call {
	c := call{ID: op.OperationID, Method: method, Path: path, Summary: op.Summary, Text: op.Description, Open: len(op.Security) == 0}
	for _, parameter := range op.Parameters {
		described := propertyOf(document, parameter.Name, parameter.Schema)
		described.In, described.Required = parameter.In, parameter.Required
		described.Text = cmp.Or(described.Text, parameter.Description)
		c.Parameters = append(c.Parameters, described)
	}
	if op.RequestBody != nil {
		c.Body = propertiesOf(document, op.RequestBody.Content[jsonType].Schema)
	}
	for status, response := range op.Responses {
		r := reply{Status: status, Text: response.Description}
		if status >= "400" {
			c.Errors = append(c.Errors, r)
			continue
		}
		if content := response.Content[jsonType]; content != nil {
			r.Fields = propertiesOf(document, content.Schema)
		}
		c.Answers = append(c.Answers, r)
	}
	slices.SortFunc(c.Errors, func(a, b reply) int { return strings.Compare(a.Status, b.Status) })
	c.Curl = curlOf(c)
	return c
}

// propertiesOf lists an object's properties: the required first, each group in
// the order of the alphabet but for the order in which they are required.
func propertiesOf(document *huma.OpenAPI, s *huma.Schema) []property {
	s = resolved(document, s)
	names := slices.Clone(s.Required)
	var optional []string
	for name := range s.Properties {
		if !slices.Contains(names, name) {
			optional = append(optional, name)
		}
	}
	slices.Sort(optional)
	var all []property
	for _, name := range append(names, optional...) {
		p := propertyOf(document, name, s.Properties[name])
		p.Required = slices.Contains(s.Required, name)
		all = append(all, p)
	}
	return all
}

func propertyOf(document *huma.OpenAPI, name string, s *huma.Schema) property {
	s = resolved(document, s)
	p := property{Name: name, Type: s.Type, Text: s.Description}
	if s.Items != nil {
		p.Type += " of " + cmp.Or(resolved(document, s.Items).Type, "object") + "s"
	}
	if s.Format != "" && s.Type == huma.TypeString && s.Format != "password" {
		p.Type = s.Format
	}
	var values []string
	for _, value := range s.Enum {
		values = append(values, fmt.Sprintf("%q", value))
	}
	if len(values) > 0 {
		p.Type = strings.Join(values, " | ")
	}
	if len(s.Examples) > 0 {
		p.Example = exampleOf(s.Examples[0])
	}
	return p
}

// exampleOf writes an example as it stands in JSON, a string without its quotes.
func exampleOf(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	text, _ := json.Marshal(value) // it came from JSON
	return string(text)
}

func resolved(document *huma.OpenAPI, s *huma.Schema) *huma.Schema {
	if s.Ref != "" {
		return document.Components.Schemas.SchemaFromRef(s.Ref)
	}
	return s
}

// curlOf is an example that works as it is once TOKEN is set.
func curlOf(c call) string {
	var lines []string
	path := c.Path
	for _, p := range c.Parameters {
		switch p.In {
		case "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", p.Example)
		case "header":
			lines = append(lines, fmt.Sprintf("-H '%s: %s'", p.Name, p.Example))
		}
	}
	if !c.Open {
		lines = append(lines, `-H "Authorization: $TOKEN"`)
	}
	if len(c.Body) > 0 {
		var members []string
		for _, p := range c.Body {
			if p.Required {
				value, _ := json.Marshal(p.Example) // a string always encodes
				members = append(members, fmt.Sprintf("%q: %s", p.Name, value))
			}
		}
		lines = append(lines, "-H 'Content-Type: application/json'", "-d '{"+strings.Join(members, ", ")+"}'")
	}
	method := ""
	if c.Method != http.MethodGet {
		method = "-X " + c.Method + " "
	}
	return strings.Join(append([]string{"curl " + method + `"$HOLDFAST` + path + `"`}, lines...), " \\\n  ")
}
