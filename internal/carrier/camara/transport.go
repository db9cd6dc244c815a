package camara

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"
)

// maxBody bounds every body that a carrier sends us. Metadata and key sets are a
// few KiB; nothing else comes near.
const maxBody = 256 << 10

// errTooLarge says that a body was longer than maxBody.
var errTooLarge = errors.New("the answer is too large")

// client derives from what the operator configured a client that never follows a
// redirect (a code, an assertion or a token would go with it), keeps no cookies
// and reads no endless body.
func client(from *http.Client) *http.Client {
	if from == nil {
		from = &http.Client{Transport: transport()}
	}
	next := from.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	return &http.Client{
		Transport:     bounded{next},
		Timeout:       from.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// transport keeps as many connections to a carrier as journeys are under way;
// http.DefaultTransport would keep two and dial for the rest.
func transport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          256,
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       30 * time.Second,
		TLSHandshakeTimeout:   3 * time.Second,
		ExpectContinueTimeout: time.Second,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
	}
}

// bounded cuts bodies off at maxBody with an error.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxBody)
	}
	return resp, err
}

// lost says in our own words how a call failed that brought no answer. What the
// libraries say may quote a URL or a body.
func lost(call string, err error) error {
	var (
		tooLarge *http.MaxBytesError
		dial     *net.OpError
		dns      *net.DNSError
		badTLS   *tls.CertificateVerificationError
	)
	problem := errors.New("no usable answer")
	switch {
	case errors.As(err, &tooLarge):
		problem = errTooLarge
	case timedOut(err):
		problem = context.DeadlineExceeded
	case errors.As(err, &badTLS):
		problem = errors.New("the server's certificate is not to be trusted")
	case errors.As(err, &dns):
		problem = errors.New("the host name is not found")
	case errors.As(err, &dial) && dial.Op == "dial":
		problem = errors.New("no connection")
	}
	return &callError{call: call, problem: problem, unsent: errors.As(err, &dial) && dial.Op == "dial"}
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

// callError is a call that brought no usable answer.
type callError struct {
	call    string // what was asked: "discovery", "token", "keys", "verify"
	problem error
	unsent  bool // nothing of the request left
}

func (e *callError) Error() string { return e.call + ": " + e.problem.Error() }

func (e *callError) Unwrap() error { return e.problem }
