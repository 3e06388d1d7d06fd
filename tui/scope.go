package tui

import (
	"slices"
	"strings"

	"mailwhy/engine"
)

// newFields are the fields a kind of exception has, in the order of the sheet.
func (sh *sheet) newFields(kind engine.Kind, remedies []engine.Remedy) []*field {
	scopes := scopesOf(kind, remedies)
	fields := []*field{
		{part: partAction, choices: actions(kind)},
		{part: partFrom, choices: sh.senders(kind)},
		{part: partTo, choices: sh.recipients(kind, scopes)},
	}
	if kind == engine.KindBypass || kind == engine.KindPermit {
		fields = append(fields,
			&field{part: partAddress, choices: []choice{
				{string(engine.EnvelopeFrom), "envelope from", "the address the server was given"},
				{string(engine.HeaderFrom), "header from", "anyone can forge it"},
				{string(engine.BothFrom), "either", "the header's can be forged"},
			}},
			&field{part: partClient, choices: sh.clients()})
	}
	return append(fields,
		&field{part: partUntil, choices: sh.ends()},
		&field{part: partTicket, input: newInput("")},
		&field{part: partReason, input: newInput("")},
		&field{part: partCancel},
		&field{part: partCreate})
}

// actions are the kinds one sheet can make.
func actions(kind engine.Kind) []choice {
	switch kind {
	case engine.KindBypass:
		return []choice{{string(kind), "bypass", "Take No Action: this block is not applied"}}
	case engine.KindPermit:
		return []choice{{string(kind), "permit", "Permitted Senders: no block is lifted by it"}}
	case engine.KindRelay:
		return []choice{{string(kind), "relay", "let in from outside to an outside address"}}
	}
	return []choice{
		{string(engine.KindManagedPermit), "permit", "in the recipient's own list"},
		{string(engine.KindManagedDelete), "delete the entry", "in the recipient's own list"},
		{string(engine.KindManagedBlock), "block", "in the recipient's own list"},
	}
}

func scopesOf(kind engine.Kind, remedies []engine.Remedy) []string {
	var scopes []string
	for _, r := range remedies {
		if keyOf(r.Kind) == keyOf(kind) {
			scopes = append(scopes, r.Scope)
		}
	}
	return scopes
}

func (sh *sheet) senders(kind engine.Kind) []choice {
	address := firstPath(sh.m.EnvelopeFrom, sh.m.HeaderFrom)
	all := []choice{{"sender", firstOf(string(address), "the sender"), "this exact address"}}
	if domain := address.Domain(); domain != "" && kind != engine.KindRelay {
		all = append(all, choice{"domain", domain, "everyone in this domain"})
	}
	return all
}

func (sh *sheet) recipients(kind engine.Kind, scopes []string) []choice {
	all := []choice{{"recipient", recipient(sh.m), "this recipient"}}
	if kind != engine.KindBypass && kind != engine.KindPermit {
		return all
	}
	for _, scope := range scopes {
		pair, _, _ := strings.Cut(scope, ",")
		_, to, _ := strings.Cut(pair, ">")
		group, ok := strings.CutPrefix(to, "group:")
		if ok && !slices.ContainsFunc(all, func(c choice) bool { return c.value == to }) {
			all = append(all, choice{to, group, "a group the recipient is in"})
		}
	}
	return append(all, choice{"all", "all recipients", "everyone inside"})
}

func (sh *sheet) clients() []choice {
	all := []choice{{"", "any client", ""}}
	if ip := sh.m.Client.IP; ip != "" {
		all = append(all, choice{"ip", ip, "only from this address"})
	}
	return all
}

func (sh *sheet) ends() []choice {
	now := sh.s.now().In(sh.s.loc)
	day := func(n int) string { return now.AddDate(0, 0, n).Format("02 Jan 2006") }
	return []choice{
		{"30", day(30), "30 days"}, {"90", day(90), "90 days"}, {"365", day(365), "a year"},
		{"never", "never", "for admins, with a reason"}, {"1", day(1), "a day"}, {"7", day(7), "a week"},
	}
}

// fillIn sets the fields to a remedy's kind and scope; what the sheet has no
// field for stays at its default.
func (sh *sheet) fillIn(kind engine.Kind, scope string) {
	sh.set(partAction, string(kind))
	parsed, err := engine.ParseScope(scope)
	if scope == "" || err != nil {
		return
	}
	sh.set(partFrom, parsed.From)
	sh.set(partTo, parsed.To)
	sh.set(partAddress, string(parsed.FromPart))
	if parsed.IP {
		sh.set(partClient, "ip")
	}
}

func (sh *sheet) set(p part, value string) {
	i := sh.index(p)
	if i < 0 {
		return
	}
	f := sh.fields[i]
	if at := slices.IndexFunc(f.choices, func(c choice) bool { return c.value == value }); at >= 0 {
		f.picked = at
	}
}

// scopeText is the scope of the fields in the grammar of --scope.
func (sh *sheet) scopeText() string {
	text := sh.value(partFrom) + ">" + sh.value(partTo)
	switch engine.FromPart(sh.value(partAddress)) {
	case engine.HeaderFrom:
		text += ",header"
	case engine.BothFrom:
		text += ",both"
	}
	if sh.value(partClient) == "ip" {
		text += ",ip"
	}
	return text
}

// remedy is the replayed remedy the fields describe, if there is one.
func (sh *sheet) remedy() (engine.Remedy, bool) {
	kind, scope := engine.Kind(sh.value(partAction)), sh.scopeText()
	for _, r := range sh.detail.then.Remedies {
		if r.Kind == kind && (r.Scope == scope || kind != engine.KindBypass && kind != engine.KindPermit) {
			return r, true
		}
	}
	return engine.Remedy{}, false
}
