package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/testkit"
	"holdfast/internal/verify"
)

// server runs mux behind the middleware and returns where its events go.
func server(t *testing.T, mux http.Handler, c Config) (*httptest.Server, *journal) {
	t.Helper()
	log := &journal{}
	c.Log = slog.New(slog.NewJSONHandler(log, nil))
	s := httptest.NewUnstartedServer(Wrap(mux, c))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.Start()
	t.Cleanup(s.Close)
	return s, log
}

// journal is a log that a test reads while a server may write.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func ask(t *testing.T, method, url string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestErrors(t *testing.T) {
	mux := http.NewServeMux()
	answer := func(path string, err error) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { Error(w, r, err) })
	}
	answer("/invalid", fmt.Errorf("send link: %w", verify.Invalid(verify.Field{Name: "a", Reason: "is bad"}, verify.Field{Name: "b", Reason: "is worse"})))
	answer("/unauthorized", &verify.Error{Code: verify.CodeUnauthorized, Message: "No."})
	answer("/missing", verify.ErrNotFound)
	answer("/reused", verify.ErrKeyReused)
	answer("/limited", &verify.Error{Code: verify.CodeRateLimited, RetryAfter: 1500 * time.Millisecond})
	answer("/unavailable", &verify.Error{Code: verify.CodeUnavailable})
	answer("/large", &http.MaxBytesError{Limit: 65536})
	answer("/secret", errors.New("dial tcp: password=hunter2"))
	answer("/unknown-code", &verify.Error{Code: "novel", Message: "hunter2"})
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("hunter2") })
	mux.HandleFunc("GET /fault", func(_ http.ResponseWriter, r *http.Request) { _ = r.Header["X-None"][len(r.Header)] })
	mux.HandleFunc("GET /page-404", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, "a page of its own")
	})
	s, log := server(t, mux, Config{})

	for _, tc := range []struct {
		method, path string
		status       int
		name, kind   string
		reason       string
		header       string // "Name: value"
	}{
		{"GET", "/invalid", 400, "ValidationError", "validation_failed", "a is bad; b is worse", ""},
		{"GET", "/unauthorized", 401, "UnauthorizedError", "unauthorized", "", "Www-Authenticate: Bearer"},
		{"GET", "/missing", 404, "NotFoundError", "not_found", "ids", ""},
		{"GET", "/reused", 409, "ConflictError", "idempotency_key_reused", "new key", ""},
		{"GET", "/limited", 429, "RateLimitError", "rate_limited", "", "Retry-After: 2"},
		{"GET", "/unavailable", 503, "UnavailableError", "unavailable", "", "Retry-After: 1"},
		{"GET", "/large", 413, "BodyTooLargeError", "body_too_large", "65536", ""},
		{"GET", "/secret", 500, "InternalError", "internal_error", "request id ", ""},
		{"GET", "/unknown-code", 500, "InternalError", "internal_error", "request id ", ""},
		{"GET", "/panic", 500, "InternalError", "internal_error", "request id ", ""},
		{"GET", "/fault", 500, "InternalError", "internal_error", "request id ", ""},
		{"GET", "/nowhere/hunter2", 404, "NotFoundError", "not_found", "path", ""},
		{"PUT", "/invalid", 405, "MethodNotAllowedError", "method_not_allowed", "GET, HEAD", "Allow: GET, HEAD"},
	} {
		t.Run(strings.Trim(tc.path, "/"), func(t *testing.T) {
			res, body := ask(t, tc.method, s.URL+tc.path+"?hunter2")
			var got struct {
				Error struct {
					Name, Message, Status, Reason, Type string
					StatusCode                          int
				}
			}
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatalf("not JSON: %v in %s", err, body)
			}
			e := got.Error
			if res.StatusCode != tc.status || e.StatusCode != tc.status || e.Status != http.StatusText(tc.status) ||
				e.Name != tc.name || e.Type != tc.kind || !strings.Contains(e.Reason, tc.reason) {
				t.Errorf("status %d, %+v", res.StatusCode, e)
			}
			if res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", res.Header)
			}
			if name, value, ok := strings.Cut(tc.header, ": "); ok && res.Header.Get(name) != value {
				t.Errorf("%s = %q", name, res.Header.Get(name))
			}
			id := res.Header.Get(RequestIDHeader)
			if len(id) != 16 || !strings.Contains(log.String(), id) {
				t.Errorf("request id %q is not in the log", id)
			}
			if strings.Contains(body, "hunter2") {
				t.Errorf("the answer tells what is inside: %s", body)
			}
		})
	}
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, `"msg":"request"`) && strings.Contains(line, "hunter2") {
			t.Errorf("an event names a path or query: %s", line)
		}
		if strings.Contains(line, `"msg":"panic"`) && (strings.Contains(line, "hunter2") || !strings.Contains(line, "web_test.go")) {
			t.Errorf("a panic's value is in the log, or its stack is not: %s", line)
		}
	}
	for _, what := range []string{`"panic":"string"`, "index out of range"} {
		if !strings.Contains(log.String(), what) {
			t.Errorf("the log does not say %s", what)
		}
	}
	if _, body := ask(t, "GET", s.URL+"/page-404"); body != "a page of its own" {
		t.Errorf("a route's own 404 was replaced: %s", body)
	}
}

// While the database is away every request meets the same error: why must be in
// the log, with a request's id, and not once for each request.
func TestOutage(t *testing.T) {
	away := &verify.Error{Code: verify.CodeUnavailable, Message: "The database can't be reached."}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /away", func(w http.ResponseWriter, r *http.Request) {
		Error(w, r, fmt.Errorf("postgres: %w: %w", away, errors.New("no route to db-7")))
	})
	mux.HandleFunc("GET /busy", func(w http.ResponseWriter, r *http.Request) { Error(w, r, away) })
	clock := testkit.NewClock()
	s, log := server(t, mux, Config{Now: clock.Now})
	var first string
	for i := range 5 {
		ask(t, "GET", s.URL+"/busy")
		res, body := ask(t, "GET", s.URL+"/away")
		if res.StatusCode != 503 || strings.Contains(body, "db-7") {
			t.Errorf("%d %s", res.StatusCode, body)
		}
		if i == 0 {
			first = res.Header.Get(RequestIDHeader)
		}
	}
	clock.Advance(time.Second)
	ask(t, "GET", s.URL+"/away")
	var said []string
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, `"msg":"unavailable"`) {
			said = append(said, line)
		}
	}
	if len(said) != 2 || !strings.Contains(said[0], first) || !strings.Contains(said[0], "no route to db-7") ||
		!strings.Contains(said[0], `"level":"WARN"`) || !strings.Contains(said[1], `"unsaid":4`) {
		t.Errorf("said %q", said)
	}
}

func TestPanicAfterTheAnswerBeganCutsTheConnection(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic("late")
	})
	s, _ := server(t, mux, Config{})
	res, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("half an answer looked whole: %q", body)
	}
}

func TestEvent(t *testing.T) {
	mux := http.NewServeMux()
	var seen netip.Addr
	mux.HandleFunc("GET /l/{token}", func(w http.ResponseWriter, r *http.Request) {
		seen = Addr(r.Context())
		SetClient(r.Context(), 7)
		io.WriteString(w, "hello")
	})
	var route string
	s, log := server(t, mux, Config{Observe: func(r string, status int, _ time.Duration) { route = fmt.Sprint(r, status) }})
	res, _ := ask(t, "GET", s.URL+"/l/abcdef", RequestIDHeader, "forged", "X-Forwarded-For", "192.0.2.1")

	var event map[string]any
	if err := json.Unmarshal([]byte(log.String()), &event); err != nil {
		t.Fatalf("%v: %s", err, log)
	}
	for key, want := range map[string]any{
		"msg": "request", "method": "GET", "route": "GET /l/{token}", "status": 200.0, "bytes": 5.0,
		"client": 7.0, "request_id": res.Header.Get(RequestIDHeader),
	} {
		if event[key] != want {
			t.Errorf("%s = %v, want %v", key, event[key], want)
		}
	}
	if strings.Contains(log.String(), "abcdef") || strings.Contains(log.String(), "forged") || strings.Contains(log.String(), "127.0.0.1") {
		t.Errorf("the event tells too much: %s", log)
	}
	if route != "GET /l/{token}200" {
		t.Errorf("observed %q", route)
	}
	if seen != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("address %v: a stranger's X-Forwarded-For was believed", seen)
	}
}

func TestClientAddr(t *testing.T) {
	proxies := unmapped([]netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("::ffff:192.168.0.0/112"),
	})
	for _, tc := range []struct {
		name, remote string
		forwarded    []string
		want         string
	}{
		{"direct", "192.0.2.1:99", nil, "192.0.2.1"},
		{"direct, with a forged header", "192.0.2.1:99", []string{"198.51.100.1"}, "192.0.2.1"},
		{"IPv6", "[2001:db8::1]:99", nil, "2001:db8::1"},
		{"IPv4-mapped", "[::ffff:192.0.2.1]:99", nil, "192.0.2.1"},
		{"zone", "[fe80::1%eth0]:99", nil, "fe80::1"},
		{"one proxy", "10.0.0.1:99", []string{"192.0.2.1"}, "192.0.2.1"},
		{"proxy without header", "10.0.0.1:99", nil, "10.0.0.1"},
		{"two proxies", "10.0.0.1:99", []string{"192.0.2.1, 10.0.0.2"}, "192.0.2.1"},
		{"what the client forged is left of its address", "10.0.0.1:99", []string{"1.1.1.1, 192.0.2.1"}, "192.0.2.1"},
		{"forged as a trusted hop", "10.0.0.1:99", []string{"10.9.9.9, 192.0.2.1, 10.0.0.2"}, "192.0.2.1"},
		{"several lines", "10.0.0.1:99", []string{"1.1.1.1", "192.0.2.1", "10.0.0.2"}, "192.0.2.1"},
		{"IPv6 proxy, client with port", "[fd00::1]:99", []string{"[2001:db8::1]:5000"}, "2001:db8::1"},
		{"IPv4 with port", "10.0.0.1:99", []string{"192.0.2.1:5000"}, "192.0.2.1"},
		{"mapped entry", "10.0.0.1:99", []string{"::ffff:192.0.2.1"}, "192.0.2.1"},
		{"mapped prefix", "192.168.0.1:99", []string{"192.0.2.1"}, "192.0.2.1"},
		{"all are proxies", "10.0.0.1:99", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"garbage ends the walk", "10.0.0.1:99", []string{"192.0.2.1, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"empty entry", "10.0.0.1:99", []string{"192.0.2.1,,"}, "10.0.0.1"},
		{"endless", "10.0.0.1:99", []string{"192.0.2.1" + strings.Repeat(",10.0.0.2", 5000)}, "10.0.0.2"},
		{"Unix socket", "@", []string{"192.0.2.1"}, "invalid IP"},
	} {
		r := &http.Request{RemoteAddr: tc.remote, Header: http.Header{}}
		for _, line := range tc.forwarded {
			r.Header.Add("X-Forwarded-For", line)
		}
		if got := clientAddr(r, proxies); got.String() != tc.want {
			t.Errorf("%s: %v, want %s", tc.name, got, tc.want)
		}
	}
}

func TestOutsideOfWrap(t *testing.T) {
	ctx := context.Background()
	SetClient(ctx, 1)
	if Addr(ctx).IsValid() || RequestID(ctx) != "" {
		t.Error("something was made up")
	}
	w := httptest.NewRecorder()
	Error(w, httptest.NewRequest("GET", "/", nil), verify.ErrNotFound)
	if w.Code != 404 {
		t.Errorf("status %d", w.Code)
	}
}

func FuzzParseHop(f *testing.F) {
	f.Add("192.0.2.1")
	f.Add(" [2001:db8::1%eth0]:1")
	f.Fuzz(func(t *testing.T, text string) {
		if a, ok := parseHop(text); ok && (!a.IsValid() || a.Is4In6() || a.Zone() != "") {
			t.Errorf("%q is %v", text, a)
		}
	})
}

func BenchmarkWrap(b *testing.B) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/x", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	h := Wrap(mux, Config{Log: slog.New(slog.NewJSONHandler(io.Discard, nil))})
	r := httptest.NewRequest("POST", "/api/x", nil)
	w := nothing{}
	b.ReportAllocs()
	for b.Loop() {
		clear(w)
		h.ServeHTTP(w, r)
	}
}

type nothing http.Header

func (n nothing) Header() http.Header       { return http.Header(n) }
func (nothing) Write(b []byte) (int, error) { return len(b), nil }
func (nothing) WriteHeader(int)             {}
