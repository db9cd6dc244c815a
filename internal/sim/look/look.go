// Package look is the common frame of the pages that exist only in `holdfast
// dev`: layout, style, headers. The pages themselves belong to their packages.
//
// Like the real pages, these load nothing from elsewhere: style and scripts are
// in the page and allowed by their digests.
package look

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
)

//go:embed layout.html
var layout string

//go:embed look.css
var baseStyle string

//go:embed look.js
var baseScript string

// Page is one page, ready to be filled in. It may be rendered concurrently.
type Page struct {
	body *template.Template
	csp  string
}

// New makes a page of the file name.html in files, which defines "title" and
// "main", with name.css and name.js where they exist. More names are further
// templates that the page uses. It panics on a mistake in the files, at start,
// where a test sees it.
func New(files fs.FS, name string, more ...string) *Page {
	style := strings.TrimSpace(baseStyle + optional(files, name+".css"))
	script := strings.TrimSpace(baseScript + optional(files, name+".js"))
	patterns := []string{name + ".html"}
	for _, m := range more {
		patterns = append(patterns, m+".html")
	}
	// Finished elements, because the template engine would edit what it parses as
	// style or script, and so change its digest.
	t := template.New("layout").Funcs(template.FuncMap{
		"style":  func() template.HTML { return template.HTML("<style>" + style + "</style>") },    //nolint:gosec // our own file
		"script": func() template.HTML { return template.HTML("<script>" + script + "</script>") }, //nolint:gosec // our own file
	})
	template.Must(template.Must(t.Parse(layout)).ParseFS(files, patterns...))
	return &Page{
		body: t,
		csp: "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'; frame-src 'self'; connect-src 'self'; " +
			"style-src " + digest(style) + "; script-src " + digest(script),
	}
}

// Render answers with the whole page.
func (p *Page) Render(w http.ResponseWriter, status int, data any) {
	var buf bytes.Buffer
	if err := p.body.Execute(&buf, data); err != nil {
		panic(err) // a mistake in a template; the middleware answers
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.csp)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(buf.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes()) // who is gone needs no answer
}

// Fragment renders one of the page's templates alone, as a script may insert it.
func (p *Page) Fragment(name string, data any) string {
	var buf bytes.Buffer
	if err := p.body.ExecuteTemplate(&buf, name, data); err != nil {
		panic(err)
	}
	return buf.String()
}

func optional(files fs.FS, name string) string {
	b, err := fs.ReadFile(files, name)
	if err != nil {
		return ""
	}
	return "\n" + string(b)
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
