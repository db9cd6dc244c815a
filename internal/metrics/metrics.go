// Package metrics turns what the journey's steps report into Prometheus
// metrics. Labels are step and outcome names from our own code: no number, no
// token and nothing that a client sends ever becomes one.
package metrics

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// backlogAge is how long a reading of the backlog serves scrapes: a hundred
// scrapers cost the store no more than one.
const backlogAge = time.Second

// backlogTime bounds the store's answer to a scrape.
const backlogTime = 2 * time.Second

// buckets reach from a page served from memory (half a millisecond) to a
// consumer who takes five minutes to tap, in seconds.
var buckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}

// Backlog tells how many messages wait to be sent and when the oldest was
// created, zero where none waits.
type Backlog interface {
	Backlog(ctx context.Context) (depth int, oldest time.Time, err error)
}

// Config is what Metrics are made of.
type Config struct {
	// Backlog is read at a scrape; nil leaves the outbox's metrics out.
	Backlog Backlog
	// Version labels holdfast_build_info; "" means "unknown".
	Version string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log is told when the backlog can't be read; nil means slog.Default.
	Log *slog.Logger
}

// Metrics collects. Its methods may be called concurrently.
type Metrics struct {
	registry *prometheus.Registry
	steps    *prometheus.HistogramVec
	requests *prometheus.HistogramVec
}

// New returns Metrics with Go's runtime and the process registered as well.
func New(c Config) (*Metrics, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Version == "" {
		c.Version = "unknown"
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "holdfast_step_duration_seconds",
			Help:    "How long each step of a journey took, by how it ended; the count is how often.",
			Buckets: buckets,
		}, []string{"step", "outcome"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "holdfast_http_request_duration_seconds",
			Help:    "How long requests took, by the route's pattern and the answer's status.",
			Buckets: buckets[:len(buckets)-3],
		}, []string{"route", "status"}),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "holdfast_build_info", Help: "Always 1; the label says which version runs.",
	}, []string{"version"})
	build.WithLabelValues(c.Version).Set(1)
	all := []prometheus.Collector{
		m.steps, m.requests, build,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}
	if c.Backlog != nil {
		all = append(all, newOutbox(c))
	}
	for _, collector := range all {
		if err := m.registry.Register(collector); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Observe counts one step that ended with outcome after took. It is what
// flow.Config.Observe wants.
func (m *Metrics) Observe(step, outcome string, took time.Duration) {
	m.steps.WithLabelValues(step, outcome).Observe(took.Seconds())
}

// ObserveRequest counts one HTTP request. route is the pattern that matched, never
// the path, which may hold a token. It is what web.Config.Observe wants.
func (m *Metrics) ObserveRequest(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Observe(took.Seconds())
}

// Handler serves the metrics in Prometheus' text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// outbox reads the backlog at a scrape, at most once a backlogAge.
type outbox struct {
	Config
	depth, age, up *prometheus.Desc

	mu     sync.Mutex
	read   time.Time
	queued int
	oldest time.Time
	failed bool
}

func newOutbox(c Config) *outbox {
	return &outbox{
		Config: c,
		depth:  prometheus.NewDesc("holdfast_outbox_depth", "Messages that wait to be sent.", nil, nil),
		age:    prometheus.NewDesc("holdfast_outbox_age_seconds", "Age of the oldest message that waits, 0 where none does.", nil, nil),
		up:     prometheus.NewDesc("holdfast_outbox_readable", "1 while the store tells its backlog, else 0.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (o *outbox) Describe(to chan<- *prometheus.Desc) { to <- o.depth; to <- o.age; to <- o.up }

// Collect implements prometheus.Collector. A store that does not answer leaves
// depth and age out, rather than showing what was true a while ago.
func (o *outbox) Collect(to chan<- prometheus.Metric) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.Now()
	if now.Sub(o.read) >= backlogAge || o.read.IsZero() {
		o.readNow(now)
	}
	if o.failed {
		to <- prometheus.MustNewConstMetric(o.up, prometheus.GaugeValue, 0)
		return
	}
	age := 0.0
	if !o.oldest.IsZero() {
		age = max(0, now.Sub(o.oldest).Seconds())
	}
	to <- prometheus.MustNewConstMetric(o.up, prometheus.GaugeValue, 1)
	to <- prometheus.MustNewConstMetric(o.depth, prometheus.GaugeValue, float64(o.queued))
	to <- prometheus.MustNewConstMetric(o.age, prometheus.GaugeValue, age)
}

func (o *outbox) readNow(now time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), backlogTime)
	defer cancel()
	var err error
	o.queued, o.oldest, err = o.Backlog.Backlog(ctx)
	o.read, o.failed = now, err != nil
	if err != nil {
		o.Log.Warn("the backlog can't be read", "error", err)
	}
}
