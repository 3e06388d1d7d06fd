package engine

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// contestTable holds the policies of one section, indexed by what both their
// sides ask for. Those of exceptions lie in an index of their own on top.
type contestTable struct {
	section  Section
	policies []Policy // of the file, as written
	extra    []Policy // of exceptions
	files    *pairIndex
	extras   *pairIndex // nil without exceptions
	disabled *pairIndex // what is switched off, for traces

	near map[string][]*Policy // by the domain of one address: what a near miss is looked for in
}

// pairIndex finds the policies for a pair of keys.
type pairIndex struct {
	byTo   map[key]*toSide
	unsure []*entry // that ask for a group or an attribute on either side
}

// toSide holds the entries for one key of the recipient, each list best first.
type toSide struct {
	from       map[key][]*entry
	all        []*entry
	headerBlow []*entry // that look at the header and can stop a message
	headerCalm []*entry // that look at the header and let pass
	names      []*entry // that go by display name
}

// entry is one policy in one direction: a bi-directional policy has two.
type entry struct {
	policy   *Policy
	from, to Spec
	fromKey  key
	toKey    key
	rank     Rank
	weight   [2]uint32 // the rank as a number: From before To, To before From
	twin     *entry    // the other direction
	equals   []string  // see equalsIn
	sample   mail.Path // a sender who satisfies from and as little else as can be; "" where that takes the set
}

func newContestTable(section Section, policies []Policy, book *addressBook, a *Assumptions) *contestTable {
	t := &contestTable{section: section, policies: policies, near: map[string][]*Policy{}}
	t.files, t.disabled = newPairIndex(section, policies, false, book, a), newPairIndex(section, policies, true, book, a)
	for i := range policies {
		p := &policies[i]
		switch p.From.Type {
		case IndividualAddress:
			domain := mail.Path(p.From.Value).Domain()
			t.near[domain] = append(t.near[domain], p)
		case EmailDomain:
			domain := strings.TrimPrefix(p.From.folded().Value, "*.")
			t.near[domain] = append(t.near[domain], p)
		}
	}
	return t
}

// indexes gives what contests look policies up in.
func (t *contestTable) indexes() []*pairIndex {
	if t.extras == nil {
		return []*pairIndex{t.files}
	}
	return []*pairIndex{t.files, t.extras}
}

// with returns the table with the policies of exceptions.
func (t *contestTable) with(policies []Policy, book *addressBook, a *Assumptions) *contestTable {
	w := *t
	w.extra = policies
	w.extras = newPairIndex(t.section, policies, false, book, a)
	return &w
}

func newPairIndex(section Section, policies []Policy, disabled bool, book *addressBook, a *Assumptions) *pairIndex {
	x := &pairIndex{byTo: map[key]*toSide{}}
	for i := range policies {
		if policies[i].Disabled != disabled {
			continue
		}
		for _, e := range entriesOf(&policies[i], book, a) {
			side := x.byTo[e.toKey]
			if side == nil {
				side = &toSide{from: map[key][]*entry{}}
				x.byTo[e.toKey] = side
			}
			side.from[e.fromKey] = append(side.from[e.fromKey], e)
			side.all = append(side.all, e)
			if incomplete(e.from) || incomplete(e.to) {
				x.unsure = append(x.unsure, e)
			}
			if e.from.Type == HeaderDisplayName {
				side.names = append(side.names, e)
			}
		}
	}
	cautious := cautiousOption(section)
	best := func(a, b *entry) int {
		return cmp.Or(cmp.Compare(b.weight[0], a.weight[0]), compareTied(a.policy, b.policy, cautious))
	}
	slices.SortFunc(x.unsure, best)
	for _, side := range x.byTo {
		for _, list := range side.from {
			slices.SortFunc(list, best)
			equalsIn(list)
		}
		slices.SortFunc(side.all, best)
		for _, e := range side.all {
			switch {
			case e.policy.FromPart == EnvelopeFrom:
			case e.policy.Option == cautious:
				side.headerBlow = append(side.headerBlow, e)
			default:
				side.headerCalm = append(side.headerCalm, e)
			}
		}
	}
	return x
}

// incomplete reports whether a spec rests on a section that may be known in
// part: groups or attributes.
func incomplete(s Spec) bool { return s.Type == ProfileGroup || s.Type == AddressAttributeValue }

// cautiousOption is the one that is assumed to win a tie.
func cautiousOption(section Section) string {
	switch section {
	case SectionBlockedSenders:
		return OptionBlockSender
	case SectionPermittedSenders:
		return OptionNoAction
	}
	return OptionApply
}

// entriesOf ranks a policy in each of its directions.
func entriesOf(p *Policy, book *addressBook, a *Assumptions) []*entry {
	e := newEntry(p, p.From, p.To, book, a)
	if !p.Bidirectional {
		return []*entry{e}
	}
	swapped := newEntry(p, p.To, p.From, book, a)
	if swapped.fromKey == e.fromKey && swapped.toKey == e.toKey {
		return []*entry{e}
	}
	e.twin, swapped.twin = swapped, e
	return []*entry{e, swapped}
}

func newEntry(p *Policy, from, to Spec, book *addressBook, a *Assumptions) *entry {
	r := rankOf(p, from, to, a)
	e := &entry{policy: p, from: from.folded(), to: to.folded(), fromKey: book.id(from), toKey: book.id(to), rank: r, weight: [2]uint32{r.weight(false), r.weight(true)}}
	switch {
	case wildcard(e.from):
		e.sample = addressIn(unlistedLocal + e.from.Value[1:])
	case from.Type == IndividualAddress || from.Type == EmailDomain:
		e.sample = addressIn(e.from.Value)
	}
	return e
}

func rankOf(p *Policy, from, to Spec, a *Assumptions) Rank {
	number := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return Rank{
		number(p.Override),
		slices.Index(a.Specificity, from.Type), slices.Index(a.Specificity, to.Type),
		number(!wildcard(from)), number(!wildcard(to)),
		number(len(p.SourceIPs) > 0),
	}
}

// weight packs a rank into a number that compares as the rank does; toFirst
// puts the To side before the From.
func (r Rank) weight(toFirst bool) uint32 {
	if toFirst {
		r[1], r[2] = r[2], r[1]
		r[3], r[4] = r[4], r[3]
	}
	return uint32(r[0]<<16 | r[1]<<12 | r[2]<<8 | r[3]<<2 | r[4]<<1 | r[5])
}

// swapped exchanges two levels of specificity.
func (r Rank) swapped(levels [2]int) Rank {
	for _, side := range []int{1, 2} {
		switch r[side] {
		case levels[0]:
			r[side] = levels[1]
		case levels[1]:
			r[side] = levels[0]
		}
	}
	return r
}

// active reports whether the policy is switched on and inside its dates.
func (p *Policy) active(at time.Time) bool {
	return !p.Disabled && inForce(p.Since, p.Until, at)
}

// allowsClient reports whether the source IPs, if any, hold the client.
func (p *Policy) allowsClient(client netip.Addr) bool {
	return len(p.SourceIPs) == 0 || inPrefixes(p.SourceIPs, client)
}

func inPrefixes(prefixes []netip.Prefix, client netip.Addr) bool {
	if !client.IsValid() {
		return false
	}
	for _, prefix := range prefixes {
		if prefix.Contains(client) {
			return true
		}
	}
	return false
}

// compareTied orders policies of equal rank: the cautious option first, and
// among equal options the smallest id.
func compareTied(a, b *Policy, cautious string) int {
	switch {
	case (a.Option == cautious) == (b.Option == cautious):
		return compareText(a.ID, b.ID)
	case a.Option == cautious:
		return -1
	}
	return 1
}

// result is how a contest ended; winner is nil when nobody took part.
type result struct {
	winner   *entry
	byHeader bool   // the winner matched by the header from
	tied     bool   // others have the winner's rank
	other    *entry // who wins with the sides compared in the other order
	ended    uint32 // greatest weight of a policy that ended within the propagation time, plus one
	recent   bool   // a change within the propagation time decides
	section  Section

	byEnvelopes, byHeaders bool // which addresses of the sender took part
}

func (r *result) option() string {
	if r.winner == nil {
		return ""
	}
	return r.winner.policy.Option
}

// contest gathers the candidates of a section and picks the winner: the
// greatest rank; equal at the top, the cautious option, and among its policies
// the smallest id. Each address of the sender takes part where asked for; the
// header comes first because it is the one used when both match.
func (w *walk) contest(section Section, byEnvelope, byHeader bool) result {
	r := result{section: section, byEnvelopes: byEnvelope, byHeaders: byHeader}
	t := w.set.tables[section]
	if t == nil {
		return r
	}
	for _, x := range [...]*pairIndex{t.files, t.extras} {
		if x == nil {
			continue
		}
		if byHeader {
			w.askHeader(x)
		}
		if byEnvelope {
			w.facts.ask(factEnvelopeFrom)
		}
		for _, to := range w.recipient {
			side := x.byTo[to]
			if side == nil {
				continue
			}
			if byHeader {
				for _, from := range w.header {
					w.best(&r, side.from[from], true, false)
				}
			}
			if byEnvelope {
				for _, from := range w.envelope {
					w.best(&r, side.from[from], false, byHeader)
				}
			}
		}
		w.askIncomplete(x, byEnvelope, byHeader)
	}
	if r.winner == nil {
		r.recent = r.ended > 0
		return r
	}
	r.recent = r.ended > w.weight(r.winner, false) || w.set.recently(r.winner.policy.Since, w.facts.at) || w.set.recently(r.winner.policy.Changed, w.facts.at)
	return r
}

// best lets the best of one list take part: within a pair of keys only the
// best rank can win, so the rest of the list is left alone.
func (w *walk) best(r *result, list []*entry, byHeader, headerToo bool) {
	for i, e := range list {
		if !w.takesPart(r, e, byHeader, headerToo) {
			continue
		}
		w.challenge(r, e, byHeader)
		for _, next := range list[i+1:] {
			if next.weight[0] != e.weight[0] {
				return
			}
			if w.takesPart(r, next, byHeader, headerToo) {
				w.challenge(r, next, byHeader)
				if !w.twist.boldTie {
					return // a tie is seen, and the list is in the order of preference
				}
			}
		}
		return
	}
}

// takesPart reports whether a policy whose sides match is in force, looks at
// this address of the sender and applies to the client.
func (w *walk) takesPart(r *result, e *entry, byHeader, headerToo bool) bool {
	p := e.policy
	if byHeader && p.FromPart == EnvelopeFrom || !byHeader && p.FromPart == HeaderFrom {
		return false
	}
	if headerToo && p.FromPart == BothFrom && e.twin != nil && (w.headerMatches(e) || w.headerMatches(e.twin)) {
		return false // the header is the one used when both match
	}
	active := p.active(w.facts.at)
	if !active && !w.set.recently(p.Until, w.facts.at) {
		return false
	}
	if len(p.SourceIPs) > 0 {
		w.facts.askClient(p.SourceIPs)
		if !inPrefixes(p.SourceIPs, w.facts.client) {
			return false
		}
	}
	if !active {
		r.ended = max(r.ended, w.weight(e, false)+1)
	}
	return active
}

func (w *walk) headerMatches(e *entry) bool {
	return slices.Contains(w.header, e.fromKey) && slices.Contains(w.recipient, e.toKey)
}

// challenge compares a candidate with the best so far, in both orders.
func (w *walk) challenge(r *result, e *entry, byHeader bool) {
	if r.winner == nil {
		r.winner, r.other, r.byHeader = e, e, byHeader
		return
	}
	cautious := cautiousOption(r.section)
	if w.twist.boldTie {
		cautious = boldOption(r.section)
	}
	mine, best := w.weight(e, false), w.weight(r.winner, false)
	switch {
	case mine > best:
		r.winner, r.byHeader, r.tied = e, byHeader, false
	case mine == best && e.policy != r.winner.policy:
		r.tied = true
		if compareTied(e.policy, r.winner.policy, cautious) < 0 {
			r.winner, r.byHeader = e, byHeader
		}
	}
	mine, best = w.weight(e, true), w.weight(r.other, true)
	if mine > best || mine == best && compareTied(e.policy, r.other.policy, cautious) < 0 {
		r.other = e
	}
}

// boldOption is the other one of a tie.
func boldOption(section Section) string {
	if section == SectionPermittedSenders {
		return OptionPermitSender
	}
	return OptionNoAction
}

// weight gives an entry's rank as a number under the tables of this walk;
// other compares the sides in the order that is not in force.
func (w *walk) weight(e *entry, other bool) uint32 {
	toFirst := (w.set.file.engine.ToFirst != w.twist.otherCompare) != other
	if w.twist.swap[0] != w.twist.swap[1] {
		return e.rank.swapped(w.twist.swap).weight(toFirst)
	}
	if toFirst {
		return e.weight[1]
	}
	return e.weight[0]
}

// each calls f for every policy of a section that takes part by either address.
func (w *walk) each(section Section, byEnvelope, byHeader bool, f func(*entry, bool)) {
	t := w.set.tables[section]
	if t == nil {
		return
	}
	r := result{section: section}
	for _, x := range [...]*pairIndex{t.files, t.extras} {
		if x == nil {
			continue
		}
		for _, to := range w.recipient {
			side := x.byTo[to]
			if side == nil {
				continue
			}
			for _, keys := range [...]struct {
				from     []key
				byHeader bool
				on       bool
			}{{w.header, true, byHeader}, {w.envelope, false, byEnvelope}} {
				for _, from := range keys.from {
					for _, e := range side.from[from] {
						if keys.on && w.takesPart(&r, e, keys.byHeader, byHeader && !keys.byHeader) {
							f(e, keys.byHeader)
						}
					}
				}
			}
		}
	}
}

func (s *Set) recently(changed, at time.Time) bool {
	return !changed.IsZero() && !at.Before(changed) && at.Before(changed.Add(s.file.engine.Propagation))
}
