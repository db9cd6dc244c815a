// Package access decides who may call the API: logins, the access tokens that
// they mint, and the clients that an operator adds, changes and shuts out.
//
// A token is 128 random bits behind a time-ordered id; only its digest is
// stored. What was found valid is remembered for a few seconds, so that a token
// revoked on one node, or by a command, is refused everywhere within that time.
package access

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strconv"
	"time"

	"github.com/maypok86/otter/v2"

	"holdfast/internal/secret"
	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

// Clients reads clients. An unknown one is verify.ErrNotFound.
type Clients interface {
	Client(ctx context.Context, id verify.ClientID) (tenant.Client, error)
	ClientByUsername(ctx context.Context, username string) (tenant.Client, error)
	// Clients are all, by user name.
	Clients(ctx context.Context) ([]tenant.Client, error)
}

// ClientWrites changes clients. Each change is one transaction of its own, so that
// none undoes another; of an unknown client it is verify.ErrNotFound.
type ClientWrites interface {
	// CreateClient fails with verify.ErrConflict where the user name is taken.
	CreateClient(ctx context.Context, c tenant.Client) error
	// SetPassword writes the password's hash and revokes all tokens.
	SetPassword(ctx context.Context, id verify.ClientID, hash string, at time.Time) error
	// SetDisabled shuts a client out, and revokes all its tokens, or lets it in.
	SetDisabled(ctx context.Context, id verify.ClientID, disabled bool, at time.Time) error
	SetSettings(ctx context.Context, id verify.ClientID, business string, s tenant.Settings) error
}

// Tokens keeps access tokens. An unknown one is verify.ErrNotFound.
type Tokens interface {
	// CreateToken is over before a SetPassword or SetDisabled of the client begins to
	// revoke, or begins when that is over.
	CreateToken(ctx context.Context, t tenant.AccessToken) error
	Token(ctx context.Context, id int64) (tenant.AccessToken, error)
	// RevokeToken keeps the first time of revocation.
	RevokeToken(ctx context.Context, id int64, at time.Time) error
}

// Store is what Access asks of a store.
type Store interface {
	Clients
	ClientWrites
	Tokens
}

// Config is what an Access is made of.
type Config struct {
	// Store keeps clients and tokens; required.
	Store Store
	// IDs mints the ids of tokens and clients; nil, for commands that mint none,
	// means that nobody can log in and no client be added.
	IDs *verify.IDs
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log gets one event per login, log-out and change of a client; nil means slog.Default.
	Log *slog.Logger
	// TokenTTL is how long a token is valid; 0 means 14 days.
	TokenTTL time.Duration
	// CacheTTL is how long a valid token, and a client's settings, are taken for
	// unchanged: the longest time for which a revocation elsewhere goes unnoticed;
	// 0 means 5 seconds.
	CacheTTL time.Duration
	// UserLimit bounds the logins of one user name from one address; the zero
	// value means 10 at once and another every 15 seconds.
	UserLimit Limit
	// AddressLimit bounds all logins from one address; the zero value means 50 at
	// once and another every second.
	AddressLimit Limit
	// Hashing is how many passwords may be hashed at a time, 19 MiB of memory
	// each; 0 means 2.
	Hashing int
	// Loopback lets a client's targets be plain http on loopback hosts; for
	// development only.
	Loopback bool
}

const (
	defaultTokenTTL = 14 * 24 * time.Hour
	defaultCacheTTL = 5 * time.Second
	// The caches are bounded, since a token's holder decides whether it is used.
	cachedTokens  = 20_000
	cachedClients = 10_000
)

// Access answers who calls. Its methods may be called concurrently.
type Access struct {
	Config
	tokens  *otter.Cache[int64, knownToken]
	clients *otter.Cache[verify.ClientID, knownClient]
	hashing chan struct{}
	byUser  *limiter
	byAddr  *limiter
}

// knownToken is a token that the store was asked about. A revoked one stays: an
// answer of the store that was under way while it was revoked must not bring it
// back.
type knownToken struct {
	digest  secret.Digest
	client  verify.ClientID
	expires time.Time
	until   time.Time // ask the store again from then on
	revoked bool
}

type knownClient struct {
	client tenant.Client
	until  time.Time
}

// New returns an Access, or what is missing.
func New(c Config) (*Access, error) {
	if c.Store == nil {
		return nil, errors.New("access: a store is required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.TokenTTL <= 0 {
		c.TokenTTL = defaultTokenTTL
	}
	if c.CacheTTL <= 0 {
		c.CacheTTL = defaultCacheTTL
	}
	if c.Hashing <= 0 {
		c.Hashing = 2
	}
	c.UserLimit = c.UserLimit.or(Limit{Burst: 10, Every: 15 * time.Second})
	c.AddressLimit = c.AddressLimit.or(Limit{Burst: 50, Every: time.Second})
	tokens, err := otter.New(&otter.Options[int64, knownToken]{MaximumSize: cachedTokens})
	if err != nil {
		return nil, err
	}
	clients, err := otter.New(&otter.Options[verify.ClientID, knownClient]{MaximumSize: cachedClients})
	if err != nil {
		return nil, err
	}
	return &Access{
		Config: c, tokens: tokens, clients: clients,
		hashing: make(chan struct{}, c.Hashing),
		byUser:  newLimiter(c.UserLimit), byAddr: newLimiter(c.AddressLimit),
	}, nil
}

// mint makes an id, where Config.IDs can.
func (a *Access) mint() (verify.ID, error) {
	if a.IDs == nil {
		return 0, errors.New("access: there is no mint for ids")
	}
	return a.IDs.Next(), nil
}

// now is the clock at the precision that stores keep.
func (a *Access) now() time.Time { return a.Now().UTC().Truncate(time.Microsecond) }

// errUnauthorized is the one answer to a token that is missing, made up, expired
// or revoked.
var errUnauthorized = &verify.Error{
	Code: verify.CodeUnauthorized, Message: "The access token is missing or not valid.",
	Reason: "Log in and send the answer's id in the Authorization header.",
}

// Authenticate returns the client that a token's text belongs to. Every refusal
// is verify.CodeUnauthorized, in the same words.
func (a *Access) Authenticate(ctx context.Context, text string) (tenant.Client, error) {
	token, ok := secret.ParseToken(text)
	if !ok {
		return tenant.Client{}, errUnauthorized
	}
	known, err := a.token(ctx, token.ID)
	if errors.Is(err, verify.ErrNotFound) {
		return tenant.Client{}, errUnauthorized
	}
	if err != nil {
		return tenant.Client{}, err
	}
	if !known.digest.Equal(token.Digest(secret.ForAccess)) || known.revoked || !a.Now().Before(known.expires) {
		return tenant.Client{}, errUnauthorized
	}
	client, err := a.Client(ctx, known.client)
	if errors.Is(err, verify.ErrNotFound) || err == nil && client.Disabled {
		return tenant.Client{}, errUnauthorized
	}
	return client, err
}

func (a *Access) token(ctx context.Context, id int64) (knownToken, error) {
	if known, ok := a.tokens.GetIfPresent(id); ok && (known.revoked || a.Now().Before(known.until)) {
		return known, nil
	}
	until := a.Now().Add(a.CacheTTL) // from before the question, not after the answer
	t, err := a.Store.Token(ctx, id)
	if err != nil {
		return knownToken{}, err
	}
	known := knownToken{digest: t.Digest, client: t.ClientID, expires: t.ExpiresAt, until: until, revoked: !t.RevokedAt.IsZero()}
	known, _ = a.tokens.Compute(id, func(old knownToken, found bool) (knownToken, otter.ComputeOp) {
		if found && old.revoked {
			return old, otter.CancelOp
		}
		return known, otter.WriteOp
	})
	return known, nil
}

// Client returns a client by its id, as it was at most Config.CacheTTL ago. An
// unknown one is verify.ErrNotFound; a disabled one is returned, and says so.
func (a *Access) Client(ctx context.Context, id verify.ClientID) (tenant.Client, error) {
	if known, ok := a.clients.GetIfPresent(id); ok && a.Now().Before(known.until) {
		return known.client, nil
	}
	until := a.Now().Add(a.CacheTTL)
	client, err := a.Store.Client(ctx, id)
	if err != nil {
		return tenant.Client{}, err
	}
	a.clients.Set(id, knownClient{client: client, until: until})
	return client, nil
}

// Logout revokes a token: at once on this node, within CacheTTL on the others. A
// token that is not valid is verify.CodeUnauthorized.
func (a *Access) Logout(ctx context.Context, text string) error {
	client, err := a.Authenticate(ctx, text)
	if err != nil {
		return err
	}
	token, _ := secret.ParseToken(text)
	if err := a.revoke(ctx, token.ID, token.Digest(secret.ForAccess)); err != nil {
		return err
	}
	a.event(ctx, "logout", client.ID)
	return nil
}

func (a *Access) revoke(ctx context.Context, id int64, digest secret.Digest) error {
	if err := a.Store.RevokeToken(ctx, id, a.now()); err != nil {
		return err
	}
	a.tokens.Set(id, knownToken{digest: digest, revoked: true})
	return nil
}

func (a *Access) event(ctx context.Context, event string, client verify.ClientID, attrs ...slog.Attr) {
	attrs = append([]slog.Attr{slog.String("event", event), slog.Int64("client", int64(client))}, attrs...)
	a.Log.LogAttrs(ctx, slog.LevelInfo, "access", attrs...)
}

// Grant is a login's answer. Token prints redacted.
type Grant struct {
	Token   secret.Text
	TTL     time.Duration
	Created time.Time
	UserID  string // the client's id
}

func userID(id verify.ClientID) string { return strconv.FormatInt(int64(id), 10) }

// limitKey makes the limiters' keys: of one size, whatever a stranger sends. Of
// an IPv6 address only the /64 counts, which one customer has to itself.
func limitKey(from netip.Addr, username string) secret.Digest {
	from = from.Unmap().WithZone("")
	if from.Is6() {
		from = netip.PrefixFrom(from, 64).Masked().Addr()
	}
	return secret.DigestOf(secret.ForLogin, []byte(from.String()+"\x00"+username))
}
