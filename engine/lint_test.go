package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLint has every rule by a policy that shows it, and policies that show
// none.
func TestLint(t *testing.T) {
	const text = `version: 1
internal_domains: [corp.example]
free_mail_domains: [gmail.com]
groups:
  Blocked Senders: {members: [bad.example]}
  Vendors:
    members:
      - acme.example
      - alice@shop.example
  Empty: {members: []}
blocked_senders:
  - {id: fine, description: Vendor block T-1001, option: block_sender, from: {type: profile_group, value: Vendors}, to: {type: internal_addresses}}
  - {id: twin, description: T-1004, option: block_sender, from: {type: profile_group, value: Vendors}, to: {type: internal_addresses}}
  - {id: tie, description: T-1005, option: no_action, from: {type: profile_group, value: Vendors}, to: {type: internal_addresses}}
  - {id: override, description: T-1006, option: block_sender, override: true, from: {type: email_domain, value: beaten.example}, to: {type: everyone}}
  - {id: beaten, description: T-1007, option: no_action, from: {type: individual_email_address, value: a@beaten.example}, to: {type: internal_addresses}}
  - {id: empty, description: T-1008, option: block_sender, from: {type: profile_group, value: Empty}, to: {type: internal_addresses}}
  - {id: old, description: T-1009, option: block_sender, from: {type: email_domain, value: old.example}, to: {type: internal_addresses}, to_date: 2026-01-01}
  - {id: off, description: T-1010, option: block_sender, enabled: false, from: {type: email_domain, value: off.example}, to: {type: internal_addresses}}
  - {id: untold, description: Vendor block, option: block_sender, from: {type: email_domain, value: untold.example}, to: {type: internal_addresses}}
  - {id: silent, option: block_sender, from: {type: email_domain, value: silent.example}, to: {type: internal_addresses}}
permitted_senders:
  - {id: useless, description: T-1011, option: permit_sender, from: {type: email_domain, value: bad.example}, to: {type: internal_addresses}}
  - {id: useful, description: T-1012, option: permit_sender, from: {type: email_domain, value: good.example}, to: {type: internal_addresses}}
  - {id: outbound, description: T-1013, option: permit_sender, from: {type: email_domain, value: good.example}, to: {type: external_addresses}}
managed_senders:
  - {recipient: bob@corp.example, sender: x@bad.example, action: permit}
content_examination:
  - {id: deletes, description: T-1014, action: delete, pattern: "payment words", part: subject, from: {type: email_domain, value: any.example}, to: {type: internal_addresses}}
  - {id: holds, description: T-1015, action: hold, pattern: "payment words", part: subject, from: {type: email_domain, value: any.example}, to: {type: internal_addresses}}
  - {id: all, description: T-1016, action: hold, pattern: "payment words", part: subject, from: {type: everyone}, to: {type: internal_addresses}}
`
	f := func(text string, usage *Usage, want string) {
		t.Helper()
		set, err := Load("policy.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range Lint(set, "policy.yaml", []byte(text), usage, remedyNoon) {
			if f.File != "policy.yaml" || f.Do == "" {
				t.Errorf("%+v lacks its file or what to do", f)
			}
			got = append(got, fmt.Sprintf("%d %s %s: %s", f.Line, f.Policy, f.Rule, f.Why))
		}
		if diff := cmp.Diff(strings.TrimSpace(want), strings.Join(got, "\n")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	f(text, nil, `
13 twin duplicate: it says the same as fine (policy.yaml:12)
14 tie conflicting: it ties with fine (policy.yaml:12), which says block_sender for the same mail: the cautious option wins
16 beaten shadowed: override (policy.yaml:15) matches all of its mail and always wins with block_sender
17 empty unreachable: from is the group Empty, which is empty
18 old expired: it ended at 2026-01-02 00:00 UTC
19 off disabled: it is disabled and decides nothing
20 untold without_ticket: its narrative "Vendor block" names no ticket
21 silent without_ticket: it has no narrative, so nobody knows what it is for
23 useless permit_no_effect: Blocked Senders default-blocked-senders blocks all of its mail and is decided first
25 outbound unreachable: its recipients are outside, and this kind of policy applies to inbound mail only
27 managed:bob@corp.example/x@bad.example permit_no_effect: Blocked Senders default-blocked-senders blocks x@bad.example and beats the recipient's own permit
29 deletes deletes_or_bounces: its action is delete: what it matches by mistake is lost
31 all everyone: it applies to every sender`)

	f(`version: 1
internal_domains: [corp.example]
blocked_senders:
  - {id: broad, description: T-1002, option: block_sender, from: {type: everyone}, to: {type: everyone}}
  - {id: inbound, description: T-1003, option: block_sender, from: {type: external_addresses}, to: {type: internal_addresses}}
`, nil, `
4 broad too_broad: block_sender applies to all mail, from everyone to everyone
5 inbound too_broad: it blocks all mail from outside`)

	f(`version: 1
internal_domains: [corp.example]
groups:
  Vendors:
    members:
      - acme.example
blocked_senders:
  - {id: vendors, description: T-1001, option: block_sender, from: {type: profile_group, value: Vendors}, to: {type: internal_addresses}}
  - {id: one, description: T-1001, option: block_sender, from: {type: email_domain, value: one.example}, to: {type: internal_addresses}}
`, &Usage{Since: remedyNoon.AddDate(0, 0, -30), Policies: map[string]PolicyUse{"one": {Hits: 1}}, Domains: map[string]int{"mail.acme.example": 12, "acme.example": 3, "xacme.example": 4, "eu.one.example": 2}}, `
6  near_miss: group Vendors lists acme.example, which does not cover mail.acme.example: 12 messages came from there
8 vendors without_hits: no message of the last 30 days was decided by it
9 one near_miss: its from one.example does not cover eu.one.example: 2 messages came from there`)
}
