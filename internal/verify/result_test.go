package verify

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var (
	t0     = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	source = netip.MustParseAddr("198.51.100.7")

	elsewhere = netip.MustParseAddr("203.0.113.9")
)

func TestResult(t *testing.T) {
	link := t0.Add(5 * time.Minute)
	clicked := Track{Link: LinkConsumed, Delivery: Sent, ClickedAt: t0, ClickAddr: source}
	looked := clicked
	looked.AnsweredAt = t0.Add(1)
	done := func(m PhoneMatch, ip bool, reasons ...Reason) Track {
		from := source
		if !ip {
			from = elsewhere
		}
		return Track{Link: LinkCompleted, Delivery: Delivered, ClickedAt: t0, EndedAt: t0, Match: m, ClickAddr: from, Reasons: reasons}
	}
	lenient := Policy{AcceptIPMatch: true}
	for _, tc := range []struct {
		name    string
		track   Track
		policy  Policy
		after   time.Duration
		status  Status
		verdict Verdict
		clicked bool
		match   string
		reasons []Reason
	}{
		{"waiting", Track{}, Policy{}, 0, StatusPending, VerdictPending, false, "indeterminate", nil},
		{"expired, unwritten", Track{Delivery: Sent}, Policy{}, 5 * time.Minute, StatusExpired, VerdictIndeterminate, false, "indeterminate", []Reason{ReasonLinkExpired}},
		{"a moment before expiry", Track{Delivery: Sent}, Policy{}, 5*time.Minute - 1, StatusPending, VerdictPending, false, "indeterminate", nil},
		{"expired, written", Track{Link: LinkExpired}, Policy{}, 0, StatusExpired, VerdictIndeterminate, false, "indeterminate", []Reason{ReasonLinkExpired}},
		{"undeliverable", Track{Delivery: Failed}, Policy{}, 0, StatusUndeliverable, VerdictIndeterminate, false, "indeterminate", []Reason{ReasonUndeliverable}},
		{"undeliverable, then expired", Track{Delivery: Failed}, Policy{}, time.Hour, StatusUndeliverable, VerdictIndeterminate, false, "indeterminate", []Reason{ReasonUndeliverable}},
		{"undeliverable by its receipt, yet tapped", Track{Link: LinkCompleted, Delivery: Failed, ClickedAt: t0, Match: MatchTrue, ClickAddr: source}, Policy{}, 0, StatusCompleted, VerdictVerified, true, "true", nil},
		{"clicked", clicked, Policy{}, 0, StatusPending, VerdictPending, true, "indeterminate", nil},
		{"clicked, link's time over", clicked, Policy{}, 5*time.Minute + 30*time.Second, StatusPending, VerdictPending, true, "indeterminate", nil},
		{"never came back", clicked, Policy{}, AnswerTime + AnswerGrace, StatusCompleted, VerdictIndeterminate, true, "indeterminate", []Reason{ReasonCarrierTimeout}},
		{"never came back, address accepted", clicked, lenient, AnswerTime + AnswerGrace, StatusCompleted, VerdictVerified, true, "indeterminate", []Reason{ReasonCarrierTimeout}},
		{"the lookup was lost", looked, Policy{}, AnswerGrace + 1, StatusCompleted, VerdictIndeterminate, true, "indeterminate", []Reason{ReasonCarrierTimeout}},
		{"being looked up", looked, Policy{}, AnswerGrace, StatusPending, VerdictPending, true, "indeterminate", nil},
		{"match", done(MatchTrue, true), Policy{}, 0, StatusCompleted, VerdictVerified, true, "true", nil},
		{"match, other address", done(MatchTrue, false), Policy{}, 0, StatusCompleted, VerdictVerified, true, "true", []Reason{ReasonIPMismatch}},
		{"other SIM", done(MatchFalse, true), Policy{}, 0, StatusCompleted, VerdictFailed, true, "false", []Reason{ReasonPhoneMismatch}},
		{"other SIM, address accepted", done(MatchFalse, true), lenient, 0, StatusCompleted, VerdictFailed, true, "false", []Reason{ReasonPhoneMismatch}},
		{"Wi-Fi", done(MatchIndeterminate, true, ReasonWiFi), Policy{}, 0, StatusCompleted, VerdictIndeterminate, true, "indeterminate", []Reason{ReasonWiFi}},
		{"Wi-Fi, address accepted", done(MatchIndeterminate, true, ReasonWiFi), lenient, 0, StatusCompleted, VerdictVerified, true, "indeterminate", []Reason{ReasonWiFi}},
		{"Wi-Fi, other address", done(MatchIndeterminate, false, ReasonWiFi), lenient, 0, StatusCompleted, VerdictIndeterminate, true, "indeterminate", []Reason{ReasonWiFi, ReasonIPMismatch}},
		{"denied", Track{Link: LinkDenied}, lenient, 0, StatusDenied, VerdictFailed, false, "indeterminate", []Reason{ReasonDenied}},
		{"cancelled", Track{Link: LinkCancelled}, Policy{}, 0, StatusCancelled, VerdictIndeterminate, false, "indeterminate", []Reason{ReasonCancelled}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := Verification{SourceAddr: source, CreatedAt: t0, ExpiresAt: link, Track: tc.track}
			r := ResultAt(v, tc.policy, t0.Add(tc.after))
			if r.Status != tc.status || r.Verdict != tc.verdict || r.LinkClicked != tc.clicked || r.Match.String() != tc.match || !slices.Equal(r.Reasons, tc.reasons) {
				t.Errorf("got %v %v clicked=%v match=%v %v", r.Status, r.Verdict, r.LinkClicked, r.Match, r.Reasons)
			}
		})
	}
}

// Whatever the track, a verdict of "verified" needs a click, and never stands
// beside another SIM or a denial; "pending" stands exactly beside Status pending.
func TestVerdictProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		track := Track{
			Link:     rapid.SampledFrom(linkStates).Draw(t, "link"),
			Delivery: rapid.SampledFrom(deliveryStates).Draw(t, "delivery"),
		}
		if track.Link == LinkConsumed || track.Link == LinkCompleted {
			track.ClickedAt = t0
			track.ClickAddr = rapid.SampledFrom([]netip.Addr{source, elsewhere}).Draw(t, "ip")
		}
		if track.Link == LinkCompleted {
			track.Match = rapid.SampledFrom([]PhoneMatch{MatchIndeterminate, MatchTrue, MatchFalse}).Draw(t, "match")
		}
		v := Verification{SourceAddr: source, ExpiresAt: t0.Add(time.Minute), Track: track}
		r := ResultAt(v, Policy{AcceptIPMatch: rapid.Bool().Draw(t, "policy")}, t0.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "s"))*time.Second))
		if r.Verdict == VerdictVerified && (!r.LinkClicked || r.Match == MatchFalse || r.Status == StatusDenied) {
			t.Fatalf("verified with %+v", r)
		}
		if (r.Verdict == VerdictPending) != (r.Status == StatusPending) {
			t.Fatalf("verdict %v with status %v", r.Verdict, r.Status)
		}
	})
}

func TestSameAddress(t *testing.T) {
	for _, tc := range []struct {
		source, click string
		want          bool
	}{
		{"198.51.100.7", "198.51.100.7", true},
		{"198.51.100.7", "198.51.100.8", false},
		{"198.51.100.7", "::ffff:198.51.100.7", true},
		{"::ffff:198.51.100.7", "198.51.100.7", true},
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true},
		{"2001:db8:1:2::1", "2001:db8:1:3::1", false},
		{"2001:db8::1", "198.51.100.7", false},
		{"", "198.51.100.7", false},
		{"198.51.100.7", "", false},
		{"", "", false},
	} {
		a, _ := netip.ParseAddr(tc.source)
		b, _ := netip.ParseAddr(tc.click)
		if got := SameAddress(a, b); got != tc.want {
			t.Errorf("SameAddress(%s, %s) = %v", tc.source, tc.click, got)
		}
	}
}

func TestAwaitsAnswer(t *testing.T) {
	v := Verification{ExpiresAt: t0.Add(time.Minute), Track: Track{Link: LinkConsumed, ClickedAt: t0}}
	if !v.AwaitsAnswer(t0.Add(AnswerTime-1)) || v.AwaitsAnswer(t0.Add(AnswerTime)) {
		t.Error("the answer's time is not kept")
	}
	v.Track.AnsweredAt = t0
	if v.AwaitsAnswer(t0) {
		t.Error("an answer may be claimed twice")
	}
}
