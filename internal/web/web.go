// Package web is what every request passes through before a transport sees it:
// its id, the client's address, one structured event, a net under panics. It
// also holds the only translation from errors to HTTP.
//
// Links and access codes are in paths and queries, so neither is ever logged:
// an event names the route's pattern. Nor is the client's address: of the phones
// that open links it is personal data, and the result has it for those who may
// read it.
package web

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"holdfast/internal/verify"
)

// Config is what the middleware needs.
type Config struct {
	// Log gets one event per request; nil means slog.Default.
	Log *slog.Logger
	// Proxies are the networks of the reverse proxies in front of us, whose
	// X-Forwarded-For is believed; empty means that nobody's is.
	Proxies []netip.Prefix
	// Observe is told of every request: the route's pattern ("unmatched" where no
	// route matched), the status and the time taken; nil means nobody is.
	Observe func(route string, status int, took time.Duration)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// RequestIDHeader carries the request's id in every answer. One that a caller
// sends is ignored: it would let a stranger write into our logs.
const RequestIDHeader = "X-Request-Id"

// Unmatched stands for the route of a request that no pattern matched.
const Unmatched = "unmatched"

// quiet are the routes that monitors ask every few seconds: their events are of
// level debug.
var quiet = []string{"GET /healthz", "GET /readyz", "GET /metrics"}

type middleware struct {
	Config
	next   http.Handler
	outage outage
}

// Wrap puts the middleware around next, which is normally the server's one
// http.ServeMux. What the mux answers by itself in plain text (404, 405, 400)
// becomes a JSON error.
func Wrap(next http.Handler, c Config) http.Handler {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Observe == nil {
		c.Observe = func(string, int, time.Duration) {}
	}
	c.Proxies = unmapped(c.Proxies)
	return &middleware{Config: c, next: next}
}

// exchange is one request and its answer: the request's context and the answer's
// writer in one allocation. It is not pooled, because a context may outlive its
// request and must not then speak of another.
type exchange struct {
	context.Context
	id      [1]string // an array, so that the header can share it
	addr    netip.Addr
	client  verify.ClientID
	wrapped *middleware // the one that it came through
	rec     recorder
}

type exchangeKey struct{}

// Value finds the exchange itself, and else what the server put there.
func (x *exchange) Value(key any) any {
	if key == (exchangeKey{}) {
		return x
	}
	return x.Context.Value(key)
}

func of(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// Addr returns the client's address: what the nearest untrusted hop was, with
// an IPv4-mapped IPv6 address as IPv4 and without zone. It is the zero Addr
// outside of Wrap and where the connection has none (a Unix socket).
func Addr(ctx context.Context) netip.Addr {
	if x := of(ctx); x != nil {
		return x.addr
	}
	return netip.Addr{}
}

// RequestID returns the request's id, or "" outside of Wrap.
func RequestID(ctx context.Context) string {
	if x := of(ctx); x != nil {
		return x.id[0]
	}
	return ""
}

// SetClient notes which client a request turned out to come from, for its event.
// Call it from the request's own goroutine.
func SetClient(ctx context.Context, id verify.ClientID) {
	if x := of(ctx); x != nil {
		x.client = id
	}
}

func (m *middleware) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := m.Now()
	x := &exchange{
		Context: r.Context(), id: [1]string{newID()}, addr: clientAddr(r, m.Proxies), wrapped: m,
	}
	r = r.WithContext(x)
	x.rec = recorder{ResponseWriter: w, r: r}
	w.Header()[RequestIDHeader] = x.id[:1:1]

	completed := false
	defer func() {
		if !completed {
			m.recovered(x, r, recover(), start)
		}
	}()
	m.next.ServeHTTP(&x.rec, r)
	completed = true
	m.event(x, r, start)
}

// recovered answers for a handler that panicked, and writes down where and why.
// When a part of the answer is out already, the connection is cut: half an answer
// must not look like a whole one.
func (m *middleware) recovered(x *exchange, r *http.Request, what any, start time.Time) {
	if what != http.ErrAbortHandler { // net/http compares the same way
		m.Log.LogAttrs(x, slog.LevelError, "panic", slog.String("request_id", x.id[0]),
			slog.String("route", route(r)), slog.String("panic", cause(what)), slog.String("stack", string(debug.Stack())))
		if x.rec.status == 0 {
			write(&x.rec, internal(x.id[0]))
			m.event(x, r, start)
			return
		}
	}
	m.event(x, r, start)
	panic(http.ErrAbortHandler)
}

// cause says what a panic was about: its type, and the words of the runtime's own.
// Anything else's may have a number or a token in them.
func cause(what any) string {
	text := fmt.Sprintf("%T", what)
	if fault, ok := what.(runtime.Error); ok {
		text += ": " + fault.Error()
	}
	return text
}

func (m *middleware) event(x *exchange, r *http.Request, start time.Time) {
	took := m.Now().Sub(start)
	route, status := route(r), x.rec.status
	if status == 0 {
		status = http.StatusOK // net/http sends it for a handler that wrote nothing
	}
	m.Observe(route, status, took)

	level := slog.LevelInfo
	switch {
	case status >= 500:
		level = slog.LevelError
	case slices.Contains(quiet, route):
		level = slog.LevelDebug
	}
	if !m.Log.Enabled(x, level) {
		return
	}
	attrs := [...]slog.Attr{
		slog.String("method", method(r)), slog.String("route", route), slog.Int("status", status),
		slog.Int64("bytes", x.rec.bytes), slog.Float64("ms", float64(took.Microseconds())/1000),
		slog.String("request_id", x.id[0]), slog.Int64("client", int64(x.client)),
	}
	n := len(attrs)
	if x.client == 0 {
		n--
	}
	// Not by LogAttrs, which looks up its caller: a third of what an event costs.
	event := slog.NewRecord(start.Add(took), level, "request", 0)
	event.AddAttrs(attrs[:n]...)
	_ = m.Log.Handler().Handle(x, event) // a log that can't be written has nowhere to say so
}

func route(r *http.Request) string {
	if r.Pattern == "" {
		return Unmatched
	}
	return r.Pattern
}

// method is the request's method, if it is one that anybody uses: the others are
// a stranger's text.
func method(r *http.Request) string {
	switch r.Method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE":
		return r.Method
	}
	return "other"
}

// idAlphabet is Crockford's base 32, in lower case: no letter that is taken for
// a digit when someone reads it out.
const idAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// newID makes a request id of 80 random bits. It names and proves nothing, so it
// need not come from crypto/rand.
func newID() string {
	var text [16]byte
	low, high := rand.Uint64(), rand.Uint64()
	for i := range 12 {
		text[i] = idAlphabet[low>>(5*i)&31]
	}
	for i := range 4 {
		text[12+i] = idAlphabet[high>>(5*i)&31]
	}
	return string(text[:])
}
