package click

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"holdfast/internal/flow"
)

//go:embed pages
var files embed.FS

// view is what a page may show.
type view struct {
	Business    string // "" where it is not known, or must not be
	LastDigits  string
	Asked       string // "2 minutes ago"
	AskedAt     string // the same for machines
	Left        string // "4 more minutes"
	LeftSeconds int
	Action      string // the link's own path, where its forms go
	Confirmed   bool   // Continue was tapped here before
	RequestID   string // of a request that failed on our side
}

func (h *handler) view(r *http.Request, p flow.Page) view {
	v := view{Business: p.Business, LastDigits: p.LastDigits, Confirmed: p.Confirmed}
	if r.PathValue("token") != "" {
		v.Action = linkURL(r)
	}
	if p.AskedAt.IsZero() || p.ExpiresAt.IsZero() {
		return v
	}
	now := h.Now()
	left := max(0, p.ExpiresAt.Sub(now))
	v.Asked, v.AskedAt = ago(now.Sub(p.AskedAt)), p.AskedAt.UTC().Format(time.RFC3339)
	v.Left, v.LeftSeconds = more(left), int(left/time.Second)
	return v
}

// ago and more speak of durations, because the server does not know what the
// clock on the phone's wall says.
func ago(d time.Duration) string {
	switch n := int(d / time.Minute); {
	case n < 1:
		return "just now"
	case n == 1:
		return "1 minute ago"
	default:
		return strconv.Itoa(n) + " minutes ago"
	}
}

func more(d time.Duration) string {
	switch n := int(d.Round(time.Minute) / time.Minute); {
	case d < time.Minute:
		return "less than a minute"
	case n == 1:
		return "1 more minute"
	default:
		return strconv.Itoa(n) + " more minutes"
	}
}

// page is one page, ready to be filled in.
type page struct {
	body *template.Template
	csp  string
}

var pages = map[flow.Show]page{
	flow.ShowUnusable:      pageOf("unusable", ""),
	flow.ShowLink:          pageOf("link", ""),
	flow.ShowWiFi:          pageOf("wifi", "wifi.js"),
	flow.ShowWait:          pageOf("wait", ""),
	flow.ShowExpired:       pageOf("expired", ""),
	flow.ShowDenied:        pageOf("denied", ""),
	flow.ShowOtherBrowser:  pageOf("other_browser", ""),
	flow.ShowForeignAnswer: pageOf("foreign_answer", ""),
	flow.ShowFinished:      pageOf("finished", ""),
}

var (
	autoLink    = pageOf("link", "auto.js")
	foreignForm = pageOf("foreign_form", "")
	failedPage  = pageOf("failed", "")
)

// pageOf puts a page together from the files in pages/. It panics on a mistake in
// them, at start, where a test sees it.
func pageOf(name, scriptFile string) page {
	style, script := read("style.css"), ""
	csp := bareCSP + "; style-src " + digest(style)
	if scriptFile != "" {
		script = read(scriptFile)
		csp += "; script-src " + digest(script) + "; connect-src 'self'"
	}
	// Whole elements are handed over as finished HTML, because the template engine
	// would edit what it parses as style or script and so change its digest.
	elements := template.FuncMap{
		"style": func() template.HTML { return template.HTML("<style>" + style + "</style>") }, //nolint:gosec // our own file
		"script": func() template.HTML {
			if script == "" {
				return ""
			}
			return template.HTML("<script>" + script + "</script>") //nolint:gosec // our own file
		},
	}
	t := template.New("layout.html").Funcs(elements)
	return page{
		body: template.Must(t.ParseFS(files, "pages/layout.html", "pages/icons.html", "pages/"+name+".html")),
		csp:  csp,
	}
}

func read(name string) string {
	b, err := files.ReadFile("pages/" + name)
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(string(b))
}

// digest is a source expression that allows exactly this text (CSP level 3,
// section 2.3.1). It needs no nonce: equal pages stay equal, byte for byte.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// render makes the whole page before its first byte leaves.
func (p page) render(w http.ResponseWriter, status int, v view) {
	buf := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buf)
	buf.Reset()
	if err := p.body.Execute(buf, v); err != nil {
		panic(err) // a mistake in a template; the middleware answers
	}
	h := w.Header()
	setHeaders(h, "text/html; charset=utf-8", p.csp)
	h.Set("Content-Length", strconv.Itoa(buf.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes()) // who is gone needs no answer
}
