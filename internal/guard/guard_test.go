package guard

import (
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var origins = []string{"https://app.example.com", "https://bank.example:8443", "http://127.0.0.1:8080", "https://xn--bcher-kva.example"}

func TestTarget(t *testing.T) {
	long := "https://app.example.com/?q="
	for _, tc := range []struct {
		target string
		dev    bool
		wrong  string // "" where allowed
	}{
		{"https://app.example.com", false, ""},
		{"https://app.example.com/", false, ""},
		{"https://APP.example.com:443/done?a=1&b=%20", false, ""},
		{"https://bank.example:8443/x", false, ""},
		{"https://xn--bcher-kva.example/", false, ""},
		{long + strings.Repeat("x", 2048-len(long)), false, ""},
		{long + strings.Repeat("x", 2049-len(long)), false, "2048"},
		{"http://127.0.0.1:8080/demo", true, ""},
		{"http://127.0.0.1:8080/demo", false, "https"},
		{"http://app.example.com/", true, "https"},
		{"", false, "required"},
		{"/done", false, "absolute"},
		{"//app.example.com/", false, "https"},
		{"app.example.com", false, "absolute"},
		{"https:app.example.com", false, "absolute"},
		{"javascript:alert(1)", false, "absolute"},
		{"javascript://app.example.com/%0aalert(1)", false, "https"},
		{"ftp://app.example.com/", false, "https"},
		{"https://user@app.example.com/", false, "user name"},
		{"https://app.example.com@evil.example/", false, "user name"},
		{"https://app.example.com:@evil.example/", false, "user name"},
		{"https://evil.example/?https://app.example.com", false, "allowed targets"},
		{"https://app.example.com.evil.example/", false, "allowed targets"},
		{"https://evilapp.example.com/", false, "allowed targets"},
		{"https://app.example.com:8443/", false, "allowed targets"},
		{"https://app.example.com./", false, "allowed targets"},
		{"https://xn--pp-viab.example.com/", false, "allowed targets"},
		{"https://аpp.example.com/", false, "xn--"},
		{"https://bücher.example/", false, "xn--"},
		{`https://app.example.com\@evil.example/`, false, "backslash"},
		{"https://app.example.com/\r\nX: y", false, "control"},
		{" https://app.example.com/", false, "spaces"},
		{"https://app.example.com/#x", false, "fragment"},
		{"https://evil.example#https://app.example.com", false, "fragment"},
		{"https://app.example.com/?vfp=1", false, "vfp"},
		{"https://app.example.com/?a=1&%76fp=1", false, "vfp"},
		{"https://app.example.com/?a;b", false, "query"},
		{"https://app.example.com/?%zz", false, "query"},
		{"https:///done", false, "absolute"},
	} {
		wrong := Target(tc.target, origins, tc.dev)
		if (wrong == "") != (tc.wrong == "") || !strings.Contains(wrong, tc.wrong) {
			t.Errorf("Target(%.60q) = %q, want %q", tc.target, wrong, tc.wrong)
		}
	}
}

func TestAllowedOrigin(t *testing.T) {
	for in, want := range map[string]string{
		"https://App.Example.com": "https://app.example.com", "https://a.example/": "https://a.example",
		"https://a.example:443": "https://a.example", "https://a.example:8443": "https://a.example:8443",
		"http://a.example": "", "https://a.example/x": "", "https://*.example": "", "a.example": "", "https://a.example?x": "",
		"https://u@a.example": "", "": "",
	} {
		got, wrong := AllowedOrigin(in, false)
		if want == "" && wrong == "" || want != "" && (got != want || wrong != "") {
			t.Errorf("AllowedOrigin(%q) = %q, %q; want %q", in, got, wrong, want)
		}
	}
}

func TestWithVFPKeepsTheRest(t *testing.T) {
	for in, want := range map[string]string{
		"https://a.example":         "https://a.example?vfp=X",
		"https://a.example/p?":      "https://a.example/p?vfp=X",
		"https://a.example/p?b=%20": "https://a.example/p?b=%20&vfp=X",
		"https://a.example/p?b&":    "https://a.example/p?b&vfp=X",
	} {
		if got := WithVFP(in, "X"); got != want {
			t.Errorf("WithVFP(%q) = %q", in, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		q := url.Values{}
		for range rapid.IntRange(0, 4).Draw(t, "n") {
			q.Add(rapid.StringMatching(`[a-u]{1,3}`).Draw(t, "k"), rapid.String().Draw(t, "v"))
		}
		target := "https://app.example.com/p?" + q.Encode()
		if Target(target, origins, false) != "" {
			t.Skip("not a target")
		}
		u, err := url.Parse(WithVFP(target, "abc-_"))
		if err != nil {
			t.Fatal(err)
		}
		got := u.Query()
		if got.Get("vfp") != "abc-_" {
			t.Fatalf("no vfp in %s", u)
		}
		got.Del("vfp")
		if got.Encode() != q.Encode() {
			t.Fatalf("query changed: %s, was %s", got.Encode(), q.Encode())
		}
	})
}

func TestText(t *testing.T) {
	for _, tc := range []struct{ in, want, wrong string }{
		{"Acme: <link>", "Acme: {link}", ""},
		{"Acme: #### now", "Acme: {link} now", ""},
		{"Acme: {link}", "Acme: {link}", ""},
		{"Acme", "Acme {link}", ""},
		{"Acme\n", "Acme {link}", ""},
		{"See app.example.com/help {link}", "See app.example.com/help {link}", ""},
		{"See https://app.example.com/help {link}", "See https://app.example.com/help {link}", ""},
		{"v1.2 costs 3.50, e.g. now.Really {link}", "v1.2 costs 3.50, e.g. now.Really {link}", ""},
		{"", "", "blank"},
		{" \n", "", "blank"},
		{"<link> and {link}", "", "more than once"},
		{"win at evil.com {link}", "", "web address"},
		{"win at EVIL.COM. {link}", "", "web address"},
		{"http://evil.example/x {link}", "", "web address"},
		{"(https://evil.example) {link}", "", "web address"},
		{"app.example.com.evil.com {link}", "", "web address"},
		{"x@evil.com {link}", "", "web address"},
		{"bit.ly/abc {link}", "", "web address"},
		{"evil.com#x {link}", "", "web address"},
		{"Help:evil.com {link}", "", "web address"},
		{"https:evil.com {link}", "", "web address"},
		{"http:/evil.com {link}", "", "web address"},
		{"https://evil.com#@app.example.com {link}", "", "web address"},
		{`https://evil.com\@app.example.com {link}`, "", "web address"},
		{"https://app.example.com@evil.com {link}", "", "web address"},
		{"https://app.example.com:443@evil.com {link}", "", "web address"},
		{"https://app.example.com:x@evil.com {link}", "", "web address"},
		{"https://app.example.com@1337 {link}", "", "web address"},
		{`app.example.com\evil {link}`, "", "web address"},
		{"https://intranet/x {link}", "", "web address"},
		{"https://app.example.com/go?u=evil.com {link}", "https://app.example.com/go?u=evil.com {link}", ""},
		{"evil.com* evil.com_ {link}", "", "web address"},
		{"evil.com&{link}", "", "web address"},
		{"evil.com+{link}", "", "web address"},
		{"evil.com… {link}", "", "web address"},
		{"“evil.com“ {link}", "", "web address"},
		{"evil.com%20 {link}", "", "web address"},
		{"evil。com {link}", "", "web address"},
		{"evil．com {link}", "", "web address"},
		{"a/evil.com {link}", "", "web address"},
		{"a?evil.com {link}", "", "web address"},
		{"1.2.3.4/x {link}", "", "web address"},
		{"http://1.2.3.4 {link}", "", "web address"},
		{"bücher.de {link}", "", "web address"},
		{"evil\u200b.com {link}", "", "invisible"},
		{"evil.com\u202e {link}", "", "invisible"},
		{"on app.example.com. Reply by 5.30 p.m. {link}", "on app.example.com. Reply by 5.30 p.m. {link}", ""},
		{"(app.example.com) https://app.example.com:443/a?b#c, {link}", "(app.example.com) https://app.example.com:443/a?b#c, {link}", ""},
		{"a\x00b {link}", "", "control"},
		{"a\tb {link}", "", "control"},
		{"a\xffb {link}", "", "control"},
		{strings.Repeat("x", 2001), "", "2000"},
	} {
		text, wrong := Text(tc.in, origins)
		if text != tc.want && tc.wrong == "" || (wrong == "") != (tc.wrong == "") || !strings.Contains(wrong, tc.wrong) {
			t.Errorf("Text(%.40q) = %q, %q; want %q, %q", tc.in, text, wrong, tc.want, tc.wrong)
		}
	}
}
