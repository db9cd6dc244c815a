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

// SetPassword writes the password's hash and revokes all of the client's tokens.
func (s *Store) SetPassword(ctx context.Context, id verify.ClientID, hash string, at time.Time) error {
	return s.changeClient(ctx, id, at, "UPDATE clients SET password_hash = $2 WHERE id = $1", hash)
}

// SetDisabled shuts a client out, and revokes all its tokens, or lets it in again.
func (s *Store) SetDisabled(ctx context.Context, id verify.ClientID, disabled bool, at time.Time) error {
	const sql = "UPDATE clients SET disabled = $2 WHERE id = $1"
	if !disabled {
		return s.exec(ctx, sql, int64(id), disabled)
	}
	return s.changeClient(ctx, id, at, sql, disabled)
}

// changeClient changes a client and then revokes its tokens. Logins take a share of
// the client's row (CreateToken), so that they are over before the second statement
// looks, or begin after the commit: it can't be one statement, which would look
// before it waits.
func (s *Store) changeClient(ctx context.Context, id verify.ClientID, at time.Time, sql string, value any) error {
	return failure(pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sql, int64(id), value)
		if err == nil && tag.RowsAffected() == 0 {
			err = pgx.ErrNoRows
		}
		if err == nil {
			_, err = tx.Exec(ctx, "UPDATE access_tokens SET revoked_at = $2 WHERE client_id = $1 AND revoked_at IS NULL", int64(id), at)
		}
		return err
	}))
}

// SetSettings writes what an operator chooses.
func (s *Store) SetSettings(ctx context.Context, id verify.ClientID, business string, settings tenant.Settings) error {
	text, err := json.Marshal(settings)
	if err != nil {
		return err
	}
	return s.exec(ctx, "UPDATE clients SET business = $2, settings = $3 WHERE id = $1", int64(id), business, text)
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

// CreateToken writes a login down; see changeClient for the lock.
func (s *Store) CreateToken(ctx context.Context, t tenant.AccessToken) error {
	var revoked *time.Time
	if !t.RevokedAt.IsZero() {
		revoked = &t.RevokedAt
	}
	return s.exec(ctx, `
		INSERT INTO access_tokens (id, digest, client_id, created_at, expires_at, revoked_at)
		SELECT $1, $2, id, $4, $5, $6 FROM clients WHERE id = $3 FOR SHARE`,
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
