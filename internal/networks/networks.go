// Package networks chooses the carrier to ask by the address that a click comes
// from, out of a table of address ranges (CIDR) that the operator configures.
//
// It stands beside internal/flow, whose Networks it implements, and imports
// nothing but that and the domain: the carriers themselves are put in by cmd.
package networks

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"holdfast/internal/flow"
	"holdfast/internal/verify"
)

// Entry is one carrier and where its phones come from.
type Entry struct {
	// Carrier is required; its name must be its own.
	Carrier flow.Carrier
	// Prefixes are the carrier's address ranges, IPv4 and IPv6, as phones are seen
	// from outside (behind the carrier's NAT). None means that the carrier serves
	// every address that no other entry matches; only one entry can.
	Prefixes []netip.Prefix
}

// Config is what a Table is made of.
type Config struct {
	// Entries are the carriers; none means that no network can be asked.
	Entries []Entry
}

// Table is a fixed set of carriers and their networks. Its methods may be called
// concurrently.
type Table struct {
	byName map[string]flow.Carrier
	// ranges are one table for each prefix length in use, longest first.
	ranges   []lengthTable
	fallback flow.Carrier
}

// lengthTable holds the prefixes of one family and length.
type lengthTable struct {
	is4  bool
	bits int
	of   map[netip.Prefix]flow.Carrier
}

var _ flow.Networks = (*Table)(nil)

// New returns a Table, or all that is wrong with the entries: a missing carrier,
// a name used twice, an invalid range, one that two carriers claim, and two
// carriers without ranges.
func New(c Config) (*Table, error) {
	t := &Table{byName: make(map[string]flow.Carrier, len(c.Entries))}
	var problems []error
	for _, e := range c.Entries {
		problems = append(problems, t.add(e)...)
	}
	slices.SortStableFunc(t.ranges, func(a, b lengthTable) int { return b.bits - a.bits })
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Table) add(e Entry) (problems []error) {
	if e.Carrier == nil {
		return []error{errors.New("networks: an entry has no carrier")}
	}
	name := e.Carrier.Name()
	if _, taken := t.byName[name]; taken {
		return []error{fmt.Errorf("networks: two carriers are named %q", name)}
	}
	t.byName[name] = e.Carrier
	if len(e.Prefixes) == 0 {
		if t.fallback != nil {
			return []error{fmt.Errorf("networks: carriers %q and %q both have no address ranges; only one can serve all the rest", t.fallback.Name(), name)}
		}
		t.fallback = e.Carrier
	}
	for _, p := range e.Prefixes {
		if err := t.claim(p, e.Carrier); err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}

func (t *Table) claim(p netip.Prefix, owner flow.Carrier) error {
	p = unmapped(p)
	if !p.IsValid() {
		return fmt.Errorf("networks: carrier %q has an address range that is not valid", owner.Name())
	}
	of := t.length(p.Addr().Is4(), p.Bits())
	if other, taken := of[p]; taken && other.Name() != owner.Name() {
		return fmt.Errorf("networks: carriers %q and %q both claim %s", other.Name(), owner.Name(), p)
	}
	of[p] = owner
	return nil
}

func (t *Table) length(is4 bool, bits int) map[netip.Prefix]flow.Carrier {
	for _, l := range t.ranges {
		if l.is4 == is4 && l.bits == bits {
			return l.of
		}
	}
	of := make(map[netip.Prefix]flow.Carrier)
	t.ranges = append(t.ranges, lengthTable{is4: is4, bits: bits, of: of})
	return of
}

// unmapped is p without host bits, and an IPv4 range written as an IPv4-mapped
// IPv6 one as what it is; the zero Prefix where p is not valid.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.IsValid() && p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// Choose returns the carrier with the longest range around addr, else the one
// without ranges. Where there is neither, the reason is verify.ReasonWiFi: the
// phone is on a network that is no configured carrier's; or, with no carrier
// configured at all, verify.ReasonCarrierUnsupported: turning Wi-Fi off would
// not help.
func (t *Table) Choose(_ context.Context, addr netip.Addr) (flow.Carrier, verify.Reason) {
	addr = addr.Unmap().WithZone("")
	for _, l := range t.ranges {
		if addr.Is4() != l.is4 || !addr.IsValid() {
			continue
		}
		if p, err := addr.Prefix(l.bits); err == nil {
			if found, ok := l.of[p]; ok {
				return found, ""
			}
		}
	}
	switch {
	case t.fallback != nil:
		return t.fallback, ""
	case len(t.byName) > 0:
		return nil, verify.ReasonWiFi
	default:
		return nil, verify.ReasonCarrierUnsupported
	}
}

// Named returns the carrier with that name, or nil.
func (t *Table) Named(name string) flow.Carrier { return t.byName[name] }
