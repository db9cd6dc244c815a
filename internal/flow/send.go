package flow

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"holdfast/internal/secret"
	"holdfast/internal/sms"
	"holdfast/internal/verify"
)

// defaultText names the business first, has the link in the middle (iOS fetches
// previews of links at either end), and fits one SMS with a business name of 25
// characters and a host of 15.
const defaultText = "{business}: to confirm your phone, turn off Wi-Fi and tap {link} Not expected? Don't tap."

// sendTime is how long a gateway has to answer.
const sendTime = 10 * time.Second

// Gateway names the gateway that a message would go to now.
func (f *Flow) Gateway(m verify.Message) string { return f.Gateways.Route(m.Phone).Name() }

// Send is the second step, run by the outbox after the attempt was written down:
// it composes the text and hands it to the gateway that the attempt names. It
// always returns how the attempt ended; RetryAt is the gateway's wish, or zero.
func (f *Flow) Send(ctx context.Context, m verify.Message, a verify.Attempt) verify.AttemptEnd {
	start, outcome := time.Now(), ""
	defer f.observe("send", start, &outcome)

	end, err := f.send(ctx, m)
	end.ID, end.N, end.At = a.ID, a.N, f.now()
	outcome = attemptOutcomes[end.Result]
	attrs := []slog.Attr{
		slog.String("event", "sms_"+outcome), slog.Int64("verification", int64(a.ID)), slog.Int64("client", int64(m.ClientID)),
		slog.Int("attempt", a.N), slog.String("gateway", a.Gateway),
	}
	level := slog.LevelInfo
	if err != nil {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("code", end.Code), slog.Any("error", err))
	}
	f.Log.LogAttrs(ctx, level, "verification", attrs...)
	return end
}

var attemptOutcomes = map[verify.AttemptResult]string{
	verify.AttemptAccepted: "accepted", verify.AttemptDelivered: "delivered", verify.AttemptRetry: "retry",
	verify.AttemptRefused: "refused", verify.AttemptLost: "lost",
}

// send's error is for the operator's log: it holds our own words and no number
// (sms.Error).
func (f *Flow) send(ctx context.Context, m verify.Message) (verify.AttemptEnd, error) {
	now := f.now()
	if !now.Before(m.ExpiresAt) {
		return verify.AttemptEnd{Result: verify.AttemptRefused, Code: "link_expired"}, errLinkExpired
	}
	text, err := f.compose(ctx, m)
	if err != nil {
		return verify.AttemptEnd{Result: verify.AttemptRetry, Code: "compose_failed"}, err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	accepted, err := f.Gateways.Route(m.Phone).Send(ctx, sms.Message{
		To: m.Phone, Text: text, Ref: f.receiptRef(m.ID).Reveal(), ValidFor: m.ExpiresAt.Sub(now),
	})
	return attemptEnd(now, accepted, err), err
}

var errLinkExpired = errors.New("the link's time was over before the text could go out")

func attemptEnd(now time.Time, accepted sms.Accepted, err error) verify.AttemptEnd {
	if err == nil {
		end := verify.AttemptEnd{Result: verify.AttemptAccepted, ProviderID: accepted.ProviderID}
		if accepted.Delivered {
			end.Result = verify.AttemptDelivered
		}
		return end
	}
	var failed *sms.Error
	if !errors.As(err, &failed) {
		return verify.AttemptEnd{Result: verify.AttemptLost, Code: "internal"}
	}
	switch failed.Class {
	case sms.Retry:
		end := verify.AttemptEnd{Result: verify.AttemptRetry, Code: failed.Code}
		if failed.Retry > 0 {
			end.RetryAt = now.Add(failed.Retry)
		}
		return end
	case sms.Refused:
		return verify.AttemptEnd{Result: verify.AttemptRefused, Code: failed.Code}
	default:
		return verify.AttemptEnd{Result: verify.AttemptLost, Code: failed.Code}
	}
}

// compose opens the link, which is in clear only here and in the phone.
func (f *Flow) compose(ctx context.Context, m verify.Message) (string, error) {
	token, err := f.Key.OpenToken(secret.ForLink, int64(m.ID), m.LinkSealed)
	if err != nil {
		return "", err
	}
	client, err := f.Clients.Client(ctx, m.ClientID)
	if err != nil {
		return "", err
	}
	return f.render(client.Business, m.Text, f.linkBase+token.Reveal()), nil
}

func (f *Flow) render(business, text, link string) string {
	if text == "" {
		text = strings.Replace(defaultText, "{business}", business, 1)
	}
	return strings.Replace(text, verify.TextMark, link, 1)
}

// receiptRef is what gateways carry along and give back in receipts: it finds the
// row and can't be made up.
func (f *Flow) receiptRef(id verify.ID) secret.Token {
	return f.Key.DeriveToken(secret.ForReceipt, int64(id))
}

// Receipt takes what a gateway tells of a message later, in any order and as
// often as it likes. It returns after the receipt is stored: acknowledge it then.
// A reference that was not ours is verify.ErrNotFound.
func (f *Flow) Receipt(ctx context.Context, r sms.Receipt) error {
	token, ok := secret.ParseToken(r.Ref)
	if !ok || !token.Digest(secret.ForReceipt).Equal(f.receiptRef(verify.ID(token.ID)).Digest(secret.ForReceipt)) {
		return verify.ErrNotFound
	}
	event, told := receiptEvents[r.Status]
	if !told {
		return nil
	}
	changed, err := f.Store.RecordReceipt(ctx, verify.ID(token.ID), event, r.Code, f.now())
	if err != nil {
		return err
	}
	if changed {
		f.Log.LogAttrs(ctx, slog.LevelInfo, "verification", slog.String("event", event.String()),
			slog.Int64("verification", token.ID), slog.String("code", r.Code))
	}
	return nil
}

var receiptEvents = map[sms.Status]verify.DeliveryEvent{
	sms.OnItsWay: verify.ReceiptSent, sms.Arrived: verify.ReceiptArrived, sms.Undeliverable: verify.ReceiptFailed,
}
