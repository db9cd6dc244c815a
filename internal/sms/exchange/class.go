package exchange

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/sms"
)

// maxRetryAfter is the longest wait that a gateway may ask for: longer than any
// link lives.
const maxRetryAfter = 24 * time.Hour

func (c *Client) retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if text == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(c.now()), 0), maxRetryAfter)
	}
	return 0
}

// Error is what an answer that is no success means by its status alone, for
// gateways whose bodies say nothing better.
//
// A clear HTTP answer means that the message was not taken, also with 500 and
// 503, and it may be tried again. The exceptions are a proxy's: 502 and 504, and
// their unregistered kin 520 and 524, mean that it passed the request on and
// heard nothing useful (RFC 9110 sections 15.6.3 and 15.6.5): nobody knows.
func (a Answer) Error() *sms.Error {
	e := &sms.Error{Class: sms.Retry, Code: "http_" + strconv.Itoa(a.Status)}
	switch a.Status {
	case http.StatusBadGateway, http.StatusGatewayTimeout, 520, 524:
		e.Class = sms.Lost
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone,
		http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong, http.StatusUnsupportedMediaType,
		http.StatusUnprocessableEntity:
		e.Class = sms.Refused
	default:
		switch a.Status / 100 {
		case 1: // switched to a protocol that we don't speak
			e.Class = sms.Lost
		case 3: // never followed: the text would go to whoever the answer names
			e.Class, e.Err = sms.Refused, errRedirect
		}
	}
	if e.Class == sms.Retry {
		e.Retry = a.RetryAfter
	}
	return e
}

var errRedirect = errors.New("the gateway redirects; set the address that it redirects to")

// maxCode is the longest code of a vendor that is kept.
const maxCode = 32

// Code makes a vendor's error code fit for logs and the store: letters, digits
// and "_-." up to 32 characters. Anything else, and anything with digits enough
// to be a phone number, is "other".
func Code(vendor string) string {
	digits := 0
	for _, r := range vendor {
		switch {
		case r >= '0' && r <= '9':
			if digits++; digits > 6 {
				return "other"
			}
		case r == '-' || r == '.': // they stand inside phone numbers too
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == '_':
			digits = 0
		default:
			return "other"
		}
	}
	if len(vendor) > maxCode {
		return "other"
	}
	return vendor
}

// Reach reports whether the gateway's host answers HTTP at all: it sends no
// message. The error is fit for an operator.
func (c *Client) Reach(ctx context.Context, gateway *url.URL) error {
	root := &url.URL{Scheme: gateway.Scheme, Host: gateway.Host, Path: "/"}
	_, err := c.Do(ctx, Request{Method: http.MethodHead, URL: root, Header: http.Header{"User-Agent": {UserAgent}}})
	var failed *sms.Error
	if errors.As(err, &failed) {
		return fmt.Errorf("%s: %w", root.Host, failed.Err)
	}
	return nil
}

// UserAgent is how requests to gateways name us.
const UserAgent = "holdfast"

// BaseURL reads where a gateway's API is: http or https, a host, no query. A
// slash at its end is taken away.
func BaseURL(text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(text, "/"))
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, errors.New("must be an http or https address without user name, query and fragment")
	}
	return u, nil
}

// ReceiptPath is where gateways send their receipts: the gateway's name and a
// message's reference follow it.
const ReceiptPath = "/receipts/"

// ReceiptURL is the address for receipts of the gateway with that name, up to
// the message's reference; "" where public is nil.
func ReceiptURL(public *url.URL, name string) string {
	if public == nil {
		return ""
	}
	return public.Scheme + "://" + public.Host + ReceiptPath + url.PathEscape(name) + "/"
}
