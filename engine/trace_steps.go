package engine

import (
	"fmt"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// Replay sends one message to one recipient through the policies as they were
// at an instant. Pure: no clock, no I/O. Remedies and Agreement are left
// empty; Why fills them.
func Replay(set *Set, m *mail.Message, at time.Time) Trace {
	set = set.orEmpty()
	t := Trace{Message: m.ID, PolicyVersion: set.version, AsOf: at, Remedies: []Remedy{}}
	f := factsOf(m, at)
	if f.lacks(factRecipient) {
		t.Steps = []Step{}
		t.Verdict = Verdict{Certainty: Undetermined, Missing: factRecipient.names()}
		return t
	}
	tr := &tracer{set: set, steps: []Step{}}
	f.allTies = true
	t.Verdict = set.verdict(&f, tr)
	t.Steps = tr.steps
	set.noteAssumptions(m, at, &t.Verdict)
	return t
}

// noteAssumptions turns each inferred table over and names those on which this
// verdict rests.
func (s *Set) noteAssumptions(m *mail.Message, at time.Time, v *Verdict) {
	if v.Outcome == nil {
		return
	}
	changes := func(t twist) bool {
		f := factsOf(m, at)
		if f.lacks(factHeaderFrom) {
			f.header = f.envelope
		}
		if f.lacks(factEnvelopeFrom) {
			f.envelope = f.header
		}
		return s.run(&f, t, nil).outcome != *v.Outcome
	}
	if v.DependsOnCompare = changes(twist{otherCompare: true}); v.DependsOnCompare {
		v.Assumes = append(v.Assumes, "the From side is compared before the To side")
	}
	if v.Stage != StageAntiSpoofing && changes(twist{otherContest: true}) {
		v.Assumes = append(v.Assumes, "which policies take part in the contest at data")
	}
	if v.Ambiguous && changes(twist{boldTie: true}) {
		v.Assumes = append(v.Assumes, "the cautious option wins a tie")
	}
	order := s.file.engine.Specificity
	for i := 2; i+2 < len(order); i++ { // the lowest two and the highest are documented
		if changes(twist{swap: [2]int{i, i + 1}}) {
			v.Assumes = append(v.Assumes, fmt.Sprintf("%s is more specific than %s", order[i+1], order[i]))
		}
	}
}

// tracer writes down the steps of one run. All methods do nothing on nil, so
// that a run without a trace costs nothing.
type tracer struct {
	set   *Set
	steps []Step
}

func (t *tracer) skip(stage Stage, moment Moment, because string) {
	if t == nil {
		return
	}
	t.steps = append(t.steps, Step{Stage: stage, Moment: moment, Outcome: StepSkip, Policies: []Considered{}, Because: because})
}

func (t *tracer) managed(w *walk, moment Moment, e ManagedEntry, found bool, outcome StepOutcome, because string) {
	if t == nil {
		return
	}
	s := Step{Stage: StageManagedSenders, Moment: moment, Outcome: outcome, Policies: []Considered{}, Because: because}
	if !found {
		s.Because = "the recipient's own list does not name the sender"
	} else {
		yes, id := true, managedID(e)
		s.Policies = append(s.Policies, Considered{ID: id, Origin: e.Origin, Option: e.Action, Matched: &yes, Because: fmt.Sprintf("%s has %s on the own list", e.Recipient, e.Sender)})
		if because == "" {
			s.Winner = &id
		}
	}
	t.steps = append(t.steps, s)
}

// mostNearMisses bounds how many policies that almost matched a step lists.
const mostNearMisses = 5

func (t *tracer) step(w *walk, stage Stage, moment Moment, section Section, outcome StepOutcome, r result, because string) {
	if t == nil {
		return
	}
	s := Step{Stage: stage, Moment: moment, Outcome: outcome, Policies: []Considered{}, Because: because}
	table := t.set.tables[section]
	if table == nil {
		t.steps = append(t.steps, s)
		return
	}
	if r.winner != nil {
		id := r.winner.ID
		s.Winner = &id
	}
	seen := map[*Policy]bool{}
	list := func(p *Policy) {
		if seen[p] {
			return
		}
		seen[p] = true
		c := t.set.considered(p, w.facts, moment, r)
		s.Policies = append(s.Policies, c)
	}
	for _, keys := range [][]key{w.facts.headerKeys, w.facts.envelopeKeys} {
		for _, from := range keys {
			for _, to := range w.facts.recipientKeys {
				for _, e := range table.pairs[[2]key{from, to}] {
					list(e.policy)
				}
			}
		}
	}
	for i := range table.extra {
		if c := t.set.considered(&table.extra[i], w.facts, moment, r); c.Matched == nil || *c.Matched || len(table.extra) <= mostNearMisses {
			list(&table.extra[i])
		}
	}
	nearMisses := 0
	for _, sender := range []mail.Path{w.facts.envelope, w.facts.header} {
		domain := sender.Domain()
		_, parent, _ := strings.Cut(domain, ".")
		for _, d := range []string{domain, parent} {
			for _, p := range table.near[d] {
				if d != "" && !seen[p] && nearMisses < mostNearMisses {
					nearMisses++
					list(p)
				}
			}
		}
	}
	s.NotMatching = len(table.policies) + len(table.extra) - len(seen)
	winnerFirst(s.Policies, s.Winner)
	t.steps = append(t.steps, s)
}

func winnerFirst(policies []Considered, winner *string) {
	for i := range policies {
		if winner != nil && policies[i].ID == *winner {
			w := policies[i]
			copy(policies[1:i+1], policies[:i])
			policies[0] = w
			return
		}
	}
}

// considered says how one policy stands to the message at a moment.
func (s *Set) considered(p *Policy, f *facts, moment Moment, r result) Considered {
	c := Considered{ID: p.ID, Description: p.Description, Origin: p.Origin, Option: p.Option, Rank: rankOf(p, p.From, p.To, s.file.engine)}
	matched := func(b bool, because string) Considered {
		c.Matched, c.Because = &b, because
		return c
	}
	sides, known, why := s.sides(p, f, moment)
	switch {
	case p.Disabled:
		return matched(false, "disabled")
	case !p.Since.IsZero() && f.at.Before(p.Since):
		return matched(false, "not in force before "+p.Since.UTC().Format(time.RFC3339))
	case !p.Until.IsZero() && !f.at.Before(p.Until):
		return matched(false, "ended "+p.Until.UTC().Format(time.RFC3339))
	case known && !sides:
		return matched(false, why)
	case len(p.SourceIPs) > 0 && f.lacks(factClientIP) && !f.client.IsValid():
		c.Because = why + "; whether the client is in its source IPs is not logged"
		return c
	case len(p.SourceIPs) > 0 && !p.allowsClient(f.client):
		return matched(false, fmt.Sprintf("the client %s is outside its source IPs", f.client))
	case !known:
		c.Because = why
		return c
	case r.winner == nil || r.winner == p:
		return matched(true, why)
	}
	return matched(true, why+"; loses to "+r.winner.ID+": "+whyLost(c.Rank, r.rank, s.file.engine.ToFirst))
}

func whyLost(mine, best Rank, toFirst bool) string {
	names := []string{"no Policy Override", "a less specific From", "a less specific To", "a wildcard From", "a wildcard To", "no source IPs"}
	order := []int{0, 1, 2, 3, 4, 5}
	if toFirst {
		order = []int{0, 2, 1, 4, 3, 5}
	}
	for _, i := range order {
		if mine[i] != best[i] {
			return names[i]
		}
	}
	return "equal rank, the other is named"
}

// sides compares both sides of a policy with the message. known is false when
// the answer rests on a header from that was not logged.
func (s *Set) sides(p *Policy, f *facts, moment Moment) (sides, known bool, why string) {
	var no string
	for _, swapped := range []bool{false, true} {
		if swapped && !p.Bidirectional {
			break
		}
		from, to := p.From, p.To
		if swapped {
			from, to = to, from
		}
		if ok, text := s.side(to, f.recipient, "", false, f.at); !ok {
			no = or(no, "to "+text)
			continue
		}
		_, toText := s.side(to, f.recipient, "", false, f.at)
		if moment != MomentRcpt && p.FromPart != EnvelopeFrom {
			ok, text := s.side(from, f.header, f.name, true, f.at)
			if f.lacks(factHeaderFrom) || from.Type == HeaderDisplayName && f.lacks(factHeaderName) {
				return false, false, "the header from is not logged"
			}
			if ok {
				return true, true, "header " + text + "; to " + toText
			}
			no = or(no, "header "+text)
		}
		if p.FromPart != HeaderFrom {
			ok, text := s.side(from, f.envelope, "", false, f.at)
			if ok {
				return true, true, text + "; to " + toText
			}
			no = or(no, text)
		}
	}
	return false, true, or(no, "looks at the header from, which is not known at this moment")
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// side says in words whether an address satisfies a spec, and by what.
func (s *Set) side(spec Spec, address mail.Path, name string, isHeader bool, at time.Time) (bool, string) {
	ok := s.matches(spec, address, name, isHeader, at)
	is := map[bool]string{true: "is", false: "is not"}[ok]
	switch spec.Type {
	case Everyone:
		return true, "everyone"
	case InternalAddresses:
		return ok, fmt.Sprintf("%s %s internal", address, is)
	case ExternalAddresses:
		return ok, fmt.Sprintf("%s %s external", address, is)
	case FreeMailDomains:
		return ok, fmt.Sprintf("%s %s a free mail address", address, is)
	case EmailDomain:
		return ok, fmt.Sprintf("%s %s in domain %s%s", address, is, spec.Value, subDomainHint(ok, address, spec))
	case ProfileGroup:
		member, in := s.membership(spec.Value, address, at)
		switch {
		case in && strings.Contains(member, "@"):
			return true, fmt.Sprintf("group %q lists %s", spec.Value, member)
		case in:
			return true, fmt.Sprintf("group %q lists the whole domain %s", spec.Value, member)
		}
		return false, fmt.Sprintf("group %q does not list %s", spec.Value, address)
	case AddressAttributeValue:
		return ok, fmt.Sprintf("%s %s marked %s", address, is, spec.Value)
	case HeaderDisplayName:
		return ok, fmt.Sprintf("display name %q %s %q", name, is, spec.Value)
	case IndividualAddress:
		return ok, fmt.Sprintf("%s %s %s", address, is, spec.Value)
	}
	return false, "unknown type " + string(spec.Type)
}

func subDomainHint(ok bool, address mail.Path, spec Spec) string {
	if !ok && strings.HasSuffix(address.Domain(), "."+spec.folded().Value) {
		return " (a domain does not cover its sub-domains)"
	}
	return ""
}

// ExplainPolicy says how the policy with this id stands to the message, also
// when it is one of those a trace only counts. ok is false for an unknown id.
func ExplainPolicy(set *Set, m *mail.Message, at time.Time, id string) (steps []Step, ok bool) {
	set = set.orEmpty()
	f := factsOf(m, at)
	plain := f
	if f.lacks(factHeaderFrom) {
		plain.header = f.envelope
	}
	tr := &tracer{set: set}
	w := &walk{set: set, facts: &plain}
	set.run(&plain, twist{}, nil)
	w.internalTo = set.Internal(plain.recipient)
	for _, p := range set.Policies() {
		if p.ID != id {
			continue
		}
		for _, moment := range []Moment{MomentRcpt, MomentData} {
			r := w.contest(p.Section, moment, OptionBlockSender)
			s := Step{Stage: stageOf(p.Section), Moment: moment, Outcome: StepPass, Policies: []Considered{set.considered(&p, &plain, moment, sameWinner(r, &p))}}
			if r.winner != nil {
				s.Winner = &r.winner.ID
			}
			tr.steps = append(tr.steps, s)
		}
		return tr.steps, true
	}
	return nil, false
}

// sameWinner lets a copy of the winning policy be recognised as the winner.
func sameWinner(r result, p *Policy) result {
	if r.winner != nil && r.winner.ID == p.ID {
		r.winner = p
	}
	return r
}

func stageOf(section Section) Stage {
	switch section {
	case SectionAntiSpoofingSPF:
		return StageAntiSpoofing
	case SectionContentExamination:
		return StageContent
	}
	return Stage(section)
}
