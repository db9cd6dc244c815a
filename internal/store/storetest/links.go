package storetest

import (
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/internal/secret"
	"holdfast/internal/verify"
)

// step is a write to one verification.
type step func(s Store, t failer, id verify.ID) error

// linkWrites are all writes to a link, at a moment when each is in time.
var linkWrites = map[string]step{
	"Consume": func(s Store, t failer, id verify.ID) error { return consume(s, t, id, click(id)) },
	"Deny":    func(s Store, t failer, id verify.ID) error { return s.Deny(t.Context(), id, start.Add(time.Second)) },
	"ClaimAnswer": func(s Store, t failer, id verify.ID) error {
		return s.ClaimAnswer(t.Context(), id, start.Add(2*time.Second))
	},
	"ReleaseAnswer": func(s Store, t failer, id verify.ID) error { return s.ReleaseAnswer(t.Context(), id) },
	"Complete":      func(s Store, t failer, id verify.ID) error { return s.Complete(t.Context(), id, outcome(id)) },
}

// consume confirms a link of the suite's own.
func consume(s Store, t failer, id verify.ID, c verify.Click) error {
	_, err := s.Consume(t.Context(), id, linkOf(id), c)
	return err
}

func linkOf(id verify.ID) secret.Digest { return digest(int64(id), "link") }

func click(id verify.ID) verify.Click {
	return verify.Click{
		At: start.Add(time.Second), Addr: netip.MustParseAddr("198.51.100.7"),
		Browser: digest(int64(id), "browser"), Carrier: "north",
	}
}

func outcome(id verify.ID) verify.Outcome {
	return verify.Outcome{
		At: start.Add(3 * time.Second), Match: verify.MatchFalse, VFP: digest(int64(id), "vfp"),
		Reasons: []verify.Reason{verify.ReasonCarrierError, verify.ReasonWiFi},
	}
}

// linkStates are the states that a link can be in, with the writes that lead there.
var linkStates = map[string][]string{
	"pending":                      {},
	"consumed":                     {"Consume"},
	"consumed, claimed":            {"Consume", "ClaimAnswer"},
	"consumed, released":           {"Consume", "ClaimAnswer", "ReleaseAnswer"},
	"completed":                    {"Consume", "Complete"},
	"completed after its answer":   {"Consume", "ClaimAnswer", "Complete"},
	"completed after two releases": {"Consume", "ClaimAnswer", "ReleaseAnswer", "ClaimAnswer", "ReleaseAnswer", "Complete"},
	"denied":                       {"Deny"},
}

// testLinkGuards tries every write in every state; the model, which asks verify,
// knows which may happen.
func testLinkGuards(t *testing.T, w *world) {
	for _, state := range slices.Sorted(maps.Keys(linkStates)) {
		for _, name := range slices.Sorted(maps.Keys(linkWrites)) {
			id, neighbour := w.create(t), w.create(t)
			for _, before := range linkStates[state] {
				w.do(t, before, func(s Store) error { return linkWrites[before](s, t, id) })
			}
			w.do(t, name+" when "+state, func(s Store) error { return linkWrites[name](s, t, id) })
			w.check(t, id)
			w.check(t, neighbour)
		}
	}
}

// testLinkTimes tries the moments at which a guard turns.
func testLinkTimes(t *testing.T, w *world) {
	const tick = time.Microsecond
	clicked := start.Add(time.Second)
	consume := func(at time.Time) step {
		return func(s Store, t failer, id verify.ID) error { return consume(s, t, id, verify.Click{At: at}) }
	}
	deny := func(at time.Time) step {
		return func(s Store, t failer, id verify.ID) error { return s.Deny(t.Context(), id, at) }
	}
	claim := func(at time.Time) step {
		return func(s Store, t failer, id verify.ID) error { return s.ClaimAnswer(t.Context(), id, at) }
	}
	complete := func(at time.Time) step {
		return func(s Store, t failer, id verify.ID) error {
			return s.Complete(t.Context(), id, verify.Outcome{At: at})
		}
	}
	for name, steps := range map[string][]step{
		"consumed at the last moment":      {consume(start.Add(linkLife - tick))},
		"consumed too late":                {consume(start.Add(linkLife))},
		"consumed much too late":           {consume(start.Add(24 * time.Hour))},
		"denied at the last moment":        {deny(start.Add(linkLife - tick))},
		"denied too late":                  {deny(start.Add(linkLife))},
		"claimed at the last moment":       {consume(clicked), claim(clicked.Add(verify.AnswerTime - tick))},
		"claimed too late":                 {consume(clicked), claim(clicked.Add(verify.AnswerTime))},
		"completed long after the link":    {consume(clicked), complete(start.Add(24 * time.Hour))},
		"claimed after the link's expiry":  {consume(start.Add(linkLife - tick)), claim(start.Add(linkLife + time.Minute))},
		"consumed in another zone":         {consume(clicked.In(time.FixedZone("away", 7200)))},
		"consumed in a fraction of a tick": {consume(clicked.Add(999 * time.Nanosecond))},
	} {
		id := w.create(t)
		for _, do := range steps {
			w.do(t, name, func(s Store) error { return do(s, t, id) })
		}
		w.check(t, id)
	}
}

// testTrackFields writes each field of a track, zero and not.
func testTrackFields(t *testing.T, w *world) {
	clicks := []verify.Click{
		{At: start},
		{At: start, Addr: netip.MustParseAddr("2001:db8:1:2::3")},
		{At: start, Addr: netip.MustParseAddr("255.255.255.255"), Browser: digest(1, "b"), Carrier: "Nörd"},
	}
	outcomes := []verify.Outcome{
		{At: start.Add(time.Second)},
		{At: start.Add(time.Second), Match: verify.MatchTrue, VFP: digest(2, "vfp")},
		{At: start.Add(time.Second), Match: verify.MatchFalse, VFP: secret.Digest{}, Reasons: []verify.Reason{}},
		{At: start.Add(time.Second), Reasons: []verify.Reason{verify.ReasonWiFi}},
		{At: start.Add(time.Second), Reasons: []verify.Reason{verify.ReasonCarrierConsent, verify.ReasonWiFi, verify.ReasonIPMismatch}},
	}
	for _, c := range clicks {
		for _, o := range outcomes {
			id := w.create(t)
			w.do(t, "Consume", func(s Store) error { return consume(s, t, id, c) })
			w.check(t, id)
			w.do(t, "Complete", func(s Store) error { return s.Complete(t.Context(), id, o) })
			w.check(t, id)
		}
	}
}

// testConsumeProves: the link's secret is a part of the guard, and who passes it
// gets the verification as a read would give it.
func testConsumeProves(t *testing.T, w *world) {
	for _, before := range [][]string{{}, {"Deny"}} {
		id := w.create(t)
		for _, name := range before {
			w.do(t, name, func(s Store) error { return linkWrites[name](s, t, id) })
		}
		for name, link := range map[string]secret.Digest{"another link's": linkOf(id + 1), "none": {}} {
			w.do(t, "Consume with "+name, func(s Store) error {
				v, err := s.Consume(t.Context(), id, link, click(id))
				if err != nil && v.ID != 0 {
					t.Error("a refused confirmation returned a verification")
				}
				return err
			})
			w.check(t, id)
		}
	}
	id := w.create(t)
	w.do(t, "RecordReceipt", func(s Store) error {
		_, err := s.RecordReceipt(t.Context(), id, verify.ReceiptArrived, "", start)
		return err
	})
	var got verify.Verification
	w.do(t, "Consume", func(s Store) (err error) {
		got, err = s.Consume(t.Context(), id, linkOf(id), click(id))
		return err
	})
	want, err := w.Verification(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, exactly); diff != "" {
		t.Errorf("Consume returned another verification than a read (-read +got):\n%s", diff)
	}
}
