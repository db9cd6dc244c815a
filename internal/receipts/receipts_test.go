package receipts_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/receipts"
	"holdfast/internal/secret"
	"holdfast/internal/sms"
	"holdfast/internal/sms/generic"
	"holdfast/internal/sms/smstest"
	"holdfast/internal/sms/twilio"
	"holdfast/internal/verify"
	"holdfast/internal/web"
)

// ref has a reference's form.
var ref = secret.Token{ID: 7}.Reveal()

// keeper is a flow that keeps receipts, or fails.
type keeper struct {
	mu   sync.Mutex
	got  []sms.Receipt
	fail error
}

func (k *keeper) Receipt(_ context.Context, r sms.Receipt) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return k.fail
	}
	k.got = append(k.got, r)
	return nil
}

// plain is a gateway that believes everything but what its error says.
type plain struct{ err error }

func (p plain) ReadReceipt(r *http.Request, body []byte) (sms.Receipt, error) {
	return sms.Receipt{Ref: string(body), Status: sms.Arrived}, p.err
}

func serve(t *testing.T, flow receipts.Flow, log io.Writer, gateways map[string]receipts.Gateway) *httptest.Server {
	t.Helper()
	logger := slog.New(slog.NewJSONHandler(log, nil))
	mux := http.NewServeMux()
	receipts.Register(mux, receipts.Config{Flow: flow, Gateways: gateways})
	server := httptest.NewServer(web.Wrap(mux, web.Config{Log: logger}))
	t.Cleanup(server.Close)
	return server
}

func post(t *testing.T, server *httptest.Server, method, path string, header http.Header, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	answer, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method, path, body string
		gateway            error // of ReadReceipt
		flow               error // of Receipt
		status             int
		stored             bool
	}{
		"stored":                       {"POST", "/receipts/g/" + ref, ref, nil, nil, 204, true},
		"no such gateway":              {"POST", "/receipts/x/" + ref, ref, nil, nil, 404, false},
		"another reference inside":     {"POST", "/receipts/g/" + ref, ref[1:] + "A", nil, nil, 404, false},
		"not our reference":            {"POST", "/receipts/g/" + ref, ref, nil, verify.ErrNotFound, 404, false},
		"no reference":                 {"POST", "/receipts/g/", "", nil, nil, 404, false},
		"more path":                    {"POST", "/receipts/g/" + ref + "/x", ref, nil, nil, 404, false},
		"GET":                          {"GET", "/receipts/g/" + ref, "", nil, nil, 405, false},
		"not proved":                   {"POST", "/receipts/g/" + ref, ref, &verify.Error{Code: verify.CodeForbidden}, nil, 403, false},
		"refused without a code":       {"POST", "/receipts/g/" + ref, ref, errors.New("number +12125550123"), nil, 403, false},
		"unreadable":                   {"POST", "/receipts/g/" + ref, ref, verify.Invalid(verify.Field{Name: "body"}), nil, 400, false},
		"at the limit":                 {"POST", "/receipts/g/" + ref, strings.Repeat("x", 64<<10), nil, nil, 404, false},
		"too large":                    {"POST", "/receipts/g/" + ref, strings.Repeat("x", 64<<10+1), nil, nil, 413, false},
		"database away":                {"POST", "/receipts/g/" + ref, ref, nil, errors.New("connection to db-7 refused"), 503, false},
		"database away, and coded":     {"POST", "/receipts/g/" + ref, ref, nil, fmt.Errorf("%w: db-7", &verify.Error{Code: verify.CodeUnavailable}), 503, false},
		"database too busy, and coded": {"POST", "/receipts/g/" + ref, ref, nil, &verify.Error{Code: verify.CodeUnavailable}, 503, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flow := &keeper{fail: c.flow}
			var log strings.Builder
			server := serve(t, flow, &log, map[string]receipts.Gateway{"g": plain{c.gateway}})
			answer := post(t, server, c.method, c.path, nil, c.body)
			body, _ := io.ReadAll(answer.Body)
			server.Close() // the log is complete then
			if answer.StatusCode != c.status {
				t.Errorf("status %d, want %d: %s", answer.StatusCode, c.status, body)
			}
			if (len(flow.got) == 1) != c.stored {
				t.Errorf("stored %v", flow.got)
			}
			if c.status == http.StatusNoContent {
				return
			}
			var problem struct{ Error struct{ StatusCode int } }
			if json.Unmarshal(body, &problem) != nil || problem.Error.StatusCode != c.status {
				t.Errorf("body %s", body)
			}
			if c.status == http.StatusServiceUnavailable && answer.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			for _, bad := range []string{"+1212", "db-7"} {
				if strings.Contains(string(body), bad) {
					t.Errorf("the answer tells %q: %s", bad, body)
				}
			}
			if strings.Contains(log.String(), "+1212") || strings.Contains(log.String(), ref) {
				t.Errorf("the log tells too much: %s", &log)
			}
			if strings.HasPrefix(name, "database away") && !strings.Contains(log.String(), "db-7") {
				t.Errorf("the log does not say why: %s", &log)
			}
		})
	}
}

// TestGateways sends a text by each real gateway to a pretend provider, which
// posts a receipt to the address that came with it.
func TestGateways(t *testing.T) {
	t.Parallel()
	public := &url.URL{Scheme: "https", Host: "ok.example"}
	const key secret.Text = "callback secret"

	asked := make(chan string, 1)
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Type") == "application/json" {
			var body struct {
				URL string `json:"receipt_url"`
			}
			_ = json.NewDecoder(r.Body).Decode(&body)
			asked <- body.URL
			return
		}
		asked <- r.PostFormValue("StatusCallback")
	}))
	t.Cleanup(provider.Close)
	tw, err := twilio.New(twilio.Config{
		Name: "tw", AccountSID: "AC0123456789abcdef0123456789abcdef", AuthToken: key, From: "+12125550100",
		BaseURL: provider.URL, PublicURL: public,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tw.Close)
	own, err := generic.New(generic.Config{Name: "own", URL: provider.URL, CallbackSecret: key, PublicURL: public})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(own.Close)
	flow := &keeper{}
	server := serve(t, flow, io.Discard, map[string]receipts.Gateway{"tw": tw, "own": own})

	m := smstest.Message()
	m.Ref = ref
	send := func(g smstest.Gateway) (path string) {
		if _, err := g.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		path, ours := strings.CutPrefix(<-asked, "https://ok.example")
		if !ours || !strings.HasPrefix(path, receipts.Path) {
			t.Fatalf("receipts were asked for at %q", path)
		}
		return path
	}
	form := url.Values{"MessageStatus": {"undelivered"}, "ErrorCode": {"30003"}}
	path := send(tw)
	answer := post(t, server, "POST", path, http.Header{
		twilio.SignatureHeader: {twilio.Sign(key, "https://ok.example"+path, form)}, "Content-Type": {"application/x-www-form-urlencoded"},
	}, form.Encode())
	if answer.StatusCode != http.StatusNoContent {
		t.Errorf("twilio: %d", answer.StatusCode)
	}
	path = send(own)
	body := `{"ref":"` + ref + `","status":"delivered"}`
	answer = post(t, server, "POST", path, http.Header{generic.SignatureHeader: {generic.Sign(key, time.Now(), []byte(body))}}, body)
	if answer.StatusCode != http.StatusNoContent {
		t.Errorf("generic: %d", answer.StatusCode)
	}
	if answer = post(t, server, "POST", path, nil, body); answer.StatusCode != http.StatusForbidden {
		t.Errorf("generic, unsigned: %d", answer.StatusCode)
	}
	want := []sms.Receipt{{Ref: ref, Status: sms.Undeliverable, Code: "30003"}, {Ref: ref, Status: sms.Arrived}}
	if len(flow.got) != 2 || flow.got[0] != want[0] || flow.got[1] != want[1] {
		t.Errorf("got %+v, want %+v", flow.got, want)
	}
}
