package access

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"holdfast/internal/secret"
	"holdfast/internal/tenant"
	"holdfast/internal/testkit"
	"holdfast/internal/verify"
)

var (
	ctx    = context.Background()
	office = netip.MustParseAddr("192.0.2.1")
)

// node is one Access on a store; two on one store are two nodes.
func node(t testing.TB, store Store, clock *testkit.Clock) (*Access, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	a, err := New(Config{
		Store: store, IDs: verify.NewIDs(1, clock.Now), Now: clock.Now,
		Log: slog.New(slog.NewJSONHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return a, &log
}

func newNode(t testing.TB) (*Access, *memory, *testkit.Clock) {
	store, clock := newMemory(), testkit.NewClock()
	a, _ := node(t, store, clock)
	return a, store, clock
}

func addAcme(t testing.TB, a *Access) (tenant.Client, secret.Text) {
	t.Helper()
	client, password, err := a.Add(ctx, NewClient{
		Username: "acme", Business: "Acme", Settings: tenant.Settings{Targets: []string{"https://app.acme.example"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return client, password
}

func login(t testing.TB, a *Access, password secret.Text) string {
	t.Helper()
	g, err := a.Login(ctx, "acme", password.Reveal(), office)
	if err != nil {
		t.Fatal(err)
	}
	return g.Token.Reveal()
}

func code(err error) verify.Code {
	var coded *verify.Error
	if errors.As(err, &coded) {
		return coded.Code
	}
	return ""
}

func TestLoginAndAuthenticate(t *testing.T) {
	t.Parallel()
	a, store, clock := newNode(t)
	client, password := addAcme(t, a)
	g, err := a.Login(ctx, "acme", password.Reveal(), office)
	if err != nil {
		t.Fatal(err)
	}
	if g.TTL != 1209600*time.Second || !g.Created.Equal(clock.Now()) || g.UserID != fmt.Sprint(client.ID) {
		t.Errorf("grant %+v", g)
	}
	got, err := a.Authenticate(ctx, g.Token.Reveal())
	if err != nil || got.ID != client.ID {
		t.Fatalf("client %v, %v", got.ID, err)
	}
	asked := store.asked
	if _, err := a.Authenticate(ctx, g.Token.Reveal()); err != nil || store.asked != asked {
		t.Errorf("the store was asked %d times again, %v", store.asked-asked, err)
	}
	for _, stored := range store.tokens {
		if strings.Contains(fmt.Sprintf("%#v", stored), g.Token.Reveal()) {
			t.Error("the token itself is stored")
		}
	}
	clock.Advance(g.TTL - time.Nanosecond)
	if _, err := a.Authenticate(ctx, g.Token.Reveal()); err != nil {
		t.Errorf("before its end: %v", err)
	}
	clock.Advance(time.Nanosecond)
	if _, err := a.Authenticate(ctx, g.Token.Reveal()); code(err) != verify.CodeUnauthorized {
		t.Errorf("after its end: %v", err)
	}
}

func TestAuthenticateRefuses(t *testing.T) {
	t.Parallel()
	a, _, _ := newNode(t)
	_, password := addAcme(t, a)
	good := login(t, a, password)
	token, _ := secret.ParseToken(good)
	other := token
	other.Random[15] ^= 1
	unknown := token
	unknown.ID++
	for name, text := range map[string]string{
		"empty": "", "short": good[:31], "long": good + "A", "another secret": other.Reveal(),
		"another id": unknown.Reveal(), "other alphabet": "++++" + good[4:], "with a scheme": "Bearer " + good,
	} {
		_, err := a.Authenticate(ctx, text)
		if !errors.Is(err, errUnauthorized) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLoginRefusesAlike(t *testing.T) {
	t.Parallel()
	a, _, _ := newNode(t)
	_, password := addAcme(t, a)
	attempts := [][2]string{{"acme", "wrong"}, {"acme", ""}, {"nobody", password.Reveal()}, {"acme\x00", password.Reveal()}, {"", ""}, {"ACME", password.Reveal()}}
	for _, try := range attempts {
		if _, err := a.Login(ctx, try[0], try[1], office); err != errBadCredentials { // the very same
			t.Errorf("%q: %v", try[0], err)
		}
	}
	if _, err := a.Disable(ctx, "acme"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Login(ctx, "acme", password.Reveal(), office); err != errBadCredentials { // the very same
		t.Errorf("disabled: %v", err)
	}
}

// An unknown user must cost what a known one costs, or the time tells who exists.
func TestNobodysHashCostsTheSame(t *testing.T) {
	hash := newClientHash(t)
	prefix := func(h string) string { return h[:strings.LastIndex(h[:strings.LastIndex(h, "$")], "$")] }
	if prefix(nobodysHash) != prefix(hash) || len(nobodysHash) != len(hash) {
		t.Errorf("parameters differ: %s, %s", prefix(nobodysHash), prefix(hash))
	}
}

func newClientHash(t *testing.T) string {
	a, _, _ := newNode(t)
	client, _ := addAcme(t, a)
	return client.PasswordHash
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	for name, revoke := range map[string]func(*Access, string) error{
		"log-out": func(a *Access, token string) error { return a.Logout(ctx, token) },
		"disable": func(a *Access, _ string) error { _, err := a.Disable(ctx, "acme"); return err },
		"rotate":  func(a *Access, _ string) error { _, err := a.Rotate(ctx, "acme"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here, store, clock := newNode(t)
			there, _ := node(t, store, clock)
			_, password := addAcme(t, here)
			token := login(t, here, password)
			for _, a := range []*Access{here, there} {
				if _, err := a.Authenticate(ctx, token); err != nil {
					t.Fatal(err)
				}
			}
			if err := revoke(here, token); err != nil {
				t.Fatal(err)
			}
			if _, err := here.Authenticate(ctx, token); code(err) != verify.CodeUnauthorized {
				t.Errorf("on this node, at once: %v", err)
			}
			clock.Advance(defaultCacheTTL)
			if _, err := there.Authenticate(ctx, token); code(err) != verify.CodeUnauthorized {
				t.Errorf("on the other node, after the cache's time: %v", err)
			}
			if err := here.Logout(ctx, token); code(err) != verify.CodeUnauthorized {
				t.Errorf("log-out of a revoked token: %v", err)
			}
		})
	}
}

// The answer of the store that was under way while a token was revoked must not
// bring it back into the cache.
func TestRevokedStaysRevoked(t *testing.T) {
	a, store, _ := newNode(t)
	_, password := addAcme(t, a)
	token := login(t, a, password)
	parsed, _ := secret.ParseToken(token)
	before, _ := store.Token(ctx, parsed.ID)
	if err := a.Logout(ctx, token); err != nil {
		t.Fatal(err)
	}
	store.tokens[parsed.ID] = before // what the late answer says
	a.Authenticate(ctx, token)
	if _, err := a.Authenticate(ctx, token); code(err) != verify.CodeUnauthorized {
		t.Errorf("it is back: %v", err)
	}
}

// A rotation between the check of the old password and the writing of its token
// revokes only what is there.
func TestRotationDuringLogin(t *testing.T) {
	a, store, _ := newNode(t)
	_, password := addAcme(t, a)
	store.create = func() {
		store.create = nil
		if _, err := a.Rotate(ctx, "acme"); err != nil {
			t.Error(err)
		}
	}
	if _, err := a.Login(ctx, "acme", password.Reveal(), office); code(err) != verify.CodeBadCredential {
		t.Errorf("the old password still minted a token: %v", err)
	}
	for _, token := range store.tokens {
		if token.RevokedAt.IsZero() {
			t.Error("its token is not revoked")
		}
	}
}

func TestNothingSecretIsLogged(t *testing.T) {
	store, clock := newMemory(), testkit.NewClock()
	a, log := node(t, store, clock)
	_, password := addAcme(t, a)
	g, err := a.Login(ctx, "acme", password.Reveal(), office)
	if err != nil {
		t.Fatal(err)
	}
	a.Login(ctx, "acme", "hunter2", office)
	a.Logout(ctx, g.Token.Reveal())
	a.Log.Info("a careless line", "grant", g)
	for _, s := range []string{password.Reveal(), g.Token.Reveal(), "hunter2", "$argon2id"} {
		if strings.Contains(log.String(), s) {
			t.Errorf("the log has a secret: %s", log)
		}
	}
	if n := strings.Count(log.String(), `"event"`); n != 4 {
		t.Errorf("%d events: %s", n, log)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	a, _, _ := newNode(b)
	_, password := addAcme(b, a)
	token := login(b, a, password)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Authenticate(ctx, token); err != nil {
			b.Fatal(err)
		}
	}
}
