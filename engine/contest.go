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
// sides ask for.
type contestTable struct {
	policies []Policy
	pairs    map[[2]key][]entry // best rank first
	byTo     map[key][]entry    // by the recipient's side alone
	extra    []Policy           // of exceptions: few, looked at one by one
	extras   []entry

	groupPolicies []*Policy            // that name a group on either side
	near          map[string][]*Policy // by the domain of one address: what a near miss is looked for in
	namesSenders  bool                 // some policy goes by display name
}

// entry is one policy in one direction: a bi-directional policy has two.
type entry struct {
	policy   *Policy
	from, to key
	rank     Rank
	end      int // in its list: where the entries alike end
}

// alike reports whether two entries of one pair differ by policy alone: then
// the first of them stands for all, but for the tie.
func (e *entry) alike(o *entry) bool {
	return e.rank == o.rank && e.policy.Option == o.policy.Option && e.policy.FromPart == o.policy.FromPart
}

func newContestTable(policies []Policy, book *addressBook, a Assumptions) *contestTable {
	t := &contestTable{policies: policies, pairs: map[[2]key][]entry{}, byTo: map[key][]entry{}, near: map[string][]*Policy{}}
	for i := range policies {
		for _, e := range entriesOf(&policies[i], book, a) {
			pair := [2]key{e.from, e.to}
			t.pairs[pair] = append(t.pairs[pair], e)
			t.byTo[e.to] = append(t.byTo[e.to], e)
		}
		t.note(&policies[i])
	}
	for _, list := range t.pairs {
		slices.SortFunc(list, func(x, y entry) int {
			return cmp.Or(compareRanks(y.rank, x.rank, false), compareText(x.policy.Option, y.policy.Option), compareText(string(x.policy.FromPart), string(y.policy.FromPart)), compareText(x.policy.ID, y.policy.ID))
		})
		end := len(list)
		for i := len(list) - 1; i >= 0; i-- {
			if i+1 < len(list) && !list[i].alike(&list[i+1]) {
				end = i + 1
			}
			list[i].end = end
		}
	}
	return t
}

// note keeps what is looked up outside the contest itself.
func (t *contestTable) note(p *Policy) {
	if p.From.Type == ProfileGroup || p.To.Type == ProfileGroup {
		t.groupPolicies = append(t.groupPolicies, p)
	}
	t.namesSenders = t.namesSenders || p.From.Type == HeaderDisplayName
	switch p.From.Type {
	case IndividualAddress:
		domain := mail.Path(p.From.Value).Domain()
		t.near[domain] = append(t.near[domain], p)
	case EmailDomain:
		domain := strings.TrimPrefix(p.From.folded().Value, "*.")
		t.near[domain] = append(t.near[domain], p)
	}
}

func (t *contestTable) extraPointers() []*Policy {
	pointers := make([]*Policy, len(t.extra))
	for i := range t.extra {
		pointers[i] = &t.extra[i]
	}
	return pointers
}

// with returns the table with more policies, which are looked at one by one.
func (t *contestTable) with(policies []Policy, a Assumptions) *contestTable {
	w := *t
	w.extra = append(slices.Clip(t.extra), policies...)
	w.extras = nil
	for i := range w.extra {
		w.extras = append(w.extras, entriesOf(&w.extra[i], nil, a)...)
		w.namesSenders = w.namesSenders || w.extra[i].From.Type == HeaderDisplayName
	}
	return &w
}

// entriesOf ranks a policy in each of its directions. Without a book the keys
// are left out and the sides are matched one by one.
func entriesOf(p *Policy, book *addressBook, a Assumptions) []entry {
	directions := [][2]Spec{{p.From, p.To}}
	if p.Bidirectional {
		directions = append(directions, [2]Spec{p.To, p.From})
	}
	var entries []entry
	for _, d := range directions {
		e := entry{policy: p, rank: rankOf(p, d[0], d[1], a)}
		if book != nil {
			e.from, e.to = book.id(d[0]), book.id(d[1])
		}
		entries = append(entries, e)
	}
	return entries
}

func rankOf(p *Policy, from, to Spec, a Assumptions) Rank {
	number := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return Rank{
		number(p.Override),
		slices.Index(a.Specificity, from.Type), slices.Index(a.Specificity, to.Type),
		number(!strings.HasPrefix(from.Value, "*.")), number(!strings.HasPrefix(to.Value, "*.")),
		number(len(p.SourceIPs) > 0),
	}
}

// compareRanks orders two ranks; toFirst compares the To side before the From.
func compareRanks(a, b Rank, toFirst bool) int {
	if toFirst {
		a[1], a[2] = a[2], a[1]
		b[1], b[2] = b[2], b[1]
		a[3], a[4] = a[4], a[3]
		b[3], b[4] = b[4], b[3]
	}
	return slices.Compare(a[:], b[:])
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

// candidate is a policy that takes part in a contest.
type candidate struct {
	policy   *Policy
	rank     Rank
	byHeader bool
}

// result is how a contest ended; winner is nil when nobody took part.
type result struct {
	winner           *Policy
	rank             Rank
	byHeader         bool
	tied             []*Policy // all at the top, when more than one
	dependsOnCompare bool
}

// decide picks the winner: the greatest rank; equal at the top, the cautious
// option, and among its policies the smallest id.
func decide(candidates []candidate, cautious string, toFirst bool) result {
	if len(candidates) == 0 {
		return result{}
	}
	r := pick(candidates, cautious, toFirst)
	other := pick(candidates, cautious, !toFirst)
	r.dependsOnCompare = r.winner.Option != other.winner.Option
	return r
}

func pick(candidates []candidate, cautious string, toFirst bool) result {
	top := candidates[0].rank
	for _, c := range candidates[1:] {
		if compareRanks(c.rank, top, toFirst) > 0 {
			top = c.rank
		}
	}
	var r result
	var tied []*Policy
	for _, c := range candidates {
		if compareRanks(c.rank, top, toFirst) != 0 {
			continue
		}
		tied = append(tied, c.policy)
		if r.winner == nil || betterOfTied(c.policy, r.winner, cautious) {
			r.winner, r.rank, r.byHeader = c.policy, c.rank, c.byHeader
		}
	}
	if len(tied) > 1 {
		slices.SortFunc(tied, func(a, b *Policy) int { return compareText(a.ID, b.ID) })
		r.tied = tied
	}
	return r
}

func betterOfTied(a, b *Policy, cautious string) bool {
	if (a.Option == cautious) != (b.Option == cautious) {
		return a.Option == cautious
	}
	return a.ID < b.ID
}
