//go:build unix

package pgcluster

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// EnvURL is the environment variable that names the server for tests: a URL of
// an account that may create databases.
const EnvURL = "TEST_POSTGRES_URL"

// Database makes an empty database for a test, on the server of EnvURL, and
// returns its URL; it is dropped at the test's end. Without EnvURL the test is
// skipped, or fails where CI=true: there a missing server must not pass for a
// passed test.
func Database(t testing.TB) string {
	t.Helper()
	server := os.Getenv(EnvURL)
	switch {
	case server == "" && os.Getenv("CI") == "true":
		t.Fatalf("%s is not set; run the tests with `make test`", EnvURL)
	case server == "":
		t.Skipf("%s is not set; `make test` starts a server for this", EnvURL)
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s is not a URL", EnvURL) // and err would show its password
	}
	name := "holdfast_test_" + strings.ToLower(rand.Text())
	execute(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { execute(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	u.Path = "/" + name
	return u.String()
}

func execute(t testing.TB, server, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatal(err)
	}
}
