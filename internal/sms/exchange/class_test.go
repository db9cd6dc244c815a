package exchange_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"holdfast/internal/sms/exchange"
)

func TestCode(t *testing.T) {
	t.Parallel()
	for vendor, want := range map[string]string{
		"": "", "30034": "30034", "E-42": "E-42", "MONTHLY_SPEND_LIMIT": "MONTHLY_SPEND_LIMIT", "0x0000000B": "other",
		"123456": "123456", "1234567": "other", "+12125550123": "other", "212-555-0123": "other", "212.555.0123": "other",
		"to 5": "other", "é": "other", "a\nb": "other", strings.Repeat("x", 32): strings.Repeat("x", 32), strings.Repeat("x", 33): "other",
		"123456_123456": "123456_123456", "\xff": "other",
	} {
		if got := exchange.Code(vendor); got != want {
			t.Errorf("Code(%q) = %q, want %q", vendor, got, want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	client := exchange.New(exchange.Config{Now: func() time.Time { return now }})
	t.Cleanup(client.Close)
	for header, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "-1": 0, "soon": 0, "1.5": 0,
		"86401": 24 * time.Hour, "4294967295": 24 * time.Hour, "99999999999999999999": 0,
		"Mon, 23 Nov 2026 12:00:30 GMT": 30 * time.Second,
		"Mon, 23 Nov 2026 11:59:00 GMT": 0,
		"Mon, 23 Nov 2093 12:00:30 GMT": 24 * time.Hour,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
		address, _ := url.Parse(server.URL)
		answer, err := client.Do(t.Context(), exchange.Request{Method: "POST", URL: address, Header: http.Header{}})
		if err != nil || answer.RetryAfter != want {
			t.Errorf("%q: %v, %v; want %v", header, answer.RetryAfter, err, want)
		}
		server.Close()
	}
}

func TestBaseURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://api.example": "https://api.example", "https://api.example/": "https://api.example",
		"http://127.0.0.1:8080/x/": "http://127.0.0.1:8080/x",
		"":                         "", "api.example": "", "ftp://api.example": "", "https://": "", "https://u@api.example": "",
		"https://api.example?a": "", "https://api.example#a": "", "https://api.example:x": "",
	} {
		got, err := exchange.BaseURL(text)
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("BaseURL(%q) = %v, %v; want %q", text, got, err, want)
		}
	}
}

func TestReceiptURL(t *testing.T) {
	t.Parallel()
	if got := exchange.ReceiptURL(&url.URL{Scheme: "https", Host: "ok.example:8443", Path: "/"}, "a b"); got != "https://ok.example:8443/receipts/a%20b/" {
		t.Error(got)
	}
	if got := exchange.ReceiptURL(nil, "a"); got != "" {
		t.Error(got)
	}
}

func TestNeverRedirected(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	t.Cleanup(elsewhere.Close)
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	t.Cleanup(server.Close)
	client := exchange.New(exchange.Config{})
	t.Cleanup(client.Close)
	address, _ := url.Parse(server.URL)
	answer, err := client.Do(t.Context(), exchange.Request{Method: "POST", URL: address, Header: http.Header{}, Body: []byte("x")})
	if err != nil || answer.Status != http.StatusTemporaryRedirect {
		t.Errorf("%+v, %v", answer, err)
	}
}
