package bench

import (
	"bytes"
	"context"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const host = "bench.example.com"

// world is a stand-in of everything that Run drives.
func world(t *testing.T) (Config, *standIn) {
	sink, err := NewSink()
	if err != nil {
		t.Fatal(err)
	}
	sink.Start()
	t.Cleanup(func() {
		if err := sink.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	carrier, back := newCarrier(t)
	ours := newStandIn(t, sink, carrier)
	back("https://" + host)
	bare := httptest.NewServer(Bare())
	t.Cleanup(bare.Close)
	return Config{
		Server: Server{Addr: ours.addr(), PID: os.Getpid()}, Host: host, Deliver: func(on bool) error { ours.silent.Store(!on); return nil },
		Bare: Server{Addr: bare.Listener.Addr().String(), PID: os.Getpid()}, Sink: sink,
		Username: "bench", Password: `quote"d`, Target: "https://app.example/return?order=1",
		Clients: 4, Duration: 60 * time.Millisecond, Rate: 200,
	}, ours
}

func TestRunMeasuresEveryStepWithoutErrors(t *testing.T) {
	c, _ := world(t)
	var filled, profiled []string
	c.Preload = func(context.Context) error { filled = append(filled, "filled"); return nil }
	c.Preloaded = 1000
	c.Profile = func(phase string) (func() error, error) {
		profiled = append(profiled, phase)
		return func() error { return nil }, nil
	}
	report, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if n, cause := report.Errors(); n != 0 {
		t.Errorf("%d errors, the first: %v", n, cause)
	}
	for _, s := range report.all() {
		if s.Count == 0 || s.Rate <= 0 || s.P50 <= 0 || s.P99 < s.P50 || s.Max < s.P99 {
			t.Errorf("%s was not measured: %+v", s.Name, s)
		}
	}
	for _, f := range report.Figures() {
		if f.Value <= 0 {
			t.Errorf("%s is %v", f.Name, f.Value)
		}
	}
	if len(filled) != 1 || !slices.Contains(profiled, "confirm-preloaded") || !slices.Contains(profiled, "journeys") {
		t.Errorf("filled %v, profiled %v", filled, profiled)
	}
	var out bytes.Buffer
	if _, err := report.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"callback → VFP", "send-link, delivery off ÷ bare POST", "with 1000 stored ÷ without", "p99 of SMS handed over at 200/s"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, &out)
		}
	}
}

// A server that goes wrong in the middle shows up as errors, not as speed.
func TestRunCountsErrors(t *testing.T) {
	c, ours := world(t)
	ours.carrier = "http://" + ours.addr() + "/nowhere"
	report, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if n, cause := report.Errors(); n == 0 || !strings.Contains(cause.Error(), "pretend carrier") {
		t.Errorf("%d errors, the first: %v", n, cause)
	}
	if report.Journeys.Rate != 0 {
		t.Errorf("%v journeys a second ended without a carrier", report.Journeys.Rate)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	c, _ := world(t)
	c.Duration = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	c.Profile = func(string) (func() error, error) {
		time.AfterFunc(20*time.Millisecond, cancel)
		return func() error { return nil }, nil
	}
	if _, err := Run(ctx, c); err == nil {
		t.Error("a cancelled run has a report")
	}
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	c, _ := world(t)
	for name, spoil := range map[string]func(*Config){
		"no server": func(c *Config) { c.Server.Addr = "" }, "no sink": func(c *Config) { c.Sink = nil },
		"too many clients": func(c *Config) { c.Clients = numbers + 1 }, "negative duration": func(c *Config) { c.Duration = -1 },
	} {
		bad := c
		spoil(&bad)
		if _, err := Run(t.Context(), bad); err == nil {
			t.Errorf("%s: runs", name)
		}
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	if u, known := UsageOf(os.Getpid()); known && (u.Memory <= 0 || u.Peak < u.Memory) {
		t.Errorf("this process uses %+v", u)
	}
	if _, known := UsageOf(-1); known {
		t.Error("a process without number uses something")
	}
}
