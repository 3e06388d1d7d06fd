package engine

import (
	"maps"
	"slices"

	"mailwhy/engine/mail"
)

// choice is one fact to fill in: n ways beside the one there is.
type choice struct {
	n   int
	set func(*given, int)
}

// fill yields every combination of the choices, that of none first.
func fill(g given, choices []choice, yield func(given) bool) bool {
	if len(choices) == 0 {
		return yield(g)
	}
	if !fill(g, choices[1:], yield) {
		return false
	}
	for i := range choices[0].n {
		c := g
		choices[0].set(&c, i)
		if !fill(c, choices[1:], yield) {
			return false
		}
	}
	return true
}

// missing lists what a message lacks.
func (r reference) missing(m mail.Message, universe []mail.Path) (all []choice) {
	vary := func(n int, set func(*given, int)) { all = append(all, choice{n, set}) }
	if m.HeaderFrom == "" {
		vary(len(universe), func(g *given, i int) { g.header = universe[i] })
	}
	if m.EnvelopeFrom == "" {
		envelopes := append(slices.Clone(universe), mail.NullPath)
		vary(len(envelopes), func(g *given, i int) { g.envelope = envelopes[i] })
	}
	if m.HeaderFromName == "" && r.namesSenders() {
		names := []string{"Boss", "Bank"}
		vary(len(names), func(g *given, i int) { g.name = names[i] })
	}
	if m.Client.IP == "" {
		ips := []string{"198.51.100.1", "198.51.100.200", "192.0.2.1"}
		vary(len(ips), func(g *given, i int) { g.ip = ips[i] })
	}
	if len(r.f.policies[SectionAntiSpoofingSPF]) > 0 {
		vary(1, func(g *given, _ int) { g.bypass = true })
	}
	if len(r.f.policies[SectionDNSAuthentication]) > 0 {
		if m.Auth.SPF == "" {
			vary(1, func(g *given, _ int) { g.auth.SPF = "fail" })
		}
		if m.Auth.DKIM == "" {
			vary(1, func(g *given, _ int) { g.auth.DKIM = "fail" })
		}
		if m.Auth.DMARC == "" {
			vary(1, func(g *given, _ int) { g.auth.DMARC = "fail" })
		}
		vary(2, func(g *given, i int) { g.record = []mail.Outcome{mail.Held, mail.Rejected}[i] })
	}
	return all
}

// namesSenders reports whether a policy goes by display name.
func (r reference) namesSenders() bool {
	for _, policies := range r.f.policies {
		if slices.ContainsFunc(policies, func(p Policy) bool { return p.From.Type == HeaderDisplayName }) {
			return true
		}
	}
	return false
}

// inPart lists what sections known in part may hold beside what is known: every
// membership of the three addresses, every entry of the recipient's list.
func (r reference) inPart(g given) (all []choice) {
	if r.f.known.partial["groups"] {
		for _, a := range slices.Compact([]mail.Path{g.envelope, g.header, g.recipient}) {
			for group, members := range r.f.groups {
				if a == "<>" || slices.Contains(members, string(a)) || slices.Contains(members, domainOf(a)) {
					continue
				}
				all = append(all, choice{1, func(c *given, _ int) {
					c.members = maps.Clone(c.members)
					if c.members == nil {
						c.members = map[[2]string]bool{}
					}
					c.members[[2]string{string(a), group}] = true
				}})
			}
		}
	}
	if r.f.known.partial["managed_senders"] {
		for _, a := range slices.Compact([]mail.Path{g.envelope, g.header}) {
			for _, name := range []string{string(a), domainOf(a)} {
				if a == "<>" || slices.ContainsFunc(r.f.managed, func(e ManagedEntry) bool { return e.Recipient == string(g.recipient) && e.Sender == name }) {
					continue
				}
				all = append(all, choice{2, func(c *given, i int) {
					c.listed = maps.Clone(c.listed)
					if c.listed == nil {
						c.listed = map[string]string{}
					}
					c.listed[name] = []string{"block", "permit"}[i]
				}})
			}
		}
	}
	return all
}

// verdict is certain when every completion ends alike and none passes a stage
// of which nobody knows; else the plain one is likely, where there is one.
func (r reference) verdict(m mail.Message, universe []mail.Path) (ending, Certainty) {
	plain := given{envelope: m.EnvelopeFrom, header: m.HeaderFrom, recipient: m.Recipient, name: m.HeaderFromName, ip: m.Client.IP, auth: m.Auth, record: mail.Accepted, greylisted: m.Reported.Type != ""}
	if plain.header == "" {
		plain.header = plain.envelope
	}
	if plain.envelope == "" {
		plain.envelope = plain.header
	}
	shown, unsure := r.run(plain)
	certain := fill(plain, r.missing(m, universe), func(g given) bool {
		return fill(g, r.inPart(g), func(g given) bool {
			e, unsure := r.run(g)
			return !unsure && e == shown
		})
	}) && !unsure
	switch {
	case certain:
		return shown, Certain
	case m.EnvelopeFrom == "<>" && m.HeaderFrom == "" && r.needsHeader(plain):
		return ending{}, Undetermined
	}
	return shown, Likely
}

// needsHeader reports whether the plain reading comes to something that looks
// at the header from.
func (r reference) needsHeader(g given) bool {
	if _, _, stopped := r.atRcpt(g); stopped {
		return false
	}
	toInternal := r.isInternal(g.recipient)
	for section, policies := range r.f.policies {
		switch section {
		case SectionAntiSpoofing, SectionDNSAuthentication:
			if !toInternal {
				continue
			}
		case SectionBlockedSenders, SectionContentExamination:
		default:
			continue
		}
		for _, p := range policies {
			h := given{members: g.members}
			perhaps := func(s Spec) bool { return s.Type == ProfileGroup && r.f.known.partial["groups"] }
			forUs := r.matches(p.To, g.recipient, h, false) || perhaps(p.To) || p.Bidirectional && (r.matches(p.From, g.recipient, h, false) || perhaps(p.From))
			dated := p
			dated.SourceIPs = nil
			if p.FromPart != EnvelopeFrom && forUs && r.inForce(dated, g) {
				return true
			}
		}
	}
	if toInternal && r.f.known.partial["managed_senders"] {
		return true
	}
	return toInternal && slices.ContainsFunc(r.f.managed, func(e ManagedEntry) bool { return e.Recipient == string(g.recipient) })
}
