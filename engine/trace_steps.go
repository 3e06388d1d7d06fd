package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// Replay sends one message to one recipient through the policies as they were
// at an instant. Pure: no clock, no I/O. Remedies and Agreement are left
// empty; Why fills them.
func Replay(set *Set, m *mail.Message, at time.Time) Trace {
	set = set.orEmpty()
	t := Trace{Message: m.ID, PolicyVersion: set.version, AsOf: at, Steps: []Step{}, Remedies: []Remedy{}, PolicySet: set.completeness()}
	f := factsOf(m, at)
	if f.lacks(factRecipient) {
		t.Verdict = Verdict{Certainty: Undetermined, Missing: factRecipient.names()}
		return t
	}
	tr := &tracer{set: set, steps: []Step{}}
	t.Verdict = set.verdict(&f, tr)
	t.Steps = tr.steps
	set.noteAssumptions(&f, &t.Verdict)
	return t
}

// tracer writes down the steps of one run. All methods do nothing on nil, so
// that a run without a trace costs nothing.
type tracer struct {
	set   *Set
	steps []Step
}

func (t *tracer) tell(stage Stage, moment Moment, outcome StepOutcome, because string) {
	if t == nil {
		return
	}
	t.steps = append(t.steps, Step{Stage: stage, Moment: moment, Outcome: outcome, Policies: []Considered{}, Because: because})
}

func (t *tracer) skip(stage Stage, moment Moment, because string) {
	t.tell(stage, moment, StepSkip, because)
}

func (t *tracer) managed(moment Moment, e ManagedEntry, found bool, outcome StepOutcome, because string) {
	if t == nil {
		return
	}
	s := Step{Stage: StageManagedSenders, Moment: moment, Outcome: outcome, Policies: []Considered{}, Because: because}
	if !found {
		s.Because = "the recipient's own list does not name the sender"
		if t.set.file.known.partial["managed_senders"] {
			s.Outcome, s.Because = StepUnknown, "what is known of the recipient's own list does not name the sender; it is known in part only"
		}
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

// step writes down how a contest ended, with every policy that had to do with it.
func (t *tracer) step(w *walk, stage Stage, moment Moment, outcome StepOutcome, r result, because string) {
	if t == nil {
		return
	}
	s := Step{Stage: stage, Moment: moment, Outcome: outcome, Policies: []Considered{}, Because: because}
	table := t.set.tables[r.section]
	if table == nil {
		if outcome == StepPass && t.set.file.known.partial[string(r.section)] {
			s.Outcome, s.Because = StepUnknown, or(because, "the section is known in part only")
		}
		t.steps = append(t.steps, s)
		return
	}
	if r.winner != nil {
		id := r.winner.policy.ID
		s.Winner = &id
	}
	listed := w.concerned(table, moment)
	unsure := false
	for _, p := range listed {
		c := w.considered(p, moment, r)
		unsure = unsure || c.Matched == nil && p.Option == cautiousOption(r.section) && (r.winner == nil || c.Rank.weight(false) >= r.winner.weight[0])
		s.Policies = append(s.Policies, c)
	}
	if s.Outcome == StepPass && r.section != SectionPermittedSenders && (unsure || t.set.file.known.partial[string(r.section)]) && because == "" {
		s.Outcome = StepUnknown
	}
	s.NotMatching = len(table.policies) + len(table.extra) - len(listed)
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

// concerned lists the policies a step tells of: those whose sides match, in
// force or not, those that rest on what the log lacks, and near misses.
func (w *walk) concerned(t *contestTable, moment Moment) []*Policy {
	var list []*Policy
	seen := map[*Policy]bool{}
	add := func(p *Policy) {
		if !seen[p] {
			seen[p] = true
			list = append(list, p)
		}
	}
	for _, x := range append(t.indexes(), t.disabled) {
		for _, to := range w.recipient {
			side := x.byTo[to]
			if side == nil {
				continue
			}
			for _, from := range slices.Concat(w.header, w.envelope) {
				for _, e := range side.from[from] {
					add(e.policy)
				}
			}
			if moment == MomentRcpt || !w.facts.lacks(factHeaderFrom|factHeaderName) {
				continue
			}
			for _, e := range slices.Concat(side.headerBlow, side.headerCalm) {
				if w.facts.lacks(factHeaderFrom) || e.from.Type == HeaderDisplayName {
					add(e.policy)
				}
			}
		}
		for _, e := range x.unsure {
			if truth, _, _ := w.stands(e.policy, moment); truth == unknown {
				add(e.policy)
			}
		}
	}
	for i := range t.extra {
		if len(t.extra) <= mostNearMisses {
			add(&t.extra[i])
		}
	}
	misses := 0
	for _, sender := range []mail.Path{w.facts.envelope, w.facts.header} {
		domain := sender.Domain()
		_, parent, _ := strings.Cut(domain, ".")
		for _, d := range []string{domain, parent} {
			for _, p := range t.near[d] {
				if d != "" && !seen[p] && misses < mostNearMisses {
					misses++
					add(p)
				}
			}
		}
	}
	return list
}

// considered says how one policy stands to the message at a moment.
func (w *walk) considered(p *Policy, moment Moment, r result) Considered {
	f := w.facts
	truth, rank, why := w.stands(p, moment)
	c := Considered{ID: p.ID, Description: p.Description, Origin: p.Origin, Option: p.Option, Rank: rank}
	matched := func(b bool, because string) Considered {
		c.Matched, c.Because = &b, because
		return c
	}
	switch {
	case p.Disabled:
		return matched(false, "disabled")
	case !p.Since.IsZero() && f.at.Before(p.Since):
		return matched(false, "not in force before "+p.Since.UTC().Format(time.RFC3339))
	case !p.Until.IsZero() && !f.at.Before(p.Until):
		return matched(false, "ended "+p.Until.UTC().Format(time.RFC3339))
	case truth == no:
		return matched(false, why)
	case len(p.SourceIPs) > 0 && f.lacks(factClientIP) && !f.client.IsValid():
		c.Because = why + "; whether the client is in its source IPs is not logged"
		return c
	case len(p.SourceIPs) > 0 && !p.allowsClient(f.client):
		return matched(false, fmt.Sprintf("the client %s is outside its source IPs", f.client))
	case truth == unknown:
		c.Because = why
		return c
	case r.winner == nil || r.winner.policy.ID == p.ID:
		return matched(true, why)
	}
	return matched(true, why+"; loses to "+r.winner.policy.ID+": "+whyLost(c.Rank, r.winner.rank, w.set.file.engine.ToFirst))
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

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// ExplainPolicy says how the policy with this id stands to the message, also
// when it is one of those a trace only counts. ok is false for an unknown id.
func ExplainPolicy(set *Set, m *mail.Message, at time.Time, id string) (steps []Step, ok bool) {
	set = set.orEmpty()
	f := factsOf(m, at)
	plain := f.plain()
	w := &walk{}
	w.start(set, &plain, twist{}, nil)
	for _, p := range set.Policies() {
		if p.ID != id {
			continue
		}
		for _, moment := range []Moment{MomentRcpt, MomentData} {
			byEnvelope, byHeader := sides(moment, p.Section == SectionBlockedSenders && !set.file.engine.HeaderOnly)
			r := w.contest(p.Section, byEnvelope, byHeader)
			s := Step{Stage: stageOf(p.Section), Moment: moment, Outcome: StepPass, Policies: []Considered{w.considered(&p, moment, r)}}
			if r.winner != nil {
				s.Winner = &r.winner.policy.ID
			}
			steps = append(steps, s)
		}
		return steps, true
	}
	return nil, false
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
