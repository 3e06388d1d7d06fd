package engine

import "mailwhy/engine/mail"

// reported is a stage without policies of its own: connection limits, blocks
// of a client or a country, recipient validation, virus, spam, impersonation,
// attachments and the delivery. What the log says of it is told in the trace;
// it decides no verdict, and a virus is never let in by an exception.
func (w *walk) reported(slot Slot) {
	if w.trace == nil {
		return
	}
	for _, c := range claimsOf(w.facts.message) {
		if c.stage == slot.Stage && (c.moment == slot.Moment || c.moment == "") {
			w.trace.tell(slot.Stage, slot.Moment, StepUnknown, "as the log reports it: "+c.who+" ("+logged(w.facts.message)+")")
			return
		}
	}
	if slot.Stage == StageDelivery && (w.facts.message.Phase == mail.PhaseDelivery || w.facts.message.Phase == mail.PhaseQueue) {
		w.trace.tell(slot.Stage, slot.Moment, StepUnknown, "as the log reports it: "+logged(w.facts.message))
	}
}
