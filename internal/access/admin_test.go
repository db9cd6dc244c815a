package access

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

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

// Whoever sets a client's settings, or its password, while another shuts it out
// must not let it in again.
func TestChangesDoNotUndoEachOther(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Access) error{
		"set": func(a *Access) error {
			_, err := a.Set(ctx, "acme", Change{Settings: &tenant.Settings{Targets: []string{"https://b.acme.example"}}})
			return err
		},
		"rotate": func(a *Access) error {
			_, err := a.Rotate(ctx, "acme")
			return err
		},
	} {
		a, store, _ := newNode(t)
		client, password := addAcme(t, a)
		token := login(t, a, password)
		store.change = func() {
			store.change = nil
			if _, err := a.Disable(ctx, "acme"); err != nil {
				t.Error(err)
			}
		}
		if err := change(a); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c := store.clients[client.ID]; !c.Disabled {
			t.Errorf("%s let a disabled client in again", name)
		}
		if _, err := a.Authenticate(ctx, token); code(err) != verify.CodeUnauthorized {
			t.Errorf("%s: a token of a disabled client: %v", name, err)
		}
	}
}

// Targets that only development takes stay with dev's client when an operator
// changes something else of it.
func TestTargetsThatStayAreNotJudged(t *testing.T) {
	t.Parallel()
	a, store, _ := newNode(t)
	client, _ := addAcme(t, a)
	plain := []string{"http://localhost:8080"}
	client.Settings.Targets = plain
	store.clients[client.ID] = client
	if _, err := a.Set(ctx, "acme", Change{Settings: &tenant.Settings{Targets: plain, LinkMinutes: 1}}); err != nil {
		t.Error(err)
	}
	if _, err := a.Set(ctx, "acme", Change{Settings: &tenant.Settings{Targets: append(plain, "https://app.acme.example")}}); code(err) != verify.CodeInvalid {
		t.Errorf("changed targets: %v", err)
	}
	if got := store.clients[client.ID].Settings; !slices.Equal(got.Targets, plain) || got.LinkMinutes != 1 {
		t.Errorf("stored %+v", got)
	}
}

// Commands that mint no id do without a mint, and can't by mistake do what needs one.
func TestWithoutMint(t *testing.T) {
	t.Parallel()
	a, store, _ := newNode(t)
	addAcme(t, a)
	b, err := New(Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	password, err := b.Rotate(ctx, "acme")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Add(ctx, NewClient{Username: "b", Business: "B", Settings: tenant.Settings{Targets: []string{"https://b.example"}}}); err == nil {
		t.Error("a client without an id")
	}
	if _, err := b.Login(ctx, "acme", password.Reveal(), office); err == nil || code(err) != "" {
		t.Errorf("a token without an id: %v", err)
	}
}
