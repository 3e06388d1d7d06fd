package engine

import (
	"slices"

	"mailwhy/engine/mail"
)

// SPFBypass is what an anti_spoofing_spf_bypass policy adds to the common
// fields: a client that passes SPF for one of the domains is no spoofer.
type SPFBypass struct{ Domains []string }

// antiSpoofing refuses a sender that is one of ours and comes from outside: by
// envelope at rcpt, by header at data. Only its own Take No Action, the clients
// that relay for us and the SPF bypass lift it; a permit does not
// (domain 3, precedence 5).
func (w *walk) antiSpoofing(moment Moment) bool {
	if !w.internalTo {
		w.trace.skip(StageAntiSpoofing, moment, "the recipient is not internal")
		return false
	}
	byEnvelope, byHeader := sides(moment, false)
	r := w.contest(SectionAntiSpoofing, byEnvelope, byHeader)
	applies := r.option() == OptionApply
	partial := w.partial(string(SectionAntiSpoofing))
	if outbound := w.set.file.outbound; len(outbound) > 0 && (applies || partial) {
		w.facts.askClient(outbound)
		if inPrefixes(outbound, w.facts.client) {
			w.trace.step(w, StageAntiSpoofing, moment, StepPass, r, "the client relays for us, so it is no spoofer")
			return false
		}
	}
	w.rests(r)
	if partial {
		w.facts.askFor(factAntiSpoofing)
	}
	if !applies {
		w.trace.step(w, StageAntiSpoofing, moment, StepPass, r, "")
		return false
	}
	if w.passesSPFBypass(byEnvelope, byHeader) {
		w.trace.step(w, StageAntiSpoofing, moment, StepPass, r, "the client passes SPF of a bypass domain")
		return false
	}
	w.trace.step(w, StageAntiSpoofing, moment, StepStop, r, "")
	return w.stop(mail.Rejected, StageAntiSpoofing, moment, r.winner.policy.ID, r)
}

// passesSPFBypass reports whether an SPF bypass lifts anti-spoofing. No log
// holds the check itself (the SPF result of a message says nothing about it,
// domain 6.2), so it is never known; that the message's own sender domain is a
// bypass domain and passed is the plain reading.
func (w *walk) passesSPFBypass(byEnvelope, byHeader bool) bool {
	r := w.contest(SectionAntiSpoofingSPF, byEnvelope, byHeader)
	if r.winner == nil && !w.partial(string(SectionAntiSpoofingSPF)) {
		return false
	}
	w.facts.ask(factSPFBypass | factSPF)
	w.rests(r)
	switch w.facts.spfBypass {
	case assumeYes:
		return true
	case assumeNo:
		return false
	}
	return r.winner != nil && w.facts.auth.SPF == "pass" && slices.Contains(r.winner.policy.SPFBypass.Domains, w.facts.envelope.Domain())
}
