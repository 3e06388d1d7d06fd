package exception

import (
	"net/netip"
	"slices"
)

// fewAddresses reports whether client networks are named and each is small.
func fewAddresses(networks []string) bool {
	for _, text := range networks {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return false
		}
		bits := 64
		switch a := p.Addr(); {
		case a.Is4():
			bits = 24
		case a.Is4In6():
			bits = 96 + 24
		}
		if p.Bits() < bits {
			return false
		}
	}
	return len(networks) > 0
}

// ownNetworks are the networks from which our own hosts connect: an address in
// them tells nothing about who wrote a message.
func (q question) ownNetworks() []netip.Prefix {
	return append(slices.Clip(q.set.AuthorisedOutbound()),
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"), // RFC 1918
		netip.MustParsePrefix("100.64.0.0/10"),                                 // RFC 6598
		netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"), // loopback
		netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10"), // link-local
		netip.MustParsePrefix("fc00::/7"),                                                                           // RFC 4193
		netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("224.0.0.0/3"), netip.MustParsePrefix("ff00::/8")) // nobody's
}

// provesOrigin reports whether the client networks of an exception are few
// addresses that are not our own.
func (q question) provesOrigin() bool {
	if !fewAddresses(q.exception.SourceIPs) {
		return false
	}
	for _, text := range q.exception.SourceIPs {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return false
		}
		p = unmapped(p)
		if slices.ContainsFunc(q.ownNetworks(), p.Overlaps) {
			return false
		}
	}
	return true
}

// unmapped gives an IPv4 network written as IPv6 (RFC 4291, 2.5.5.2) as IPv4.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}
