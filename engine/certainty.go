package engine

import (
	"slices"
	"time"

	"mailwhy/engine/mail"
)

// Decide is the verdict of Replay without its trace and the assumptions: what
// rows and counts use. With every fact known and addresses in lower case it
// allocates nothing.
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
	w := s.walks.get()
	defer s.walks.put(w)
	w.plain = f.plain()
	plain, d := &w.plain, &w.result
	if !plain.envelope.Known() && !plain.header.Known() {
		return Verdict{Certainty: Undetermined, Missing: (factEnvelopeFrom | factHeaderFrom).names()}
	}
	w.start(s, plain, twist{}, tr)
	w.run()
	rests := plain.asked // what the verdict shown rests on
	v := s.verdictOf(d)
	if v.Ambiguous {
		v.Tied = s.tied(plain, d)
	}
	switch {
	case plain.asked == 0 || s.everyCompletion(plain, d, tr != nil):
		plain.asked = 0
		v.Certainty = Certain
	case !completable(f, rests):
		v = Verdict{Certainty: Undetermined}
	default:
		v.Certainty = Likely
	}
	if (d.recent || s.changedRecently(plain)) && v.Certainty == Certain {
		v.Certainty = Likely
		v.Assumes = append(v.Assumes, "a change of the last "+s.file.engine.Propagation.String()+" had reached the gateway")
	}
	if plain.asked != 0 {
		names, known := s.lacking[plain.asked]
		if !known {
			names = plain.asked.names()
		}
		v.Missing = names
	}
	if d.compare && v.Outcome != nil {
		w.plain = f.plain()
		v.DependsOnCompare = s.run(plain, twist{otherCompare: true}, nil).outcome != d.outcome
	}
	return v
}

// changedRecently reports whether an exception changed the recipient's list for
// this sender, or a group for one of the addresses, within the propagation time.
func (s *Set) changedRecently(f *facts) bool {
	for _, c := range s.listChanges {
		if !s.recently(c.Since, f.at) && !s.recently(c.Until, f.at) {
			continue
		}
		names := func(member string, addresses ...mail.Path) bool {
			member = foldMember(member)
			return slices.ContainsFunc(addresses, func(p mail.Path) bool { return member == string(p.Fold()) || member == p.Domain() })
		}
		for _, e := range slices.Concat(c.ManagedPut, c.ManagedDelete) {
			if names(e.Recipient, f.recipient) && names(e.Sender, f.envelope, f.header) {
				return true
			}
		}
		for _, e := range c.GroupRemove {
			if names(e.Member, f.envelope, f.header, f.recipient) {
				return true
			}
		}
	}
	return false
}

// verdictOf words a decision. The outcome points into the set, so that nothing
// is allocated.
func (s *Set) verdictOf(d *decision) Verdict {
	v := Verdict{Outcome: s.outcome(d.outcome), Stage: d.stage, Moment: d.moment, Policy: d.policy, Ambiguous: d.contest.tied}
	v.Assumes = append(v.Assumes, d.notes...)
	return v
}

// outcome gives a pointer to a constant outcome.
func (s *Set) outcome(o mail.Outcome) *mail.Outcome {
	for i := range s.outcomes {
		if s.outcomes[i] == o {
			return &s.outcomes[i]
		}
	}
	other := o
	return &other
}

// completable reports whether there is something to complete the missing
// sender from: not from the null path, not from an address made for one
// message.
func completable(f *facts, asked fact) bool {
	return asked&factHeaderFrom == 0 || !f.envelope.Null() && !oneOff(f.envelope)
}
