package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

const clientColumns = `id, username, password_hash, business, settings, disabled, created_at`

var (
	insertClient = prepared(`INSERT INTO clients (` + clientColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?)`)
	setPassword  = prepared(`UPDATE clients SET password_hash = ? WHERE id = ?`)
	setDisabled  = prepared(`UPDATE clients SET disabled = ? WHERE id = ?`)
	setSettings  = prepared(`UPDATE clients SET business = ?, settings = ? WHERE id = ?`)
	clientByID   = prepared(`SELECT ` + clientColumns + ` FROM clients WHERE id = ?`)
	clientByName = prepared(`SELECT ` + clientColumns + ` FROM clients WHERE username = ?`)
	allClients   = prepared(`SELECT ` + clientColumns + ` FROM clients ORDER BY username`)
)

// CreateClient adds a client; verify.ErrConflict where the user name or the ID is
// taken.
func (s *Store) CreateClient(ctx context.Context, c tenant.Client) error {
	settings, err := json.Marshal(c.Settings)
	if err != nil {
		return fmt.Errorf("sqlite: settings: %w", err)
	}
	return s.write(ctx, func(db *conn) error {
		_, err := db.exec(insertClient, int64(c.ID), c.Username, c.PasswordHash, c.Business, string(settings), boolean(c.Disabled), micros(c.CreatedAt))
		if isTaken(err) {
			return verify.ErrConflict
		}
		return err
	})
}

// SetPassword writes the password's hash and revokes all of the client's tokens.
func (s *Store) SetPassword(ctx context.Context, id verify.ClientID, hash string, at time.Time) error {
	return s.write(ctx, func(db *conn) error {
		if err := orNotFound(db.exec(setPassword, hash, int64(id))); err != nil {
			return err
		}
		return db.revokeTokens(id, at)
	})
}

// SetDisabled shuts a client out, and revokes all its tokens, or lets it in again.
func (s *Store) SetDisabled(ctx context.Context, id verify.ClientID, disabled bool, at time.Time) error {
	return s.write(ctx, func(db *conn) error {
		if err := orNotFound(db.exec(setDisabled, boolean(disabled), int64(id))); err != nil || !disabled {
			return err
		}
		return db.revokeTokens(id, at)
	})
}

// SetSettings writes what an operator chooses.
func (s *Store) SetSettings(ctx context.Context, id verify.ClientID, business string, settings tenant.Settings) error {
	text, err := json.Marshal(settings)
	if err != nil {
		return fmt.Errorf("sqlite: settings: %w", err)
	}
	return s.write(ctx, func(db *conn) error {
		return orNotFound(db.exec(setSettings, business, string(text), int64(id)))
	})
}

// orNotFound is for a write that is guarded by nothing but its row's existence.
func orNotFound(changed int64, err error) error {
	if err == nil && changed == 0 {
		return verify.ErrNotFound
	}
	return err
}

// Client reads a client by its ID.
func (s *Store) Client(ctx context.Context, id verify.ClientID) (tenant.Client, error) {
	return s.client(ctx, clientByID, int64(id))
}

// ClientByUsername reads a client by its user name, letter for letter.
func (s *Store) ClientByUsername(ctx context.Context, username string) (tenant.Client, error) {
	return s.client(ctx, clientByName, username)
}

func (s *Store) client(ctx context.Context, q query, key any) (tenant.Client, error) {
	found, err := s.clients(ctx, q, key)
	if err == nil && len(found) == 0 {
		err = verify.ErrNotFound
	}
	if err != nil {
		return tenant.Client{}, err
	}
	return found[0], nil
}

// Clients are all, by user name.
func (s *Store) Clients(ctx context.Context) ([]tenant.Client, error) {
	return s.clients(ctx, allClients)
}

func (s *Store) clients(ctx context.Context, q query, args ...any) (all []tenant.Client, err error) {
	var broken error
	err = s.read(ctx, func(db *conn) error {
		return db.read(q, func(r *row) {
			c := tenant.Client{ID: verify.ClientID(r.int()), Username: r.text(), PasswordHash: r.text(), Business: r.text()}
			if err := json.Unmarshal([]byte(r.text()), &c.Settings); err != nil {
				broken = fmt.Errorf("sqlite: settings of client %d: %w", c.ID, err)
			}
			c.Disabled, c.CreatedAt = r.bool(), r.time()
			all = append(all, c)
		}, args...)
	})
	if err == nil {
		err = broken
	}
	return all, err
}

const tokenColumns = `id, digest, client_id, created_at, expires_at, revoked_at`

var (
	insertToken  = prepared(`INSERT INTO access_tokens (` + tokenColumns + `) VALUES (?, ?, ?, ?, ?, ?)`)
	tokenByID    = prepared(`SELECT ` + tokenColumns + ` FROM access_tokens WHERE id = ?`)
	revokeToken  = prepared(`UPDATE access_tokens SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?`)
	revokeTokens = prepared(`UPDATE access_tokens SET revoked_at = ? WHERE client_id = ? AND revoked_at IS NULL`)
)

// CreateToken adds an access token; verify.ErrConflict where its ID is taken.
func (s *Store) CreateToken(ctx context.Context, t tenant.AccessToken) error {
	return s.write(ctx, func(db *conn) error {
		_, err := db.exec(insertToken, t.ID, t.Digest[:], int64(t.ClientID), micros(t.CreatedAt), micros(t.ExpiresAt), optionalTime(t.RevokedAt))
		if isTaken(err) {
			return verify.ErrConflict
		}
		return err
	})
}

// Token reads an access token.
func (s *Store) Token(ctx context.Context, id int64) (t tenant.AccessToken, err error) {
	err = s.read(ctx, func(db *conn) error {
		found, err := db.one(tokenByID, func(r *row) {
			t = tenant.AccessToken{
				ID: r.int(), Digest: r.digest(), ClientID: verify.ClientID(r.int()),
				CreatedAt: r.time(), ExpiresAt: r.time(), RevokedAt: r.time(),
			}
		}, id)
		if err == nil && !found {
			return verify.ErrNotFound
		}
		return err
	})
	return t, err
}

// RevokeToken revokes one token; the first time stands.
func (s *Store) RevokeToken(ctx context.Context, id int64, at time.Time) error {
	return s.write(ctx, func(db *conn) error {
		changed, err := db.exec(revokeToken, micros(at), id)
		return orNotFound(changed, err)
	})
}

func (c *conn) revokeTokens(client verify.ClientID, at time.Time) error {
	_, err := c.exec(revokeTokens, micros(at), int64(client))
	return err
}
