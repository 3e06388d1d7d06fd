package logparse

import (
	"slices"
	"strings"

	"mailwhy/engine/mail"
)

// notifies notes the queue id of the message that tells the sender of r's
// failure, or of which r is the notification.
func (r *record) notifies(id string) {
	if id == "" || id == r.QueueID || slices.ContainsFunc(r.told, func(h mail.Hop) bool { return h.QueueID == id }) {
		return
	}
	r.told = append(slices.Clip(r.told), mail.Hop{Format: r.Format, Gateway: r.Gateway, QueueID: id, Join: mail.ByNotification})
	r.Hops = append(slices.Clip(r.Hops), r.told[len(r.told)-1])
}

// notified notes that those of a transaction with one of the outcomes have been
// told to their sender, by the message with the queue id.
func (p *Parser) notified(t *transaction, l *lineAt, id string, outcomes ...mail.Outcome) {
	if t == nil {
		return
	}
	for _, r := range t.records {
		if slices.Contains(outcomes, r.Outcome) {
			r.notifies(id)
			p.touched(r, l.s, l.ms, l.offset, 0, l.raw)
		}
	}
}

// notifying notes of which message a transaction is the notification.
func (p *Parser) notifying(t *transaction, id string) {
	if t.facts == nil {
		t.facts = &mail.Message{}
	}
	t.facts.Hops = []mail.Hop{{QueueID: id, Join: mail.ByNotification}}
	for _, r := range t.records {
		r.notifies(id)
		p.list(r)
	}
}

// restoreTold takes what its own log tells of a record's other ids from the hops
// that a snapshot has of it.
func (r *record) restoreTold() {
	for _, h := range r.Hops {
		if h.Join == mail.ByNotification || h.Join == mail.ByTriplet {
			r.told = append(r.told, h)
		}
	}
}

// postfixNotice is the id in "sender non-delivery notification: 86D1399017D",
// and in those of a delay and to the postmaster, with the outcomes it tells of;
// "" = rest is another line.
func postfixNotice(rest string) (id string, outcomes []mail.Outcome) {
	for _, to := range []string{"sender ", "postmaster "} {
		of, ok := strings.CutPrefix(rest, to)
		if !ok {
			continue
		}
		if id, ok := strings.CutPrefix(of, "non-delivery notification: "); ok {
			return id, []mail.Outcome{mail.Bounced, mail.Expired}
		}
		if id, ok := strings.CutPrefix(of, "delay notification: "); ok {
			return id, []mail.Outcome{mail.Deferred}
		}
	}
	return "", nil
}
