package api

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

var resultDoc = doc{
	id: "link-result", summary: "Redeem a fingerprint for the result",
	text: "Takes the vfp that the phone's browser brought to targetUrl, and answers the result. It can be redeemed until its " +
		"lifetime ends, by the client alone that started the verification. Compare SessionId with the session that this browser started.",
	errors: []int{http.StatusNotFound},
}

type resultInput struct{ Body resultRequest }

type resultRequest struct {
	VFP  string `json:"vfp" minLength:"1" maxLength:"512" doc:"The verification fingerprint from targetUrl's query" example:"AZ1c2V4gEAAxq0r3o1yM7nT5wQp8sZbd"`
	read reading
}

var resultFields = []field{{name: "vfp", max: 512}}

func (*resultRequest) fields() []field     { return resultFields }
func (b *resultRequest) reading() *reading { return &b.read }
func (b *resultRequest) text(int) *string  { return &b.VFP }

type resultOutput struct{ Body result }

// result is the result object, in the order and casing of contract section 2.
type result struct {
	TransactionID  uuid.UUID `json:"TransactionId" format:"uuid" doc:"Identifies this result; equals RequestId" example:"019cb5a8-7c00-7001-8000-3f1d2a9b4c5e"`
	SessionID      uuid.UUID `json:"SessionId" format:"uuid" doc:"Of Send Link's answer: compare it with the session you started" example:"5f0c7a52-3f7e-4a44-9d0a-0e6d1c9b8a71"`
	RequestID      uuid.UUID `json:"RequestId" format:"uuid" doc:"Of Send Link's answer" example:"019cb5a8-7c00-7001-8000-3f1d2a9b4c5e"`
	PhoneNumber    string    `json:"PhoneNumber" doc:"The number in E.164 form" example:"+12125550123"`
	CountryCode    string    `json:"CountryCode" enum:"US,CA" doc:"The number's country" example:"US"`
	Carrier        string    `json:"Carrier" doc:"The number's carrier; empty where unknown" example:""`
	LineType       string    `json:"LineType" enum:",Mobile,Landline,FixedVoIP,NonFixedVoIP" doc:"The number's kind of line; empty where unknown" example:""`
	LinkClicked    bool      `json:"LinkClicked" doc:"The link was confirmed before it expired" example:"true"`
	PhoneMatch     string    `json:"PhoneMatch" enum:"true,false,indeterminate" doc:"Whether the network says that the phone that holds the link is the number's; indeterminate where it could not be asked" example:"true"`
	IPAddressMatch bool      `json:"IpAddressMatch" doc:"The click came from sourceIp (IPv4 equal, IPv6 in the same /64)" example:"true"`
	DeviceIP       string    `json:"DeviceIp,omitempty" doc:"The click's address; only where the client's settings allow it" example:"203.0.113.7"`
	Status         string    `json:"Status" enum:"pending,completed,expired,denied,undeliverable,cancelled" doc:"Where the verification stands" example:"completed"`
	Verdict        string    `json:"Verdict" enum:"pending,verified,failed,indeterminate" doc:"The client's policy applied to the result: act on this" example:"verified"`
	Reasons        []string  `json:"Reasons" nullable:"false" doc:"Stable codes that say why, e.g. wifi, carrier_timeout, phone_mismatch"`
	Delivery       string    `json:"Delivery" enum:"queued,sent,delivered,failed,unknown" doc:"What is known of the SMS" example:"delivered"`
	ExpiresAt      time.Time `json:"ExpiresAt" doc:"When the link stops working (RFC 3339)" example:"2026-07-01T12:05:00Z"`
}

func (a *api) result(ctx context.Context, in *resultInput) (*resultOutput, error) {
	b := &in.Body
	if !b.read.broken {
		b.read.require(b)
	}
	if len(b.read.bad) > 0 {
		return nil, failed(ctx, verify.Invalid(b.read.bad...))
	}
	client := callerOf(ctx).client
	r, err := a.Flow.Redeem(ctx, client, b.VFP)
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &resultOutput{resultOf(r, client.Settings)}, nil
}

func resultOf(r verify.Result, settings tenant.Settings) result {
	v := r.Verification
	out := result{
		TransactionID: v.RequestID, SessionID: v.SessionID, RequestID: v.RequestID,
		PhoneNumber: v.Phone.E164(), CountryCode: string(v.Phone.Country()),
		LinkClicked: r.LinkClicked, PhoneMatch: r.Match.String(), IPAddressMatch: r.IPMatch,
		Status: string(r.Status), Verdict: string(r.Verdict), Reasons: make([]string, 0, len(r.Reasons)),
		Delivery: r.Delivery.String(), ExpiresAt: v.ExpiresAt.UTC(),
	}
	for _, reason := range r.Reasons {
		out.Reasons = append(out.Reasons, string(reason))
	}
	if settings.ShowDeviceIP && r.DeviceAddr.IsValid() {
		out.DeviceIP = r.DeviceAddr.String()
	}
	return out
}
