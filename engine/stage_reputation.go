package engine

// ReputationRule is what a reputation policy adds to the common fields.
type ReputationRule struct {
	Hits int // block lists that must name the client, from 1
}

// reputation refuses clients that block lists name. The lists of that day and
// the vendor's global permitted list are in no log, so where a policy applies
// to a sender that is not permitted the stage is unknown.
func (w *walk) reputation(moment Moment) bool {
	r, on := w.applied(StageReputation, SectionReputation, moment)
	if on {
		w.unknown(StageReputation, SectionReputation, moment, r, "which block lists named the client then is in no log")
	}
	return false
}

// applied holds the contest of a section that a permit lifts; on tells that a
// policy applies to the message, or that one of a section known in part may.
func (w *walk) applied(stage Stage, section Section, moment Moment) (r result, on bool) {
	partial := w.partial(string(section))
	if w.set.tables[section] == nil && !partial {
		return r, false
	}
	if !w.internalTo {
		w.trace.skip(stage, moment, "the recipient is not internal")
		return r, false
	}
	r = w.contest(section, true, false)
	w.rests(r)
	if r.option() != OptionApply && !partial {
		w.trace.step(w, stage, moment, StepPass, r, "")
		return r, false
	}
	if w.lifts() {
		w.trace.skip(stage, moment, "the sender is permitted")
		return r, false
	}
	return r, true
}

// unknown notes a stage that cannot be replayed: no verdict behind it is certain.
func (w *walk) unknown(stage Stage, section Section, moment Moment, r result, because string) {
	w.facts.askFor(sectionFact(section))
	w.trace.step(w, stage, moment, StepUnknown, r, because)
}
