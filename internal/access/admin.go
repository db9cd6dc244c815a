package access

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"

	"holdfast/internal/guard"
	"holdfast/internal/secret"
	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

// NewClient is what an operator gives to add a client.
type NewClient struct {
	Username string // 1 to 64 letters, digits and . _ - @, beginning with a letter or digit
	Business string // 1 to 40 printable characters
	Settings tenant.Settings
}

// Change is what an operator changes of a client; nil leaves it as it is.
type Change struct {
	Business *string
	Settings *tenant.Settings
}

// Add adds a client with a random password, which is returned and kept nowhere.
// Everything that is wrong is reported at once, as verify.CodeInvalid; a user
// name that is taken is verify.CodeConflict.
func (a *Access) Add(ctx context.Context, n NewClient) (tenant.Client, secret.Text, error) {
	password := newPassword()
	client, err := a.AddWithPassword(ctx, n, password)
	return client, password, err
}

// AddWithPassword is Add with a password of the operator's own: for development,
// where it is printed anyway. It takes any that is not empty.
func (a *Access) AddWithPassword(ctx context.Context, n NewClient, password secret.Text) (tenant.Client, error) {
	bad := refuse(nil, "username", wrongUsername(n.Username))
	if password == "" {
		bad = refuse(bad, "password", "is required")
	}
	bad = refuse(bad, "business", wrongBusiness(n.Business))
	bad = append(bad, a.checkTargets(&n.Settings)...)
	bad = append(bad, checkLimits(&n.Settings)...)
	if len(bad) > 0 {
		return tenant.Client{}, verify.Invalid(bad...)
	}
	hash, err := argon2id.CreateHash(password.Reveal(), hashParams)
	if err != nil {
		return tenant.Client{}, err
	}
	id, err := a.mint()
	if err != nil {
		return tenant.Client{}, err
	}
	client := tenant.Client{
		ID: verify.ClientID(id), Username: n.Username, PasswordHash: hash,
		Business: n.Business, Settings: n.Settings, CreatedAt: a.now(),
	}
	err = a.Store.CreateClient(ctx, client)
	if errors.Is(err, verify.ErrConflict) {
		err = &verify.Error{Code: verify.CodeConflict, Message: "The user name is taken.", Reason: "Choose another, or change the client that has it."}
	}
	if err != nil {
		return tenant.Client{}, err
	}
	a.event(ctx, "client_added", client.ID)
	return client, nil
}

// List returns all clients, by user name.
func (a *Access) List(ctx context.Context) ([]tenant.Client, error) { return a.Store.Clients(ctx) }

// Find returns a client by its user name, as it is now. An unknown one is
// verify.CodeNotFound.
func (a *Access) Find(ctx context.Context, username string) (tenant.Client, error) {
	if wrongUsername(username) == "" {
		client, err := a.Store.ClientByUsername(ctx, username)
		if !errors.Is(err, verify.ErrNotFound) {
			return client, err
		}
	}
	return tenant.Client{}, &verify.Error{Code: verify.CodeNotFound, Message: "There is no client with that user name.", Reason: "List the clients to see their names."}
}

// Set changes a client's business name and settings. Everything that is wrong is
// reported at once, as verify.CodeInvalid; targets that stay are not judged again.
func (a *Access) Set(ctx context.Context, username string, change Change) (tenant.Client, error) {
	client, err := a.Find(ctx, username)
	if err != nil {
		return tenant.Client{}, err
	}
	if change.Business != nil {
		client.Business = *change.Business
	}
	bad := refuse(nil, "business", wrongBusiness(client.Business))
	if change.Settings != nil {
		if !slices.Equal(change.Settings.Targets, client.Settings.Targets) {
			bad = append(bad, a.checkTargets(change.Settings)...)
		}
		bad = append(bad, checkLimits(change.Settings)...)
		client.Settings = *change.Settings
	}
	if len(bad) > 0 {
		return tenant.Client{}, verify.Invalid(bad...)
	}
	if err := a.Store.SetSettings(ctx, client.ID, client.Business, client.Settings); err != nil {
		return tenant.Client{}, err
	}
	a.changed(ctx, "client_changed", client.ID)
	return client, nil
}

// Disable shuts a client out: its tokens are revoked and it can't log in. Links
// already sent still open, but send nobody to the client's targets.
func (a *Access) Disable(ctx context.Context, username string) (tenant.Client, error) {
	return a.setDisabled(ctx, "client_disabled", username, true)
}

// Enable lets a disabled client log in again.
func (a *Access) Enable(ctx context.Context, username string) (tenant.Client, error) {
	return a.setDisabled(ctx, "client_enabled", username, false)
}

func (a *Access) setDisabled(ctx context.Context, event, username string, disabled bool) (tenant.Client, error) {
	client, err := a.Find(ctx, username)
	if err != nil {
		return tenant.Client{}, err
	}
	client.Disabled = disabled
	if err := a.Store.SetDisabled(ctx, client.ID, disabled, a.now()); err != nil {
		return tenant.Client{}, err
	}
	a.changed(ctx, event, client.ID)
	a.tokens.InvalidateAll()
	return client, nil
}

// Rotate gives a client a new random password, which is returned and kept
// nowhere, and revokes all its tokens.
func (a *Access) Rotate(ctx context.Context, username string) (secret.Text, error) {
	client, err := a.Find(ctx, username)
	if err != nil {
		return "", err
	}
	password := newPassword()
	hash, err := argon2id.CreateHash(password.Reveal(), hashParams)
	if err != nil {
		return "", err
	}
	if err := a.Store.SetPassword(ctx, client.ID, hash, a.now()); err != nil {
		return "", err
	}
	a.changed(ctx, "client_rotated", client.ID)
	a.tokens.InvalidateAll()
	return password, nil
}

// changed forgets what this node remembers of a client. Where tokens were revoked,
// those of all clients are forgotten too, which costs each one question to the
// store.
func (a *Access) changed(ctx context.Context, event string, id verify.ClientID) {
	a.clients.Invalidate(id)
	a.event(ctx, event, id)
}

// newPassword is 144 random bits in base64url: 24 characters.
func newPassword() secret.Text {
	raw := make([]byte, 18)
	rand.Read(raw) // never fails (crypto/rand, Go 1.24)
	return secret.Text(base64.RawURLEncoding.EncodeToString(raw))
}

func wrongUsername(name string) string {
	for i := range len(name) {
		c := name[i]
		alphanumeric := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alphanumeric && (i == 0 || !strings.ContainsRune("._-@", rune(c))) {
			return "must be letters, digits and . _ - @, beginning with a letter or digit"
		}
	}
	if len(name) < 1 || len(name) > 64 {
		return "must have 1 to 64 characters"
	}
	return ""
}

// checkTargets writes the targets as they are compared.
func (a *Access) checkTargets(s *tenant.Settings) []verify.Field {
	if len(s.Targets) == 0 {
		return []verify.Field{{Name: "targets", Reason: `are required: the origins that a targetUrl may have, such as "https://app.example.com"`}}
	}
	var bad []verify.Field
	targets := make([]string, 0, len(s.Targets))
	for i, text := range s.Targets {
		origin, wrong := guard.AllowedOrigin(text, a.Loopback)
		bad = refuse(bad, fmt.Sprintf("targets[%d]", i), wrong)
		if !slices.Contains(targets, origin) {
			targets = append(targets, origin)
		}
	}
	s.Targets = targets
	return bad
}

func checkLimits(s *tenant.Settings) []verify.Field {
	bad := refuse(nil, "link_minutes", outside(s.LinkMinutes, 60))
	bad = refuse(bad, "result_minutes", outside(s.ResultMinutes, int(24*time.Hour/time.Minute)))
	return refuse(bad, "max_segments", outside(s.MaxSegments, 10))
}

// refuse adds a field, where there is a reason to.
func refuse(bad []verify.Field, name, reason string) []verify.Field {
	if reason == "" {
		return bad
	}
	return append(bad, verify.Field{Name: name, Reason: reason})
}

func outside(n, most int) string {
	if n < 0 || n > most {
		return fmt.Sprintf("must be 1 to %d, or 0 for the default", most)
	}
	return ""
}

// wrongBusiness judges the name that stands in every SMS and on the page.
func wrongBusiness(name string) string {
	switch {
	case !utf8.ValidString(name), strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "must be printable characters"
	case strings.TrimSpace(name) == "" || utf8.RuneCountInString(name) > 40:
		return "must have 1 to 40 characters"
	case strings.TrimSpace(name) != name:
		return "must not begin or end with a space"
	case strings.Contains(name, verify.TextMark):
		return "must not contain " + verify.TextMark
	}
	return ""
}
