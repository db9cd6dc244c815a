package flow

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"net/url"
	"time"

	"holdfast/internal/carrier"
	"holdfast/internal/phone"
	"holdfast/internal/secret"
	"holdfast/internal/sms"
	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

// Store is what the journey asks of a store. Each method is one transaction and
// returns after its commit; verify.ErrNotFound and verify.ErrConflict mean what
// they say (the full contract: internal/store/storetest).
type Store interface {
	Create(ctx context.Context, v verify.Verification, lease verify.Lease, idem *verify.Idempotency) (h verify.Handle, replay bool, err error)
	Verification(ctx context.Context, id verify.ID) (verify.Verification, error)
	Links
	Answers
	Receipts
}

// Links are the guarded writes of a link.
type Links interface {
	Consume(ctx context.Context, id verify.ID, link secret.Digest, click verify.Click) (verify.Verification, error)
	Deny(ctx context.Context, id verify.ID, at time.Time) error
}

// Answers are the guarded writes of the network step.
type Answers interface {
	ClaimAnswer(ctx context.Context, id verify.ID, at time.Time) error
	ReleaseAnswer(ctx context.Context, id verify.ID) error
	Complete(ctx context.Context, id verify.ID, outcome verify.Outcome) error
}

// Receipts are the writes of gateways' receipts.
type Receipts interface {
	RecordReceipt(ctx context.Context, id verify.ID, event verify.DeliveryEvent, code string, at time.Time) (changed bool, err error)
}

// Clients finds a client by its id; an unknown one is verify.ErrNotFound.
type Clients interface {
	Client(ctx context.Context, id verify.ClientID) (tenant.Client, error)
}

// Outbox takes a message that was just committed, leased to this node, and sends
// it at once. It may refuse when it is full: the lease then runs out and the
// message is found again, so nothing is lost.
type Outbox interface {
	Hand(m verify.Message)
}

// Gateway hands a text to the SMS network. It returns within its context's
// deadline; every error is an *sms.Error.
type Gateway interface {
	Name() string
	Send(ctx context.Context, m sms.Message) (sms.Accepted, error)
}

// Gateways picks the gateway for a message.
type Gateways interface {
	Route(to phone.Number) Gateway
}

// Carrier asks one mobile network whose phone a browser is on.
type Carrier interface {
	// Name is the configured name; it stands in the callback's path.
	Name() string
	// Begin returns the URL to send the phone's browser to. For equal journeys it
	// returns an equivalent URL. An error means that the carrier can't be reached.
	Begin(ctx context.Context, j carrier.Journey) (string, error)
	// Answer takes what the browser brought back and asks the network, once. It
	// never fails: what it could not learn is an indeterminate answer.
	Answer(ctx context.Context, j carrier.Journey, callback url.Values) carrier.Answer
}

// Networks chooses a carrier by where a click comes from.
type Networks interface {
	// Choose returns the carrier that serves addr, or nil and why there is none.
	Choose(ctx context.Context, addr netip.Addr) (Carrier, verify.Reason)
	// Named returns the carrier with that name, or nil.
	Named(name string) Carrier
}

// Config is what a Flow is made of. Every field is required but those that say
// otherwise.
type Config struct {
	Store    Store
	Clients  Clients
	Outbox   Outbox
	Gateways Gateways
	Networks Networks
	Key      secret.Key
	IDs      *verify.IDs
	Node     verify.Node
	// PublicURL is where phones reach us: scheme and host, no path.
	PublicURL *url.URL
	// Loopback lets targets be plain http on loopback hosts; for development only.
	Loopback bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log gets one event per transition; nil means slog.Default.
	Log *slog.Logger
	// Observe is told how each step ended and how long it took; nil means nobody is.
	Observe func(step, outcome string, took time.Duration)
}

// Flow runs the journey. Its methods may be called concurrently.
type Flow struct {
	Config
	linkBase string
}

// New returns a Flow, or what is missing.
func New(c Config) (*Flow, error) {
	if c.Store == nil || c.Clients == nil || c.Outbox == nil || c.Gateways == nil || c.Networks == nil || c.Key.IsZero() || c.IDs == nil || c.PublicURL == nil {
		return nil, errors.New("flow: a required part is missing")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Observe == nil {
		c.Observe = func(string, string, time.Duration) {}
	}
	return &Flow{Config: c, linkBase: c.PublicURL.Scheme + "://" + c.PublicURL.Host + LinkPath}, nil
}

// LinkPath is where links live: the token follows it.
const LinkPath = "/l/"

// record writes the one structured event of a transition.
func (f *Flow) record(ctx context.Context, event string, v verify.Verification, attrs ...slog.Attr) {
	if !f.Log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	// Not by LogAttrs, which looks up its caller: a third of what an event costs.
	r := slog.NewRecord(time.Now(), slog.LevelInfo, "verification", 0)
	r.AddAttrs(slog.String("event", event),
		slog.String("request_id", v.RequestID.String()), slog.Int64("client", int64(v.ClientID)))
	r.AddAttrs(attrs...)
	_ = f.Log.Handler().Handle(ctx, r) // a log that can't be written has nowhere to say so
}

// observe times a step: defer f.observe("open", time.Now(), &outcome).
func (f *Flow) observe(step string, start time.Time, outcome *string) {
	f.Observe(step, *outcome, time.Since(start))
}
