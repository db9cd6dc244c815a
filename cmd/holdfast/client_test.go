package main

import (
	"context"
	"io"
	"path/filepath"
	"testing"

	"holdfast/internal/config"
	"holdfast/internal/secret"
	"holdfast/internal/verify"
)

// Process numbers go round, and two servers with one number would mint the same
// ids: a list that cron prints must not use them up.
func TestClientCommandsTakeNoProcessNumber(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + filepath.Join(t.TempDir(), "holdfast.db")
	node := func() verify.Node {
		t.Helper()
		db, err := openStore(t.Context(), config.Database{URL: secret.Text(url)})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		n, err := db.NextNode(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	client := func(args ...string) {
		t.Helper()
		env := &environment{environ: []string{"HOLDFAST_DATABASE_URL=" + url}, stdout: io.Discard, stderr: io.Discard}
		if err := run(context.Background(), append([]string{"client"}, args...), env); err != nil {
			t.Errorf("client %v: %v", args, err)
		}
	}
	client("add", "acme", "--business", "Acme", "--target", "https://app.acme.example")
	before := node()
	client("list")
	client("set", "acme", "--link-minutes", "1")
	client("disable", "acme")
	client("enable", "acme")
	client("rotate", "acme")
	if after := node(); after != before+1 {
		t.Errorf("the next process is number %d after %d", after, before)
	}
}
