package api_test

import (
	"crypto/sha256"
	"encoding/base64"
	"os"
	"strings"
	"testing"

	"holdfast/internal/api/apitest"
)

func TestDocsPage(t *testing.T) {
	t.Parallel()
	s := apitest.New(t)
	page := call(t, s, "GET", "/docs", "")
	if page.status != 200 || page.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v", page.status, page.header)
	}
	_, style, _ := strings.Cut(page.body, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	sum := sha256.Sum256([]byte(style))
	if policy := page.header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
		t.Errorf("the policy %q does not fit the style", policy)
	}
	for _, foreign := range []string{"<script", "<link", "<img", "src=", "@import", "url(", `style="`} {
		if strings.Contains(page.body, foreign) {
			t.Errorf("the page has %s", foreign)
		}
	}
	for _, said := range []string{loginPath, logoutPath, sendPath, resultPath, "mobileNumber", "Idempotency-Key", "PhoneMatch", "Retry-After", "curl "} {
		if !strings.Contains(page.body, said) {
			t.Errorf("the page does not have %s", said)
		}
	}
	if strings.Contains(page.body, apitest.OldSendLink) {
		t.Error("the page shows a path that is there for old clients only")
	}
	document := call(t, s, "GET", "/openapi.json", "")
	committed, err := os.ReadFile("../../docs/openapi.json")
	if err != nil || document.body != string(committed) {
		t.Errorf("the document served is not the committed one, %v", err)
	}
}
