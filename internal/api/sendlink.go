package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"

	"holdfast/internal/flow"
	"holdfast/internal/verify"
)

var sendLinkDoc = doc{
	id: "send-link", summary: "Send a link",
	text: "Starts a verification: sends a one-time link by SMS to the number. The answer never has the link itself. " +
		"With an Idempotency-Key, the same request within 24 hours gets the first answer again and sends nothing.",
	errors: []int{http.StatusConflict, http.StatusTooManyRequests, http.StatusServiceUnavailable},
}

const idempotencyKey = "Idempotency-Key"

type sendLinkInput struct {
	// Key is here for the document; Resolve reads the header itself.
	Key  string `header:"Idempotency-Key" maxLength:"255" doc:"Any text that is new for each new request. The same key and body within 24 hours returns the first answer and sends nothing again; the same key with another body is 409." example:"order-1729"`
	Body sendLinkRequest
}

// Resolve is huma's hook between reading and calling.
func (in *sendLinkInput) Resolve(ctx huma.Context) []error {
	r, _ := humago.Unwrap(ctx)
	in.Key = header(r, idempotencyKey, &in.Body.read)
	return nil
}

type sendLinkRequest struct {
	TargetURL    string `json:"targetUrl" minLength:"1" maxLength:"2048" format:"uri" doc:"Where the phone's browser goes afterwards, with vfp added to its query: an absolute https URL on one of the client's allowed origins" example:"https://app.example.com/done?order=1729"`
	MobileNumber string `json:"mobileNumber" minLength:"1" doc:"The phone's number: ten digits, without plus sign and country code" example:"2125550123"`
	CountryCode  string `json:"countryCode" enum:"US,CA" doc:"The number's country" example:"US"`
	SourceIP     string `json:"sourceIp,omitempty" minLength:"1" doc:"The IPv4 or IPv6 address that the phone has at the client's own pages; compared with the click's" example:"203.0.113.7"`
	CustomSMS    string `json:"customSms,omitempty" minLength:"1" maxLength:"2000" doc:"The SMS's text instead of the default one. <link>, {link} or #### marks the place of the link; without a mark it is appended. No web address but the client's own." example:"Acme: tap to confirm your phone: <link>"`
	read         reading
}

var sendLinkFields = []field{
	{name: "targetUrl", free: true},
	{name: "mobileNumber", free: true},
	{name: "countryCode", free: true},
	{name: "sourceIp", free: true, optional: true},
	{name: "customSms", free: true, optional: true},
}

const customSMSField = 4 // in sendLinkFields

func (*sendLinkRequest) fields() []field     { return sendLinkFields }
func (b *sendLinkRequest) reading() *reading { return &b.read }
func (b *sendLinkRequest) text(i int) *string {
	return [...]*string{&b.TargetURL, &b.MobileNumber, &b.CountryCode, &b.SourceIP, &b.CustomSMS}[i]
}

type sendLinkOutput struct{ Body sendLinkAnswer }

type sendLinkAnswer struct {
	RequestID uuid.UUID `json:"requestId" format:"uuid" doc:"Names the verification; for polling" example:"019cb5a8-7c00-7001-8000-3f1d2a9b4c5e"`
	SessionID uuid.UUID `json:"sessionId" format:"uuid" doc:"Must be the SessionId of the result that is accepted for this request" example:"5f0c7a52-3f7e-4a44-9d0a-0e6d1c9b8a71"`
}

func (a *api) sendLink(ctx context.Context, in *sendLinkInput) (*sendLinkOutput, error) {
	b := &in.Body
	if b.read.broken {
		return nil, failed(ctx, verify.Invalid(b.read.bad...))
	}
	request := flow.SendLink{
		TargetURL: b.TargetURL, MobileNumber: b.MobileNumber, CountryCode: b.CountryCode, SourceIP: b.SourceIP,
		IdempotencyKey: in.Key, Bad: b.read.bad,
	}
	if b.read.has(customSMSField) && b.CustomSMS != "" {
		request.CustomSMS = &b.CustomSMS
	}
	handle, err := a.Flow.Request(ctx, callerOf(ctx).client, request)
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &sendLinkOutput{sendLinkAnswer(handle)}, nil
}
