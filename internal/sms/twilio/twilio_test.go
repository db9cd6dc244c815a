package twilio_test

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/internal/sms"
	"holdfast/internal/sms/smstest"
	"holdfast/internal/sms/twilio"
)

const (
	account = "AC0123456789abcdef0123456789abcdef"
	service = "MG0123456789abcdef0123456789abcdef"
	taken   = `{"account_sid":"AC0123456789abcdef0123456789abcdef","error_code":null,"sid":"SM0123456789abcdef0123456789abcdef","status":"queued"}`
)

func config() twilio.Config {
	return twilio.Config{
		Name: "tw", AccountSID: account, AuthToken: "12345", From: "+12125550100",
		PublicURL: &url.URL{Scheme: "https", Host: "ok.example"},
	}
}

func must(t testing.TB, c twilio.Config) *twilio.Gateway {
	t.Helper()
	g, err := twilio.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

func TestContract(t *testing.T) {
	t.Parallel()
	smstest.Run(t, smstest.Kit{
		New: func(t *testing.T, s smstest.Setup) smstest.Gateway {
			c := config()
			c.BaseURL, c.RootCAs, c.Timeout = s.BaseURL, s.RootCAs, s.Timeout
			return must(t, c)
		},
		Yes: func(w http.ResponseWriter) { w.WriteHeader(http.StatusCreated); _, _ = io.WriteString(w, taken) },
		ID:  "SM0123456789abcdef0123456789abcdef",
		Read: func(r *http.Request) (to, text string) {
			return r.PostFormValue("To"), r.PostFormValue("Body")
		},
	})
}

// TestRequest checks what leaves against what the API's description says: the
// path, Basic authentication, a form, and these keys with these forms of values.
func TestRequest(t *testing.T) {
	t.Parallel()
	m := smstest.Message()
	for name, c := range map[string]struct {
		change func(*twilio.Config)
		form   url.Values // beyond what is always there
		user   string
		pass   string
	}{
		"number": {func(*twilio.Config) {}, url.Values{
			"From": {"+12125550100"}, "StatusCallback": {"https://ok.example/receipts/tw/" + m.Ref},
		}, account, "12345"},
		"messaging service": {func(c *twilio.Config) { c.From, c.MessagingServiceSID = "", service }, url.Values{
			"MessagingServiceSid": {service}, "StatusCallback": {"https://ok.example/receipts/tw/" + m.Ref},
		}, account, "12345"},
		"no receipts": {func(c *twilio.Config) { c.PublicURL = nil }, url.Values{"From": {"+12125550100"}}, account, "12345"},
		"API key, short code": {func(c *twilio.Config) {
			c.From, c.PublicURL = "55501", nil
			c.KeySID, c.KeySecret = "SK0123456789abcdef0123456789abcdef", "key secret"
		}, url.Values{"From": {"55501"}}, "SK0123456789abcdef0123456789abcdef", "key secret"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != "POST" || r.RequestURI != "/2010-04-01/Accounts/"+account+"/Messages.json" {
					t.Errorf("%s %s", r.Method, r.RequestURI)
				}
				if user, pass, _ := r.BasicAuth(); user != c.user || pass != c.pass {
					t.Errorf("user %q, password %q", user, pass)
				}
				if got := r.Header.Get("Content-Type"); got != "application/x-www-form-urlencoded" {
					t.Errorf("content type %q", got)
				}
				if err := r.ParseForm(); err != nil {
					t.Error(err)
				}
				want := url.Values{"To": {m.To.E164()}, "Body": {m.Text}, "ValidityPeriod": {"299"}, "ShortenUrls": {"false"}}
				maps.Copy(want, c.form)
				if r.PostForm.Encode() != want.Encode() {
					t.Errorf("got  %v\nwant %v", r.PostForm, want)
				}
				w.WriteHeader(http.StatusCreated)
			}))
			t.Cleanup(server.Close)
			config := config()
			config.BaseURL = server.URL + "/"
			c.change(&config)
			if _, err := must(t, config).Send(t.Context(), m); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestValidityPeriodIsClamped(t *testing.T) {
	t.Parallel()
	for valid, want := range map[time.Duration]string{
		-time.Second: "1", 0: "1", 900 * time.Millisecond: "1", 90 * time.Second: "90", 10 * time.Hour: "36000", 24 * time.Hour: "36000",
	} {
		var got string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got = r.PostFormValue("ValidityPeriod") }))
		c := config()
		c.BaseURL = server.URL
		m := smstest.Message()
		m.ValidFor = valid
		if _, err := must(t, c).Send(t.Context(), m); err != nil || got != want {
			t.Errorf("%v: %q, %v; want %q", valid, got, err, want)
		}
		server.Close()
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status, code int
		class        sms.Class
		optOut       bool
	}{
		{400, 21610, sms.Refused, true},
		{400, 21211, sms.Refused, false},
		{400, 21614, sms.Refused, false},
		{403, 21408, sms.Refused, false},
		{400, 30004, sms.Refused, false},
		{400, 30005, sms.Refused, false},
		{400, 30006, sms.Refused, false},
		{400, 30007, sms.Refused, false},
		{400, 30034, sms.Refused, false},
		{400, 30035, sms.Refused, false},
		{400, 30909, sms.Refused, false},
		{429, 20429, sms.Retry, false},
		{429, 21610, sms.Retry, false}, // the status counts first
		{400, 30001, sms.Retry, false},
		{400, 30002, sms.Retry, false},
		{400, 30003, sms.Retry, false},
		{400, 30008, sms.Retry, false},
		{401, 20003, sms.Retry, false},
		{503, 21610, sms.Retry, false},
		{400, 99999, sms.Retry, false}, // unknown
		{404, 20404, sms.Retry, false},
		{400, 0, sms.Retry, false},
		{400, 55555, sms.Refused, false}, // the operator's own
		{400, 21606, sms.Retry, false},   // overruled by the operator
		{400, 55556, sms.Refused, true},  // an opt-out is never retried
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "9")
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, `{"code":`+strconv.Itoa(c.code)+`,"message":"The number +12125550123 did not take it","more_info":"https://x","status":400}`)
		}))
		config := config()
		config.BaseURL = server.URL
		config.Codes = map[int]twilio.Rule{55555: {Class: sms.Refused}, 21606: {Class: sms.Retry}, 55556: {Class: sms.Retry, OptOut: true}}
		_, err := must(t, config).Send(t.Context(), smstest.Message())
		server.Close()
		var failed *sms.Error
		if !errors.As(err, &failed) {
			t.Fatalf("%d: %v", c.code, err)
		}
		smstest.Quiet(t, err)
		code, wait := strconv.Itoa(c.code), time.Duration(0)
		if c.code == 0 || c.status >= 500 {
			code = "http_" + strconv.Itoa(c.status)
		}
		if c.class == sms.Retry {
			wait = 9 * time.Second
		}
		if failed.Class != c.class || failed.OptOut != c.optOut || failed.Code != code || failed.Retry != wait {
			t.Errorf("%d with %d: %+v", c.status, c.code, failed)
		}
	}
}

func TestAdvice(t *testing.T) {
	t.Parallel()
	g := must(t, config())
	if got := g.Advice("30034"); !strings.Contains(got, "10DLC") {
		t.Errorf("30034: %q", got)
	}
	for _, code := range []string{"", "http_503", "1"} {
		if got := g.Advice(code); got != "" {
			t.Errorf("%s: %q", code, got)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*twilio.Config)
		says   []string
	}{
		"everything": {func(c *twilio.Config) { *c = twilio.Config{BaseURL: "x", KeySID: "SK"} }, []string{"name", "account_sid", "auth_token", "from", "base_url", "key_sid", "key_secret"}},
		"both senders": {
			func(c *twilio.Config) { c.MessagingServiceSID = service }, []string{"from"},
		},
		"alphanumeric sender": {func(c *twilio.Config) { c.From = "ACME" }, []string{"from"}},
		"service":             {func(c *twilio.Config) { c.From, c.MessagingServiceSID = "", "MG1" }, []string{"messaging_service_sid"}},
		"base with query":     {func(c *twilio.Config) { c.BaseURL = "https://x.example/?a=b" }, []string{"base_url"}},
		"base with password":  {func(c *twilio.Config) { c.BaseURL = "https://a:b@x.example" }, []string{"base_url"}},
	} {
		config := config()
		config.AuthToken = "s3cret"
		c.change(&config)
		_, err := twilio.New(config)
		for _, word := range c.says {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v, want it to say %q", name, err, word)
			}
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" || r.URL.Path != "/2010-04-01/Accounts/"+account+".json" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	c := config()
	c.BaseURL = server.URL
	g := must(t, c)
	for _, status = range []int{200, 401, 403, 500} {
		if err := g.Check(t.Context()); (err == nil) != (status == 200) {
			t.Errorf("%d: %v", status, err)
		}
	}
	server.Close()
	if err := g.Check(t.Context()); err == nil {
		t.Error("nobody is there, and that is fine?")
	}
}

// Twilio's own keys are what its documents name; a typo in one is silent there.
func TestFormKeysAreTheAPIs(t *testing.T) {
	t.Parallel()
	known := []string{"To", "From", "MessagingServiceSid", "Body", "StatusCallback", "ValidityPeriod", "ShortenUrls"}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		for key := range r.PostForm {
			if !slices.Contains(known, key) {
				t.Errorf("key %q", key)
			}
		}
	}))
	t.Cleanup(server.Close)
	c := config()
	c.BaseURL = server.URL
	if _, err := must(t, c).Send(t.Context(), smstest.Message()); err != nil {
		t.Error(err)
	}
}
