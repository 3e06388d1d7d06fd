package engine

import (
	"strings"

	"mailwhy/engine/mail"
)

// ManagedEntry is one line of a recipient's own list.
type ManagedEntry struct {
	Recipient string // address
	Sender    string // address or domain
	Action    string // "permit" or "block"
	Origin    string
}

// managedSenders looks the sender up in the recipient's own list: the address
// before the domain, each address of the sender at its own moment. A block by
// envelope yields to a Permitted Senders policy that won by envelope; a block
// by header does not (domain 3, precedence 3).
func (w *walk) managedSenders(moment Moment) bool {
	if !w.internalTo {
		w.trace.skip(StageManagedSenders, moment, "the recipient is not internal")
		return false
	}
	sender, what := w.facts.envelope, factEnvelopeFrom
	if moment == MomentData {
		sender, what = w.facts.header, factHeaderFrom
	}
	partial := w.partial("managed_senders")
	if !partial && !w.hasList() {
		w.trace.managed(moment, ManagedEntry{}, false, StepPass, "")
		return false
	}
	w.facts.ask(what)
	entry, found, exact := w.managedFor(sender)
	if partial && !exact && !sender.Null() && !(moment == MomentRcpt && w.permitted().policy) {
		w.facts.askFor(factManaged)
	}
	if !found || entry.Action != "block" {
		w.trace.managed(moment, entry, found, StepPass, "")
		return false
	}
	if beaten, by := w.permitBeats(moment); beaten {
		w.trace.managed(moment, entry, found, StepPass, "Permitted Senders policy "+by+" won by envelope and beats the user's block")
		return false
	}
	w.trace.managed(moment, entry, found, StepStop, "")
	return w.stop(mail.Rejected, StageManagedSenders, moment, managedID(entry), result{})
}

// permitBeats reports whether a Permitted Senders policy supersedes the user's
// block of this moment.
func (w *walk) permitBeats(moment Moment) (beaten bool, by string) {
	p := w.permitted()
	if moment == MomentData {
		if p.policy {
			w.result.notes = append(w.result.notes, "a user's block by header stands against a Permitted Senders policy ("+p.result.winner.policy.ID+")")
		}
		return false, ""
	}
	if w.partial(string(SectionPermittedSenders)) {
		w.facts.askFor(factPermitted)
	}
	w.rests(p.result)
	if !p.policy {
		return false, ""
	}
	return true, p.result.winner.policy.ID
}

// hasList reports whether the recipient's list has any entry.
func (w *walk) hasList() bool {
	s := w.set
	if len(s.managed) == 0 && len(s.managedChanges) == 0 {
		return w.facts.guess.managed != ""
	}
	recipient := string(w.facts.recipient.Fold())
	return len(s.managed[recipient]) > 0 || len(s.managedChanges[recipient]) > 0 || w.facts.guess.managed != ""
}

// managedFor finds the entry that speaks for a sender; exact tells that it
// names the address.
func (w *walk) managedFor(sender mail.Path) (entry ManagedEntry, found, exact bool) {
	if !sender.Known() || sender.Null() {
		return ManagedEntry{}, false, false
	}
	recipient, address := string(w.facts.recipient.Fold()), string(sender.Fold())
	for _, name := range [...]string{address, sender.Domain()} {
		if name == "" {
			continue
		}
		if g := w.facts.guess; g.managed == name {
			return ManagedEntry{Recipient: recipient, Sender: name, Action: g.action}, true, name == address
		}
		if e, ok := w.set.managedEntry(recipient, name, w.facts.at); ok {
			return e, true, name == address
		}
	}
	return ManagedEntry{}, false, false
}

func managedID(e ManagedEntry) string { return "managed:" + e.Recipient + "/" + foldMember(e.Sender) }

func managedOf(id string) ManagedEntry {
	recipient, sender, _ := strings.Cut(strings.TrimPrefix(id, "managed:"), "/")
	return ManagedEntry{Recipient: recipient, Sender: sender}
}
