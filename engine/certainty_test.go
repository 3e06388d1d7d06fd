package engine

import (
	"net/netip"
	"slices"
	"testing"
)

func TestBoundariesLeaveNoPartOfNestedRangesOut(t *testing.T) {
	wide, narrow := netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("198.51.100.0/25")
	clients := boundaries([]netip.Prefix{wide, narrow})
	between := func(c netip.Addr) bool { return wide.Contains(c) && !narrow.Contains(c) }
	if !slices.ContainsFunc(clients, between) {
		t.Errorf("no client of %v lies in %v alone", clients, wide)
	}
}
