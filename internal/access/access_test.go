package access

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"holdfast/internal/secret"
	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

var (
	ctx    = context.Background()
	office = netip.MustParseAddr("192.0.2.1")
)

// memory is a store in memory that counts questions.
type memory struct {
	mu      sync.Mutex
	clients map[verify.ClientID]tenant.Client
	tokens  map[int64]tenant.AccessToken
	asked   int
	create  func() // called before a token is created
}

func newMemory() *memory {
	return &memory{clients: map[verify.ClientID]tenant.Client{}, tokens: map[int64]tenant.AccessToken{}}
}

func (m *memory) Client(_ context.Context, id verify.ClientID) (tenant.Client, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if c, ok := m.clients[id]; ok {
		return c, nil
	}
	return tenant.Client{}, verify.ErrNotFound
}

func (m *memory) ClientByUsername(_ context.Context, name string) (tenant.Client, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.clients {
		if c.Username == name {
			return c, nil
		}
	}
	return tenant.Client{}, verify.ErrNotFound
}

func (m *memory) Clients(context.Context) ([]tenant.Client, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []tenant.Client
	for _, c := range m.clients {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b tenant.Client) int { return strings.Compare(a.Username, b.Username) })
	return all, nil
}

func (m *memory) CreateClient(_ context.Context, c tenant.Client) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, other := range m.clients {
		if other.Username == c.Username {
			return verify.ErrConflict
		}
	}
	m.clients[c.ID] = c
	return nil
}

func (m *memory) UpdateClient(_ context.Context, c tenant.Client) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clients[c.ID] = c
	return nil
}

func (m *memory) CreateToken(_ context.Context, t tenant.AccessToken) error {
	if m.create != nil {
		m.create()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tokens[t.ID] = t
	return nil
}

func (m *memory) Token(_ context.Context, id int64) (tenant.AccessToken, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if t, ok := m.tokens[id]; ok {
		return t, nil
	}
	return tenant.AccessToken{}, verify.ErrNotFound
}

func (m *memory) RevokeToken(_ context.Context, id int64, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.tokens[id]
	if !ok {
		return verify.ErrNotFound
	}
	if t.RevokedAt.IsZero() {
		t.RevokedAt = at
	}
	m.tokens[id] = t
	return nil
}

func (m *memory) RevokeTokens(_ context.Context, client verify.ClientID, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, t := range m.tokens {
		if t.ClientID == client && t.RevokedAt.IsZero() {
			t.RevokedAt = at
			m.tokens[id] = t
		}
	}
	return nil
}

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// node is one Access on a store; two on one store are two nodes.
func node(t testing.TB, store Store, clock *clock) (*Access, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	a, err := New(Config{
		Store: store, IDs: verify.NewIDs(1, clock.now), Now: clock.now,
		Log: slog.New(slog.NewJSONHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return a, &log
}

func newNode(t testing.TB) (*Access, *memory, *clock) {
	store, clock := newMemory(), &clock{at: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)}
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
	if g.TTL != 1209600*time.Second || !g.Created.Equal(clock.now()) || g.UserID != fmt.Sprint(client.ID) {
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
	clock.add(g.TTL - time.Nanosecond)
	if _, err := a.Authenticate(ctx, g.Token.Reveal()); err != nil {
		t.Errorf("before its end: %v", err)
	}
	clock.add(time.Nanosecond)
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
		if _, err := a.Login(ctx, try[0], try[1], office); err != errBadCredentials { //nolint:errorlint // the very same
			t.Errorf("%q: %v", try[0], err)
		}
	}
	if _, err := a.Disable(ctx, "acme"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Login(ctx, "acme", password.Reveal(), office); err != errBadCredentials { //nolint:errorlint // the very same
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
			clock.add(defaultCacheTTL)
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

func TestLoginLimits(t *testing.T) {
	t.Parallel()
	a, _, clock := newNode(t)
	_, password := addAcme(t, a)
	for i := range a.UserLimit.Burst {
		if _, err := a.Login(ctx, "acme", "wrong", office); code(err) != verify.CodeBadCredential {
			t.Fatalf("attempt %d: %v", i, err)
		}
	}
	_, err := a.Login(ctx, "acme", password.Reveal(), office)
	var limited *verify.Error
	if !errors.As(err, &limited) || limited.Code != verify.CodeRateLimited || limited.RetryAfter != a.UserLimit.Every {
		t.Fatalf("the right password after too many wrong ones: %v", err)
	}
	if _, err := a.Login(ctx, "acme", password.Reveal(), netip.MustParseAddr("198.51.100.7")); err != nil {
		t.Errorf("the owner is locked out by a stranger: %v", err)
	}
	clock.add(limited.RetryAfter)
	if _, err := a.Login(ctx, "acme", password.Reveal(), office); err != nil {
		t.Errorf("after Retry-After: %v", err)
	}
	if _, err := a.Login(ctx, "acme", password.Reveal(), office); code(err) != verify.CodeRateLimited {
		t.Errorf("a success reset the limit: %v", err)
	}
}

func TestAddressLimitCountsAllNames(t *testing.T) {
	t.Parallel()
	a, _, _ := newNode(t)
	for i := range a.AddressLimit.Burst {
		from := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(i)}) // one /64
		if err := a.limit(ctx, fmt.Sprint("user", i), from); err != nil {
			t.Fatalf("attempt %d: %v", i, err)
		}
	}
	if err := a.limit(ctx, "another", netip.MustParseAddr("2001:db8::ffff")); code(err) != verify.CodeRateLimited {
		t.Errorf("not limited: %v", err)
	}
	if err := a.limit(ctx, "another", netip.MustParseAddr("2001:db8:0:1::1")); err != nil {
		t.Errorf("the next /64: %v", err)
	}
}

func TestLimiterFailsClosed(t *testing.T) {
	l := newLimiter(Limit{Burst: 1, Every: time.Minute})
	l.size = 2
	now := time.Now()
	key := func(i byte) secret.Digest { return secret.Digest{i} }
	if l.take(key(1), now) != 0 || l.take(key(2), now) != 0 {
		t.Fatal("refused while there is room")
	}
	if l.take(key(3), now) == 0 {
		t.Error("let through while full")
	}
	if l.take(key(3), now.Add(time.Minute)) != 0 {
		t.Error("refused after there was room again")
	}
}

// Over any time the limiter lets through at most the burst and one per interval.
func TestLimiterRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := Limit{Burst: rapid.IntRange(1, 5).Draw(t, "burst"), Every: time.Second}
		l, start := newLimiter(limit), time.Unix(0, 0)
		now, passed := start, 0
		for range rapid.IntRange(1, 60).Draw(t, "n") {
			now = now.Add(time.Duration(rapid.IntRange(0, 1500).Draw(t, "ms")) * time.Millisecond)
			wait := l.take(secret.Digest{}, now)
			if wait == 0 {
				passed++
			} else if now = now.Add(wait); l.take(secret.Digest{}, now) != 0 {
				t.Fatal("refused after the wait it named")
			} else {
				passed++
			}
		}
		if most := limit.Burst + int(now.Sub(start)/limit.Every); passed > most {
			t.Fatalf("%d passed in %v, at most %d may", passed, now.Sub(start), most)
		}
	})
}

func TestAddReportsEverything(t *testing.T) {
	t.Parallel()
	a, store, _ := newNode(t)
	good := NewClient{Username: "acme", Business: "Acme & Söhne", Settings: tenant.Settings{
		Targets: []string{"https://APP.acme.example:443", "https://app.acme.example/"}, LinkMinutes: 60, ResultMinutes: 1440, MaxSegments: 10,
	}}
	_, _, err := a.Add(ctx, NewClient{
		Username: "-x", Business: strings.Repeat("x", 41),
		Settings: tenant.Settings{Targets: []string{"https://a.example", "http://b.example"}, LinkMinutes: 61, ResultMinutes: -1, MaxSegments: 11},
	})
	var bad *verify.Error
	if !errors.As(err, &bad) || bad.Code != verify.CodeInvalid {
		t.Fatal(err)
	}
	var names []string
	for _, f := range bad.Fields {
		names = append(names, f.Name)
	}
	if want := []string{"username", "business", "targets[1]", "link_minutes", "result_minutes", "max_segments"}; !slices.Equal(names, want) {
		t.Errorf("named %v, want %v", names, want)
	}
	for name, business := range map[string]string{"empty": "", "blank": " ", "control": "A\nB", "bidi": "A\u202eB", "padded": " A", "mark": "{link}", "not UTF-8": "A\xff"} {
		n := good
		n.Business = business
		if _, _, err := a.Add(ctx, n); code(err) != verify.CodeInvalid {
			t.Errorf("business %s: %v", name, err)
		}
	}
	if len(store.clients) != 0 {
		t.Error("something was written")
	}
	client, password, err := a.Add(ctx, good)
	if err != nil || !slices.Equal(client.Settings.Targets, []string{"https://app.acme.example"}) || len(password.Reveal()) != 24 {
		t.Errorf("%+v, %v", client, err)
	}
	if _, _, err := a.Add(ctx, good); code(err) != verify.CodeConflict {
		t.Errorf("a taken name: %v", err)
	}
}

func TestAdministration(t *testing.T) {
	t.Parallel()
	a, _, _ := newNode(t)
	client, password := addAcme(t, a)
	token := login(t, a, password)
	name := "Acme Bank"
	if _, err := a.Set(ctx, "acme", Change{Business: &name}); err != nil {
		t.Fatal(err)
	}
	if got, err := a.Client(ctx, client.ID); err != nil || got.Business != name || got.Settings.Targets[0] != "https://app.acme.example" {
		t.Errorf("at once on this node: %+v, %v", got, err)
	}
	if _, err := a.Set(ctx, "acme", Change{Settings: &tenant.Settings{}}); code(err) != verify.CodeInvalid {
		t.Errorf("no targets: %v", err)
	}
	if _, err := a.Disable(ctx, "acme"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Enable(ctx, "acme"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Authenticate(ctx, token); code(err) != verify.CodeUnauthorized {
		t.Errorf("a token outlived its client's disabling: %v", err)
	}
	login(t, a, password)
	fresh, err := a.Rotate(ctx, "acme")
	if err != nil {
		t.Fatal(err)
	}
	login(t, a, fresh)
	if _, err := a.Login(ctx, "acme", password.Reveal(), office); code(err) != verify.CodeBadCredential {
		t.Errorf("the old password: %v", err)
	}
	all, err := a.List(ctx)
	if err != nil || len(all) != 1 {
		t.Errorf("%d clients, %v", len(all), err)
	}
	for _, missing := range []string{"nobody", "a\x00b"} {
		if _, err := a.Disable(ctx, missing); code(err) != verify.CodeNotFound {
			t.Errorf("%q: %v", missing, err)
		}
	}
}

func TestHashingIsBounded(t *testing.T) {
	a, _, _ := newNode(t)
	for range a.Hashing {
		a.hashing <- struct{}{}
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := a.compare(gone, "x", nobodysHash); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestNothingSecretIsLogged(t *testing.T) {
	store, clock := newMemory(), &clock{at: time.Now()}
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
