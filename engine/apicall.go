package engine

import (
	"net/netip"
	"time"
)

// APICall is one request to the vendor's API that makes a change there: for a
// person to check and send, since what it leaves out (the account's key, the
// ids of groups) only the account knows.
type APICall struct {
	Version string `json:"version"` // "1" or "2.0"
	Method  string `json:"method"`
	Path    string `json:"path"`
	Body    any    `json:"body"`
	Note    string `json:"note,omitempty"` // what to know before sending it
}

// APICalls writes a change as requests of both versions of the vendor's API.
// It is empty where there is none: Permitted Senders policies have no API.
// Sources: the vendor's endpoint reference for v1, the API 2.0 catalogue.
func APICalls(c Change) []APICall {
	var calls []APICall
	group, member, relay := c.RelayMember()
	switch {
	case relay:
		calls = memberCalls("add", group, member)
	case len(c.Policies) > 0:
		for _, p := range c.Policies {
			if p.Section == SectionBlockedSenders {
				calls = append(calls, policyCalls(&p)...)
			}
		}
	}
	for _, e := range c.ManagedPut {
		calls = append(calls, APICall{Version: "1", Method: "POST", Path: "/api/managedsender/permit-or-block-sender",
			Body: dataOf(map[string]any{"sender": e.Sender, "to": e.Recipient, "action": e.Action})})
	}
	for _, e := range c.ManagedDelete {
		calls = append(calls, APICall{Version: "2.0", Method: "POST", Path: "/email/cloud-gateway/v1/managed-senders/recipients/" + e.Recipient + "/bulk-delete",
			Body: map[string]any{"senders": []string{e.Sender}}, Note: "the API lists no entries: check in the console that the entry reads as here"})
	}
	for _, g := range c.GroupRemove {
		calls = append(calls, memberCalls("remove", g.Group, g.Member)...)
	}
	return calls
}

// RelayMember is what a relay entry is at the vendor: not a policy but a member
// of the group that the default policy for relaying names (the vendor's
// article: add the outside recipient to the Relay group). ok is false for every
// other change.
func (c Change) RelayMember() (group, member string, ok bool) {
	if c.Kind != KindRelay || len(c.Policies) != 1 {
		return "", "", false
	}
	return groupRelay, c.Policies[0].To.Value, true
}

func dataOf(item any) map[string]any { return map[string]any{"data": []any{item}} }

// memberCalls put a member into a group or take it out.
func memberCalls(verb, group, member string) []APICall {
	what := "emailAddress"
	if specOfMember(member).Type == EmailDomain {
		what = "domain"
	}
	id := groupID(group)
	note := "look the id up first: POST /api/directory/find-groups {\"data\":[{\"query\":\"" + group + "\",\"source\":\"cloud\"}]}"
	second := APICall{Version: "2.0", Method: "POST", Path: "/directory/cloud-gateway/v1/groups/" + id + "/members", Body: map[string]any{what: member}, Note: note}
	if verb == "remove" {
		second.Path = "/directory/cloud-gateway/v1/groups/" + id + "/remove-members"
	}
	return []APICall{
		{Version: "1", Method: "POST", Path: "/api/directory/" + verb + "-group-member", Body: dataOf(map[string]any{"id": id, what: member}), Note: note},
		second,
	}
}

func groupID(name string) string { return "<id of group " + name + ">" }

// specOfMember is the spec a group's or list's entry stands for.
func specOfMember(member string) Spec {
	for _, r := range member {
		if r == '@' {
			return Spec{Type: IndividualAddress, Value: member}
		}
	}
	return Spec{Type: EmailDomain, Value: member}
}

// apiTime is the form of the vendor's dates.
const apiTime = "2006-01-02T15:04:05-0700"

func policyCalls(p *Policy) []APICall {
	networks := []string{}
	for _, n := range p.SourceIPs {
		networks = append(networks, networkText(n))
	}
	body := func(second bool) map[string]any {
		b := map[string]any{
			"description": p.Description, "fromPart": string(p.FromPart), "from": apiSide(p.From, second), "to": apiSide(p.To, second),
			"fromEternal": p.Since.IsZero(), "toEternal": p.Until.IsZero(), "override": p.Override, "bidirectional": p.Bidirectional,
		}
		from, to := "fromDate", "toDate"
		if second {
			from, to = "fromDateTime", "toDateTime"
		}
		setTime(b, from, p.Since)
		setTime(b, to, p.Until)
		return b
	}
	first, second := body(false), body(true)
	first["conditions"] = map[string]any{"sourceIPs": networks}
	second["option"], second["enabled"], second["sourceIPs"] = p.Option, !p.Disabled, networks
	note := ""
	if p.From.Type == ProfileGroup || p.To.Type == ProfileGroup {
		note = "look the group's id up first: POST /api/directory/find-groups"
	}
	return []APICall{
		{Version: "1", Method: "POST", Path: "/api/policy/blockedsenders/create-policy", Body: dataOf(map[string]any{"option": p.Option, "policy": first}), Note: note},
		{Version: "2.0", Method: "POST", Path: "/policy-management/cloud-gateway/v1/blocked-senders/policies", Body: second, Note: note},
	}
}

func setTime(body map[string]any, key string, at time.Time) {
	if !at.IsZero() {
		body[key] = at.UTC().Format(apiTime)
	}
}

func networkText(p netip.Prefix) string { return p.Masked().String() }

// apiSide is one side of a policy in the words of the API's version.
func apiSide(s Spec, second bool) map[string]any {
	side := map[string]any{"type": string(s.Type)}
	switch s.Type {
	case IndividualAddress:
		side["emailAddress"] = s.Value
	case EmailDomain:
		key := "emailDomain"
		if second {
			key = "domain"
		}
		side[key] = s.Value
	case ProfileGroup:
		if second {
			side["group"] = map[string]any{"id": groupID(s.Value)}
		} else {
			side["groupId"] = groupID(s.Value)
		}
	case HeaderDisplayName:
		side["headerDisplayName"] = s.Value
	case AddressAttributeValue:
		side["attribute"] = map[string]any{"value": s.Value}
	}
	return side
}
