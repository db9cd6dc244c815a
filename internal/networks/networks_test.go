package networks

import (
	"context"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"holdfast/internal/carrier"
	"holdfast/internal/carrier/camara"
	"holdfast/internal/flow"
	"holdfast/internal/verify"
)

// What cmd puts into a Table must fit the flow.
var _ flow.Carrier = (*camara.Carrier)(nil)

// named is a carrier that is only ever chosen, never asked.
type named string

func (n named) Name() string { return string(n) }

func (named) Begin(context.Context, carrier.Journey) (string, error)                 { return "", nil }
func (named) Answer(context.Context, carrier.Journey, url.Values) (a carrier.Answer) { return a }

func entry(name string, ranges ...string) Entry {
	e := Entry{Carrier: named(name)}
	for _, r := range ranges {
		e.Prefixes = append(e.Prefixes, netip.MustParsePrefix(r))
	}
	return e
}

func TestChoose(t *testing.T) {
	t.Parallel()
	red := entry("red", "192.0.2.0/24", "2001:db8:1::/48", "::ffff:198.51.100.0/120")
	blue := entry("blue", "192.0.2.128/25", "192.0.2.200/32", "2001:db8::/32", "0.0.0.0/1")
	rest := entry("rest")
	tests := []struct {
		name    string
		entries []Entry
		addr    string
		want    string
		reason  verify.Reason
	}{
		{"in a range", []Entry{red, blue}, "192.0.2.1", "red", ""},
		{"the longer range wins", []Entry{red, blue}, "192.0.2.129", "blue", ""},
		{"whatever the order", []Entry{blue, red}, "192.0.2.129", "blue", ""},
		{"a single address", []Entry{red, blue}, "192.0.2.200", "blue", ""},
		{"IPv6", []Entry{red, blue}, "2001:db8:1::5", "red", ""},
		{"IPv6, the shorter range", []Entry{red, blue}, "2001:db8:2::5", "blue", ""},
		{"IPv6 with a zone", []Entry{red, blue}, "2001:db8:2::5%eth0", "blue", ""},
		{"an IPv4-mapped address", []Entry{red, blue}, "::ffff:192.0.2.1", "red", ""},
		{"an IPv4-mapped range", []Entry{red, blue}, "198.51.100.9", "red", ""},
		{"an IPv6 range has no IPv4 address in it", []Entry{entry("six", "::/0")}, "192.0.2.1", "", verify.ReasonWiFi},
		{"nobody's", []Entry{red}, "203.0.113.1", "", verify.ReasonWiFi},
		{"an unknown address", []Entry{red}, "", "", verify.ReasonWiFi},
		{"the rest", []Entry{red, rest}, "203.0.113.1", "rest", ""},
		{"the rest of IPv6", []Entry{rest, red}, "2001:db8:f::1", "rest", ""},
		{"not the rest", []Entry{rest, red}, "192.0.2.1", "red", ""},
		{"no carrier at all", nil, "192.0.2.1", "", verify.ReasonCarrierUnsupported},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			table, err := New(Config{Entries: tt.entries})
			if err != nil {
				t.Fatal(err)
			}
			var addr netip.Addr
			if tt.addr != "" {
				addr = netip.MustParseAddr(tt.addr)
			}
			found, reason := table.Choose(t.Context(), addr)
			if nameOf(found) != tt.want || reason != tt.reason {
				t.Errorf("Choose = %q, %q; want %q, %q", nameOf(found), reason, tt.want, tt.reason)
			}
		})
	}
}

func nameOf(c flow.Carrier) string {
	if c == nil {
		return ""
	}
	return c.Name()
}

func TestNamed(t *testing.T) {
	t.Parallel()
	table, err := New(Config{Entries: []Entry{entry("red", "192.0.2.0/24"), entry("rest")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"red", "rest"} {
		if got := table.Named(name); nameOf(got) != name {
			t.Errorf("Named(%q) = %v", name, got)
		}
	}
	if got := table.Named("green"); got != nil {
		t.Errorf("Named(green) = %v, want nil", got)
	}
}

// Every mistake is told at once, so that an operator corrects the file once.
func TestNewTellsEveryMistake(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Entries: []Entry{
		{},
		entry("red", "192.0.2.0/24"),
		entry("red"),
		entry("blue", "192.0.2.7/24"),
		{Carrier: named("broken"), Prefixes: []netip.Prefix{{}}},
		entry("rest"),
		entry("also-rest"),
	}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"no carrier", `two carriers are named "red"`, "both claim 192.0.2.0/24", `"broken"`, `"rest" and "also-rest"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not told in: %v", want, err)
		}
	}
}

// The table finds what a plain scan over all ranges finds.
func TestLongestMatch(t *testing.T) {
	t.Parallel()
	address := rapid.Custom(func(t *rapid.T) netip.Addr {
		// Few distinct bytes, so that ranges and addresses meet.
		b := rapid.SampledFrom([]byte{0, 1, 128, 192, 255})
		return netip.AddrFrom4([4]byte{b.Draw(t, "a"), b.Draw(t, "b"), b.Draw(t, "c"), b.Draw(t, "d")})
	})
	rapid.Check(t, func(t *rapid.T) {
		seen := map[netip.Prefix]string{}
		var entries []Entry
		for _, name := range []string{"a", "b", "c"} {
			e := Entry{Carrier: named(name)}
			for range rapid.IntRange(1, 5).Draw(t, "ranges") {
				p := netip.PrefixFrom(address.Draw(t, "addr"), rapid.IntRange(0, 32).Draw(t, "bits")).Masked()
				if _, taken := seen[p]; !taken {
					seen[p] = name
					e.Prefixes = append(e.Prefixes, p)
				}
			}
			if len(e.Prefixes) > 0 {
				entries = append(entries, e)
			}
		}
		table, err := New(Config{Entries: entries})
		if err != nil {
			t.Fatal(err)
		}
		addr, want, longest := address.Draw(t, "click"), "", -1
		for p, name := range seen {
			if p.Contains(addr) && p.Bits() > longest {
				want, longest = name, p.Bits()
			}
		}
		found, _ := table.Choose(context.Background(), addr)
		if nameOf(found) != want {
			t.Fatalf("Choose(%s) = %q, want %q of %v", addr, nameOf(found), want, seen)
		}
	})
}
