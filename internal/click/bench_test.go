package click_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"holdfast/internal/click"
)

// BenchmarkLinkPage is the dearest page: a node must make thousands a second.
func BenchmarkLinkPage(b *testing.B) {
	mux := http.NewServeMux()
	click.Register(mux, click.Config{Flow: &quietFlow{}, Now: func() time.Time { return now }})
	r := httptest.NewRequest("GET", "/l/"+token, nil)
	b.ReportAllocs()
	for b.Loop() {
		mux.ServeHTTP(httptest.NewRecorder(), r)
	}
}
