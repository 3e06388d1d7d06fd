package engine

import (
	"iter"
	"slices"
	"strings"

	"mailwhy/engine/mail"
)

// unlisted stands for an address that nothing names.
const (
	unlistedLocal           = "unlisted-by-anything"
	unlisted      mail.Path = unlistedLocal + "@unlisted.invalid"
)

// threat is a sender that could end a message otherwise: an address, with a
// display name where a policy goes by that.
type threat struct {
	address mail.Path // "" = only the display name matters
	name    string
}

// senders yields a representative of every kind of sender that can fill in the
// addresses and the display name that were asked for.
//
// Why representatives are enough: let a sender H end otherwise than one that
// nothing names. Then some contest is decided by a policy p that H matches. Of
// the senders that match p, the one that matches least else (for a domain,
// somebody in it whom no other entry names) has no rival there that H has not,
// so p decides for it too, unless an earlier contest ends otherwise already.
// So one sender for each policy that can decide will do; those that cannot
// (a Take No Action where the message is let in anyway, a rank below that of
// the winner by envelope) are left out.
func (s *Set) senders(plain *facts, asked fact, d *decision) iter.Seq[*facts] {
	header := asked&factHeaderFrom != 0 && plain.lacks(factHeaderFrom)
	envelope := asked&factEnvelopeFrom != 0 && plain.lacks(factEnvelopeFrom)
	name := asked&factHeaderName != 0 && plain.lacks(factHeaderName)
	return func(yield func(*facts) bool) {
		first := *plain
		if !yield(&first) || !header && !envelope && !name {
			return
		}
		if envelope {
			s.envelopes(plain, name, d, yield)
			return
		}
		for t := range s.threats(plain, s.headerEntries(plain, d)) {
			c := *plain
			switch {
			case header && t.address != "":
				c.header = t.address
			case t.name == "":
				continue
			}
			if name {
				c.name = t.name
			}
			if !yield(&c) {
				return
			}
		}
	}
}

// envelopes yields the facts with each envelope sender, and where the display
// name is missing too with each of the names that policies go by: which names
// come to be looked at depends on the envelope.
func (s *Set) envelopes(plain *facts, name bool, d *decision, yield func(*facts) bool) {
	names := []string{plain.name}
	if name {
		for e := range s.headerEntries(plain, d) {
			if e.from.Type == HeaderDisplayName && !slices.Contains(names, e.from.Value) {
				names = append(names, e.from.Value)
			}
		}
	}
	with := func(envelope mail.Path) bool {
		for _, n := range names {
			c := *plain
			c.envelope, c.name = envelope, n
			if !yield(&c) {
				return false
			}
		}
		return true
	}
	for t := range s.threats(plain, s.envelopeEntries(plain)) {
		if !with(t.address) {
			return
		}
	}
	for _, external := range sortedKeys(s.autoSent[string(plain.recipient.Fold())]) { // Auto Allow goes by the envelope alone
		if !with(mail.Path(external)) {
			return
		}
	}
}

// threats yields senders: nobody in particular, outside (who matches what the
// null path does) and inside, then those that the entries name, then those of the recipient's own list.
func (s *Set) threats(plain *facts, entries iter.Seq[*entry]) iter.Seq[threat] {
	return func(yield func(threat) bool) {
		for _, p := range s.strangers {
			if !yield(threat{address: p}) {
				return
			}
		}
		for e := range entries {
			if e.from.Type == HeaderDisplayName {
				for _, p := range append([]mail.Path{""}, s.strangers...) {
					if !yield(threat{p, e.from.Value}) {
						return
					}
				}
			}
			for p := range s.samples(e.from) {
				if !yield(threat{address: p}) {
					return
				}
			}
		}
		for _, name := range s.listOf(plain.recipient) {
			if !yield(threat{address: addressIn(name)}) {
				return
			}
		}
	}
}

// strangersOf are senders that nothing names: one outside, one in each internal
// domain.
func strangersOf(f *file) []mail.Path {
	list := []mail.Path{unlisted}
	for _, domain := range sortedKeys(f.internal) {
		list = append(list, addressIn(domain))
	}
	return list
}

// addressIn gives the address a name stands for, or one in the domain.
func addressIn(name string) mail.Path {
	if strings.Contains(name, "@") {
		return mail.Path(name)
	}
	return mail.Path(unlistedLocal + "@" + name)
}

// headerEntries yields the entries that look at the header and could end the
// message otherwise than d, in each list those of the greatest rank first.
func (s *Set) headerEntries(plain *facts, d *decision) iter.Seq[*entry] {
	stopped := d.moment == MomentData
	order := 0
	if s.file.engine.ToFirst {
		order = 1
	}
	return func(yield func(*entry) bool) {
		for _, section := range sections {
			floor := uint32(0)
			if section == SectionBlockedSenders && !stopped {
				floor = s.floor(plain, d, order)
			}
			for side := range s.sidesFor(plain, section) {
				lists := [][]*entry{side.headerBlow}
				if stopped || section == SectionContentExamination {
					lists = append(lists, side.headerCalm)
				}
				for _, list := range lists {
					for _, e := range list {
						if e.weight[order] < floor && order == 0 {
							break
						}
						if e.policy.active(plain.at) && !yield(e) {
							return
						}
					}
				}
			}
		}
	}
}

// floor is the rank that a block by header has to reach to stop a message that
// a Take No Action let pass by envelope: that one takes part at data too.
func (s *Set) floor(plain *facts, d *decision, order int) uint32 {
	winner := d.atRcpt.winner
	if winner == nil || winner.twin != nil || plain.asked&factClientIP != 0 || plain.lacks(factEnvelopeFrom) || s.file.engine.HeaderOnly {
		return 0
	}
	return winner.weight[order]
}

// envelopeEntries yields every entry that looks at the envelope.
func (s *Set) envelopeEntries(plain *facts) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for _, section := range sections {
			for side := range s.sidesFor(plain, section) {
				for _, e := range side.all {
					if e.policy.FromPart != HeaderFrom && e.policy.active(plain.at) && !yield(e) {
						return
					}
				}
			}
		}
	}
}

// sidesFor yields the entries of a section for a recipient. Where groups or
// attributes are known in part, those that name one are for everybody.
func (s *Set) sidesFor(plain *facts, section Section) iter.Seq[*toSide] {
	return func(yield func(*toSide) bool) {
		t := s.tables[section]
		if t == nil {
			return
		}
		for _, x := range t.indexes() {
			for _, to := range s.keysOf(nil, plain.recipient, plain.at) {
				if side := x.byTo[to]; side != nil && !yield(side) {
					return
				}
			}
			if partial := s.file.known.partial; len(x.unsure) > 0 && (partial["groups"] || partial["attributes"]) {
				if !yield(&toSide{all: x.unsure, headerBlow: x.unsure}) {
					return
				}
			}
		}
	}
}

// samples yields addresses that satisfy a spec and as little else as can be.
func (s *Set) samples(spec Spec) iter.Seq[mail.Path] {
	return func(yield func(mail.Path) bool) {
		var names []string
		switch spec.Type {
		case FreeMailDomains:
			names = sortedKeys(s.file.freeMail)
		case EmailDomain:
			if !wildcard(spec) {
				names = []string{spec.Value}
				break
			}
			names = []string{unlistedLocal + spec.Value[1:]}
			for domain := range s.file.internal {
				if _, parent, _ := strings.Cut(domain, "."); parent == spec.Value[2:] {
					names = append(names, domain)
				}
			}
			slices.Sort(names)
		case IndividualAddress:
			names = []string{spec.Value}
		case ProfileGroup:
			names = s.file.groups[spec.Value]
		case AddressAttributeValue:
			for _, a := range s.file.attributes {
				names = append(names, a.address)
			}
		}
		for _, name := range names {
			if !yield(addressIn(name)) {
				return
			}
		}
	}
}

// listOf gives the senders in a recipient's own list, folded and sorted.
func (s *Set) listOf(recipient mail.Path) []string {
	folded := string(recipient.Fold())
	senders := sortedKeys(s.managed[folded])
	for _, c := range s.managedChanges[folded] {
		for _, e := range c.ManagedPut {
			senders = append(senders, foldMember(e.Sender))
		}
	}
	return senders
}
