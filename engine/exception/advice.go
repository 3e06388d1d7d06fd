package exception

import (
	"fmt"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/mail"
)

// Advice is what the sender of a message can be told, a sentence. "Resend" is
// said only of a refusal for good, and once the change that helps is live and
// had the propagation time to reach every gateway. all are the exceptions,
// newest first; present is the message's verdict as of now; loc writes the clock.
func Advice(m *mail.Message, present engine.Verdict, all []Exception, propagation time.Duration, now time.Time, loc *time.Location) string {
	switch m.Outcome {
	case mail.Delivered, mail.Accepted:
		return "The message went through: nothing is to be done."
	case mail.Deferred:
		return "Nothing: the sender's server tries again by itself, and the message was not lost."
	case mail.Held:
		return "Nothing yet: the message is held and can be released by an administrator."
	case mail.Bounced, mail.Expired, mail.Discarded:
		return "The message was let in and failed afterwards: a resend goes the same way until that is mended."
	}
	if m.Reply.Code != 0 && !m.Reply.Permanent() {
		return "Nothing: the refusal was for now, the sender's server tries again by itself."
	}
	e, found := newestFor(m, all, now)
	switch {
	case !found && !stopped(present) && present.Outcome != nil:
		return "No policy stops such a message any more: the sender can send it again."
	case !found:
		return "Nothing was changed yet: sent again, the message would be refused again. A refused message cannot be released."
	case stopped(present):
		return fmt.Sprintf("Do not ask for a resend: in spite of exception %d, %s would stop it.", e.ID, present.Policy)
	}
	switch e.State(now) {
	case Pending:
		return fmt.Sprintf("Do not ask for a resend yet: exception %d is made here, and still to be done on the gateway.", e.ID)
	case Failed:
		return fmt.Sprintf("Do not ask for a resend yet: exception %d could not be put on the gateway.", e.ID)
	}
	live := e.LiveSince()
	if ready := live.Add(propagation); now.Before(ready) {
		return fmt.Sprintf("Please send it again after %s: the change reaches every gateway by then. A refused message cannot be released.", ready.In(loc).Format("15:04 MST"))
	}
	return fmt.Sprintf("Please send it again: the change is live since %s. A refused message cannot be released.", live.In(loc).Format("15:04 MST on 2 Jan 2006"))
}

// newestFor finds the newest exception in force that is for a message.
func newestFor(m *mail.Message, all []Exception, now time.Time) (Exception, bool) {
	for _, e := range all {
		if e.InForce(now) && opens(e.Kind) && (e.MessageID != "" && e.MessageID == m.ID || e.isFor(m)) {
			return e, true
		}
	}
	return Exception{}, false
}

// isFor reports whether an exception names a message's sender and recipient.
func (e Exception) isFor(m *mail.Message) bool {
	from := false
	for _, sender := range []mail.Path{m.EnvelopeFrom, m.HeaderFrom} {
		switch e.From.Type {
		case engine.IndividualAddress:
			from = from || sender.Known() && sender.Fold() == mail.Path(e.From.Value).Fold()
		case engine.EmailDomain:
			from = from || sender.Domain() != "" && sender.Domain() == specDomain(e.From)
		case engine.ExternalAddresses:
			from = from || e.Kind == engine.KindRelay
		}
	}
	switch e.To.Type {
	case engine.IndividualAddress:
		return from && mail.Path(e.To.Value).Fold() == m.Recipient.Fold()
	case engine.InternalAddresses, engine.Everyone:
		return from
	}
	return false
}

// LiveSince is when an exception began to let mail through on the gateway, as
// far as is known: when its steps were confirmed, or a publisher had it there,
// or else when it was made.
func (e Exception) LiveSince() time.Time {
	live := e.Created
	if e.Confirmed.After(live) {
		live = e.Confirmed
	}
	for _, r := range e.Published {
		if r.State == PublishLive && r.Time.After(live) {
			live = r.Time
		}
	}
	return live
}
