package engine

import "time"

// autoAllow is a pair of which the internal address wrote to the external one.
type autoAllow struct {
	internal, external string
	lastSent           time.Time
}

// autoAllowLife is how long an Auto Allow entry lives after the last message
// to the address (domain 3, Auto Allow).
const autoAllowLife = 120 * 24 * time.Hour

// permit is what the Permitted Senders policies and Auto Allow say of the
// envelope: found when a stage first asks.
type permit struct {
	known  bool
	result result
	policy bool // a Permitted Senders policy won by envelope: it beats the user's block
	auto   bool // Auto Allow
	set    bool // the stage has run, so that stages behind it know
	lost   bool // DNS authentication told to ignore permits
}

// permitted holds the contest of Permitted Senders by envelope.
func (w *walk) permitted() *permit {
	p := &w.permit
	if !p.known {
		p.known = true
		p.result = w.contest(SectionPermittedSenders, true, false)
		p.policy = p.result.option() == OptionPermitSender
		p.auto = w.autoAllowed()
	}
	return p
}

func (w *walk) autoAllowed() bool {
	if len(w.set.autoSent) == 0 {
		return false
	}
	sent, ok := w.set.autoSent[string(w.facts.recipient.Fold())][string(w.facts.envelope.Fold())]
	return ok && !w.facts.at.Before(sent) && w.facts.at.Before(sent.Add(autoAllowLife))
}

// lifts reports whether the sender is permitted for the checks of reputation
// and greylisting. A permit by header or Both does not lift them (domain 3,
// precedence 6).
func (w *walk) lifts() bool {
	p := w.permitted()
	if !p.set || p.lost {
		return false
	}
	if w.partial(string(SectionPermittedSenders)) {
		w.facts.askFor(factPermitted)
	}
	w.rests(p.result)
	if p.auto || p.policy && p.result.winner.policy.FromPart == EnvelopeFrom {
		return true
	}
	if w.partial("auto_allow") {
		w.facts.askFor(factAutoAllow)
	}
	return false
}

// permittedSenders sets the permitted flag; it never stops a message.
func (w *walk) permittedSenders(moment Moment) bool {
	if !w.internalTo {
		w.trace.skip(StagePermittedSenders, moment, "the recipient is not internal")
		return false
	}
	if moment == MomentRcpt {
		w.permit.set = true
	}
	if w.trace == nil {
		return false
	}
	before := *w.facts // what only the trace asks for does not make the verdict less sure
	because, r := "", result{}
	if moment == MomentRcpt {
		r = w.permitted().result
		because = w.permitWords()
	} else {
		r = w.contest(SectionPermittedSenders, false, true)
		if r.option() == OptionPermitSender {
			because = "permitted by header: spam checks are lifted, greylisting and reputation are not"
		}
	}
	w.trace.step(w, StagePermittedSenders, moment, StepPass, r, because)
	*w.facts, w.permit.known = before, false
	return false
}

func (w *walk) permitWords() string {
	p := w.permitted()
	switch {
	case p.auto:
		return "auto allow: the recipient wrote to this sender within 120 days"
	case p.policy && p.result.winner.policy.FromPart != EnvelopeFrom:
		return "permitted by Both: spam checks are lifted; greylisting and reputation are not, which the vendor's console says and no document"
	case p.policy:
		return "permitted: spam, greylisting and reputation checks are lifted, nothing else"
	}
	return ""
}
