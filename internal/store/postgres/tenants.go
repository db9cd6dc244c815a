package postgres

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

// CreateClient adds a client.
func (s *Store) CreateClient(ctx context.Context, c tenant.Client) error {
	settings, err := json.Marshal(c.Settings)
	if err != nil {
		return err
	}
	return s.exec(ctx, `
		INSERT INTO clients (id, username, password_hash, business, settings, disabled, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		int64(c.ID), c.Username, c.PasswordHash, c.Business, settings, c.Disabled, c.CreatedAt)
}

// UpdateClient writes everything but ID, Username and CreatedAt.
func (s *Store) UpdateClient(ctx context.Context, c tenant.Client) error {
	settings, err := json.Marshal(c.Settings)
	if err != nil {
		return err
	}
	return s.exec(ctx, `
		UPDATE clients SET password_hash = $2, business = $3, settings = $4, disabled = $5 WHERE id = $1`,
		int64(c.ID), c.PasswordHash, c.Business, settings, c.Disabled)
}

const selectClient = `
	SELECT id, username, password_hash, business, settings, disabled, created_at FROM clients `

// Client reads a client by its key.
func (s *Store) Client(ctx context.Context, id verify.ClientID) (tenant.Client, error) {
	return s.oneClient(ctx, selectClient+"WHERE id = $1", int64(id))
}

// ClientByUsername reads a client by its user name, which is compared exactly.
func (s *Store) ClientByUsername(ctx context.Context, username string) (tenant.Client, error) {
	return s.oneClient(ctx, selectClient+"WHERE username = $1", username)
}

// Clients are all, by user name.
func (s *Store) Clients(ctx context.Context) ([]tenant.Client, error) {
	result, _ := s.pool.Query(ctx, selectClient+"ORDER BY username")
	clients, err := pgx.CollectRows(result, scanClient)
	return clients, failure(err)
}

func (s *Store) oneClient(ctx context.Context, sql string, key any) (tenant.Client, error) {
	result, _ := s.pool.Query(ctx, sql, key)
	client, err := pgx.CollectExactlyOneRow(result, scanClient)
	return client, failure(err)
}

func scanClient(row pgx.CollectableRow) (c tenant.Client, err error) {
	err = row.Scan(&c.ID, &c.Username, &c.PasswordHash, &c.Business, &c.Settings, &c.Disabled, instant{&c.CreatedAt})
	return c, err
}

// CreateToken writes a login down.
func (s *Store) CreateToken(ctx context.Context, t tenant.AccessToken) error {
	var revoked *time.Time
	if !t.RevokedAt.IsZero() {
		revoked = &t.RevokedAt
	}
	return s.exec(ctx, `
		INSERT INTO access_tokens (id, digest, client_id, created_at, expires_at, revoked_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		t.ID, t.Digest[:], int64(t.ClientID), t.CreatedAt, t.ExpiresAt, revoked)
}

// Token reads what is kept of a login.
func (s *Store) Token(ctx context.Context, id int64) (tenant.AccessToken, error) {
	t := tenant.AccessToken{ID: id}
	err := s.pool.QueryRow(ctx, "SELECT digest, client_id, created_at, expires_at, revoked_at FROM access_tokens WHERE id = $1", id).
		Scan(digest{&t.Digest}, &t.ClientID, instant{&t.CreatedAt}, instant{&t.ExpiresAt}, instant{&t.RevokedAt})
	return t, failure(err)
}

// RevokeToken ends a login; the first time of revocation stays.
func (s *Store) RevokeToken(ctx context.Context, id int64, at time.Time) error {
	return s.exec(ctx, "UPDATE access_tokens SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1", id, at)
}

// RevokeTokens ends all logins of a client; having none is no error.
func (s *Store) RevokeTokens(ctx context.Context, client verify.ClientID, at time.Time) error {
	_, err := s.pool.Exec(ctx, "UPDATE access_tokens SET revoked_at = $2 WHERE client_id = $1 AND revoked_at IS NULL", int64(client), at)
	return failure(err)
}
