package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/store/postgres"
	"holdfast/internal/store/sqlite"
)

// doctorTime bounds each of the doctor's visits.
const doctorTime = 10 * time.Second

type doctorCommand struct {
	Offline bool `help:"Look at what is on this machine only: no visit to the public URL, gateways and carriers."`
}

// doctor goes round and notes everything before it says anything.
type doctor struct {
	cfg      *config.Config
	to       io.Writer
	problems int
}

// Run checks it all, prints one line for each thing and fails where anything is
// wrong. It changes nothing, sends no text and asks nothing of a phone.
func (c doctorCommand) Run(ctx context.Context, env *environment) error {
	cfg, problems := env.load()
	wired := wireConfig(ctx, cfg, &problems)
	d := &doctor{cfg: cfg, to: env.stdout}
	d.configuration(env, problems)
	if len(problems.In("database")) == 0 {
		d.database(ctx)
	}
	d.note("files", d.files())
	d.note("client addresses", d.proxies())
	if !c.Offline {
		if cfg.Public != nil {
			d.note("public URL", visitPublic(ctx, cfg.Public))
		}
		d.visit(ctx, wired)
	}
	if d.problems > 0 {
		fmt.Fprintf(d.to, "\n%d %s\n", d.problems, plural(d.problems, "problem"))
		return errReported
	}
	fmt.Fprintln(d.to, "\nall is well")
	return nil
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// note prints what a check found: nothing wrong, or each thing that is.
func (d *doctor) note(what string, err error) {
	if err == nil {
		fmt.Fprintf(d.to, "ok       %s\n", what)
		return
	}
	for _, one := range unjoined(err) {
		d.problems++
		fmt.Fprintf(d.to, "PROBLEM  %s: %s\n", what, strings.ReplaceAll(one.Error(), "\n", "\n         "))
	}
}

// unjoined takes errors.Join's apart.
func unjoined(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // the outermost alone is meant
	if !ok {
		return []error{err}
	}
	var all []error
	for _, one := range joined.Unwrap() {
		all = append(all, unjoined(one)...)
	}
	return all
}

func (d *doctor) configuration(env *environment, problems config.Problems) {
	from := "the environment alone (no --config)"
	if env.configFile != "" {
		from = env.configFile + " and the environment"
	}
	if len(problems) == 0 {
		d.note("configuration from "+from, nil)
		return
	}
	fmt.Fprintf(d.to, "         configuration from %s\n", from)
	for _, p := range problems {
		d.problems++
		fmt.Fprintf(d.to, "PROBLEM  %s %s\n", p.Field, p.Text)
	}
}

// database looks at the database, or at the place where serve will make it.
func (d *doctor) database(ctx context.Context) {
	const what = "database"
	path, ok := d.cfg.Database.SQLitePath()
	if !ok || isThere(path) {
		d.note(what, d.openDatabase(ctx))
		return
	}
	if err := canMake(path); err != nil {
		d.note(what, fmt.Errorf("there is none, and none can be made at %s: %w", path, err))
		return
	}
	fmt.Fprintf(d.to, "note     %s: there is none at %s yet; serve makes it at its start, or run: holdfast migrate\n", what, path)
}

// canMake reports why no file can be made at path, by making another beside it.
func canMake(path string) error {
	folder := filepath.Dir(path)
	switch info, err := os.Stat(folder); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the folder %s is not there", folder)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder", folder)
	}
	trial, err := os.CreateTemp(folder, ".holdfast-doctor-*")
	if err != nil {
		return fmt.Errorf("the folder %s can't be written", folder)
	}
	return errors.Join(trial.Close(), os.Remove(trial.Name()))
}

// openDatabase opens it as serve would, but migrates nothing.
func (d *doctor) openDatabase(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	db, err := openMigrated(ctx, d.cfg.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Ping(ctx); err != nil {
		return fmt.Errorf("does not answer: %w", err)
	}
	return refuseDemoClient(ctx, db)
}

// openMigrated opens a database whose tables must be up to date.
func openMigrated(ctx context.Context, db config.Database) (store, error) {
	path, ok := db.SQLitePath()
	if !ok {
		return postgres.New(ctx, postgres.Config{URL: db.URL.Reveal()})
	}
	return sqlite.New(ctx, sqlite.Config{Path: path})
}

// files finds secrets that others on this machine can read.
func (d *doctor) files() error {
	var problems []error
	for _, path := range inFolders(d.cfg.SecretFiles()) {
		info, err := os.Stat(path)
		if err == nil && info.Mode().Perm()&0o007 != 0 {
			problems = append(problems, fmt.Errorf("%s can be read by everybody on this machine (mode %#o); chmod 600 or 640", path, info.Mode().Perm()))
		}
	}
	return errors.Join(problems...)
}

// proxies notices a server that only a proxy can reach and that believes none:
// every client would have the proxy's address.
func (d *doctor) proxies() error {
	host, _, _ := net.SplitHostPort(d.cfg.Listen) // what is wrong with it is noted already
	addr, err := netip.ParseAddr(host)
	if len(d.cfg.TrustedProxies) == 0 && (host == "localhost" || err == nil && addr.IsLoopback()) {
		return errors.New("listen is a loopback address, so requests come by a proxy, but trusted_proxies is empty: " +
			"all clients would share one address, no carrier would be found by it, and limits would hit everybody at once")
	}
	return nil
}

// inFolders replaces folders by the keys in them.
func inFolders(paths []string) []string {
	var files []string
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			inside, _ := filepath.Glob(filepath.Join(path, "*.pem")) // fails for a bad pattern only
			files = append(files, inside...)
			continue
		}
		files = append(files, path)
	}
	return files
}

// visitPublic goes the way that phones will: name, TLS, proxy, this server. A
// server that is not started yet is no problem, whatever answers in its place
// must not be somebody else's.
func visitPublic(ctx context.Context, public *url.URL) error {
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	if _, err := net.DefaultResolver.LookupHost(ctx, public.Hostname()); err != nil {
		return fmt.Errorf("the host name %s does not resolve; phones won't find it", public.Hostname())
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, public.JoinPath("healthz").String(), nil)
	if err != nil {
		return err
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &certificate):
		return fmt.Errorf("the certificate of %s is not to be trusted: %w", public.Host, certificate.Err)
	case err != nil:
		return fmt.Errorf("%s does not answer; is the proxy in front of this server running?", public.Host)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64)) // what matters is whether it is ours
	switch {
	case resp.StatusCode == http.StatusBadGateway || resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusGatewayTimeout:
		return nil // the proxy is there and waits for us
	case resp.StatusCode != http.StatusOK || string(body) != "ok\n":
		return fmt.Errorf("%s answers /healthz with HTTP %d, and not like this server; does the proxy pass every path on?", public.Host, resp.StatusCode)
	}
	return nil
}

// visit asks gateways and carriers themselves, where their settings are good.
func (d *doctor) visit(ctx context.Context, wired wiredConfig) {
	if wired.gateways != nil {
		for _, name := range slices.Sorted(maps.Keys(wired.gateways.all)) {
			d.note("gateway "+name, within(ctx, wired.gateways.all[name].Check))
		}
	}
	if wired.carriers == nil {
		return
	}
	for _, one := range wired.carriers.all {
		d.note("carrier "+one.Name(), within(ctx, one.Check))
	}
	if len(wired.carriers.all) == 0 && len(d.cfg.Carriers) == 0 {
		fmt.Fprintln(d.to, "note     no carrier is configured: every answer will be indeterminate")
	}
}

func within(ctx context.Context, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 3*doctorTime)
	defer cancel()
	return check(ctx)
}
