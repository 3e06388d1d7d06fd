package engine

import (
	"slices"

	"mailwhy/engine/mail"
)

// blockedSenders holds the two contests: at rcpt among what the envelope
// matches, at data among all that match by either address, each by its own
// from_part. A block that wins at rcpt rejects there; Take No Action that won
// at rcpt can still lose at data. It applies in every direction.
func (w *walk) blockedSenders(moment Moment) bool {
	if w.partial(string(SectionBlockedSenders)) {
		w.facts.askFor(factBlocked)
	}
	either := w.set.file.engine.HeaderOnly == w.twist.otherContest
	r := w.contestOfBlocked(moment, either)
	w.rests(r)
	if moment == MomentRcpt {
		w.result.atRcpt = r
	}
	if r.option() == OptionBlockSender {
		w.trace.step(w, StageBlockedSenders, moment, StepStop, r, w.answerOf(r))
		return w.stop(mail.Rejected, StageBlockedSenders, moment, r.winner.policy.ID, r)
	}
	if r.winner != nil {
		w.result.contest = r
	}
	w.trace.step(w, StageBlockedSenders, moment, StepPass, r, "")
	return false
}

// contestOfBlocked holds the contest of a moment. Where no policy for this
// recipient looks at the header, that at data ends as that at rcpt did.
func (w *walk) contestOfBlocked(moment Moment, either bool) result {
	if moment == MomentData && either && w.result.atRcpt.section != "" && !w.looksAtHeader(SectionBlockedSenders) {
		return w.result.atRcpt
	}
	byEnvelope, byHeader := sides(moment, either)
	return w.contest(SectionBlockedSenders, byEnvelope, byHeader)
}

// looksAtHeader reports whether a policy for this recipient, or for a group
// that it may be in, looks at the header from.
func (w *walk) looksAtHeader(section Section) bool {
	t := w.set.tables[section]
	if t == nil {
		return false
	}
	for _, x := range [...]*pairIndex{t.files, t.extras} {
		if x == nil {
			continue
		}
		for _, to := range w.recipient {
			if side := x.byTo[to]; side != nil && len(side.headerBlow)+len(side.headerCalm) > 0 {
				return true
			}
		}
		if slices.ContainsFunc(x.unsure, func(e *entry) bool { return e.policy.FromPart != EnvelopeFrom && w.set.partialSpec(e.to) }) {
			return true
		}
	}
	return false
}

// answerOf says what the gateway answers where the default against relaying
// wins: the answer depends on whether the client is authorised.
func (w *walk) answerOf(r result) string {
	if w.trace == nil || r.winner.policy.ID != DefaultExternalToExternal {
		return ""
	}
	outbound := w.set.file.outbound
	switch {
	case len(outbound) > 0 && !w.facts.client.IsValid():
		return "answered 550 Administrative prohibition to a client that relays for us, 451 Open relay not allowed to any other; the client is not logged"
	case inPrefixes(outbound, w.facts.client):
		return "answered 550 Administrative prohibition: the client relays for us"
	}
	return "answered 451 Open relay not allowed: the client does not relay for us"
}
