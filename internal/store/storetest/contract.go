// Package storetest is the contract that every store keeps, as an interface and
// as a suite of tests. Each adapter runs the whole suite; nothing outside tests
// imports this package.
package storetest

import (
	"context"
	"time"

	"holdfast/internal/secret"
	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

// Store is the union of what the flow, the outbox, access and the commands ask of
// a store, each of which declares only its own part.
//
// Every method is one domain verb and one transaction, may be called
// concurrently, from several processes on PostgreSQL, and returns after its
// commit is durable. A row that isn't there is verify.ErrNotFound; a guarded
// write that changed no row is verify.ErrConflict, and then nothing has changed.
// Times are kept to the microsecond and come back in UTC; a zero time, an
// invalid address and a zero digest come back as they went in; nil and empty
// slices are the same.
//
// A call whose context ends while it waits either has run whole or has not run
// at all; its error does not tell which.
type Store interface {
	// NextNode hands out the next process number: each call another, modulo verify.Nodes.
	NextNode(ctx context.Context) (verify.Node, error)
	// Ping reports whether the store can read and write now.
	Ping(ctx context.Context) error
	// Close ends after what is under way; a second Close does nothing.
	Close() error

	// CreateClient fails with verify.ErrConflict where the user name or the ID is taken.
	CreateClient(ctx context.Context, c tenant.Client) error
	// SetPassword writes the password's hash and revokes all tokens of the client
	// that are not revoked yet.
	SetPassword(ctx context.Context, id verify.ClientID, hash string, at time.Time) error
	// SetDisabled shuts a client out, and then revokes its tokens as SetPassword does,
	// or lets it in again.
	SetDisabled(ctx context.Context, id verify.ClientID, disabled bool, at time.Time) error
	// SetSettings writes what an operator chooses.
	SetSettings(ctx context.Context, id verify.ClientID, business string, s tenant.Settings) error
	Client(ctx context.Context, id verify.ClientID) (tenant.Client, error)
	ClientByUsername(ctx context.Context, username string) (tenant.Client, error)
	// Clients are all, by user name.
	Clients(ctx context.Context) ([]tenant.Client, error)

	// CreateToken fails with verify.ErrConflict where the ID is taken. It and a verb
	// that revokes the client's tokens come one after the other: a token that is not
	// revoked was made by a client that reads as changed afterwards.
	CreateToken(ctx context.Context, t tenant.AccessToken) error
	Token(ctx context.Context, id int64) (tenant.AccessToken, error)
	// RevokeToken keeps the first time of revocation.
	RevokeToken(ctx context.Context, id int64, at time.Time) error

	// Create writes the verification and its message, leased, and the
	// idempotency key where idem is not nil, in one transaction. Where that key
	// was used at most verify.IdempotencyTime before v.CreatedAt, it writes
	// nothing and returns the first's handle with replay true, or
	// verify.ErrKeyReused where the body differs. An older use is replaced.
	// v.Track is not written: a verification starts pending and queued. An ID that
	// is taken is verify.ErrConflict.
	Create(ctx context.Context, v verify.Verification, lease verify.Lease, idem *verify.Idempotency) (h verify.Handle, replay bool, err error)
	// Verification reads all of a verification, its track included.
	Verification(ctx context.Context, id verify.ID) (verify.Verification, error)

	// Consume proves the link and confirms it, in one write: it is guarded by
	// link, which must be the row's, by verify.Consume.From and by the link's
	// expiry: click.At must be before it. Of any number of concurrent calls one
	// succeeds, and gets the verification with the click in its track.
	Consume(ctx context.Context, id verify.ID, link secret.Digest, click verify.Click) (verify.Verification, error)
	// Deny is guarded by verify.Deny.From and by the link's expiry.
	Deny(ctx context.Context, id verify.ID, at time.Time) error
	// ClaimAnswer sets AnsweredAt, guarded: consumed, not yet claimed, clicked
	// less than verify.AnswerTime before at.
	ClaimAnswer(ctx context.Context, id verify.ID, at time.Time) error
	// ReleaseAnswer undoes ClaimAnswer, guarded: consumed and claimed.
	ReleaseAnswer(ctx context.Context, id verify.ID) error
	// Complete is guarded by verify.Complete.From.
	Complete(ctx context.Context, id verify.ID, outcome verify.Outcome) error

	// BeginAttempt writes down that attempt a.N is about to leave. Guarded: the
	// message is queued, leased to node until after a.At, and a.N is one more than
	// the attempts begun so far.
	BeginAttempt(ctx context.Context, node verify.Node, a verify.Attempt) error
	// EndAttempt writes what became of an open attempt and moves the delivery by
	// its event, if it may move. With AttemptRetry the message is due at RetryAt
	// for any node, where it is still queued; otherwise it is never due again. An
	// attempt of a message that is there which was not begun, or has ended, is
	// verify.ErrConflict.
	EndAttempt(ctx context.Context, end verify.AttemptEnd) error
	// ClaimDue leases at most limit queued messages to lease.Node that are due at
	// now (released, retried, or left by a node whose lease ran out), those first
	// that have been due longest, and returns those still to be sent. A message
	// found with an open attempt is moved by verify.Lose (nobody knows whether it
	// was sent), one whose link has expired by verify.Fail; neither is returned,
	// both count against limit. A lost attempt stays open: its node may yet tell
	// how it ended. A moment at which a lease ends, a retry falls due or a link
	// expires belongs to what follows it.
	ClaimDue(ctx context.Context, now time.Time, lease verify.Lease, limit int) ([]verify.Message, error)
	// ReleaseLeases makes the node's queued messages without an open attempt due
	// at once, for any node.
	ReleaseLeases(ctx context.Context, node verify.Node, now time.Time) error
	// RecordReceipt moves the delivery by a receipt's event; changed is false where
	// it moves nothing. A message whose receipt overtook its answer leaves the queue.
	RecordReceipt(ctx context.Context, id verify.ID, event verify.DeliveryEvent, code string, at time.Time) (changed bool, err error)
	// Attempts are a message's attempts in order; none is no error.
	Attempts(ctx context.Context, id verify.ID) ([]verify.AttemptRecord, error)
	// Backlog is how many messages are queued and when the oldest was created
	// (zero where none is). IDs grow with time: the one with the smallest is the
	// oldest.
	Backlog(ctx context.Context) (depth int, oldest time.Time, err error)
}

// Preloader is what a store offers beside the contract so that a measurement can
// start from a database that has seen use.
type Preloader interface {
	// Preload writes n old verifications of the client, fast and in several
	// transactions: the ID of number i (1 to n) is verify.IDAt(before minus i
	// milliseconds). Each was delivered at its first attempt, tapped and completed
	// with a match; none is queued. IDs that are taken are verify.ErrConflict.
	Preload(ctx context.Context, n int, client verify.ClientID, before time.Time) error
}
