package web

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// maxHops bounds how far an X-Forwarded-For is walked.
const maxHops = 32

// clientAddr walks from the connection towards the client for as long as the hop
// it stands on is a trusted proxy: each proxy appends whom it was called by, so
// only what trusted ones appended is true. A hop that can't be read ends the
// walk at the proxy that passed it on.
func clientAddr(r *http.Request, proxies []netip.Prefix) netip.Addr {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := from.Addr().Unmap().WithZone("")
	lines := r.Header["X-Forwarded-For"]
	if len(proxies) == 0 || len(lines) == 0 {
		return addr
	}
	hops := 0
	for _, line := range slices.Backward(lines) {
		for line != "" {
			if hops++; hops > maxHops || !trusted(addr, proxies) {
				return addr
			}
			comma := strings.LastIndexByte(line, ',')
			before, ok := parseHop(line[comma+1:])
			if !ok {
				return addr
			}
			addr, line = before, line[:max(comma, 0)]
		}
	}
	return addr
}

func trusted(addr netip.Addr, proxies []netip.Prefix) bool {
	for _, p := range proxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// parseHop reads one entry: an address, as some proxies write it with a port.
func parseHop(text string) (netip.Addr, bool) {
	text = strings.Trim(text, " \t")
	addr, err := netip.ParseAddr(text)
	if err != nil {
		withPort, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = withPort.Addr()
	}
	return addr.Unmap().WithZone(""), true
}

// unmapped rewrites prefixes of IPv4-mapped addresses as IPv4, which is how
// addresses are compared here.
func unmapped(prefixes []netip.Prefix) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(prefixes))
	for _, p := range prefixes {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		out = append(out, p.Masked())
	}
	return out
}
