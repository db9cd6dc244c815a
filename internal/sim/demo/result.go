package demo

import (
	"encoding/json"

	"holdfast/client"
)

// resultView is a result in words, and as it came.
type resultView struct {
	Business string
	Tone     string // good, bad or warn
	Title    string
	Words    string
	Reasons  []explained
	Result   client.Result
	JSON     string
	Returned bool // by the link, on the phone; else in the tab that waited
}

type explained struct{ Code, Words string }

func (d *demo) told(res client.Result, returned bool) resultView {
	raw, err := json.MarshalIndent(res, "", "  ")
	if err != nil {
		panic(err) // strings, booleans and a time
	}
	v := resultView{Business: d.Business, Result: res, JSON: string(raw), Returned: returned}
	switch res.Verdict {
	case client.Verified:
		v.Tone, v.Title = "good", "Verified"
	case client.Failed:
		v.Tone, v.Title = "bad", "Not verified"
	default:
		v.Tone, v.Title = "warn", "Nobody can tell"
	}
	v.Words = wordsFor(res)
	for _, code := range res.Reasons {
		v.Reasons = append(v.Reasons, explained{code, reasons[code]})
	}
	return v
}

func wordsFor(res client.Result) string {
	switch {
	case res.Status == client.Denied:
		return "The person with the phone said: this wasn't me. Somebody else typed their number."
	case res.Status == client.Expired:
		return "Nobody confirmed before the link's time was over."
	case res.Status == client.Undeliverable:
		return "The message could not be delivered, so there was no link to tap."
	case res.Status == client.Cancelled:
		return "The verification was withdrawn."
	case res.PhoneMatch == client.MatchTrue:
		return "The mobile network says that the phone that tapped the link is the one with this number."
	case res.PhoneMatch == client.MatchFalse:
		return "The link was tapped on a phone with another number."
	case res.Verdict == client.Verified:
		return "The network could not be asked, but the link was tapped from the address that the business named, and its policy accepts that."
	default:
		return "The link was tapped, but no mobile network could say on which phone. Ask for another proof."
	}
}

// reasons explains the stable codes of the API.
var reasons = map[string]string{
	"wifi":                     "The phone was on Wi-Fi, where no carrier sees it.",
	"carrier_unsupported":      "No carrier that this server knows serves the phone's network.",
	"carrier_timeout":          "The carrier did not answer in time.",
	"carrier_error":            "The carrier answered with an error.",
	"carrier_unavailable":      "The carrier could not be reached.",
	"carrier_consent_required": "The carrier wants its customer's consent first.",
	"carrier_refused":          "The carrier refused to answer.",
	"not_mobile_network":       "The carrier says that the phone did not come over its network.",
	"phone_mismatch":           "The carrier says that it is another number's phone.",
	"ip_mismatch":              "The link was tapped from another address than the one that the business named.",
	"denied_by_consumer":       "“This wasn't me” was tapped.",
	"link_expired":             "The link was not confirmed in time.",
	"sms_undeliverable":        "The SMS gateway could not deliver the message.",
	"cancelled":                "The verification was withdrawn.",
}
