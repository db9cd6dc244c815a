// Package exchange is one HTTP exchange with an SMS gateway: it sends one request
// and knows, when no answer comes, whether the request had left. That is the
// difference between a text that may be tried again and one that may be on the
// phone already, and every gateway that speaks HTTP has to get it right.
//
// It speaks HTTP/1.1 only: there, a request that net/http repeats by itself is
// one of which nothing was written, and one connection's failure is one
// message's failure.
package exchange

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"holdfast/internal/sms"
)

const (
	// dialTime bounds reaching a gateway and the handshake with it, each.
	dialTime = 5 * time.Second
	// idleTime is how long an idle connection is kept: less than the 5 s after
	// which common servers close theirs, because a request that meets that close on
	// its way is lost.
	idleTime = 4 * time.Second
	// idleConns is how many connections are kept for one gateway: all that the
	// outbox has under way, so that none is opened for one message.
	idleConns = 256
	// maxAnswer is how much of an answer is read.
	maxAnswer = 64 << 10
)

// Config is how a Client works. Its zero value is good.
type Config struct {
	// Timeout bounds one exchange; 0 means 10 s. A nearer deadline of the context counts.
	Timeout time.Duration
	// RootCAs are who may sign the gateway's certificate; nil means the system's.
	RootCAs *x509.CertPool
	// OneShot opens a connection for each request. Methods that net/http counts as
	// idempotent need it, or it may send a request twice.
	OneShot bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Client makes exchanges with one gateway. Its methods may be called concurrently.
type Client struct {
	timeout   time.Duration
	now       func() time.Time
	transport *http.Transport
}

// New returns a Client.
func New(c Config) *Client {
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Client{timeout: c.Timeout, now: c.Now, transport: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: dialTime}).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    dialTime,
		MaxIdleConns:           idleConns,
		MaxIdleConnsPerHost:    idleConns,
		IdleConnTimeout:        idleTime,
		MaxResponseHeaderBytes: maxAnswer,
		DisableCompression:     true,
		DisableKeepAlives:      c.OneShot,
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{}, // no HTTP/2
	}}
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Request is what is sent. It is not changed, so that headers and URL may be
// shared between requests.
type Request struct {
	Method string
	URL    *url.URL
	Header http.Header
	Body   []byte
	// WantBody says that the answer's body is of interest.
	WantBody bool
}

// Answer is what came back: any HTTP answer at all, whatever its status.
type Answer struct {
	Status     int
	Body       []byte        // at most 64 KiB, and only if it was wanted; cut short where it broke off
	RetryAfter time.Duration // the Retry-After header (RFC 9110 section 10.2.3); 0 where there is none
}

// OK reports whether the gateway took the message.
func (a Answer) OK() bool { return a.Status >= 200 && a.Status <= 299 }

// Do sends r and returns the gateway's answer; a redirect is an answer too. Every
// error is an *sms.Error: class Retry where the request had not left, Lost where
// it had and no answer came.
func (c *Client) Do(ctx context.Context, r Request) (Answer, error) {
	if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > c.timeout {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	// net/http calls WroteRequest when the request is complete in its buffer, just
	// before the last of it goes out, and after an error it returns only when
	// nothing more can be written: a request that was not marked never left whole.
	// GetConn is called again only where nothing was written before.
	var left atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { left.Store(false) },
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			if info.Err == nil {
				left.Store(true)
			}
		},
	})
	resp, err := c.transport.RoundTrip(httpRequest(ctx, r))
	if err != nil {
		return Answer{}, failure(err, left.Load())
	}
	defer resp.Body.Close()
	answer := Answer{Status: resp.StatusCode, RetryAfter: c.retryAfter(resp.Header)}
	if r.WantBody {
		// What the status line said holds, even if the body never ends.
		answer.Body, _ = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	} else {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	}
	return answer, nil
}

func httpRequest(ctx context.Context, r Request) *http.Request {
	req := (&http.Request{
		Method: r.Method, URL: r.URL, Host: r.URL.Host, Header: r.Header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	if len(r.Body) == 0 {
		return req
	}
	req.ContentLength = int64(len(r.Body))
	req.Body = io.NopCloser(bytes.NewReader(r.Body))
	// A body that can't be had again keeps net/http from repeating the request. It
	// must not, where it would even though something was written: it takes this
	// header for a promise that repeating is safe.
	if r.Header.Get("Idempotency-Key") == "" && r.Header.Get("X-Idempotency-Key") == "" {
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.Body)), nil }
	}
	return req
}

// What happened underneath, in our own words: the originals name addresses and
// may repeat what the other side said.
var (
	errTimeout  = errors.New("no answer in time")
	errBroken   = errors.New("the connection broke before the answer")
	errCanceled = errors.New("stopped while waiting")
	errResolve  = errors.New("the host name does not resolve")
	errTLS      = errors.New("the TLS handshake failed; check the host name and the certificate's issuer")
	errConnect  = errors.New("no connection")
	errReach    = errors.New("no connection in time")
)

func failure(err error, left bool) *sms.Error {
	timeout := errors.Is(err, context.DeadlineExceeded)
	canceled := errors.Is(err, context.Canceled)
	if left {
		switch {
		case timeout:
			return &sms.Error{Class: sms.Lost, Code: "timeout", Err: errTimeout}
		case canceled:
			return &sms.Error{Class: sms.Lost, Code: "canceled", Err: errCanceled}
		}
		return &sms.Error{Class: sms.Lost, Code: "connection_lost", Err: errBroken}
	}
	var (
		network net.Error
		dns     *net.DNSError
		op      *net.OpError
	)
	switch {
	case canceled:
		return &sms.Error{Class: sms.Retry, Code: "canceled", Err: errCanceled}
	case errors.As(err, &dns):
		return &sms.Error{Class: sms.Retry, Code: "dns_failed", Err: errResolve}
	case timeout, errors.As(err, &network) && network.Timeout():
		return &sms.Error{Class: sms.Retry, Code: "connect_timeout", Err: errReach}
	case isTLS(err):
		return &sms.Error{Class: sms.Retry, Code: "tls_failed", Err: errTLS}
	case errors.As(err, &op) && op.Op == "dial":
		return &sms.Error{Class: sms.Retry, Code: "connect_failed", Err: errConnect}
	default:
		return &sms.Error{Class: sms.Retry, Code: "not_sent", Err: errConnect}
	}
}

func isTLS(err error) bool {
	var (
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		alert       tls.AlertError
	)
	return errors.As(err, &certificate) || errors.As(err, &record) || errors.As(err, &alert)
}
