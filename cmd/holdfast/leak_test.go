package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"holdfast/internal/config"
	"holdfast/internal/secret"
)

// hidden is something that a server must keep to itself.
type hidden struct {
	what, value string
	number      bool // a national number, looked for in every form
	kept        bool // it may stand in the database
}

// punctuation is what people and programs write between a number's digits.
var punctuation = strings.NewReplacer(" ", "", "-", "", ".", "", "(", "", ")", "", "+", "", "/", "", "%20", "", "%2B", "", "%2b", "", `\u002b`, "", `\u002B`, "")

// in returns where h stands in a text, with some of what is around; "" means that
// it does not. The text is given as it is and without punctuation.
func (h hidden) in(text, digits string) (found string) {
	look := func(in string, values ...string) {
		for _, value := range values {
			if at := strings.Index(in, value); at >= 0 && found == "" {
				found = in[max(0, at-100):min(len(in), at+len(value)+20)]
			}
		}
	}
	look(text, h.value, url.QueryEscape(h.value), base64.StdEncoding.EncodeToString([]byte(h.value)))
	if h.number {
		look(digits, h.value)
		for _, form := range []string{h.value, "1" + h.value, "+1" + h.value} {
			sum := sha256.Sum256([]byte(form)) // anyone can try all numbers
			look(text, hex.EncodeToString(sum[:]), base64.RawStdEncoding.EncodeToString([]byte(form)))
		}
	}
	return found
}

// prying is a server in this process at level debug, and everything that went past
// it that nobody may find again.
type prying struct {
	*faultWorld
	log           *sink
	addr, metrics string
	header        map[string]string // the client's
	texts         chan text
	stop          func() error

	mu      sync.Mutex
	hiddens map[hidden]bool
	said    bytes.Buffer // bodies of errors, and headers of all answers
	next    int          // number
}

// A number, a token, a code or a key is in no log line, metric, error or header of
// a server, whatever happens to it; and in its database no secret can be read.
func TestNothingLeaks(t *testing.T) {
	dir := t.TempDir()
	p := startPrying(t, config.Database{URL: secret.Text("sqlite:" + filepath.Join(dir, "holdfast.db"))})
	p.logins()
	p.outcomes()
	p.badInput()
	p.foreignCallbacks()
	p.carriersTrouble()
	p.gatewaysTrouble()
	p.receipts()
	if r, err := p.do(p.addr, "GET", "/healthz", "192.0.2.80", nil, ""); err != nil || r.status != http.StatusOK {
		t.Errorf("health: %v, %d", err, r.status)
	}
	measured, err := p.do(p.metrics, "GET", "/metrics", "192.0.2.80", nil, "")
	if err != nil || !strings.Contains(measured.body, "holdfast_step_duration_seconds_count") {
		t.Errorf("metrics: %v, %d", err, measured.status)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	p.search("the log", p.log.String(), true)
	p.search("the metrics", measured.body, true)
	p.search("an error or a header", p.said.String(), true)
	p.searchFiles(dir)
	p.hasHappened()
}

func startPrying(t *testing.T, database config.Database) *prying {
	t.Helper()
	p := &prying{
		faultWorld: newFaultWorld(t, database), log: newSink(), hiddens: map[hidden]bool{}, texts: make(chan text, 64),
	}
	p.around, p.overhear = p.wiretap, p.hear
	p.onText(p.takeText)
	settings := p.settings()
	settings["metrics_listen"], settings["log"] = "127.0.0.1:0", map[string]any{"level": "debug"}
	settings["sms"] = map[string]any{"gateway": "sink", "gateways": map[string]any{
		"sink": map[string]any{
			"kind": "generic", "url": p.gateway, "id_path": "id", "callback_secret": leakCallbackSecret,
			"headers": map[string]string{"Authorization": `Bearer {{secret "key"}}`}, "secrets": map[string]string{"key": "a-gateways-api-key"},
		},
		"twin": map[string]any{
			"kind": "twilio", "account_sid": "AC" + strings.Repeat("0", 32), "auth_token": leakAuthToken, "from": "+12025550199",
		},
	}}
	p.configure(settings)
	for what, value := range map[string]string{
		"the server's key": settings["secret_key"].(string), "a receipt's key": leakCallbackSecret, "an auth token": leakAuthToken,
		"a gateway's key": "a-gateways-api-key", "the password": faultPassword,
	} {
		p.hide(what, value)
	}
	p.hidePEM(p.keyFile)
	for what, value := range map[string]string{
		"a phone's address": onCellular, "a phone's address, on Wi-Fi": onWiFi, "the target's query": "private-4711",
	} {
		p.hiddens[hidden{what: what, value: value, kept: true}] = true
	}
	p.serve()
	return p
}

const (
	leakCallbackSecret = "a-callback-secret-of-the-sink"
	leakAuthToken      = "an-auth-token-of-the-twin"
)

// serve runs `holdfast serve` here.
func (p *prying) serve() {
	p.t.Helper()
	before, log := goleak.IgnoreCurrent(), slog.Default()
	ctx, cancel := context.WithCancel(p.ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--config", p.configFile}, &environment{stdout: io.Discard, stderr: p.log})
	}()
	p.stop = sync.OnceValue(func() error {
		cancel()
		err := <-ended
		slog.SetDefault(log)
		p.operator.CloseClientConnections() // those that wait for another request end with that
		return errors.Join(err, goleak.Find(before))
	})
	p.t.Cleanup(func() { _ = p.stop() }) // where the test ended early
	started := regexp.MustCompile(`"address":"([0-9.:]+)","metrics":"([0-9.:]+)"`)
	for {
		select {
		case <-p.log.arrived:
		case err := <-ended:
			ended <- err
			p.t.Fatalf("the server did not start: %v\n%s", err, p.log)
		}
		if at := started.FindStringSubmatch(p.log.String()); at != nil {
			p.addr, p.metrics = at[1], at[2]
			return
		}
	}
}

func (p *prying) hide(what, value string) {
	if len(value) < 10 {
		return // "-" and the like prove nothing
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hiddens[hidden{what: what, value: value}] = true
}

func (p *prying) hidePEM(file string) {
	content, err := os.ReadFile(file)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, line := range strings.Split(string(content), "\n") {
		if !strings.HasPrefix(line, "-----") {
			p.hide("the carrier's key", line)
		}
	}
}

// number is another one that belongs to nobody.
func (p *prying) number() (national, e164 string) {
	national, e164 = fictitious(p.next)
	p.next++
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hiddens[hidden{what: "a number", value: national, number: true, kept: true}] = true
	return national, e164
}

// hear keeps what an answer says besides what it is for: nobody but the browser
// reads Location and Set-Cookie.
func (p *prying) hear(r reply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, values := range r.header {
		if name != "Location" && name != "Set-Cookie" {
			fmt.Fprintln(&p.said, name, values)
		}
	}
	if r.status >= http.StatusBadRequest {
		p.said.WriteString(r.body + "\n")
	}
}

// wiretap reads along between the server and the operator.
func (p *prying) wiretap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			p.t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)

		sent, _ := url.ParseQuery(string(body))
		back, _ := url.Parse(answer.Header().Get("Location"))
		for _, values := range []url.Values{sent, r.URL.Query(), back.Query()} {
			for _, name := range []string{"state", "nonce", "code", "code_verifier", "client_assertion"} {
				p.hide("the operator's "+name, values.Get(name))
			}
		}
		var told map[string]any
		_ = json.Unmarshal(answer.Body.Bytes(), &told)
		for _, name := range []string{"access_token", "id_token"} {
			if value, ok := told[name].(string); ok {
				p.hide("the operator's "+name, value)
			}
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

func (p *prying) takeText(m text) int {
	p.hide("a link's token", m.token())
	p.hide("a text's reference", m.Ref)
	p.texts <- m
	return http.StatusOK
}

func (p *prying) search(where, text string, all bool) {
	p.t.Helper()
	digits := punctuation.Replace(text)
	for h := range p.hiddens {
		if all || !h.kept {
			if found := h.in(text, digits); found != "" {
				p.t.Errorf("%s has %s: …%s…", where, h.what, found)
			}
		}
	}
}

func (p *prying) searchFiles(dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "holdfast.db*"))
	if err != nil || len(files) == 0 {
		p.t.Fatalf("no database: %v", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			p.t.Fatal(err)
		}
		if !bytes.Contains(content, []byte("private-4711")) && filepath.Base(file) == "holdfast.db" {
			p.t.Error("the search does not find what is there")
		}
		p.search(filepath.Base(file), string(content), false)
		for h := range p.hiddens { // a token's bytes prove as much as its text
			if token, ok := secret.ParseToken(h.value); ok && bytes.Contains(content, token.Random[:]) {
				p.t.Errorf("%s has %s, in bytes", filepath.Base(file), h.what)
			}
		}
	}
}

// hasHappened makes sure that there was something to hide.
func (p *prying) hasHappened() {
	logged := p.log.String()
	for _, event := range []string{
		"requested", "clicked", "held_for_network", "completed", "denied", "callback_refused",
		"sms_accepted", "sms_retry", "sms_refused", "sms_lost", "receipt-arrived", "receipt-failed",
	} {
		if !strings.Contains(logged, `"event":"`+event+`"`) {
			p.t.Errorf("there was no event %q", event)
		}
	}
	for _, line := range []string{`"level":"DEBUG"`, `"level":"WARN"`, `"msg":"carrier"`, `"status":401`, `"status":409`, `"msg":"stopped"`} {
		if !strings.Contains(logged, line) {
			p.t.Errorf("nothing was logged like %s", line)
		}
	}
	kinds := map[string]int{}
	for h := range p.hiddens {
		kinds[h.what]++
	}
	for _, what := range []string{
		"a link's token", "a fingerprint", "an access token", "a cookie", "a number", "the operator's state", "the operator's nonce",
		"the operator's code", "the operator's code_verifier", "the operator's access_token", "the operator's id_token",
	} {
		if kinds[what] == 0 {
			p.t.Errorf("%s was never seen, so nothing is known of it", what)
		}
	}
	p.t.Logf("looked for %d things in %d KB of log: %v", len(p.hiddens), len(logged)>>10, slices.Sorted(maps.Keys(kinds)))
}

// The finder finds.
func TestHiddenIsFound(t *testing.T) {
	t.Parallel()
	number := hidden{value: "2125550123", number: true}
	for _, text := range []string{
		"2125550123", "+12125550123", "12125550123", "(212) 555-0123", "212.555.0123", "+1 212 555 01 23", "%2B1212%20555%200123", "tel:+1-212-555-0123",
		base64.StdEncoding.EncodeToString([]byte("+12125550123")), fmt.Sprintf("%x", sha256.Sum256([]byte("+12125550123"))),
	} {
		if number.in(text, punctuation.Replace(text)) == "" {
			t.Errorf("not found in %q", text)
		}
	}
	if found := number.in("+1212555xx23", ""); found != "" {
		t.Errorf("found in a masked one: %q", found)
	}
}
