package client

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// Request is what Send Link takes.
type Request struct {
	// TargetURL is where the phone's browser goes afterwards, with the fingerprint
	// as vfp in its query; its origin must be one that the operator allowed. Required.
	TargetURL string `json:"targetUrl"`
	// MobileNumber has ten digits, without plus sign and country code. Required.
	MobileNumber string `json:"mobileNumber"`
	// CountryCode is "US" or "CA". Required.
	CountryCode string `json:"countryCode"`
	// SourceIP is the address of the browser that asks, to be compared with the
	// phone's; empty means that there is nothing to compare.
	SourceIP string `json:"sourceIp,omitempty"`
	// CustomSMS is the text, with <link>, {link} or #### where the link goes; empty
	// means the server's own text.
	CustomSMS string `json:"customSms,omitempty"`

	// IdempotencyKey names this request: repeated within 24 hours it sends nothing
	// again. Empty means a random one for each call of SendLink, which then covers
	// that call's own retries.
	IdempotencyKey string `json:"-"`
}

// Sent is a verification that was started. Keep it in the session of the browser
// that asked for it: Result needs it.
type Sent struct {
	RequestID string `json:"requestId"`
	SessionID string `json:"sessionId"`
}

// Result is how a verification stands.
type Result struct {
	TransactionID  string     `json:"TransactionId"`
	SessionID      string     `json:"SessionId"`
	RequestID      string     `json:"RequestId"`
	PhoneNumber    string     `json:"PhoneNumber"` // E.164
	CountryCode    string     `json:"CountryCode"`
	Carrier        string     `json:"Carrier"`  // empty where unknown
	LineType       string     `json:"LineType"` // empty where unknown
	LinkClicked    bool       `json:"LinkClicked"`
	PhoneMatch     PhoneMatch `json:"PhoneMatch"`
	IPAddressMatch bool       `json:"IpAddressMatch"`
	DeviceIP       string     `json:"DeviceIp"` // empty where the client may not see it
	Status         Status     `json:"Status"`
	Verdict        Verdict    `json:"Verdict"`
	Reasons        []string   `json:"Reasons"` // stable codes, e.g. "wifi"
	Delivery       Delivery   `json:"Delivery"`
	ExpiresAt      time.Time  `json:"ExpiresAt"` // when the link stops working
}

// Verified reports whether the business's policy accepts the phone.
func (r Result) Verified() bool { return r.Verdict == Verified }

// PhoneMatch is what the network said of the phone that holds the link.
type PhoneMatch string

// What the network can say.
const (
	MatchTrue          PhoneMatch = "true"
	MatchFalse         PhoneMatch = "false"
	MatchIndeterminate PhoneMatch = "indeterminate" // it could not be asked
)

// Status is where a verification stands.
type Status string

// The statuses. Completed, Expired, Denied and Cancelled are final. Undeliverable
// is not quite: the gateway said that the SMS won't arrive, but where it does, or
// the phone had it already, the link works until it expires, and the status then
// becomes what came of it.
const (
	Pending       Status = "pending"
	Completed     Status = "completed"
	Expired       Status = "expired"
	Denied        Status = "denied"
	Undeliverable Status = "undeliverable"
	Cancelled     Status = "cancelled"
)

// Final reports whether there is nothing more to wait for. That an undeliverable
// SMS arrives after all is too rare to be waited for; Result and Status tell it.
func (s Status) Final() bool { return s != Pending }

// Verdict is the business's policy applied to the result: what to act on.
type Verdict string

// The verdicts.
const (
	VerdictPending Verdict = "pending"
	Verified       Verdict = "verified"
	Failed         Verdict = "failed"
	Indeterminate  Verdict = "indeterminate"
)

// Delivery is what is known of the SMS.
type Delivery string

// What can be known of the SMS.
const (
	DeliveryQueued    Delivery = "queued"
	DeliverySent      Delivery = "sent"
	DeliveryDelivered Delivery = "delivered"
	DeliveryFailed    Delivery = "failed"
	DeliveryUnknown   Delivery = "unknown"
)

// ErrSessionMismatch means that a result belongs to another session than the one
// that was started: somebody brought a fingerprint from elsewhere. Treat it as a
// failed verification.
var ErrSessionMismatch = errors.New("holdfast: the result belongs to another session")

// SendLink starts a verification. It retries what may pass by itself, always with
// the same Idempotency-Key, so that at most one SMS is sent.
func (c *Client) SendLink(ctx context.Context, r Request) (Sent, error) {
	key := r.IdempotencyKey
	if key == "" {
		key = rand.Text()
	}
	var sent Sent
	err := c.authorized(ctx, attempts, call{method: http.MethodPost, path: c.sendPath, body: r, key: key}, &sent)
	return sent, err
}

// Result redeems the fingerprint that a browser brought to the target for the
// result. started is what SendLink returned for that same browser's session: any
// other's result is ErrSessionMismatch. A fingerprint that is made up, expired or
// another client's is an *Error with StatusCode 404.
func (c *Client) Result(ctx context.Context, vfp string, started Sent) (Result, error) {
	if started.RequestID == "" || started.SessionID == "" {
		return Result{}, ErrSessionMismatch // this browser started nothing
	}
	var r Result
	body := struct {
		VFP string `json:"vfp"`
	}{vfp}
	if err := c.authorized(ctx, attempts, call{method: http.MethodPost, path: resultPath, body: body}, &r); err != nil {
		return Result{}, err
	}
	return r.of(started)
}

// of returns r if it belongs to what was started.
func (r Result) of(started Sent) (Result, error) {
	if r.SessionID != started.SessionID || r.RequestID != started.RequestID {
		return Result{}, ErrSessionMismatch
	}
	return r, nil
}

// Status asks how a verification stands, once.
func (c *Client) Status(ctx context.Context, started Sent) (Result, error) {
	return c.status(ctx, attempts, started)
}

func (c *Client) status(ctx context.Context, attempts int, started Sent) (Result, error) {
	var r Result
	path := pollPath + url.PathEscape(started.RequestID) + "/session/" + url.PathEscape(started.SessionID)
	if err := c.authorized(ctx, attempts, call{method: http.MethodGet, path: path}, &r); err != nil {
		return Result{}, err
	}
	return r.of(started)
}

// How Wait polls.
const (
	firstPoll   = time.Second
	slowestPoll = 3 * time.Second
	pollStep    = 500 * time.Millisecond
	maxFailures = 10 // in a row
)

// Wait polls until the verification's Status is final (Status.Final: an
// Undeliverable one ends it too) or ctx ends: after a second at first, then ever
// more slowly up to three, and later where the server asks for that. What may pass by itself it sits out, up to ten failures in a row.
func (c *Client) Wait(ctx context.Context, started Sent) (Result, error) {
	failures := 0
	for delay := firstPoll; ; delay = min(delay+pollStep, slowestPoll) {
		if err := c.sleep(ctx, delay); err != nil {
			return Result{}, err
		}
		r, err := c.status(ctx, 1, started)
		switch {
		case err == nil && r.Status.Final():
			return r, nil
		case err == nil:
			failures = 0
			continue
		}
		failures++
		if !passing(ctx, err) || failures == maxFailures {
			return Result{}, err
		}
		if err := c.sleep(ctx, retryAfter(err)); err != nil {
			return Result{}, err
		}
	}
}
