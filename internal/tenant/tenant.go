// Package tenant holds what an operator sets for a client: the business that
// calls the API, its credentials and its settings.
package tenant

import (
	"time"

	"holdfast/internal/secret"
	"holdfast/internal/verify"
)

// Client is one business. Its zero settings are the defaults.
type Client struct {
	ID           verify.ClientID
	Username     string // unique; what login takes
	PasswordHash string // argon2id, in PHC string form
	Business     string // the name that consumers read, in the SMS and on the page
	Settings     Settings
	Disabled     bool
	CreatedAt    time.Time
}

// Settings of a client, stored together as one JSON document.
type Settings struct {
	// Targets are the exact origins ("https://app.example.com") that a targetUrl may have.
	Targets []string `json:"targets"`
	// LinkMinutes is the link's lifetime, 1 to 60; 0 means 5.
	LinkMinutes int `json:"link_minutes,omitempty"`
	// ResultMinutes is how long a VFP redeems the result, 1 to 1440; 0 means 60.
	ResultMinutes int `json:"result_minutes,omitempty"`
	// MaxSegments is how many SMS one text may take, 1 to 10; 0 means 3.
	MaxSegments int `json:"max_segments,omitempty"`
	// AutoSubmit makes the link page submit itself (the contract's "landing: auto").
	AutoSubmit bool `json:"auto_submit,omitempty"`
	// ShowDeviceIP lets the client see the click's address.
	ShowDeviceIP bool `json:"show_device_ip,omitempty"`
	// Policy makes the verdict.
	Policy verify.Policy `json:"policy,omitzero"`
}

// LinkLifetime is how long the client's links work.
func (s Settings) LinkLifetime() time.Duration { return minutes(s.LinkMinutes, 5) }

// ResultLifetime is how long the client's VFPs redeem.
func (s Settings) ResultLifetime() time.Duration { return minutes(s.ResultMinutes, 60) }

// SegmentLimit is how many SMS one text may take.
func (s Settings) SegmentLimit() int {
	if s.MaxSegments == 0 {
		return 3
	}
	return s.MaxSegments
}

func minutes(n, byDefault int) time.Duration {
	if n == 0 {
		n = byDefault
	}
	return time.Duration(n) * time.Minute
}

// AccessToken is what is kept of a login: the token itself is never stored.
type AccessToken struct {
	ID        int64
	Digest    secret.Digest
	ClientID  verify.ClientID
	CreatedAt time.Time
	ExpiresAt time.Time
	RevokedAt time.Time // zero while it is valid
}
