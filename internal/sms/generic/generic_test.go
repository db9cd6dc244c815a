package generic_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"holdfast/internal/secret"
	"holdfast/internal/sms"
	"holdfast/internal/sms/generic"
	"holdfast/internal/sms/smstest"
)

func must(t testing.TB, c generic.Config) *generic.Gateway {
	t.Helper()
	g, err := generic.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

func TestContract(t *testing.T) {
	t.Parallel()
	yes := func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"messages":[{"id":"abc-1"}]}`) }
	t.Run("POST", func(t *testing.T) {
		t.Parallel()
		smstest.Run(t, smstest.Kit{
			New: func(t *testing.T, s smstest.Setup) smstest.Gateway {
				return must(t, generic.Config{Name: "g", URL: s.BaseURL + "/send", IDPath: "messages.0.id", RootCAs: s.RootCAs, Timeout: s.Timeout})
			},
			Yes: yes, ID: "abc-1",
			Read: func(r *http.Request) (to, text string) {
				var body struct{ To, Text string }
				_ = json.NewDecoder(r.Body).Decode(&body)
				return body.To, body.Text
			},
		})
	})
	t.Run("GET", func(t *testing.T) {
		t.Parallel()
		kit := smstest.Kit{
			New: func(t *testing.T, s smstest.Setup) smstest.Gateway {
				return must(t, generic.Config{
					Name: "g", Method: "GET", URL: s.BaseURL + "/cgi-bin/sendsms?to={{query .To}}&text={{query .Text}}",
					IDPath: "messages.0.id", RootCAs: s.RootCAs, Timeout: s.Timeout,
				})
			},
			Yes: yes, ID: "abc-1",
			Read: func(r *http.Request) (to, text string) { return r.FormValue("to"), r.FormValue("text") },
		}
		smstest.RunOneShot(t, kit)
	})
	t.Run("Idempotency-Key", func(t *testing.T) {
		t.Parallel()
		smstest.Run(t, smstest.Kit{
			New: func(t *testing.T, s smstest.Setup) smstest.Gateway {
				return must(t, generic.Config{
					Name: "g", URL: s.BaseURL, ContentType: "application/x-www-form-urlencoded",
					Headers: map[string]string{"idempotency-key": "{{.Ref}}"}, Body: "to={{query .To}}&text={{.Text | query}}\n",
					IDPath: "messages.0.id", RootCAs: s.RootCAs, Timeout: s.Timeout,
				})
			},
			Yes: yes, ID: "abc-1",
			Read: func(r *http.Request) (to, text string) { return r.FormValue("to"), r.FormValue("text") },
		})
	})
}

// seen is a request as a provider got it.
type seen struct {
	method, uri, body string
	header            http.Header
}

func send(t *testing.T, c generic.Config, path string) seen {
	t.Helper()
	var got seen
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = seen{r.Method, r.RequestURI, string(body), r.Header}
	}))
	t.Cleanup(server.Close)
	c.Name, c.URL = "acme", server.URL+path
	if _, err := must(t, c).Send(t.Context(), smstest.Message()); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestDefaultBody(t *testing.T) {
	t.Parallel()
	m := smstest.Message()
	got := send(t, generic.Config{PublicURL: &url.URL{Scheme: "https", Host: "ok.example"}}, "/send")
	var body map[string]any
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		t.Fatalf("%v in %s", err, got.body)
	}
	want := map[string]any{
		"to": m.To.E164(), "text": m.Text, "ref": m.Ref,
		"receipt_url": "https://ok.example/receipts/acme/" + m.Ref, "valid_seconds": 299.0,
	}
	if fmt.Sprint(body) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", body, want)
	}
	if got.method != "POST" || got.uri != "/send" || got.header.Get("Content-Type") != "application/json" || got.header.Get("User-Agent") != "holdfast" {
		t.Errorf("got %s %s %v", got.method, got.uri, got.header)
	}
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	m := smstest.Message()
	got := send(t, generic.Config{
		Method: "PUT",
		Headers: map[string]string{
			"authorization": `Basic {{base64 (print (secret "user") ":" (secret "password"))}}`,
			"X-Ref":         "{{.Ref}}",
		},
		Body:        `{"msisdn":{{json (digits .To)}},"sms":{{json .Text}},"ttl":{{.ValidSeconds}},"key":"{{secret "user"}}"}`,
		ContentType: "application/json; charset=utf-8",
		Secrets:     map[string]secret.Text{"user": "u", "password": "p:&"},
	}, "/a/{{path .Ref}}?k={{secret \"user\"}}")
	var body struct {
		MSISDN, SMS, Key string
		TTL              int
	}
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		t.Fatalf("%v in %s", err, got.body)
	}
	if body.MSISDN != "12125550123" || body.SMS != m.Text || body.TTL != 299 || body.Key != "u" {
		t.Errorf("body %+v", body)
	}
	if got.method != "PUT" || got.uri != "/a/"+m.Ref+"?k=u" {
		t.Errorf("got %s %s", got.method, got.uri)
	}
	for name, want := range map[string]string{
		"Authorization": "Basic dTpwOiY=", "X-Ref": m.Ref, "Content-Type": "application/json; charset=utf-8",
	} {
		if got.header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.header.Get(name), want)
		}
	}
}

func TestConfigIsTriedOut(t *testing.T) {
	t.Parallel()
	const ok = "https://sms.example/send"
	for name, c := range map[string]struct {
		config generic.Config
		says   string
	}{
		"no name":                 {generic.Config{URL: ok}, "name"},
		"no url":                  {generic.Config{Name: "g"}, "url"},
		"relative url":            {generic.Config{Name: "g", URL: "/send"}, "url"},
		"other scheme":            {generic.Config{Name: "g", URL: "ftp://sms.example/"}, "url"},
		"user in url":             {generic.Config{Name: "g", URL: "https://u:p@sms.example/"}, "user name"},
		"host by message":         {generic.Config{Name: "g", URL: "https://{{digits .To}}.example/"}, "host"},
		"unescaped query":         {generic.Config{Name: "g", URL: ok + "?text={{.Text}}"}, "{{query .Text}}"},
		"plus sign in query":      {generic.Config{Name: "g", URL: ok + "?to={{.To}}"}, "{{query .To}}"},
		"delete":                  {generic.Config{Name: "g", URL: ok, Method: "DELETE"}, "method"},
		"body with GET":           {generic.Config{Name: "g", URL: ok, Method: "GET", Body: "{}"}, "GET"},
		"quotes around json":      {generic.Config{Name: "g", URL: ok, Body: `{"text":"{{json .Text}}"}`}, "{{json .Text}}"},
		"unescaped json":          {generic.Config{Name: "g", URL: ok, Body: `{"text":"{{.Text}}"}`}, "{{json .Text}}"},
		"unescaped form":          {generic.Config{Name: "g", URL: ok, ContentType: "application/x-www-form-urlencoded", Body: "t={{.Text}}"}, "{{query .Text}}"},
		"plus sign in form":       {generic.Config{Name: "g", URL: ok, ContentType: "application/x-www-form-urlencoded", Body: "to={{.To}}"}, "{{query .To}}"},
		"default body, form type": {generic.Config{Name: "g", URL: ok, ContentType: "application/x-www-form-urlencoded"}, "form"},
		"bad content type":        {generic.Config{Name: "g", URL: ok, ContentType: ";"}, "content type"},
		"no such field":           {generic.Config{Name: "g", URL: ok, Body: "{{.Number}}"}, "Number"},
		"no such function":        {generic.Config{Name: "g", URL: ok, Body: "{{shell .To}}"}, "shell"},
		"no such secret":          {generic.Config{Name: "g", URL: ok, Headers: map[string]string{"X": `{{secret "x"}}`}}, `"x"`},
		"text in header":          {generic.Config{Name: "g", URL: ok, Headers: map[string]string{"X": "{{.Text}}"}}, "header"},
		"bad header name":         {generic.Config{Name: "g", URL: ok, Headers: map[string]string{"X Y": ""}}, "header"},
		"host header":             {generic.Config{Name: "g", URL: ok, Headers: map[string]string{"host": "x"}}, "header"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := generic.New(c.config)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want one that says %q", err, c.says)
			}
		})
	}
}

func TestIDPath(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ path, body, want string }{
		{"id", `{"id":"x"}`, "x"},
		{"id", `{"id":12345678901234567890}`, "12345678901234567890"},
		{"0.id", `[{"id":"x"}]`, "x"},
		{"a.1.b", `{"a":[0,{"b":"x"}]}`, "x"},
		{"a.1", `{"a":{"1":"x"}}`, "x"},
		{"1", `["x"]`, ""},
		{"-1", `["x"]`, ""},
		{"id", `{"id":null}`, ""},
		{"id", `{"id":{"x":1}}`, ""},
		{"id.x", `{"id":"y"}`, ""},
		{"id", `{"id":"with\nline"}`, ""},
		{"id", `{"id":"` + strings.Repeat("x", 200) + `"}`, ""},
		{"", `{"id":"x"}`, ""},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, c.body) }))
		got, err := must(t, generic.Config{Name: "g", URL: server.URL, IDPath: c.path}).Send(t.Context(), smstest.Message())
		if err != nil || got.ProviderID != c.want {
			t.Errorf("%q in %s: %q, %v; want %q", c.path, c.body, got.ProviderID, err, c.want)
		}
		server.Close()
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]sms.Class{
		400: sms.Refused, 404: sms.Refused, 405: sms.Refused, 410: sms.Refused, 413: sms.Refused, 415: sms.Refused, 422: sms.Refused,
		402: sms.Retry, 406: sms.Retry, 409: sms.Retry, 418: sms.Retry, 451: sms.Retry,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) }))
		_, err := must(t, generic.Config{Name: "g", URL: server.URL}).Send(t.Context(), smstest.Message())
		if failed, ok := err.(*sms.Error); !ok || failed.Class != want {
			t.Errorf("%d: %v, want class %v", status, err, want)
		}
		server.Close()
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead || r.URL.Path != "/" {
			t.Errorf("Check sent %s %s", r.Method, r.URL)
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	g := must(t, generic.Config{Name: "g", URL: server.URL + "/send?key=abc"})
	if err := g.Check(t.Context()); err != nil {
		t.Errorf("any answer will do: %v", err)
	}
	server.Close()
	if err := g.Check(t.Context()); err == nil || strings.Contains(err.Error(), "abc") {
		t.Errorf("error %v", err)
	}
}

func TestJSONStringsAreJSON(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "plain", `"\`, "\x00\x01\x1f\x7f\b\t\r\n", "\u2028é🔒", "bad\xff\xc3("} {
		m := smstest.Message()
		m.Text = text
		var got struct{ Text string }
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}))
		if _, err := must(t, generic.Config{Name: "g", URL: server.URL}).Send(t.Context(), m); err != nil {
			t.Error(err)
		}
		server.Close()
		if got.Text != string([]rune(text)) {
			t.Errorf("%q came as %q", text, got.Text)
		}
	}
}

func BenchmarkSend(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"id":"sink-1"}`)
	}))
	defer server.Close()
	g := must(b, generic.Config{Name: "g", URL: server.URL, IDPath: "id"})
	m := smstest.Message()
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := g.Send(b.Context(), m); err != nil {
				b.Error(err)
			}
		}
	})
}
