package click_test

import (
	"crypto/sha256"
	"encoding/base64"
	"math"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"holdfast/internal/flow"
)

// everyAnswer is each kind of answer that the routes can give.
func everyAnswer(t *testing.T) map[string]answer {
	t.Helper()
	answers := map[string]answer{}
	for _, tc := range allShows {
		f := shows(tc.show)
		f.next.URL = "https://app.example/"
		p := start(t, f)
		answers["GET "+tc.show.String()] = p.get("/l/" + token)
		answers["POST "+tc.show.String()] = p.post("/l/" + token)
	}
	auto := shows(flow.ShowLink)
	auto.next.Page.AutoSubmit = true
	p := start(t, auto)
	answers["auto"] = p.get("/l/" + token)
	answers["network"] = p.get("/l/" + token + "/network")
	answers["foreign form"] = p.do("POST", "/l/"+token, url.Values{}, http.Header{"Sec-Fetch-Site": {"cross-site"}})
	auto.err = os.ErrInvalid
	answers["failed"] = p.get("/l/" + token)
	return answers
}

func TestEveryAnswerIsGuarded(t *testing.T) {
	t.Parallel()
	for name, got := range everyAnswer(t) {
		for header, want := range map[string]string{
			"Cache-Control":              "no-store",
			"Referrer-Policy":            "no-referrer",
			"X-Robots-Tag":               "noindex, nofollow",
			"X-Content-Type-Options":     "nosniff",
			"X-Frame-Options":            "DENY",
			"Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got.Header.Get(header) != want || len(got.Header.Values(header)) != 1 {
				t.Errorf("%s: %s is %q, want %q", name, header, got.Header.Values(header), want)
			}
		}
		if !strings.Contains(got.Header.Get("Permissions-Policy"), "geolocation=()") {
			t.Errorf("%s: no Permissions-Policy", name)
		}
		checkCSP(t, name, got)
	}
}

func checkCSP(t *testing.T, name string, got answer) {
	t.Helper()
	csp := got.Header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !slices.Contains(strings.Split(csp, "; "), part) {
			t.Errorf("%s: the policy lacks %s", name, part)
		}
	}
	// form-action would strand phones on their way to the carrier: see bareCSP.
	for _, part := range []string{"unsafe", "form-action", "*", "http", "data:"} {
		if strings.Contains(csp, part) {
			t.Errorf("%s: the policy has %s", name, part)
		}
	}
	if !strings.HasPrefix(got.Header.Get("Content-Type"), "text/html") {
		return
	}
	inside := append(find(t, got.body, "style"), find(t, got.body, "script")...)
	for _, n := range inside {
		sum := sha256.Sum256([]byte(n.FirstChild.Data))
		source := n.Data + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
		if !slices.Contains(strings.Split(csp, "; "), source) {
			t.Errorf("%s: its own %s is not allowed by its policy", name, n.Data)
		}
	}
	if strings.Contains(csp, "connect-src") && len(find(t, got.body, "script")) == 0 {
		t.Errorf("%s: may connect without a script", name)
	}
}

// Nothing in a page may come from elsewhere, or be anything but the one style
// and script that the policy allows.
func TestPagesLoadNothing(t *testing.T) {
	t.Parallel()
	for name, got := range everyAnswer(t) {
		if !strings.HasPrefix(got.Header.Get("Content-Type"), "text/html") {
			continue
		}
		root, err := html.Parse(strings.NewReader(got.body))
		if err != nil {
			t.Fatal(err)
		}
		for n := range root.Descendants() {
			if slices.Contains([]string{"img", "link", "iframe", "object", "video", "base", "a"}, n.Data) && n.Type == html.ElementNode {
				t.Errorf("%s: has a <%s>", name, n.Data)
			}
			for _, a := range n.Attr {
				if a.Key == "src" || a.Key == "href" || a.Key == "style" || strings.HasPrefix(a.Key, "on") {
					t.Errorf("%s: <%s %s=…>", name, n.Data, a.Key)
				}
			}
		}
	}
}

func TestPagesAreAccessible(t *testing.T) {
	t.Parallel()
	for name, got := range everyAnswer(t) {
		if !strings.HasPrefix(got.Header.Get("Content-Type"), "text/html") || got.body == "" {
			continue
		}
		if root := find(t, got.body, "html"); attr(root[0], "lang") != "en" {
			t.Errorf("%s: no language", name)
		}
		for _, tag := range []string{"h1", "main", "title"} {
			if n := find(t, got.body, tag); len(n) != 1 || text(n[0]) == "" {
				t.Errorf("%s: %d <%s>", name, len(n), tag)
			}
		}
		if !strings.Contains(got.body, `name="viewport" content="width=device-width, initial-scale=1"`) {
			t.Errorf("%s: no viewport, or one that forbids to zoom", name)
		}
		for _, b := range find(t, got.body, "button") {
			if text(b) == "" {
				t.Errorf("%s: a button without words", name)
			}
		}
		for _, icon := range find(t, got.body, "svg") {
			if attr(icon, "aria-hidden") != "true" {
				t.Errorf("%s: an icon that is read out", name)
			}
		}
		for _, in := range find(t, got.body, "input") {
			if attr(in, "type") != "hidden" {
				t.Errorf("%s: an input without a label", name)
			}
		}
	}
}

func TestLinkPage(t *testing.T) {
	t.Parallel()
	p := start(t, shows(flow.ShowLink))
	got := p.get("/l/" + token)
	for _, want := range []string{
		"Northwind Bank", "•••• </span>23", "2 minutes ago", `datetime="2026-03-01T11:57:50Z"`, "3 more minutes",
	} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	// Two forms with their own actions and one plain button each: that is what
	// works without script, and what a small script can find.
	forms := find(t, got.body, "form")
	if len(forms) != 2 {
		t.Fatalf("%d forms", len(forms))
	}
	for i, want := range []struct{ action, button string }{
		{"/l/" + token, "Continue"}, {"/l/" + token + "/deny", "This wasn't me"},
	} {
		var buttons []*html.Node
		for n := range forms[i].Descendants() {
			if n.Type == html.ElementNode {
				buttons = append(buttons, n)
			}
		}
		if attr(forms[i], "method") != "post" || attr(forms[i], "action") != want.action ||
			len(buttons) != 1 || buttons[0].Data != "button" || text(buttons[0]) != want.button {
			t.Errorf("form %d: %s to %q with %d elements", i, attr(forms[i], "method"), attr(forms[i], "action"), len(buttons))
		}
	}
	if len(find(t, got.body, "script")) != 0 {
		t.Error("a page that waits for a tap has a script")
	}
}

func TestAutoSubmitKeepsTheButton(t *testing.T) {
	t.Parallel()
	f := shows(flow.ShowLink)
	f.next.Page.AutoSubmit = true
	p := start(t, f)
	got := p.get("/l/" + token)
	if len(find(t, got.body, "script")) != 1 || len(find(t, got.body, "form")) != 2 {
		t.Error("want one script beside the two forms")
	}
	if !slices.Equal(f.calls, []string{"open"}) {
		t.Errorf("calls: %v", f.calls)
	}
}

func TestWiFiPage(t *testing.T) {
	t.Parallel()
	p := start(t, shows(flow.ShowWiFi))
	got := p.post("/l/" + token)
	for _, want := range []string{"iPhone", "Android", "3 more minutes", `data-seconds="170"`, "I've turned it off", "Continue without"} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	forms := find(t, got.body, "form")
	if len(forms) != 2 || attr(forms[0], "action") != "/l/"+token || attr(forms[1], "action") != "/l/"+token {
		t.Fatalf("%d forms", len(forms))
	}
	if in := find(t, got.body, "input"); len(in) != 1 || attr(in[0], "name") != "without" || attr(in[0], "value") != "1" {
		t.Error("only the second form may go on without")
	}
}

func TestUnknownAndUsedLookTheSame(t *testing.T) {
	t.Parallel()
	used := start(t, shows(flow.ShowUnusable)) // even if the flow named the business
	unknown := start(t, &fakeFlow{next: flow.Next{Show: flow.ShowUnusable}})
	a, b := used.get("/l/"+token), unknown.get("/l/"+strings.Replace(token, "B", "C", 1))
	if a.body != b.body || a.StatusCode != b.StatusCode {
		t.Error("the bodies differ")
	}
	for _, h := range []http.Header{a.Header, b.Header} {
		h.Del("Date")
		h.Del("X-Request-Id")
		h.Set("Set-Cookie", regexp.MustCompile(`=[^;]*`).ReplaceAllString(h.Get("Set-Cookie"), "="))
	}
	for name := range a.Header {
		if !slices.Equal(a.Header[name], b.Header[name]) {
			t.Errorf("%s: %q and %q", name, a.Header[name], b.Header[name])
		}
	}
	if c, d := used.post("/l/"+token), unknown.post("/l/x"); c.body != a.body || d.body != a.body {
		t.Error("a form's answer differs")
	}
}

func TestHostileNamesAreText(t *testing.T) {
	t.Parallel()
	for _, business := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `</title><svg onload=alert(1)>`,
		`{{.Action}}`, "a\u202eb", strings.Repeat("W", 300), `</style><b>`,
	} {
		for _, tc := range allShows {
			f := &fakeFlow{next: flow.Next{Show: tc.show, Page: page(business), URL: "https://app.example/"}}
			p := start(t, f)
			got := p.get("/l/" + token)
			for _, n := range find(t, got.body, "script") {
				if strings.Contains(text(n), "alert(1)") {
					t.Errorf("%v: %q became a script", tc.show, business)
				}
			}
			if len(find(t, got.body, "img")) != 0 || strings.Contains(got.body, "<svg onload") {
				t.Errorf("%v: %q became HTML", tc.show, business)
			}
			if tc.show == flow.ShowLink && !strings.Contains(text(find(t, got.body, "h1")[0]), business) {
				t.Errorf("%q is not shown as it is", business)
			}
		}
	}
	p := start(t, shows(flow.ShowLink))
	got := p.get(`/l/%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E`)
	if len(find(t, got.body, "script")) != 0 {
		t.Error("a path became a script")
	}
}

// The page goes to phones on slow networks, whole, each time.
func TestStyleIsSmallAndReadable(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("pages/style.css")
	if err != nil {
		t.Fatal(err)
	}
	style := string(raw)
	if len(style) > 4096 {
		t.Errorf("the style has %d bytes", len(style))
	}
	for _, want := range []string{"prefers-color-scheme:dark", "prefers-reduced-motion", ":focus-visible", "min-height:3.25rem"} {
		if !strings.Contains(style, want) {
			t.Errorf("the style lacks %s", want)
		}
	}
	if strings.Contains(style, "url(") || strings.Contains(style, "@import") {
		t.Error("the style loads something")
	}
	themes := regexp.MustCompile(`:root\{([^}]*)\}`).FindAllStringSubmatch(style, -1)
	if len(themes) != 2 {
		t.Fatalf("%d themes", len(themes))
	}
	for _, theme := range themes {
		colour := map[string]string{}
		for _, m := range regexp.MustCompile(`--(\w+):(#[0-9a-f]+)`).FindAllStringSubmatch(theme[1], -1) {
			colour[m[1]] = m[2]
		}
		// WCAG 2.2: 1.4.3 for text, 1.4.11 for the button's edge and the focus ring.
		for _, pair := range []struct {
			front, back string
			least       float64
		}{
			{"ink", "card", 4.5},
			{"soft", "card", 4.5},
			{"go", "card", 4.5},
			{"on", "go", 4.5},
			{"go", "tint", 4.5},
			{"edge", "card", 3},
			{"go", "card", 3},
		} {
			if got := contrast(t, colour[pair.front], colour[pair.back]); got < pair.least {
				t.Errorf("%s on %s: contrast %.2f, want %.1f", pair.front, pair.back, got, pair.least)
			}
		}
	}
}

// contrast is WCAG's contrast ratio of two colours.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	la, lb := luminance(t, a), luminance(t, b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	hex = strings.TrimPrefix(hex, "#")
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
