package engine

import (
	"net/netip"
	"slices"

	"mailwhy/engine/mail"
)

// InternalDomains lists the registered internal domains, folded and sorted.
func (s *Set) InternalDomains() []string {
	var domains []string
	for d := range s.orEmpty().file.internal {
		domains = append(domains, d)
	}
	slices.Sort(domains)
	return domains
}

// FreeMail reports whether the policy file counts a folded domain among those
// where anybody gets a mailbox.
func (s *Set) FreeMail(domain string) bool { return s.orEmpty().file.freeMail[domain] }

// AuthorisedOutbound lists the networks of the clients that relay for us.
func (s *Set) AuthorisedOutbound() []netip.Prefix { return s.orEmpty().file.outbound }

// Group returns the members of a group, addresses and domains as folded; known
// is false when the policy file has no group of that name, which is
// case-sensitive. Members that an exception took out are listed still.
func (s *Set) Group(name string) (members []string, known bool) {
	members, known = s.orEmpty().file.groups[name]
	return members, known
}

// InGroup reports whether an address is in a group, by itself or by its whole
// domain, with the exceptions of the set in force for ever.
func (s *Set) InGroup(name string, address mail.Path) bool {
	members, _ := s.Group(name)
	folded, domain := string(address.Fold()), address.Domain()
	return slices.ContainsFunc(members, func(m string) bool {
		m = foldMember(m)
		return m == folded || domain != "" && m == domain
	})
}

// Correspondents are the folded outside domains that the policies know as
// welcome: those of permitted senders and of addresses our people write to.
func (s *Set) Correspondents() []string {
	s = s.orEmpty()
	known := map[string]bool{}
	for _, p := range s.file.policies[SectionPermittedSenders] {
		switch p.From.Type {
		case IndividualAddress:
			known[mail.Path(p.From.Value).Domain()] = true
		case EmailDomain:
			known[p.From.folded().Value] = true
		}
	}
	for _, a := range s.file.autoAllow {
		known[mail.Path(a.external).Domain()] = true
	}
	var domains []string
	for d := range known {
		if d != "" && !s.file.internal[d] && !s.FreeMail(d) {
			domains = append(domains, d)
		}
	}
	slices.Sort(domains)
	return domains
}
