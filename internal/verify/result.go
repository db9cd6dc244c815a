package verify

import (
	"net/netip"
	"slices"
	"time"
)

// PhoneMatch is what the network said of the phone that holds the link.
type PhoneMatch int

// The answers. Their numbers are stored. Indeterminate is the zero value: what
// nobody said is not a yes.
const (
	MatchIndeterminate PhoneMatch = iota
	MatchTrue
	MatchFalse
)

func (m PhoneMatch) String() string {
	return nameOf([]string{"indeterminate", "true", "false"}, int(m))
}

// Reason is a stable code that says why a result is what it is.
type Reason string

// The reasons. docs/carriers.md has what each means to an operator.
const (
	ReasonWiFi               Reason = "wifi"
	ReasonCarrierUnsupported Reason = "carrier_unsupported"
	ReasonCarrierTimeout     Reason = "carrier_timeout"
	ReasonCarrierError       Reason = "carrier_error"
	ReasonCarrierUnavailable Reason = "carrier_unavailable"
	ReasonCarrierConsent     Reason = "carrier_consent_required"
	ReasonCarrierRefused     Reason = "carrier_refused"
	ReasonNotMobileNetwork   Reason = "not_mobile_network"
	ReasonPhoneMismatch      Reason = "phone_mismatch"
	ReasonIPMismatch         Reason = "ip_mismatch"
	ReasonDenied             Reason = "denied_by_consumer"
	ReasonLinkExpired        Reason = "link_expired"
	ReasonUndeliverable      Reason = "sms_undeliverable"
	ReasonCancelled          Reason = "cancelled"
)

// Status is the verification's state as a client reads it.
type Status string

// The statuses.
const (
	StatusPending       Status = "pending"
	StatusCompleted     Status = "completed"
	StatusExpired       Status = "expired"
	StatusDenied        Status = "denied"
	StatusUndeliverable Status = "undeliverable"
	StatusCancelled     Status = "cancelled"
)

// Verdict is the client's policy applied to the result.
type Verdict string

// The verdicts.
const (
	VerdictPending       Verdict = "pending"
	VerdictVerified      Verdict = "verified"
	VerdictFailed        Verdict = "failed"
	VerdictIndeterminate Verdict = "indeterminate"
)

// Policy is a client's rule for the verdict. Its zero value is the default:
// verified only when the network confirmed the phone.
type Policy struct {
	// AcceptIPMatch counts a click from the address that the client named as
	// verified when the network could not be asked.
	AcceptIPMatch bool `json:"accept_ip_match,omitempty"`
}

// Result is what a client reads of a verification (contract section 2).
type Result struct {
	Verification Verification
	Status       Status
	Verdict      Verdict
	LinkClicked  bool
	Match        PhoneMatch
	IPMatch      bool
	DeviceAddr   netip.Addr // the click's address; the client's settings decide who sees it
	Reasons      []Reason
	Delivery     DeliveryState
}

// ResultAt is v's result at now under the client's policy.
func ResultAt(v Verification, policy Policy, now time.Time) Result {
	t := v.At(now)
	r := Result{
		Verification: v,
		Status:       statusOf(t),
		LinkClicked:  !t.ClickedAt.IsZero(),
		Match:        t.Match,
		IPMatch:      SameAddress(v.SourceAddr, t.ClickAddr),
		DeviceAddr:   t.ClickAddr,
		Delivery:     t.Delivery,
	}
	r.Reasons = reasonsOf(r, t.Reasons)
	r.Verdict = policy.verdict(r)
	return r
}

func statusOf(t Track) Status {
	switch t.Link {
	case LinkCompleted:
		return StatusCompleted
	case LinkDenied:
		return StatusDenied
	case LinkCancelled:
		return StatusCancelled
	case LinkExpired:
		if t.Delivery == Failed {
			return StatusUndeliverable
		}
		return StatusExpired
	case LinkPending:
		// The link still works if the text arrives after all, but the client
		// should not make its user wait for that.
		if t.Delivery == Failed {
			return StatusUndeliverable
		}
	}
	return StatusPending
}

func reasonsOf(r Result, stored []Reason) []Reason {
	reasons := slices.Clone(stored)
	switch r.Status {
	case StatusDenied:
		reasons = append(reasons, ReasonDenied)
	case StatusExpired:
		reasons = append(reasons, ReasonLinkExpired)
	case StatusUndeliverable:
		reasons = append(reasons, ReasonUndeliverable)
	case StatusCancelled:
		reasons = append(reasons, ReasonCancelled)
	}
	if r.Match == MatchFalse {
		reasons = append(reasons, ReasonPhoneMismatch)
	}
	if r.LinkClicked && r.Verification.SourceAddr.IsValid() && !r.IPMatch {
		reasons = append(reasons, ReasonIPMismatch)
	}
	return reasons
}

func (p Policy) verdict(r Result) Verdict {
	switch {
	case r.Status == StatusPending:
		return VerdictPending
	case r.Status == StatusDenied, r.Match == MatchFalse:
		return VerdictFailed
	case r.LinkClicked && r.Match == MatchTrue:
		return VerdictVerified
	case p.AcceptIPMatch && r.Status == StatusCompleted && r.LinkClicked && r.IPMatch:
		return VerdictVerified
	default:
		return VerdictIndeterminate
	}
}

// SameAddress reports whether a click from click counts as coming from source:
// IPv4 equal, IPv6 in the same /64 (a phone's own prefix, RFC 7278). An
// IPv4-mapped IPv6 address is taken for the IPv4 one.
func SameAddress(source, click netip.Addr) bool {
	source, click = source.Unmap().WithZone(""), click.Unmap().WithZone("")
	if !source.IsValid() || !click.IsValid() || source.Is4() != click.Is4() {
		return false
	}
	if source.Is4() {
		return source == click
	}
	return netip.PrefixFrom(source, 64).Masked().Contains(click)
}
