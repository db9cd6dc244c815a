package config_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"holdfast/internal/config"
)

const goodKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// good is a file without a fault, to which each test adds one.
const good = `
public_url: https://verify.example.com
secret_key: ` + goodKey + `
database:
  url: sqlite:/var/lib/holdfast/holdfast.db
sms:
  gateway: main
  gateways:
    main:
      kind: twilio
      account_sid: AC0123456789abcdef0123456789abcdef
      auth_token: hush
      from: "+12125550100"
`

func load(text string, environ ...string) (*config.Config, config.Problems) {
	return config.Load(config.Source{File: "holdfast.yaml", Environ: environ, ReadFile: files(map[string]string{"holdfast.yaml": text})})
}

func files(all map[string]string) func(string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		text, ok := all[path]
		if !ok {
			return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
		}
		return []byte(text), nil
	}
}

func TestGood(t *testing.T) {
	t.Parallel()
	c, problems := load(good + `
trusted_proxies: [10.0.0.0/8, "192.0.2.7", "2001:db8::/32", "::ffff:192.168.0.0/112", "::ffff:192.0.2.8", "::/1"]
login: {user_attempts: 3, user_interval: 90s}
`)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	if c.Public.String() != "https://verify.example.com" || c.Key.IsZero() || c.Listen != "127.0.0.1:8080" || c.MetricsListen != "127.0.0.1:9090" {
		t.Errorf("read %+v", c)
	}
	if path, ok := c.Database.SQLitePath(); !ok || path != "/var/lib/holdfast/holdfast.db" {
		t.Errorf("path = %q, %v", path, ok)
	}
	if got := fmt.Sprint(c.Proxies); got != "[10.0.0.0/8 192.0.2.7/32 2001:db8::/32 192.168.0.0/16 192.0.2.8/32 ::/1]" {
		t.Errorf("proxies = %v", got)
	}
	if c.Login.UserAttempts != 3 || c.Login.UserInterval != 90*time.Second {
		t.Errorf("login = %+v", c.Login)
	}
	if g := c.SMS.Gateways["main"]; g.Twilio == nil || g.Twilio.AuthToken.Reveal() != "hush" || g.Generic != nil {
		t.Errorf("gateway = %+v", g)
	}
}

func TestEnvironmentGoesOverTheFile(t *testing.T) {
	t.Parallel()
	c, problems := load(good,
		"HOLDFAST_PUBLIC_URL=https://other.example.com", "HOLDFAST_DATABASE_URL=postgres://holdfast@db/holdfast",
		"HOLDFAST_TRUSTED_PROXIES=10.0.0.0/8, 192.0.2.7", "HOLDFAST_LOGIN_USER_INTERVAL=2m", "HOLDFAST_LOGIN_USER_ATTEMPTS=7",
		"HOLDFAST_METRICS_LISTEN=", "HOLDFAST_CONFIG=holdfast.yaml", "HOLDFAST_PORT=tcp://10.1.2.3:80", "HOLDFAST_SERVICE_HOST=10.1.2.3", "PATH=/bin")
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	if c.Public.Host != "other.example.com" || c.Database.URL.Reveal() != "postgres://holdfast@db/holdfast" || len(c.Proxies) != 2 ||
		c.Login.UserInterval != 2*time.Minute || c.Login.UserAttempts != 7 || c.MetricsListen != "" {
		t.Errorf("read %+v, %+v", c, c.Login)
	}
}

func TestSecretsFromFiles(t *testing.T) {
	t.Parallel()
	text := strings.NewReplacer("secret_key: "+goodKey, "secret_key_file: /k", "auth_token: hush", "auth_token_file: /t",
		"url: sqlite:/var/lib/holdfast/holdfast.db", "url_file: /d").Replace(good)
	c, problems := config.Load(config.Source{File: "f", ReadFile: files(map[string]string{
		"f": text, "/k": goodKey + "\n", "/t": "hush\n", "/d": "postgres://u:p@h/d\n",
	})})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	if c.Key.IsZero() || c.SMS.Gateways["main"].Twilio.AuthToken.Reveal() != "hush" || c.Database.URL.Reveal() != "postgres://u:p@h/d" {
		t.Error("a secret's file was not read")
	}
}

// Each is one fault put into a good file, and a part of what must be said of it.
var faults = []struct{ name, replace, with, field, text string }{
	{"no public URL", "public_url: https://verify.example.com", "", "public_url", "is required"},
	{"plain http", "https://verify", "http://verify", "public_url", "must be https"},
	{"loopback", "https://verify.example.com", "https://127.0.0.1:8443", "public_url", "this machine itself"},
	{"localhost", "https://verify.example.com", "https://localhost", "public_url", "this machine itself"},
	{"a path", "verify.example.com", "verify.example.com/x", "public_url", "host only"},
	{"no key", "secret_key: " + goodKey, "", "secret_key", "openssl rand"},
	{"short key", goodKey, "aGVsbG8=", "secret_key", "32 random bytes"},
	{"dev's key", goodKey, "holdfast-dev:" + goodKey, "secret_key", "development"},
	{"both keys", "secret_key: " + goodKey, "secret_key: " + goodKey + "\nsecret_key_file: /k", "secret_key", "keep one"},
	{"missing file", "secret_key: " + goodKey, "secret_key_file: /nowhere", "secret_key_file", "/nowhere: file does not exist"},
	{"no database", "url: sqlite:/var/lib/holdfast/holdfast.db", "", "database.url", "is required"},
	{"other database", "sqlite:/var", "mysql:/var", "database.url", "must begin with"},
	{"database without name", "sqlite:/var/lib/holdfast/holdfast.db", "postgres://host", "database.url", "database's name"},
	{"memory", "sqlite:/var/lib/holdfast/holdfast.db", `"sqlite::memory:"`, "database.url", "must name a file"},
	{"unknown key", "database:", "databse:\n  url: x\ndatabase:", "databse", "is not a setting"},
	{"unknown key below", "  url: sqlite", "  path: x\n  url: sqlite", "database.path", "there are url, url_file"},
	{"list for text", "public_url: https://verify.example.com", "public_url: [a]", "public_url", "must be a text"},
	{"text for table", "database:\n  url: sqlite:/var/lib/holdfast/holdfast.db", "database: sqlite", "database", "must be a table"},
	{"number for text", "https://verify.example.com", "8080", "public_url", "must be a text"},
	{"bad listen", "public_url:", "listen: here\npublic_url:", "listen", "address and port"},
	{"metrics on the public address", "public_url:", "listen: :80\nmetrics_listen: :80\npublic_url:", "metrics_listen", "another address"},
	{"whole world as proxy", "public_url:", "trusted_proxies: [0.0.0.0/0]\npublic_url:", "trusted_proxies[0]", "anyone"},
	{"whole IPv4 world, mapped", "public_url:", "trusted_proxies: [\"::ffff:0.0.0.0/96\"]\npublic_url:", "trusted_proxies[0]", "anyone"},
	{"no network", "public_url:", "trusted_proxies: [10.0.0.0/8, proxy]\npublic_url:", "trusted_proxies[1]", "network or address"},
	{"time without unit", "public_url:", "login: {token_ttl: 5}\npublic_url:", "login.token_ttl", "unit"},
	{"negative limit", "public_url:", "login: {hashing: -1}\npublic_url:", "login.hashing", "negative"},
	{"half a limit", "public_url:", "login: {user_attempts: 3}\npublic_url:", "login.user_attempts", "go together"},
	{"log level", "public_url:", "log: {level: loud}\npublic_url:", "log.level", "debug, info"},
	{"gateway not there", "gateway: main", "gateway: other", "sms.gateway", "does not have"},
	{"no gateway", "gateway: main", "", "sms.gateway", "is required"},
	{"gateway's name", "    main:", "    Main Street:", "sms.gateways.Main Street", "can't stand in a URL"},
	{"unknown kind", "kind: twilio", "kind: pigeon", "sms.gateways.main.kind", "must be one of"},
	{"another kind's key", "auth_token: hush", "auth_token: hush\n      body: x", "sms.gateways.main.body", "is not a setting"},
	{"virtual", "kind: twilio", "kind: virtual", "sms.gateways.main.kind", "must be one of"},
	{"gateway without settings", "    main:", "    other:\n    main:", "sms.gateways.other.kind", "must be one of"},
	{"account", "AC0123", "XX0123", "sms.gateways.main.account_sid", "hexadecimal"},
	{"no sender", "from: \"+12125550100\"", "", "sms.gateways.main.from", "is required"},
	{"sender", "+12125550100", "me", "sms.gateways.main.from", "must be a number"},
	{"half a key", "auth_token: hush", "auth_token: hush\n      key_sid: SK00", "sms.gateways.main.key_sid", "go together"},
	{"plain gateway", "auth_token: hush", "auth_token: hush\n      base_url: http://sms.example.com", "sms.gateways.main.base_url", "must be https"},
	{"generic without URL", "kind: twilio", "kind: generic", "sms.gateways.main.url", "is required"},
	{"carrier without name", "public_url:", "carriers: [{kind: camara}]\npublic_url:", "carriers[0].name", "is required"},
	{"carrier without kind", "public_url:", "carriers: [{name: a}]\npublic_url:", "carriers[0].kind", "must be one of"},
	{"carrier without settings", "public_url:", "carriers: [~]\npublic_url:", "carriers[0].kind", "must be one of"},
	{"carriers without keys", "public_url:", "carriers: [{name: a}]\npublic_url:", "carrier_keys.paths", "is required"},
	{"range claimed twice", "public_url:", "carriers: [{name: a, networks: [192.0.2.0/24]}, {name: b, networks: [192.0.2.0/24]}]\npublic_url:", "carriers[1].networks[0]", "claimed by carriers[0].networks[0]"},
	{"two that serve the rest", "public_url:", "carriers: [{name: a}, {name: b}]\npublic_url:", "carriers[1].networks", "only one can"},
	{"camara without issuer", "public_url:", "carriers: [{name: a, kind: camara}]\npublic_url:", "carriers[0].issuer", "is required"},
	{"plain carrier", "public_url:", "carriers: [{name: a, kind: camara, issuer: 'http://op.example'}]\npublic_url:", "carriers[0].issuer", "must be https"},
	{"carrier on this machine", "public_url:", "carriers: [{name: a, kind: camara, issuer: 'http://127.0.0.1:1'}]\npublic_url:", "carriers[0].issuer", "insecure_http"},
	{"plain carrier, insecure", "public_url:", "carriers: [{name: a, kind: camara, insecure_http: true, issuer: 'http://op.example'}]\npublic_url:", "carriers[0].issuer", "must be https"},
	{"half the endpoints", "public_url:", "carriers: [{name: a, kind: camara, endpoints: {token: 'https://op.example/t'}}]\npublic_url:", "carriers[0].endpoints.jwks", "all three"},
	{"alg", "public_url:", "carriers: [{name: a, kind: camara, alg: HS256}]\npublic_url:", "carriers[0].alg", "RS256 or ES256"},
	{"no YAML", "database:", "\t:", "configuration file", "is not right"},
	{"double key", "database:", "public_url: x\ndatabase:", "configuration file", "already defined"},
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(good, f.replace, f.with, 1)
			if text == good {
				t.Fatal("the fault was not put in")
			}
			_, problems := load(text)
			for _, p := range problems {
				if p.Field == f.field && strings.Contains(p.Text, f.text) {
					return
				}
			}
			t.Errorf("want %s … %s among:\n%v", f.field, f.text, problems.Err())
		})
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	c, problems := load("listen: x\nnonsense: 1\nlog: {level: 3}\n", "HOLDFAST_PUBLIC_ULR=https://x.example.com")
	if c == nil {
		t.Fatal("no Config beside the problems")
	}
	said := problems.Error()
	for _, field := range []string{"public_url", "listen", "nonsense", "log.level", "secret_key", "database.url", "sms.gateway", "sms.gateways", "HOLDFAST_PUBLIC_ULR"} {
		if !strings.Contains(said, "\n  "+field+" ") {
			t.Errorf("%s is not among the problems:\n%s", field, said)
		}
	}
	if len(problems.In("database")) != 1 {
		t.Errorf("database's problems = %v", problems.In("database"))
	}
}

func TestProblemsIn(t *testing.T) {
	t.Parallel()
	all := config.Problems{
		{Field: "carriers"},
		{Field: "carriers[0].kind"},
		{Field: "carriers.x"},
		{Field: "carrier_keys.paths"},
		{Field: "carriersx"},
		{Field: "configuration file"},
	}
	var got []string
	for _, p := range all.In("carriers") {
		got = append(got, p.Field)
	}
	if want := "carriers carriers[0].kind carriers.x configuration file"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNoProblemShowsASecret(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		strings.Replace(good, goodKey, "[hush-hush]", 1),
		strings.Replace(good, goodKey, "hush-hush", 1),
		strings.Replace(good, "auth_token: hush", "auth_token: {a: hush-hush}", 1),
		strings.Replace(good, "sqlite:/var/lib/holdfast/holdfast.db", `"postgres://u:hush-hush@%zz/"`, 1),
		strings.Replace(good, "auth_token: hush", "auth_token: \"hush-hush", 1),
		"hush-hush",
		"- hush-hush",
	} {
		_, problems := load(text)
		if err := problems.Err(); err == nil || strings.Contains(err.Error(), "hush-hush") {
			t.Errorf("problems = %v", err)
		}
	}
}

func TestNoFile(t *testing.T) {
	t.Parallel()
	_, problems := config.Load(config.Source{File: "gone.yaml", ReadFile: files(nil)})
	if err := problems.Err(); err == nil || !strings.Contains(err.Error(), "gone.yaml") {
		t.Errorf("problems = %v", err)
	}
	var as config.Problems
	if !errors.As(problems.Err(), &as) {
		t.Error("Err is not Problems")
	}
	if config.Problems(nil).Err() != nil {
		t.Error("no problem is an error")
	}
}

func TestGeneric(t *testing.T) {
	t.Parallel()
	text := good[:strings.Index(good, "      kind: twilio")] + `      kind: generic
      url: http://sms.internal/send
      insecure_http: true
      method: POST
      headers: {Authorization: 'Bearer {{secret "key"}}'}
      body: '{"to": {{json .To}}}'
      secrets: {other: hush}
      secret_files: {key: /key}
      id_path: messages.0.id
      callback_secret_file: /callback
`
	read := files(map[string]string{"f": text, "/key": "sesame\n", "/callback": "c\n"})
	c, problems := config.Load(config.Source{File: "f", ReadFile: read})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	g := c.SMS.Gateways["main"].Generic
	if g.Secrets["key"].Reveal() != "sesame" || g.Secrets["other"].Reveal() != "hush" || g.CallbackSecret.Reveal() != "c" ||
		g.Headers["Authorization"] != `Bearer {{secret "key"}}` {
		t.Errorf("read %+v", g)
	}
	for _, fault := range []struct{ replace, with, field string }{
		{"insecure_http: true", "insecure_http: false", "sms.gateways.main.url"},
		{"http://sms.internal", "ftp://sms.internal", "sms.gateways.main.url"},
		{"{key: /key}", "{key: /gone}", "sms.gateways.main.secret_files.key"},
		{"secrets: {other", "secrets: {key", "sms.gateways.main.secrets.key"},
	} {
		read := files(map[string]string{"f": strings.Replace(text, fault.replace, fault.with, 1), "/key": "k", "/callback": "c"})
		_, problems := config.Load(config.Source{File: "f", ReadFile: read})
		if len(problems) != 1 || problems[0].Field != fault.field {
			t.Errorf("%s: %v", fault.with, problems)
		}
	}
}
