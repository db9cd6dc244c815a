package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"holdfast/internal/sim/handset"
	"holdfast/internal/testkit/pgcluster"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"holdfast": main})
}

// The scripts are whole uses of the program, as a person at a shell has them.
// Besides testscript's own commands there are:
//
//	ready FILE     waits until the server that writes FILE answers /readyz, and sets
//	               $BASE to its address
//	journey FILE   writes what the page at $BASE/ offers as the journey by curl
func TestScripts(t *testing.T) {
	t.Parallel()
	runScripts(t, "testdata/script", nil)
}

// Those that need a PostgreSQL find an empty database in HOLDFAST_DATABASE_URL.
func TestScriptsOnPostgres(t *testing.T) {
	t.Parallel()
	runScripts(t, "testdata/postgres", map[string]string{"HOLDFAST_DATABASE_URL": pgcluster.Database(t)})
}

func runScripts(t *testing.T, dir string, variables map[string]string) {
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			env.Setenv("KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
			env.Setenv("TMPDIR", env.WorkDir)
			for name, value := range variables {
				env.Setenv(name, value)
			}
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != "curl" {
				return false, fmt.Errorf("unknown condition %s", name)
			}
			return hasCurl()
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"ready": ready, "journey": journey},
	})
}

// hasCurl fails, rather than letting a script be skipped, where a build server
// lacks it.
func hasCurl() (bool, error) {
	for _, dir := range strings.Split(os.Getenv("PATH"), string(os.PathListSeparator)) {
		if _, err := os.Stat(dir + "/curl"); err == nil {
			return true, nil
		}
	}
	if os.Getenv("CI") == "true" {
		return false, errors.New("curl is not installed")
	}
	return false, nil
}

// patience is how long a server has to get ready: far longer than it takes.
const patience = 30 * time.Second

var listening = regexp.MustCompile(`(?:Open http://|"address":")([0-9.]+:[0-9]+)`)

func ready(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ready file")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		said, _ := os.ReadFile(ts.MkAbs(args[0])) // not there yet, perhaps
		if at := listening.FindSubmatch(said); at != nil {
			base := "http://" + string(at[1])
			if _, err := get(ctx, base+"/readyz"); err == nil {
				ts.Setenv("BASE", base)
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("the server did not get ready; it said:\n%s", said)
		}
	}
}

func journey(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: journey file")
	}
	base := ts.Getenv("BASE")
	page, err := get(context.Background(), base+"/")
	ts.Check(err)
	script := handset.CurlJourney(base)
	if !strings.Contains(html.UnescapeString(page), script) {
		ts.Fatalf("the first page does not offer the journey:\n%s", page)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(script), 0o600))
}

// ownConnections is for requests that must not share http.DefaultTransport: every
// httptest.Server that closes cuts what is idle there.
var ownConnections = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := ownConnections.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return string(body), err
}
