package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"mailwhy/engine/mail"
)

func TestBoundariesLeaveNoPartOfNestedRangesOut(t *testing.T) {
	wide, narrow := netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("198.51.100.0/25")
	clients := boundaries([]netip.Prefix{wide, narrow})
	between := func(c netip.Addr) bool { return wide.Contains(c) && !narrow.Contains(c) }
	if !slices.ContainsFunc(clients, between) {
		t.Errorf("no client of %v lies in %v alone", clients, wide)
	}
}

// A change of a list or a group takes as long to reach the gateway as one of a
// policy.
func TestChangesOfListsAndGroupsTakeTime(t *testing.T) {
	set, err := Load("p", []byte(`version: 1
internal_domains: [corp.example]
groups: {Blocked Senders: {members: [bad.example]}}
managed_senders: [{recipient: bob@corp.example, sender: x@user.example, action: block}]
`))
	if err != nil {
		t.Fatal(err)
	}
	created := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		sender mail.Path
		change Change
	}{
		{"x@user.example", Change{ManagedDelete: []ManagedEntry{{Recipient: "Bob@corp.example", Sender: "x@user.example"}}}},
		{"x@user.example", Change{ManagedPut: []ManagedEntry{{Recipient: "bob@corp.example", Sender: "X@user.example", Action: "permit"}}}},
		{"x@bad.example", Change{GroupRemove: []GroupEntry{{Group: "Blocked Senders", Member: "bad.example"}}}},
	} {
		c.change.Since, c.change.Until = created, created.Add(time.Hour)
		changed := set.Apply(c.change)
		m := mail.Message{EnvelopeFrom: c.sender, HeaderFrom: c.sender, Recipient: "bob@corp.example", Client: mail.Client{IP: "203.0.113.9"}}
		for after, want := range map[time.Duration]string{-time.Second: "rejected certain", time.Minute: "accepted likely", 5 * time.Minute: "accepted certain", 61 * time.Minute: "rejected likely", 65 * time.Minute: "rejected certain"} {
			v := Decide(changed, &m, created.Add(after))
			if got := fmt.Sprint(*v.Outcome, " ", v.Certainty); got != want {
				t.Errorf("%+v after %v: got %s, want %s", c.change, after, got, want)
			}
		}
	}
}
