package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"holdfast/internal/testkit/pgcluster"
)

// The bench starts this program again, which in a test is the test itself.
func init() {
	if os.Getenv(benchChildMark) == "1" {
		main()
		os.Exit(0)
	}
}

// A short run on each store: every step is driven, and nothing fails.
func TestBench(t *testing.T) {
	for _, store := range []string{"sqlite", "postgres"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			args := []string{
				"bench", "--store", store, "--duration", "150ms", "--clients", "4", "--rate", "200",
				"--preload", "500", "--folder", t.TempDir(), "--cpuprofile", t.TempDir(),
			}
			if store == "postgres" {
				args = append(args, "--database-url", pgcluster.Database(t))
			}
			var stdout, stderr bytes.Buffer
			err := run(t.Context(), args, &environment{environ: os.Environ(), stdout: &stdout, stderr: &stderr})
			if err != nil {
				t.Fatalf("%v\n%s%s", err, &stdout, &stderr)
			}
			for _, want := range []string{"send-link, delivery off ÷ bare POST", "journey: result", "resident memory"} {
				if !strings.Contains(stdout.String(), want) {
					t.Errorf("the report lacks %q:\n%s", want, &stdout)
				}
			}
		})
	}
}
