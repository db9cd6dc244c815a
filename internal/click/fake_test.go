package click_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"holdfast/internal/click"
	"holdfast/internal/flow"
	"holdfast/internal/web"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// token has the form of a link's token.
const token = "AAAAAAAAAAEBAQEBAQEBAQEBAQEBAQEB"

// fakeFlow answers every step with the same Next and notes what it was asked.
type fakeFlow struct {
	mu       sync.Mutex
	next     flow.Next
	err      error
	cellular bool
	calls    []string
	taps     []flow.Tap
	back     flow.Callback
}

func (f *fakeFlow) note(call string, tap flow.Tap) (flow.Next, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.taps = append(f.calls, call), append(f.taps, tap)
	return f.next, f.err
}

func (f *fakeFlow) Open(_ context.Context, tap flow.Tap) (flow.Next, error) {
	return f.note("open", tap)
}

func (f *fakeFlow) Confirm(_ context.Context, tap flow.Tap) (flow.Next, error) {
	return f.note("confirm", tap)
}

func (f *fakeFlow) Deny(_ context.Context, tap flow.Tap) (flow.Next, error) {
	return f.note("deny", tap)
}

func (f *fakeFlow) Authenticate(_ context.Context, cb flow.Callback) (flow.Next, error) {
	f.back = cb
	return f.note("authenticate", flow.Tap{Browser: cb.Browser})
}

func (f *fakeFlow) OnNetwork(_ context.Context, addr netip.Addr) bool {
	_, _ = f.note("network", flow.Tap{Addr: addr})
	return f.cellular
}

// page is what a Next with a page carries.
func page(business string) flow.Page {
	return flow.Page{
		Business: business, LastDigits: "23",
		AskedAt: now.Add(-2*time.Minute - 10*time.Second), ExpiresAt: now.Add(2*time.Minute + 50*time.Second),
	}
}

func shows(s flow.Show) *fakeFlow {
	return &fakeFlow{next: flow.Next{Show: s, Page: page("Northwind Bank")}}
}

// phone is a browser on a server that runs the real routes.
type phone struct {
	*http.Client
	t    *testing.T
	base string
}

func start(t *testing.T, f click.Flow) phone {
	t.Helper()
	mux := http.NewServeMux()
	click.Register(mux, click.Config{Flow: f, Now: func() time.Time { return now }})
	srv := httptest.NewTLSServer(web.Wrap(mux, web.Config{Log: slog.New(slog.DiscardHandler)}))
	t.Cleanup(srv.Close)
	return newPhone(t, srv)
}

func newPhone(t *testing.T, srv *httptest.Server) phone {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := *srv.Client()
	c.Jar = jar
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return phone{Client: &c, t: t, base: srv.URL}
}

// answer is an answer with its body read.
type answer struct {
	*http.Response
	body string
}

func (p phone) do(method, path string, form url.Values, header http.Header) answer {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, values := range header {
		r.Header[name] = values
	}
	resp, err := p.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer{resp, string(body)}
}

func (p phone) get(path string) answer { return p.do("GET", path, nil, nil) }

func (p phone) post(path string) answer { return p.do("POST", path, url.Values{}, nil) }

// find returns all elements with the tag, in order.
func find(t *testing.T, body, tag string) []*html.Node {
	t.Helper()
	root, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	var found []*html.Node
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == tag {
			found = append(found, n)
		}
	}
	return found
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// quietFlow always shows the link page and notes nothing.
type quietFlow struct{ fakeFlow }

func (*quietFlow) Open(context.Context, flow.Tap) (flow.Next, error) {
	return flow.Next{Show: flow.ShowLink, Page: page("Northwind Bank")}, nil
}
