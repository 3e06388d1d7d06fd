package engine

import (
	"slices"

	"mailwhy/engine/mail"
)

// decision is how one completion of the facts ends.
type decision struct {
	outcome mail.Outcome
	stage   Stage
	moment  Moment
	policy  string

	contest result // the contest that decided, or the last one of Blocked Senders
	atRcpt  result // the contest of Blocked Senders at rcpt
	compare bool   // somewhere the other order of the sides names another option
	recent  bool   // a policy that matters changed within the propagation time
	notes   []string
}

func (d *decision) same(o *decision) bool {
	return d.outcome == o.outcome && d.stage == o.stage && d.policy == o.policy
}

// twist turns one inferred table over, to see whether a verdict rests on it.
type twist struct {
	gate         bool // a gate of ours decides: the mail server asks its own rules itself
	otherCompare bool
	otherContest bool   // data_contest
	swap         [2]int // of specificity
	boldTie      bool
	order        []Slot // instead of the set's
}

// walk is one run through the stages.
type walk struct {
	set    *Set
	facts  *facts
	twist  twist
	trace  *tracer // nil when only the decision is wanted
	result decision

	internalTo bool
	permit     permit
	plain      facts // where the plain completion is kept

	recipient, envelope, header []key
	room                        [3][16]key // where the keys usually fit
}

// run sends one completion through the stages in order.
func (s *Set) run(f *facts, t twist, tr *tracer) decision {
	w := s.walks.get()
	defer s.walks.put(w)
	w.start(s, f, t, tr)
	w.run()
	return w.result
}

// runUntil is run up to the last stage of a moment.
func (s *Set) runUntil(f *facts, t twist, tr *tracer, last Moment) decision {
	t.order, t.gate = s.file.engine.Order, true
	if end := slices.IndexFunc(t.order, func(slot Slot) bool { return slot.Moment.after(last) }); end >= 0 {
		t.order = t.order[:end]
	}
	return s.run(f, t, tr)
}

// run goes through the stages; how it ends is in w.result.
func (w *walk) run() {
	order := w.set.file.engine.Order
	if w.twist.order != nil {
		order = w.twist.order
	}
	if len(w.set.file.site) > 0 && !w.twist.gate && w.siteRules() {
		return
	}
	for _, slot := range order {
		if w.decide(slot) {
			return
		}
	}
	if len(w.set.file.site) > 0 && !w.twist.gate && w.siteHeaders() {
		return
	}
	w.result.outcome, w.result.stage, w.result.moment, w.result.policy = mail.Accepted, "", "", ""
}

func (w *walk) start(s *Set, f *facts, t twist, tr *tracer) {
	w.set, w.facts, w.twist, w.trace = s, f, t, tr
	w.internalTo = s.Internal(f.recipient)
	w.recipient = s.keysOf(w.room[0][:0], f.recipient, f.at)
	w.envelope = s.keysOf(w.room[1][:0], f.envelope, f.at)
	w.keysOfHeader()
}

// keysOfHeader finds the keys of the header from and the display name, and what
// a guess adds to those of all addresses.
func (w *walk) keysOfHeader() {
	s, f := w.set, w.facts
	if f.header == f.envelope {
		w.header = append(w.room[2][:0], w.envelope...)
	} else {
		w.header = s.keysOf(w.room[2][:0], f.header, f.at)
	}
	if f.guess.fromKey != 0 || f.guess.toKey != 0 {
		w.assume(f.guess)
	}
	if k, ok := s.book.keyOfName(f.name); ok {
		w.header = append(w.header, k)
	}
}

// decide runs one stage at one moment and reports whether it ends the walk.
func (w *walk) decide(slot Slot) bool {
	switch slot.Stage {
	case StageAntiSpoofing:
		return w.antiSpoofing(slot.Moment)
	case StageBlockedSenders:
		return w.blockedSenders(slot.Moment)
	case StageManagedSenders:
		return w.managedSenders(slot.Moment)
	case StagePermittedSenders:
		return w.permittedSenders(slot.Moment)
	case StageReputation:
		return w.reputation(slot.Moment)
	case StageGreylisting:
		return w.greylisting(slot.Moment)
	case StageDNSAuthentication:
		return w.dnsAuthentication(slot.Moment)
	case StageContent:
		return w.contentExamination(slot.Moment)
	}
	w.reported(slot)
	return false
}

// stop ends the walk with an outcome.
func (w *walk) stop(outcome mail.Outcome, stage Stage, moment Moment, policy string, r result) bool {
	w.result.outcome, w.result.stage, w.result.moment, w.result.policy, w.result.contest = outcome, stage, moment, policy, r
	w.rests(r)
	return true
}

// rests notes that the decision rests on how a contest ended.
func (w *walk) rests(r result) {
	w.result.recent = w.result.recent || r.recent
	if r.winner != nil && (r.winner.policy.Option != r.other.policy.Option || r.winner.policy.DNS != r.other.policy.DNS) {
		w.result.compare = true
	}
}

// partial reports whether a section is known in part only.
func (w *walk) partial(section string) bool {
	known := w.set.file.known.partial
	return len(known) > 0 && known[section]
}

// sides says which addresses of the sender take part in a contest at a moment:
// the envelope at rcpt, the header at data, and both where the text says so.
func sides(moment Moment, either bool) (byEnvelope, byHeader bool) {
	if moment == MomentRcpt {
		return true, false
	}
	return either, true
}
