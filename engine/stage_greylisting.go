package engine

import (
	"fmt"
	"time"

	"mailwhy/engine/mail"
)

// Greylisting defers a triplet (client, envelope from, recipient) that it has
// not seen (domain 3, greylisting).
const (
	greylistWait   = 60 * time.Second    // a retry before this is deferred again
	greylistRetry  = 12 * time.Hour      // no retry until then: "Sender Failed to Retry"
	greylistMemory = 36 * 24 * time.Hour // a triplet that passed is remembered
)

// greylisting defers an unknown triplet for now. Whether the gateway knew the
// triplet is in no log, unless the log itself says that the message was
// greylisted: then its first attempt opened the triplet.
func (w *walk) greylisting(moment Moment) bool {
	r, on := w.applied(StageGreylisting, SectionGreylisting, moment)
	if !on {
		return false
	}
	told, sure := greylisted(w.facts.message)
	if r.option() != OptionApply || !told || w.facts.message.Time.IsZero() {
		w.unknown(StageGreylisting, SectionGreylisting, moment, r, "whether the gateway knew the sender, client and recipient together is in no log")
		return false
	}
	deferred, because := triplet(w.facts.message, w.facts.at)
	if !sure || !w.facts.at.Equal(w.facts.message.Time) {
		w.facts.askFor(factGreylisting) // the text can mean another check, the next attempt can come from another client
	}
	if !deferred {
		w.trace.step(w, StageGreylisting, moment, StepPass, r, because)
		return false
	}
	if w.permitted().policy {
		w.result.notes = append(w.result.notes, "a permit by header or Both does not lift greylisting")
	}
	w.trace.step(w, StageGreylisting, moment, StepStop, r, because)
	return w.stop(mail.Deferred, StageGreylisting, moment, r.winner.policy.ID, r)
}

// greylisted reports whether the log says that greylisting deferred the
// message, and whether it can mean nothing else.
func greylisted(m *mail.Message) (told, sure bool) {
	claims := claimsOf(m)
	for _, c := range claims {
		told = told || c.stage == StageGreylisting
	}
	return told, len(claims) == 1
}

// triplet says what greylisting does with an attempt at an instant, the first
// one being the message's first failing line.
func triplet(m *mail.Message, at time.Time) (deferred bool, because string) {
	age := at.Sub(m.Time)
	switch {
	case age < greylistWait:
		return true, "the first attempt of this sender, client and recipient: a retry after 60 seconds and within 12 hours passes"
	case age <= greylistRetry:
		return false, "a retry between 60 seconds and 12 hours after the first attempt passes"
	case m.Outcome.LetIn() && at.Before(m.Last.Add(greylistMemory)):
		return false, "the triplet passed and is remembered for 36 days"
	case m.Outcome.LetIn():
		return true, "the triplet passed more than 36 days before and is forgotten"
	}
	return true, "no retry within 12 hours: Sender Failed to Retry; the next attempt is a first one"
}

// deliveredAfter says how long a message that was deferred at first took.
func deliveredAfter(m *mail.Message) string {
	minutes := int(m.Last.Sub(m.Time).Round(time.Minute) / time.Minute)
	if minutes == 1 {
		return string(m.Outcome) + " after 1 minute: nothing to fix"
	}
	return fmt.Sprintf("%s after %d minutes: nothing to fix", m.Outcome, minutes)
}
