package engine

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// mostCompletions bounds how many completions of missing facts are tried; past
// it a verdict is at most likely.
const mostCompletions = 4096

// Decide is the verdict of Replay without its trace: what rows and counts use.
func Decide(set *Set, m *mail.Message, at time.Time) Verdict {
	set = set.orEmpty()
	f := factsOf(m, at)
	if f.lacks(factRecipient) {
		return Verdict{Certainty: Undetermined, Missing: factRecipient.names()}
	}
	return set.verdict(&f, nil)
}

// verdict replays the plain completion and, where a missing fact was asked
// for, every other completion that could matter.
func (s *Set) verdict(f *facts, tr *tracer) Verdict {
	if s.unread {
		return Verdict{Certainty: Undetermined, Missing: []string{missingPolicies}}
	}
	plain := *f
	plain.client = f.client
	if f.lacks(factHeaderFrom) {
		plain.header = f.envelope
	}
	if f.lacks(factEnvelopeFrom) {
		plain.envelope = f.header
	}
	if !plain.envelope.Known() && !plain.header.Known() {
		return Verdict{Certainty: Undetermined, Missing: (factEnvelopeFrom | factHeaderFrom).names()}
	}
	d := s.run(&plain, twist{}, tr)
	v := verdictOf(d)
	if plain.asked == 0 {
		v.Certainty = Certain
	} else if s.everyCompletion(&plain, d) {
		v.Certainty = Certain
		plain.asked = 0
	} else {
		v.Certainty = Likely
	}
	if d.opaque && v.Certainty == Certain {
		v.Certainty = Likely
	}
	if d.recent && v.Certainty == Certain {
		v.Certainty = Likely
		v.Assumes = append(v.Assumes, "a change of the last "+s.file.engine.Propagation.String()+" had reached the gateway")
	}
	if v.Certainty == Likely && plain.asked != 0 && !completable(f, plain.asked) {
		v = Verdict{Certainty: Undetermined}
	}
	v.Missing = plain.asked.names()
	return v
}

func verdictOf(d decision) Verdict {
	outcome := d.outcome
	v := Verdict{Outcome: &outcome, Stage: d.stage, Moment: d.moment, Policy: d.policy, DependsOnCompare: d.contest.dependsOnCompare, Assumes: slices.Clone(d.notes)}
	for _, p := range d.contest.tied {
		v.Tied = append(v.Tied, p.ID)
	}
	v.Ambiguous = len(v.Tied) > 0
	return v
}

// completable reports whether there is something to complete the missing
// sender from: not from the null path, not from an address made for one
// message.
func completable(f *facts, asked fact) bool {
	if asked&factHeaderFrom != 0 && (f.envelope.Null() || oneOff(f.envelope)) {
		return false
	}
	return true
}

// askFor notes that a section known in part, or a check no log holds, could
// change the outcome.
func (f *facts) askFor(what fact) { f.asked |= what }

// askClient notes that the client's address is asked for and which ranges.
func (f *facts) askClient(prefixes []netip.Prefix) {
	if !f.lacks(factClientIP) {
		return
	}
	f.asked |= factClientIP
	for _, p := range prefixes {
		if !slices.Contains(f.ranges, p) {
			f.ranges = append(f.ranges, p)
		}
	}
}

// everyCompletion reports whether every completion of what was asked for ends
// as d does. What cannot be completed (a section known in part, a check
// without a model) counts as ending otherwise.
func (s *Set) everyCompletion(plain *facts, d decision) bool {
	for tried := 0; ; {
		if plain.asked&^completableFacts != 0 {
			return false
		}
		asked, ranges := plain.asked, len(plain.ranges)
		completions := s.completions(plain)
		if tried += len(completions); tried > mostCompletions || completions == nil {
			return false
		}
		for i := range completions {
			c := &completions[i]
			if !s.run(c, twist{}, nil).same(d) {
				return false
			}
			plain.asked |= c.asked
			plain.ranges = mergeRanges(plain.ranges, c.ranges)
		}
		if plain.asked == asked && len(plain.ranges) == ranges {
			return true
		}
	}
}

func mergeRanges(a, b []netip.Prefix) []netip.Prefix {
	for _, p := range b {
		if !slices.Contains(a, p) {
			a = append(a, p)
		}
	}
	return a
}

// completions lists representatives of every way to fill in the facts asked
// for: one address for each spec that could match, one client inside each
// range. nil when there are too many.
func (s *Set) completions(plain *facts) []facts {
	base := *plain
	base.envelopeKeys, base.headerKeys, base.recipientKeys = nil, nil, nil
	list := []facts{base}
	grow := func(n int, set func(*facts, int)) bool {
		if len(list)*n > mostCompletions {
			return false
		}
		var grown []facts
		for _, f := range list {
			for i := range n {
				c := f
				set(&c, i)
				grown = append(grown, c)
			}
		}
		list = grown
		return true
	}
	ok := true
	if plain.asked&factHeaderFrom != 0 && plain.lacks(factHeaderFrom) {
		addresses := s.representatives(plain, false)
		ok = ok && addresses != nil && grow(len(addresses), func(f *facts, i int) { f.header = addresses[i] })
	}
	if plain.asked&factEnvelopeFrom != 0 && plain.lacks(factEnvelopeFrom) {
		addresses := s.representatives(plain, true)
		ok = ok && addresses != nil && grow(len(addresses), func(f *facts, i int) { f.envelope = addresses[i] })
	}
	if plain.asked&factHeaderName != 0 && plain.lacks(factHeaderName) {
		names := append([]string{""}, s.displayNames()...)
		ok = ok && grow(len(names), func(f *facts, i int) { f.name = names[i] })
	}
	if plain.asked&factClientIP != 0 {
		clients := boundaries(plain.ranges)
		ok = ok && grow(len(clients), func(f *facts, i int) { f.client = clients[i] })
	}
	if plain.asked&factSPF != 0 {
		ok = ok && grow(2, func(f *facts, i int) { f.spfBypass = i == 1 })
	}
	if !ok {
		return nil
	}
	return list
}

// boundaries gives a client for every way to lie inside or outside of ranges
// that may nest: which hold an address changes only at the first address of
// one and behind its last.
func boundaries(ranges []netip.Prefix) []netip.Addr {
	clients := []netip.Addr{{}}
	for _, p := range ranges {
		first := p.Masked().Addr()
		bytes := first.AsSlice()
		for bit := p.Bits(); bit < len(bytes)*8; bit++ {
			bytes[bit/8] |= 0x80 >> (bit % 8)
		}
		clients = append(clients, first)
		if last, ok := netip.AddrFromSlice(bytes); ok && last.Next().IsValid() {
			clients = append(clients, last.Next())
		}
	}
	return clients
}

// representatives gives one sender address for each spec that a policy for
// this recipient could match it by, and one that nothing names.
func (s *Set) representatives(plain *facts, envelope bool) []mail.Path {
	seen := map[mail.Path]bool{"someone@unlisted.invalid": true}
	if envelope {
		seen[mail.NullPath] = true
	}
	for _, p := range []mail.Path{plain.envelope, plain.header} {
		if p.Known() && !p.Null() {
			seen[p.Fold()] = true
		}
	}
	for domain := range s.file.internal {
		seen[mail.Path("someone@"+domain)] = true
	}
	add := func(p *Policy) {
		if (envelope && p.FromPart == HeaderFrom) || (!envelope && p.FromPart == EnvelopeFrom) || !p.active(plain.at) {
			return
		}
		for _, spec := range []Spec{p.From, p.To} {
			for _, a := range s.samples(spec) {
				seen[a] = true
			}
		}
	}
	for _, section := range []Section{SectionAntiSpoofing, SectionBlockedSenders, SectionPermittedSenders} {
		t := s.tables[section]
		if t == nil {
			continue
		}
		for _, to := range plain.recipientKeys {
			for _, e := range t.byTo[to] {
				if add(e.policy); len(seen) > mostCompletions {
					return nil
				}
			}
		}
		for i := range t.extra {
			add(&t.extra[i])
		}
	}
	for _, e := range s.listOf(plain.recipient) {
		if strings.Contains(e, "@") {
			seen[mail.Path(e)] = true
			e = mail.Path(e).Domain()
		}
		seen[mail.Path("someone@"+e)] = true
	}
	addresses := make([]mail.Path, 0, len(seen))
	for a := range seen {
		addresses = append(addresses, a)
	}
	slices.Sort(addresses)
	return addresses
}

// samples gives addresses that satisfy a spec.
func (s *Set) samples(spec Spec) []mail.Path {
	folded := spec.folded()
	switch spec.Type {
	case FreeMailDomains:
		var each []mail.Path
		for _, domain := range sortedKeys(s.file.freeMail) {
			each = append(each, mail.Path("someone@"+domain))
		}
		return each
	case EmailDomain:
		return []mail.Path{mail.Path("someone@" + strings.Replace(folded.Value, "*.", "any.", 1))}
	case IndividualAddress:
		return []mail.Path{mail.Path(folded.Value)}
	case ProfileGroup:
		var members []mail.Path
		for _, m := range s.file.groups[spec.Value] {
			if !strings.Contains(m, "@") {
				m = "someone@" + m
			}
			members = append(members, mail.Path(m))
			if len(members) > mostCompletions {
				break
			}
		}
		return members
	case AddressAttributeValue:
		var holders []mail.Path
		for _, a := range s.file.attributes {
			holders = append(holders, mail.Path(a.address))
		}
		return holders
	}
	return nil
}

func (s *Set) displayNames() []string {
	var names []string
	for _, section := range []Section{SectionAntiSpoofing, SectionBlockedSenders} {
		t := s.tables[section]
		if t == nil {
			continue
		}
		for _, p := range append(slices.Clone(t.policies), t.extra...) {
			if p.From.Type == HeaderDisplayName && !slices.Contains(names, p.From.Value) {
				names = append(names, p.From.Value)
			}
		}
	}
	return names
}

// listOf gives the senders in a recipient's own list, folded.
func (s *Set) listOf(recipient mail.Path) []string {
	folded := string(recipient.Fold())
	var senders []string
	for sender := range s.managed[folded] {
		senders = append(senders, sender)
	}
	for _, c := range s.changes {
		for _, e := range c.ManagedPut {
			if string(mail.Path(e.Recipient).Fold()) == folded {
				senders = append(senders, foldMember(e.Sender))
			}
		}
	}
	return senders
}
