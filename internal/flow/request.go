package flow

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"holdfast/internal/guard"
	"holdfast/internal/phone"
	"holdfast/internal/secret"
	"holdfast/internal/sms/gsm7"
	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

// LeaseTime is how long a node keeps a message to itself: longer than a send can
// take, short enough for a dead node's messages to go out while their links live.
const LeaseTime = 30 * time.Second

// maxIdempotencyKey is the longest Idempotency-Key in bytes.
const maxIdempotencyKey = 255

// SendLink is what a client asks for.
type SendLink struct {
	TargetURL      string
	MobileNumber   string
	CountryCode    string
	SourceIP       string // "" where none was given
	CustomSMS      *string
	IdempotencyKey string // "" where none was given
	// Bad are fields that the transport could not read. With any, nothing is
	// written; they are reported together with what is wrong with the others.
	Bad []verify.Field
}

// Request is the first step: it checks the whole request, writes the
// verification and its message in one transaction, and hands the message to the
// outbox. The answer to a repeated Idempotency-Key is the first one, and sends
// nothing. Bad input is verify.CodeInvalid with every bad field.
func (f *Flow) Request(ctx context.Context, client tenant.Client, in SendLink) (verify.Handle, error) {
	start, outcome := time.Now(), "error"
	defer f.observe("request", start, &outcome)

	v, err := f.verification(client, in)
	if err != nil {
		outcome = "invalid"
		return verify.Handle{}, err
	}
	token := secret.NewToken(int64(v.ID))
	v.Link = token.Digest(secret.ForLink)
	v.LinkSealed = f.Key.SealToken(secret.ForLink, token)

	lease := verify.Lease{Node: f.Node, Until: v.CreatedAt.Add(LeaseTime)}
	handle, replay, err := f.Store.Create(ctx, v, lease, f.idempotency(client, in))
	switch {
	case errors.Is(err, verify.ErrKeyReused):
		outcome = "key_reused"
		return verify.Handle{}, err
	case err != nil:
		return verify.Handle{}, err
	case replay:
		outcome = "replayed"
		return handle, nil
	}
	outcome = "accepted"
	f.record(ctx, "requested", v, slog.Int("segments", v.Segments))
	f.Outbox.Hand(verify.Message{
		ID: v.ID, ClientID: v.ClientID, Phone: v.Phone, Text: v.Text,
		LinkSealed: v.LinkSealed, ExpiresAt: v.ExpiresAt,
	})
	return handle, nil
}

// verification checks every field and builds the row, without its link.
func (f *Flow) verification(client tenant.Client, in SendLink) (verify.Verification, error) {
	bad := slices.Clone(in.Bad)
	refuse := func(name, reason string) {
		if reason != "" && !slices.ContainsFunc(bad, func(f verify.Field) bool { return f.Name == name }) {
			bad = append(bad, verify.Field{Name: name, Reason: reason})
		}
	}
	refuse("targetUrl", guard.Target(in.TargetURL, client.Settings.Targets, f.Loopback))
	number, err := phone.Parse(in.MobileNumber, phone.Country(in.CountryCode))
	var wrong *phone.Error
	if errors.As(err, &wrong) {
		refuse(wrong.Field, wrong.Reason)
		if wrong.Field == "countryCode" {
			refuse("mobileNumber", wrongInEitherPlan(in.MobileNumber))
		}
	}
	source, reason := sourceAddr(in.SourceIP)
	refuse("sourceIp", reason)
	text, segments, reason := f.text(client, in.CustomSMS)
	refuse("customSms", reason)
	if len(in.IdempotencyKey) > maxIdempotencyKey {
		refuse("Idempotency-Key", "is longer than 255 bytes")
	}
	if len(bad) > 0 {
		return verify.Verification{}, verify.Invalid(bad...)
	}

	id := f.IDs.Next()
	now := f.now()
	return verify.Verification{
		ID:         id,
		RequestID:  verify.NewRequestID(id),
		SessionID:  verify.NewSessionID(),
		ClientID:   client.ID,
		Phone:      number,
		TargetURL:  in.TargetURL,
		SourceAddr: source,
		Text:       text,
		Segments:   segments,
		CreatedAt:  now,
		ExpiresAt:  now.Add(client.Settings.LinkLifetime()),
	}, nil
}

// now is the clock at the precision that stores keep.
func (f *Flow) now() time.Time { return f.Now().UTC().Truncate(time.Microsecond) }

// wrongInEitherPlan judges a number whose country can't be told, so that it is
// reported together with the country.
func wrongInEitherPlan(number string) string {
	_, inUS := phone.Parse(number, phone.US)
	_, inCA := phone.Parse(number, phone.CA)
	var wrong *phone.Error
	if inCA != nil && errors.As(inUS, &wrong) {
		return wrong.Reason
	}
	return ""
}

func sourceAddr(text string) (addr netip.Addr, wrong string) {
	if text == "" {
		return netip.Addr{}, ""
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, "must be one IPv4 or IPv6 address, without port or zone"
	}
	return addr.Unmap(), ""
}

// text returns the client's own text, or "" for the default one, with its
// length in SMS.
func (f *Flow) text(client tenant.Client, custom *string) (text string, segments int, wrong string) {
	if custom != nil {
		if text, wrong = guard.Text(*custom, client.Settings.Targets); wrong != "" {
			return "", 0, wrong
		}
	}
	segments = gsm7.Count(f.render(client.Business, text, f.linkBase+linkSample)).Segments
	if limit := client.Settings.SegmentLimit(); custom != nil && segments > limit {
		return "", 0, "takes more SMS than this client may use for one text; shorten it, and leave out characters outside the GSM-7 alphabet, such as emoji and curly quotes"
	}
	return text, segments, ""
}

// linkSample has a token's length, and like every token no character that takes
// two septets.
const linkSample = "00000000000000000000000000000000"

func (f *Flow) idempotency(client tenant.Client, in SendLink) *verify.Idempotency {
	if in.IdempotencyKey == "" {
		return nil
	}
	custom := "\x00"
	if in.CustomSMS != nil {
		custom = *in.CustomSMS
	}
	body := sha256.New()
	for _, field := range []string{in.TargetURL, in.MobileNumber, in.CountryCode, in.SourceIP, custom} {
		binary.Write(body, binary.BigEndian, uint64(len(field)))
		body.Write([]byte(field))
	}
	key := f.Key.Derive(secret.ForIdem, int64(client.ID), []byte(in.IdempotencyKey))
	// Keyed, because a number can be guessed through a plain digest.
	whole := f.Key.Derive(secret.ForBody, int64(client.ID), body.Sum(nil))
	return &verify.Idempotency{Key: key, Body: whole}
}
