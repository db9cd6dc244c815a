package access

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/alexedwards/argon2id"

	"holdfast/internal/secret"
	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

// hashParams are the OWASP password storage cheat sheet's: little memory, since
// anybody can make us hash.
var hashParams = &argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// nobodysHash has hashParams, and is no password's that anyone knows: a login of
// an unknown user is checked against it, so that it takes as long as any.
const nobodysHash = "$argon2id$v=19$m=19456,t=2,p=1$bm8gb25lJ3Mgc2FsdCEhIQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// hashWait is how long a login waits for its turn to be hashed.
const hashWait = 3 * time.Second

var errBadCredentials = &verify.Error{
	Code: verify.CodeBadCredential, Message: "The user name or the password is wrong.",
	Reason: "Check both; the operator can make a new password.",
}

var errBusy = &verify.Error{
	Code: verify.CodeUnavailable, Message: "Too many logins are under way.",
	Reason: "Try again in a moment.", RetryAfter: 2 * time.Second,
}

// Login checks a user name and password that came from an address, and mints an
// access token. An unknown user, a wrong password and a disabled client are all
// verify.CodeBadCredential, in the same words and the same time. Too many
// attempts, right ones counted like wrong ones, are verify.CodeRateLimited; they
// are counted per user name and address, so that a stranger elsewhere can't lock
// a client out, and per address over all user names.
func (a *Access) Login(ctx context.Context, username, password string, from netip.Addr) (Grant, error) {
	if err := a.limit(ctx, username, from); err != nil {
		return Grant{}, err
	}
	client, err := a.known(ctx, username)
	if err != nil {
		return Grant{}, err
	}
	right, err := a.compare(ctx, password, client.PasswordHash)
	if err != nil {
		return Grant{}, err
	}
	if !right || client.ID == 0 || client.Disabled {
		a.event(ctx, "login_refused", client.ID)
		return Grant{}, errBadCredentials
	}
	return a.grant(ctx, client)
}

// limit counts an attempt, first by the address alone: a stranger who tries many
// names must not fill the table of names.
func (a *Access) limit(ctx context.Context, username string, from netip.Addr) error {
	now := a.Now()
	wait := a.byAddr.take(limitKey(from, ""), now)
	if wait == 0 {
		wait = a.byUser.take(limitKey(from, username), now)
	}
	if wait == 0 {
		return nil
	}
	a.event(ctx, "login_limited", 0, slog.Duration("wait", wait))
	return &verify.Error{
		Code: verify.CodeRateLimited, Message: "There were too many logins.",
		Reason: "Wait, and keep the token: it is valid for many logins' time.", RetryAfter: wait,
	}
}

// known finds a client by its user name; where there is none, it returns one
// without id whose password nobody has. A text that can be no user name does not
// reach the store.
func (a *Access) known(ctx context.Context, username string) (tenant.Client, error) {
	nobody := tenant.Client{PasswordHash: nobodysHash}
	if wrongUsername(username) != "" {
		return nobody, nil
	}
	client, err := a.Store.ClientByUsername(ctx, username)
	if errors.Is(err, verify.ErrNotFound) {
		return nobody, nil
	}
	return client, err
}

// compare hashes a password when its turn comes.
func (a *Access) compare(ctx context.Context, password, hash string) (bool, error) {
	waiting := time.NewTimer(hashWait)
	defer waiting.Stop()
	select {
	case a.hashing <- struct{}{}:
	case <-waiting.C:
		return false, errBusy
	case <-ctx.Done():
		return false, ctx.Err()
	}
	defer func() { <-a.hashing }()
	return argon2id.ComparePasswordAndHash(password, hash)
}

func (a *Access) grant(ctx context.Context, client tenant.Client) (Grant, error) {
	id, err := a.mint()
	if err != nil {
		return Grant{}, err
	}
	token := secret.NewToken(int64(id))
	now := a.now()
	digest := token.Digest(secret.ForAccess)
	err = a.Store.CreateToken(ctx, tenant.AccessToken{
		ID: token.ID, Digest: digest, ClientID: client.ID, CreatedAt: now, ExpiresAt: now.Add(a.TokenTTL),
	})
	if err != nil {
		return Grant{}, err
	}
	// A password that was changed while we hashed had its tokens revoked before
	// this one was there.
	again, err := a.Store.Client(ctx, client.ID)
	if err == nil && (again.Disabled || again.PasswordHash != client.PasswordHash) {
		err = errBadCredentials
	}
	if err != nil {
		return Grant{}, errors.Join(err, a.revoke(context.WithoutCancel(ctx), token.ID, digest))
	}
	a.event(ctx, "login", client.ID)
	return Grant{Token: secret.Text(token.Reveal()), TTL: a.TokenTTL, Created: now, UserID: userID(client.ID)}, nil
}
