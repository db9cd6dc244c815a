package storetest

import (
	"testing"
	"time"

	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

// testNode guards against two processes that mint the same IDs.
func testNode(t *testing.T, w *world) {
	type result struct {
		node verify.Node
		err  error
	}
	times := map[verify.Node]int{}
	for _, r := range together(verify.Nodes, func(int) result {
		node, err := w.NextNode(t.Context())
		return result{node, err}
	}) {
		must(t, r.err)
		times[r.node]++
		if r.node < 0 || r.node >= verify.Nodes || times[r.node] > 1 {
			t.Fatalf("node %d is out of range or was handed out twice", r.node)
		}
	}
	again, err := w.NextNode(t.Context())
	if err != nil || times[again] != 1 {
		t.Fatalf("after all came node %d, %v, want one of them again", again, err)
	}
}

func testClose(t *testing.T, w *world) {
	must(t, w.Ping(t.Context()))
	must(t, w.Close())
	must(t, w.Close())
	if w.Ping(t.Context()) == nil {
		t.Error("Ping succeeds after Close")
	}
	if w.CreateClient(t.Context(), tenant.Client{ID: 1, Username: "late"}) == nil {
		t.Error("a write succeeds after Close")
	}
	if _, err := w.Client(t.Context(), w.client); err == nil {
		t.Error("a read succeeds after Close")
	}
}

// fullClient has every field set.
func fullClient() tenant.Client {
	return tenant.Client{
		ID: 1 << 40, Username: "zoë", PasswordHash: "$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA", Business: "Zoë & Co 🏦",
		Settings: tenant.Settings{
			Targets: []string{"https://a.example.com", "https://b.example.com:8443"}, LinkMinutes: 60, ResultMinutes: 1440,
			MaxSegments: 10, AutoSubmit: true, ShowDeviceIP: true, Policy: verify.Policy{AcceptIPMatch: true},
		},
		Disabled: true, CreatedAt: start.In(time.FixedZone("away", 3600)).Add(789 * time.Nanosecond),
	}
}

func testClients(t *testing.T, w *world) {
	full := fullClient()
	must(t, w.CreateClient(t.Context(), full))
	full.CreatedAt = kept(full.CreatedAt)
	acme := tenant.Client{ID: w.client, Username: "acme", CreatedAt: start}
	read := func(want tenant.Client) {
		t.Helper()
		got, err := w.Client(t.Context(), want.ID)
		must(t, err)
		same(t, "Client", got, want)
		got, err = w.ClientByUsername(t.Context(), want.Username)
		must(t, err)
		same(t, "ClientByUsername", got, want)
	}
	read(full)
	read(acme)

	for _, taken := range []tenant.Client{{ID: 3, Username: full.Username}, {ID: full.ID, Username: "other"}} {
		wantError(t, "CreateClient", w.CreateClient(t.Context(), taken), verify.ErrConflict)
	}
	read(full)

	changed := full // each verb changes what it names and nothing else
	changed.PasswordHash = "other"
	must(t, w.SetPassword(t.Context(), full.ID, changed.PasswordHash, start))
	read(changed)
	changed.Disabled = false
	must(t, w.SetDisabled(t.Context(), full.ID, false, start))
	read(changed)
	changed.Business, changed.Settings = "Other", tenant.Settings{LinkMinutes: 1}
	must(t, w.SetSettings(t.Context(), full.ID, changed.Business, changed.Settings))
	read(changed)
	changed.Disabled = true
	must(t, w.SetDisabled(t.Context(), full.ID, true, start))
	read(changed)
	read(acme)

	third := tenant.Client{ID: 2, Username: "beta", CreatedAt: start}
	must(t, w.CreateClient(t.Context(), third))
	all, err := w.Clients(t.Context())
	must(t, err)
	same(t, "Clients", all, []tenant.Client{acme, third, changed})
}

func testTokens(t *testing.T, w *world) {
	other := tenant.Client{ID: 77, Username: "other", CreatedAt: start}
	must(t, w.CreateClient(t.Context(), other))
	token := func(id int64, client verify.ClientID) tenant.AccessToken {
		return tenant.AccessToken{ID: id, Digest: digest(id, "access"), ClientID: client, CreatedAt: start, ExpiresAt: start.Add(time.Hour)}
	}
	read := func(want tenant.AccessToken) {
		t.Helper()
		got, err := w.Token(t.Context(), want.ID)
		must(t, err)
		same(t, "Token", got, want)
	}
	one, two, three, foreign := token(1, w.client), token(2, w.client), token(1<<62, w.client), token(4, other.ID)
	three.Digest, three.RevokedAt = [32]byte{}, start.Add(time.Microsecond)
	for _, tok := range []tenant.AccessToken{one, two, three, foreign} {
		must(t, w.CreateToken(t.Context(), tok))
		read(tok)
	}
	wantError(t, "CreateToken", w.CreateToken(t.Context(), token(1, other.ID)), verify.ErrConflict)
	read(one)

	one.RevokedAt = start.Add(time.Minute)
	must(t, w.RevokeToken(t.Context(), one.ID, one.RevokedAt))
	must(t, w.RevokeToken(t.Context(), one.ID, start.Add(2*time.Minute)))
	read(one)
	read(two)

	all := func() {
		t.Helper()
		for _, tok := range []tenant.AccessToken{one, two, three, foreign} {
			read(tok)
		}
	}
	must(t, w.SetDisabled(t.Context(), w.client, false, start.Add(2*time.Minute)))
	must(t, w.SetSettings(t.Context(), w.client, "Acme", tenant.Settings{}))
	all()
	two.RevokedAt = start.Add(3 * time.Minute)
	must(t, w.SetPassword(t.Context(), w.client, "hash", two.RevokedAt))
	all()
	foreign.RevokedAt = start.Add(4 * time.Minute)
	must(t, w.SetDisabled(t.Context(), other.ID, true, foreign.RevokedAt))
	all()
	must(t, w.SetDisabled(t.Context(), other.ID, false, start.Add(5*time.Minute)))
	all() // who is let in again logs in again
}
