package api_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/api/apitest"
)

// with is a good Send Link with one field's value replaced by raw JSON; "-"
// leaves the field out.
func with(pairs ...string) string {
	fields := map[string]string{
		"targetUrl": `"https://app.acme.example/done"`, "mobileNumber": `"2125550123"`, "countryCode": `"US"`,
		"sourceIp": `"203.0.113.7"`, "customSms": `"Acme: {link}"`,
	}
	for i := 0; i < len(pairs); i += 2 {
		fields[pairs[i]] = pairs[i+1]
	}
	var members []string
	for name, raw := range fields {
		if raw != "-" {
			members = append(members, `"`+name+`":`+raw)
		}
	}
	slices.Sort(members)
	return "{" + strings.Join(members, ",") + "}"
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// Every row is refused with 400 and names exactly these fields; the reason has
// the word. Nothing is written, and no value comes back.
func TestBadInput(t *testing.T) {
	t.Parallel()
	s := apitest.New(t)
	token := s.Token()
	all := []string{"targetUrl", "mobileNumber", "countryCode"}
	type row struct {
		name, path, body string
		fields           []string
		word             string
	}
	f := func(names ...string) []string { return names }
	rows := []row{
		// Bodies.
		{"no body", sendPath, "", f("body"), "required"},
		{"nothing in it", sendPath, "{}", all, "required"},
		{"white space", sendPath, " \n", f("body"), "object"},
		{"truncated", sendPath, good[:len(good)-1], f("body"), "JSON"},
		{"truncated in a string", sendPath, good[:20], f("body"), "JSON"},
		{"not JSON", sendPath, "targetUrl=https://app.acme.example", f("body"), "object"},
		{"comment", sendPath, "/* */" + good, f("body"), "object"},
		{"single quotes", sendPath, strings.ReplaceAll(good, `"`, `'`), f("body"), "JSON"},
		{"trailing comma", sendPath, strings.TrimSuffix(good, "}") + ",}", f("body"), "JSON"},
		{"null", sendPath, "null", f("body"), "object"},
		{"array", sendPath, "[" + good + "]", f("body"), "object"},
		{"string", sendPath, quoted(good), f("body"), "object"},
		{"two objects", sendPath, good + good, f("body"), "after"},
		{"trailing data", sendPath, good + "x", f("body"), "after"},
		{"trailing zero byte", sendPath, good + "\x00", f("body"), "after"},
		{"byte order mark", sendPath, "\xef\xbb\xbf" + good, f("body"), "object"},
		{"not UTF-8", sendPath, with("customSms", "\"Acme\xff {link}\""), f("body"), "UTF-8"},
		{"UTF-16", sendPath, "{\x00\"\x00", f("body"), "JSON"},
		{"half a surrogate pair", sendPath, with("customSms", `"\ud83d {link}"`), f("body"), "JSON"},
		{"control character in JSON", sendPath, "{\"targetUrl\":\"a\nb\"}", f("body"), "JSON"},
		{"deeply nested", sendPath, with("x", strings.Repeat("[", 30_000)), f("body"), "JSON"},

		// Fields.
		{"unknown field", sendPath, with("colour", `"red"`), f("colour"), "not a field"},
		{"unknown field that is a number", sendPath, with("2125550123", `1`), f("body"), "none of"},
		{"wrong case", sendPath, with("TargetURL", `"x"`, "targetUrl", "-"), f("TargetURL", "targetUrl"), "its name is targetUrl"},
		{"duplicated", sendPath, strings.Replace(good, "{", `{"mobileNumber":"6135550123",`, 1), f("mobileNumber"), "more than once"},
		{"duplicated by escape", sendPath, strings.Replace(good, "{", `{"mobile\u004eumber":"2125550123",`, 1), f("mobileNumber"), "more than once"},
		{
			"all at once", sendPath, `{"targetUrl":1,"mobileNumber":"123","countryCode":"MX","sourceIp":"x","customSms":"https://evil.example","x":[]}`,
			f("targetUrl", "x", "mobileNumber", "countryCode", "sourceIp", "customSms"), "too short",
		},
	}
	for _, name := range all {
		rows = append(rows,
			row{name + " missing", sendPath, with(name, "-"), f(name), ""},
			row{name + " empty", sendPath, with(name, `""`), f(name), ""},
			row{name + " too long", sendPath, with(name, quoted(strings.Repeat("9", 2049))), f(name), ""},
		)
	}
	for _, name := range append([]string{"sourceIp", "customSms"}, all...) {
		for kind, raw := range map[string]string{
			"null": "null", "a number": "2125550123", "a fraction": "-1.5e+3", "a boolean": "true", "an array": `["US"]`, "an object": `{"a":{"b":"c"}}`,
		} {
			rows = append(rows, row{name + " is " + kind, sendPath, with(name, raw), f(name), "string"})
		}
		rows = append(rows,
			row{name + " with a control character", sendPath, with(name, `"US\u0000"`), f(name), ""},
			row{name + " with a tab", sendPath, with(name, `"US\t"`), f(name), ""},
			row{name + " duplicated", sendPath, strings.Replace(with(), "{", `{"`+name+`":"x",`, 1), f(name), "more than once"},
		)
	}
	for name, number := range map[string]string{
		"plus": "+12125550123", "country code": "12125550123", "extension": "2125550123x4", "too short": "212555012", "too long": "21255501234",
		"toll-free": "8005550123", "premium": "9005550123", "personal": "5005550123", "of the other country": "6135550123", "of Puerto Rico": "7875550123",
		"unassigned": "9995550123", "letters": "212555CALL", "other digits": "٢١٢٥٥٥٠١٢٣",
	} {
		rows = append(rows, row{"number: " + name, sendPath, with("mobileNumber", quoted(number)), f("mobileNumber"), ""})
	}
	for _, country := range []string{"us", "USA", "MX", "+1", " US"} {
		rows = append(rows, row{"country: " + country, sendPath, with("countryCode", quoted(country)), f("countryCode"), `US`})
	}
	for name, target := range map[string]string{
		"userinfo": "https://u:p@app.acme.example/", "http": "http://app.acme.example/", "http on loopback": "http://127.0.0.1/", "javascript": "javascript:alert(1)",
		"other origin": "https://evil.example/", "other port": "https://app.acme.example:8443/", "subdomain": "https://x.app.acme.example/",
		"punycode look-alike": "https://xn--pp-viab.acme.example/", "look-alike": "https://аpp.acme.example/", "vfp": "https://app.acme.example/?vfp=x",
		"2049 bytes": "https://app.acme.example/" + strings.Repeat("x", 2049-25), "fragment": "https://app.acme.example/#x", "relative": "/done",
	} {
		rows = append(rows, row{"target: " + name, sendPath, with("targetUrl", quoted(target)), f("targetUrl"), ""})
	}
	for _, ip := range []string{"x", "1.2.3", "256.1.1.1", "1.2.3.4:80", "fe80::1%eth0", "10.0.0.0/8", " 1.2.3.4", "01.2.3.4", "1.2.3.4, 5.6.7.8"} {
		rows = append(rows, row{"sourceIp: " + ip, sendPath, with("sourceIp", quoted(ip)), f("sourceIp"), "address"})
	}
	rows = append(rows,
		row{"sourceIp empty", sendPath, with("sourceIp", `""`), f("sourceIp"), "leave it out"},
		row{"text empty", sendPath, with("customSms", `""`), f("customSms"), "leave it out"},
		row{"text blank", sendPath, with("customSms", `" "`), f("customSms"), "blank"},
		row{"text with a foreign URL", sendPath, with("customSms", `"win at https://evil.example {link}"`), f("customSms"), "web address"},
		row{"text too long", sendPath, with("customSms", quoted(strings.Repeat("x", 2001))), f("customSms"), "2000"},
		row{"text of too many SMS", sendPath, with("customSms", quoted(strings.Repeat("ü€", 300))), f("customSms"), "SMS"},

		row{"login: nothing", loginPath, "{}", f("username", "password"), "required"},
		row{"login: null", loginPath, `{"username":null,"password":null}`, f("username", "password"), "not null"},
		row{"login: empty", loginPath, `{"username":"","password":""}`, f("username", "password"), "required"},
		row{"login: wrong types", loginPath, `{"username":{},"password":["x"]}`, f("username", "password"), "string"},
		row{"login: control characters", loginPath, `{"username":"a\u0000","password":"b\u007f"}`, f("username", "password"), "control"},
		row{"login: too long", loginPath, `{"username":"` + strings.Repeat("a", 65) + `","password":"` + strings.Repeat("a", 1025) + `"}`, f("username", "password"), "too long"},
		row{"login: e-mail", loginPath, `{"email":"a@b.example","password":"x"}`, f("email", "username"), "not a field"},
		row{"login: truncated", loginPath, `{"username":"acme"`, f("body"), "JSON"},

		row{"result: nothing", resultPath, "{}", f("vfp"), "required"},
		row{"result: null", resultPath, `{"vfp":null}`, f("vfp"), "null"},
		row{"result: empty", resultPath, `{"vfp":""}`, f("vfp"), "required"},
		row{"result: wrong case", resultPath, `{"VFP":"x"}`, f("VFP", "vfp"), "its name is vfp"},
		row{"result: too long", resultPath, `{"vfp":"` + strings.Repeat("a", 513) + `"}`, f("vfp"), "long"},
		row{"result: duplicated", resultPath, `{"vfp":"x","vfp":"x"}`, f("vfp"), "more than once"},
		row{"result: control character", resultPath, `{"vfp":"x\n"}`, f("vfp"), "control"},
	)
	for _, tc := range rows {
		a := call(t, s, "POST", tc.path, tc.body, "Authorization", token)
		names := a.names()
		slices.Sort(names)
		want := slices.Sorted(slices.Values(tc.fields))
		if a.status != 400 || a.Error.Type != "validation_failed" || a.Error.Name != "ValidationError" || !slices.Equal(names, want) {
			t.Errorf("%s: %d, fields %v, want %v: %s", tc.name, a.status, names, want, a.body)
		}
		if !strings.Contains(a.Error.Reason, tc.word) {
			t.Errorf("%s: the reason does not say %q: %s", tc.name, tc.word, a.Error.Reason)
		}
		for _, name := range want {
			if !strings.Contains(a.Error.Reason, name) {
				t.Errorf("%s: the reason does not name %s: %s", tc.name, name, a.Error.Reason)
			}
		}
		for _, echo := range []string{"2125550123", "555CALL", "evil.example", "256.1"} {
			if strings.Contains(a.body, echo) {
				t.Errorf("%s: the answer echoes %s: %s", tc.name, echo, a.body)
			}
		}
	}
	nothingWritten(t, s)
}

// What is said of a body in the headers is refused there; only the size is 413.
func TestBadHeaders(t *testing.T) {
	t.Parallel()
	s := apitest.New(t)
	token := s.Token()
	large := with("customSms", quoted(strings.Repeat("x", 64<<10)))
	for _, tc := range []struct {
		name, body string
		headers    []string
		status     int
		field      string
	}{
		{"form", good, []string{"Content-Type", "application/x-www-form-urlencoded"}, 400, "Content-Type"},
		{"text", good, []string{"Content-Type", "text/plain"}, 400, "Content-Type"},
		{"other JSON", good, []string{"Content-Type", "application/vnd.api+json"}, 400, "Content-Type"},
		{"nonsense", good, []string{"Content-Type", "application/json; charset"}, 400, "Content-Type"},
		{"Latin-1", good, []string{"Content-Type", "application/json; charset=iso-8859-1"}, 400, "Content-Type"},
		{"UTF-16", good, []string{"Content-Type", "application/json; charset=utf-16"}, 400, "Content-Type"},
		{"compressed", good, []string{"Content-Encoding", "gzip"}, 400, "Content-Encoding"},
		{"key too long", good, []string{"Idempotency-Key", strings.Repeat("x", 256)}, 400, "Idempotency-Key"},
		{"key empty", good, []string{"Idempotency-Key", ""}, 400, "Idempotency-Key"},
		{"key twice", good, []string{"Idempotency-Key", "a", "Idempotency-Key", "a"}, 400, "Idempotency-Key"},
		{"too large", large, nil, 413, ""},
		{"one byte too large", good + strings.Repeat(" ", 64<<10-len(good)+1), nil, 413, ""},
	} {
		a := call(t, s, "POST", sendPath, tc.body, append(tc.headers, "Authorization", token)...)
		if a.status != tc.status || tc.field != "" && !slices.Equal(a.names(), []string{tc.field}) {
			t.Errorf("%s: %d %s", tc.name, a.status, a.body)
		}
		if tc.status == 413 && (a.Error.Type != "body_too_large" || a.Error.Name != "BodyTooLargeError") {
			t.Errorf("%s: %s", tc.name, a.body)
		}
	}
	nothingWritten(t, s)

	for name, headers := range map[string][]string{
		"charset": {"Content-Type", "application/json;charset=UTF-8"}, "upper case": {"Content-Type", "Application/JSON"},
		"none": {"Content-Type", "-"}, "identity": {"Content-Encoding", "identity"}, "Accept": {"Accept", "text/html"},
	} {
		if a := call(t, s, "POST", sendPath, good, append(headers, "Authorization", token)...); a.status != 200 || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := call(t, s, "POST", sendPath, good+strings.Repeat(" ", 64<<10-len(good)), "Authorization", token); a.status != 200 {
		t.Errorf("64 KiB exactly: %d %s", a.status, a.body)
	}
}

func TestBadIDs(t *testing.T) {
	t.Parallel()
	s := apitest.New(t)
	token := s.Token()
	id := "019cb5a8-7c00-7001-8000-3f1d2a9b4c5e"
	for _, tc := range []struct {
		request, session string
		fields           []string
	}{
		{"x", id, []string{"requestId"}},
		{id, "2125550123", []string{"sessionId"}},
		{"x", "y", []string{"requestId", "sessionId"}},
		{"%7B" + id + "%7D", id, []string{"requestId"}},
		{strings.ReplaceAll(id, "-", ""), id, []string{"requestId"}},
		{id, id + "0", []string{"sessionId"}},
	} {
		a := call(t, s, "GET", pollPath+tc.request+"/session/"+tc.session, "", "Authorization", token)
		if a.status != 400 || !slices.Equal(a.names(), tc.fields) || strings.Contains(a.body, "2125550123") {
			t.Errorf("%s, %s: %d %s", tc.request, tc.session, a.status, a.body)
		}
	}
}
