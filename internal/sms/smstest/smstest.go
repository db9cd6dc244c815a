// Package smstest is the contract that every SMS gateway over HTTP keeps, as a
// suite that each runs against a loopback server: what is taken, what may be
// tried again, what never, and above all what nobody can know. Only tests import
// it.
package smstest

import (
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/phone"
	"holdfast/internal/sms"
)

// Gateway is what is tested. One that has a Close method is closed at the end.
type Gateway interface {
	Name() string
	Send(ctx context.Context, m sms.Message) (sms.Accepted, error)
}

// Setup is what a gateway under test is made with.
type Setup struct {
	BaseURL string         // where the provider is
	RootCAs *x509.CertPool // who signs the provider's certificate; nil for the system's
	Timeout time.Duration  // of one request; 0 for the gateway's default
}

// Kit is what the suite must know of a gateway.
type Kit struct {
	New func(t *testing.T, s Setup) Gateway
	// Yes answers as the provider does when it takes a message, and ID is the id in
	// that answer.
	Yes func(w http.ResponseWriter)
	ID  string
	// Read finds the number and the text in a request.
	Read func(r *http.Request) (to, text string)
}

// Message is one that gateways get in tests.
func Message() sms.Message {
	return sms.Message{
		To:       phone.Stored("+12125550123", phone.US),
		Text:     "Acme & Sons: 100% \"safe\" + sure?\nTap https://ok.example/l/abc_-123 {5 €} 🔒",
		Ref:      "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_-",
		ValidFor: 4*time.Minute + 59*time.Second + 900*time.Millisecond,
	}
}

// Run runs the suite.
func Run(t *testing.T, k Kit) {
	RunOneShot(t, k)
	t.Run("connections", k.connections)
}

// RunOneShot runs the suite for a gateway that opens a connection for each
// message.
func RunOneShot(t *testing.T, k Kit) {
	t.Run("taken", k.taken)
	t.Run("statuses", k.statuses)
	t.Run("broken answers", k.brokenAnswers)
	t.Run("nobody knows", k.nobodyKnows)
	t.Run("never left", k.neverLeft)
	t.Run("TLS", k.tls)
}

// serve starts a provider and a gateway that sends to it.
func (k Kit) serve(t *testing.T, handler http.HandlerFunc) Gateway {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return k.gateway(t, Setup{BaseURL: server.URL})
}

func (k Kit) gateway(t *testing.T, s Setup) Gateway {
	t.Helper()
	g := k.New(t, s)
	if closer, ok := g.(interface{ Close() }); ok {
		t.Cleanup(closer.Close)
	}
	return g
}

func (k Kit) taken(t *testing.T) {
	t.Parallel()
	m := Message()
	var to, text string
	g := k.serve(t, func(w http.ResponseWriter, r *http.Request) {
		to, text = k.Read(r)
		k.Yes(w)
	})
	got, err := g.Send(t.Context(), m)
	if err != nil || got != (sms.Accepted{ProviderID: k.ID}) {
		t.Errorf("Send = %+v, %v; want id %q", got, err, k.ID)
	}
	if to != m.To.E164() || text != m.Text {
		t.Errorf("the provider got %q for %q", text, to)
	}
	if g.Name() == "" {
		t.Error("the gateway has no name")
	}
}

func (k Kit) statuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		class  sms.Class
	}{
		{301, sms.Refused},
		{302, sms.Refused},
		{307, sms.Refused},
		{308, sms.Refused},
		{401, sms.Retry},
		{403, sms.Retry},
		{408, sms.Retry},
		{429, sms.Retry},
		{500, sms.Retry},
		{502, sms.Lost},
		{503, sms.Retry},
		{504, sms.Lost},
	} {
		t.Run(strconv.Itoa(c.status), func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			g := k.serve(t, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				w.Header().Set("Location", "/elsewhere")
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, "no: +1 212-555-0123 did not take it")
			})
			failed := fails(t, g, t.Context(), c.class)
			if want := "http_" + strconv.Itoa(c.status); failed.Code != want {
				t.Errorf("code %q, want %q", failed.Code, want)
			}
			wait := 7 * time.Second
			if c.class != sms.Retry {
				wait = 0
			}
			if failed.Retry != wait {
				t.Errorf("may be retried after %v, want %v", failed.Retry, wait)
			}
			if n := calls.Load(); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
		})
	}
}

func (k Kit) brokenAnswers(t *testing.T) {
	t.Parallel()
	answers := map[string]func(http.ResponseWriter){
		"garbage":   func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>thanks!{{{") },
		"empty":     func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) },
		"endless":   func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"x":"`+strings.Repeat("x", 1<<20)) },
		"null":      func(w http.ResponseWriter) { _, _ = io.WriteString(w, "null") },
		"other":     func(w http.ResponseWriter) { _, _ = io.WriteString(w, `[{"sid":1},{"id":{}}]`) },
		"cut short": func(w http.ResponseWriter) { w.Header().Set("Content-Length", "1000"); _, _ = io.WriteString(w, `{"i`) },
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := k.serve(t, func(w http.ResponseWriter, r *http.Request) { answer(w) })
			if got, err := g.Send(t.Context(), Message()); err != nil || got != (sms.Accepted{}) {
				t.Errorf("Send = %+v, %v; want it taken, without an id", got, err)
			}
		})
	}
	t.Run("slow", func(t *testing.T) {
		t.Parallel()
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done() // the body never comes
		}))
		t.Cleanup(server.Close)
		g := k.gateway(t, Setup{BaseURL: server.URL, Timeout: time.Second})
		if got, err := g.Send(t.Context(), Message()); err != nil || got != (sms.Accepted{}) {
			t.Errorf("Send = %+v, %v; want it taken: the status said so", got, err)
		}
	})
}

func (k Kit) nobodyKnows(t *testing.T) {
	t.Parallel()
	t.Run("no answer in time", func(t *testing.T) {
		t.Parallel()
		arrived := make(chan struct{})
		g := k.serve(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			close(arrived)
			<-r.Context().Done()
		})
		ctx, expire := manualDeadline(t)
		go func() { <-arrived; expire() }()
		if failed := fails(t, g, ctx, sms.Lost); failed.Code != "timeout" {
			t.Errorf("code %q", failed.Code)
		}
	})
	t.Run("we stop while it is under way", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		g := k.serve(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			cancel()
			<-r.Context().Done()
		})
		fails(t, g, ctx, sms.Lost)
	})
	for name, last := range map[string]string{
		"connection closed":   "",
		"not HTTP":            "220 smtp.example ESMTP\r\n\r\n",
		"half a header":       "HTTP/1.1 200 OK\r\nContent-Le",
		"too long a header":   "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20),
		"switching protocols": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := k.serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.ReadAll(r.Body)
				hangUp(w, last)
			})
			fails(t, g, t.Context(), sms.Lost)
		})
	}
	// A request on a kept connection is what net/http would like to repeat.
	t.Run("connection closed on a later request", func(t *testing.T) {
		t.Parallel()
		var calls atomic.Int32
		g := k.serve(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			if calls.Add(1) == 1 {
				k.Yes(w)
				return
			}
			hangUp(w, "")
		})
		if _, err := g.Send(t.Context(), Message()); err != nil {
			t.Fatal(err)
		}
		fails(t, g, t.Context(), sms.Lost)
		if n := calls.Load(); n != 2 {
			t.Errorf("%d requests for 2 sends", n)
		}
	})
}

func (k Kit) neverLeft(t *testing.T) {
	t.Parallel()
	t.Run("connection refused", func(t *testing.T) {
		t.Parallel()
		listener := listen(t)
		listener.Close()
		g := k.gateway(t, Setup{BaseURL: "http://" + listener.Addr().String()})
		if failed := fails(t, g, t.Context(), sms.Retry); failed.Code != "connect_failed" {
			t.Errorf("code %q", failed.Code)
		}
	})
	t.Run("no such host", func(t *testing.T) {
		t.Parallel()
		// No resolver is asked for a name that can't exist.
		g := k.gateway(t, Setup{BaseURL: "http://gateway..example"})
		if failed := fails(t, g, t.Context(), sms.Retry); failed.Code != "dns_failed" {
			t.Errorf("code %q", failed.Code)
		}
	})
	t.Run("too late from the start", func(t *testing.T) {
		t.Parallel()
		var calls atomic.Int32
		g := k.serve(t, func(w http.ResponseWriter, r *http.Request) { calls.Add(1); k.Yes(w) })
		ctx, expire := manualDeadline(t)
		expire()
		fails(t, g, ctx, sms.Retry)
		if n := calls.Load(); n != 0 {
			t.Errorf("%d requests left", n)
		}
	})
}

func (k Kit) tls(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { calls.Add(1); k.Yes(w) }))
	server.Config.ErrorLog = quietLog
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.gateway(t, Setup{BaseURL: server.URL, RootCAs: roots}).Send(t.Context(), Message()); err != nil {
		t.Errorf("with its own certificate: %v", err)
	}
	for name, s := range map[string]Setup{
		"unknown issuer":        {BaseURL: server.URL},
		"other name":            {BaseURL: "https://localhost:" + address.Port(), RootCAs: roots},
		"TLS to a plain server": {BaseURL: "https://" + plainServer(t), RootCAs: roots},
	} {
		if failed := fails(t, k.gateway(t, s), t.Context(), sms.Retry); failed.Code != "tls_failed" {
			t.Errorf("%s: code %q", name, failed.Code)
		}
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("%d requests arrived, want 1", n)
	}

	silent := listen(t)
	t.Cleanup(func() { silent.Close() })
	ctx, expire := manualDeadline(t)
	go func() {
		if c, err := silent.Accept(); err == nil {
			expire() // with the handshake begun
			_, _ = io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	fails(t, k.gateway(t, Setup{BaseURL: "https://" + silent.Addr().String(), RootCAs: roots}), ctx, sms.Retry)
}

func (k Kit) connections(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { k.Yes(w) }))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	g := k.gateway(t, Setup{BaseURL: server.URL})
	for range 50 {
		if _, err := g.Send(t.Context(), Message()); err != nil {
			t.Fatal(err)
		}
	}
	if n := opened.Load(); n > 2 {
		t.Errorf("%d connections for 50 messages in a row", n)
	}
}
