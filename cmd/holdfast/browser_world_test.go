package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"holdfast/internal/access"
	"holdfast/internal/config"
	"holdfast/internal/secret"
	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

// chromium is one running browser, in which each test has profiles of its own.
type chromium struct {
	ctx context.Context
	// screenshots is the folder for pictures of what the tests see; "" takes none.
	screenshots string
}

// startChromium starts a browser that ends with the test. Where none is installed
// the test is skipped; on a build server that is a failure.
func startChromium(t *testing.T) *chromium {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	switch {
	case program != "":
	case os.Getenv("CI") == "true":
		t.Fatal("neither Chromium nor Chrome is installed")
	default:
		t.Skip("neither Chromium nor Chrome is installed")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], // with an empty profile folder that goes with the browser
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
	)
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, closed := chromedp.NewContext(ctx, chromedp.WithErrorf(t.Logf))
	t.Cleanup(closed)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting %s: %v", program, err)
	}
	c := &chromium{ctx: ctx, screenshots: os.Getenv("HOLDFAST_SCREENSHOTS")}
	if c.screenshots != "" {
		if err := os.MkdirAll(c.screenshots, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// clock is the time of a server; it goes on by itself and can be moved.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// lockedBuffer keeps what a command writes.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// devServer is a running `holdfast dev`.
type devServer struct {
	base  string
	data  string
	clock *clock
}

// startDev runs the command until the test ends. Whatever it logs as a warning
// or worse fails the test.
func startDev(t *testing.T) *devServer {
	t.Helper()
	dev := &devServer{data: t.TempDir(), clock: new(clock)}
	said, logged := new(lockedBuffer), new(lockedBuffer)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		command := devCommand{Listen: "127.0.0.1:0", Data: dev.data, now: dev.clock.Now}
		ended <- command.Run(ctx, &environment{stdout: said, stderr: logged})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("holdfast dev ended with %v", err)
		}
		dev.checkLog(t, logged.String())
	})
	eventually(t, "holdfast dev says where it is", func() bool {
		at := listening.FindStringSubmatch(said.String())
		if at != nil {
			dev.base = "http://" + at[1]
		}
		return at != nil || len(ended) > 0
	})
	return dev
}

var wrongLevel = regexp.MustCompile(`"level":"(WARN|ERROR)"`)

func (d *devServer) checkLog(t *testing.T, log string) {
	for line := range strings.Lines(log) {
		if wrongLevel.MatchString(line) {
			t.Errorf("holdfast dev logged %s", line)
		}
	}
	if strings.Contains(log, theNumber[2:]) {
		t.Error("holdfast dev logged the number")
	}
}

// put switches a phone's network as a script does.
func (d *devServer) put(t *testing.T, number, network string) {
	t.Helper()
	body := `{"number":"` + number + `","network":"` + network + `"}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, d.base+"/phone/network", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("PUT /phone/network = %s", resp.Status)
	}
}

// set changes the demo client while the server runs, as an operator may. (The
// operator's own command refuses the demo's targets, which are plain HTTP.)
func (d *devServer) set(t *testing.T, change func(*tenant.Settings)) {
	t.Helper()
	db, err := openStore(t.Context(), config.Database{URL: secret.Text("sqlite:" + filepath.Join(d.data, "holdfast.db"))})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	a, err := access.New(access.Config{Store: db, IDs: verify.NewIDs(0, time.Now), Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	demo, err := a.Find(t.Context(), demoUsername)
	if err != nil {
		t.Fatal(err)
	}
	change(&demo.Settings)
	if _, err := a.Set(t.Context(), demoUsername, access.Change{Settings: &demo.Settings}); err != nil {
		t.Fatal(err)
	}
	d.clock.move(10 * time.Second) // by when the server has forgotten the old settings
}

// stepTime is how long a step may take: far longer than it does.
const stepTime = 30 * time.Second

// pollTime is how often a condition that is waited for is looked at.
const pollTime = 15 * time.Millisecond

// eventually waits until yes says so.
func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	late := time.NewTimer(stepTime)
	defer late.Stop()
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-late.C:
			t.Fatalf("after %s still not so: %s", stepTime, what)
		}
	}
}
