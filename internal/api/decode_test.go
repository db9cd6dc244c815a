package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"holdfast/internal/access"
	"holdfast/internal/flow"
	"holdfast/internal/tenant"
	"holdfast/internal/verify"
	"holdfast/internal/web"
)

// Whatever the reader takes, encoding/json takes in its strictest setting, and
// reads the same.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"targetUrl":"https://a.example","mobileNumber":"2125550123","countryCode":"US"}`,
		` { "customSms" : "\u00fc\ud83d\ude00\n\"\\\/\b\f\r\t" } `, `{}`, `{"customSms":"\ud83d"}`, `{"a":[1,-0.5e+7,{"b":null}],"c":true}`,
		`{"customSms":"x","customSms":"y"}`, `{"customSms":"x"}x`, "\xef\xbb\xbf{}", `{"customSms":"` + "\xff" + `"}`, `[[[[`, `{"x":01}`, `{"x":1.}`, `{"x":-}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var b sendLinkRequest
		decode(data, &b)
		if b.read.broken {
			if len(b.read.bad) != 1 {
				t.Fatalf("%d reasons", len(b.read.bad))
			}
			return
		}
		if !json.Valid(data) {
			t.Fatalf("not JSON, and read: %q", data)
		}
		if len(b.read.bad) > 0 {
			return
		}
		var std sendLinkRequest
		d := json.NewDecoder(bytes.NewReader(data))
		d.DisallowUnknownFields()
		if err := d.Decode(&std); err != nil {
			t.Fatalf("encoding/json refuses what was read: %v", err)
		}
		if _, err := d.Token(); err != io.EOF { // Decoder returns it bare
			t.Fatal("something is left")
		}
		b.read = reading{}
		if std.read = (reading{}); !equal(std, b) {
			t.Fatalf("encoding/json reads %+v, we %+v", std, b)
		}
	})
}

func equal(a, b sendLinkRequest) bool {
	return a.TargetURL == b.TargetURL && a.MobileNumber == b.MobileNumber && a.CountryCode == b.CountryCode &&
		a.SourceIP == b.SourceIP && a.CustomSMS == b.CustomSMS
}

// What encoding/json writes is read back as it was.
func TestDecodeReadsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Filter(func(s string) bool { return s != "" })
		in := sendLinkRequest{TargetURL: text.Draw(t, "target"), MobileNumber: text.Draw(t, "number"), CountryCode: text.Draw(t, "country"), CustomSMS: text.Draw(t, "text")}
		data, err := json.Marshal(&in)
		if err != nil {
			t.Fatal(err)
		}
		var out sendLinkRequest
		if decode(data, &out); len(out.read.bad) > 0 || !equal(in, out) {
			t.Fatalf("%s: %v", data, out.read.bad)
		}
	})
}

// The document says of bodies what the reader does: huma's own validation by the
// document's schemas comes to the same verdict on kinds, names and presence.
func TestDocumentAgreesWithReader(t *testing.T) {
	document, err := build(http.NewServeMux(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		schema string
		fresh  func() body
	}{
		{"LoginRequest", func() body { return &loginRequest{} }},
		{"SendLinkRequest", func() body { return &sendLinkRequest{} }},
		{"ResultRequest", func() body { return &resultRequest{} }},
	} {
		schema := document.Components.Schemas.SchemaFromRef("#/components/schemas/" + tc.schema)
		var names []string
		for _, f := range tc.fresh().fields() {
			names = append(names, f.name)
			if schema.Properties[f.name] == nil || f.max > 0 && *schema.Properties[f.name].MaxLength != f.max {
				t.Errorf("%s: the document says otherwise of %s", tc.schema, f.name)
			}
		}
		if len(names) != len(schema.Properties) {
			t.Errorf("%s: the document has %d fields, the reader %d", tc.schema, len(schema.Properties), len(names))
		}
		rapid.Check(t, func(t *rapid.T) {
			in := map[string]any{}
			optional := map[string]bool{}
			for _, f := range tc.fresh().fields() {
				optional[f.name] = f.optional
			}
			for _, name := range append([]string{"other"}, names...) {
				kind := rapid.SampledFrom([]string{"text", "text", "text", "text", "none", "null", "number", "empty"}).Draw(t, name)
				if name == "other" && kind != "number" {
					kind = "none"
				}
				if kind == "null" && optional[name] {
					kind = "number" // huma lets null stand for an optional field; its schema does not
				}
				switch value := "x"; kind {
				case "text":
					if name == "countryCode" {
						value = "US"
					}
					in[name] = value
				case "null":
					in[name] = nil
				case "number":
					in[name] = 1.0
				case "empty":
					if name == "countryCode" { // an enum says nothing of length
						in[name] = "US"
						continue
					}
					in[name] = ""
				}
			}
			data, _ := json.Marshal(in)
			b := tc.fresh()
			decode(data, b)
			b.reading().require(b)
			var found huma.ValidateResult
			v := huma.NewPathBuffer(nil, 0)
			huma.ValidateStrictCasing = true
			huma.Validate(document.Components.Schemas, schema, v, huma.ModeWriteToServer, in, &found)
			if (len(found.Errors) > 0) != (len(b.reading().bad) > 0) {
				t.Fatalf("%s: the document %v, the reader %v", data, found.Errors, b.reading().bad)
			}
		})
	}
}

// ready is a flow and an access that cost nothing.
type ready struct{}

func (ready) Request(context.Context, tenant.Client, flow.SendLink) (verify.Handle, error) {
	return verify.Handle{RequestID: uuid.UUID{1}, SessionID: uuid.UUID{2}}, nil
}

func (ready) Redeem(context.Context, tenant.Client, string) (verify.Result, error) {
	return verify.Result{}, verify.ErrNotFound
}

func (ready) Status(context.Context, tenant.Client, uuid.UUID, uuid.UUID) (verify.Result, error) {
	return verify.Result{}, nil
}

func (ready) Login(context.Context, string, string, netip.Addr) (access.Grant, error) {
	return access.Grant{}, nil
}

func (ready) Authenticate(context.Context, string) (tenant.Client, error) {
	return tenant.Client{ID: 1}, nil
}
func (ready) Logout(context.Context, string) error { return nil }

const sample = `{"targetUrl":"https://app.acme.example/done?a=1","mobileNumber":"2125550123","countryCode":"US","sourceIp":"203.0.113.7"}`

func benchmark(b *testing.B, method, path, body string) {
	mux := http.NewServeMux()
	if err := Register(mux, Config{Flow: ready{}, Access: ready{}}); err != nil {
		b.Fatal(err)
	}
	reader := strings.NewReader(body)
	r := httptest.NewRequest(method, path, reader)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", strings.Repeat("A", 32))
	h := web.Wrap(mux, web.Config{Log: slog.New(slog.NewJSONHandler(io.Discard, nil))})
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		r.Body = io.NopCloser(reader)
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code >= 500 {
			b.Fatal(w.Body)
		}
	}
}

func BenchmarkSendLink(b *testing.B) { benchmark(b, "POST", "/api/v3/us-kyc/send-link", sample) }

func BenchmarkStatus(b *testing.B) {
	benchmark(b, "GET", "/api/v3/us-kyc/poll-check-verify/request/019cb5a8-7c00-7001-8000-3f1d2a9b4c5e/session/5f0c7a52-3f7e-4a44-9d0a-0e6d1c9b8a71", "")
}

func BenchmarkDecode(b *testing.B) {
	data := []byte(sample)
	b.ReportAllocs()
	for b.Loop() {
		var in sendLinkRequest
		if decode(data, &in); in.read.bad != nil {
			b.Fatal(in.read.bad)
		}
	}
}
