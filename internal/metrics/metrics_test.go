package metrics_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"holdfast/internal/metrics"
)

type backlog struct {
	depth  int
	oldest time.Time
	err    error
	calls  int
}

func (b *backlog) Backlog(context.Context) (int, time.Time, error) {
	b.calls++
	return b.depth, b.oldest, b.err
}

func scrape(t *testing.T, from *httptest.Server) string {
	t.Helper()
	response, err := from.Client().Get(from.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("scrape: %s, %v", response.Status, err)
	}
	return string(body)
}

func TestScrape(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	waiting := &backlog{depth: 3, oldest: now.Add(-90 * time.Second)}
	m, err := metrics.New(metrics.Config{
		Backlog: waiting, Version: "1.2.3", Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(m.Handler())
	defer server.Close()

	m.Observe("request", "accepted", 3*time.Millisecond)
	m.Observe("request", "accepted", 4*time.Millisecond)
	m.Observe("carrier", "carrier_timeout", 10*time.Second)
	m.ObserveRequest("GET /l/{token}", 200, time.Millisecond)
	wantLines(t, scrape(t, server),
		`holdfast_http_request_duration_seconds_count{route="GET /l/{token}",status="200"} 1`,
		`holdfast_step_duration_seconds_count{outcome="accepted",step="request"} 2`,
		`holdfast_step_duration_seconds_bucket{outcome="accepted",step="request",le="0.0025"} 0`,
		`holdfast_step_duration_seconds_bucket{outcome="accepted",step="request",le="0.005"} 2`,
		`holdfast_step_duration_seconds_count{outcome="carrier_timeout",step="carrier"} 1`,
		`holdfast_outbox_depth 3`,
		`holdfast_outbox_age_seconds 90`,
		`holdfast_outbox_readable 1`,
		`holdfast_build_info{version="1.2.3"} 1`,
	)

	// Many scrapers cost the store one reading a second.
	waiting.depth = 4
	wantLines(t, scrape(t, server), `holdfast_outbox_depth 3`)
	if waiting.calls != 1 {
		t.Errorf("the backlog was read %d times within a second", waiting.calls)
	}

	// What can't be read is not shown as it was.
	now = now.Add(time.Second)
	waiting.err = errors.New("down")
	got := scrape(t, server)
	wantLines(t, got, `holdfast_outbox_readable 0`)
	if strings.Contains(got, "holdfast_outbox_depth 3") {
		t.Error("an old depth is shown while the store does not answer")
	}

	now = now.Add(time.Second)
	waiting.err, waiting.depth, waiting.oldest = nil, 0, time.Time{}
	wantLines(t, scrape(t, server), `holdfast_outbox_depth 0`, `holdfast_outbox_age_seconds 0`)
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("the scrape lacks %q", line)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	m, err := metrics.New(metrics.Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Observe("request", "accepted", time.Millisecond)
		}
	})
}
