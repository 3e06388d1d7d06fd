package logparse

import (
	"bytes"

	"mailwhy/engine/mail"
)

// The lines that a transaction keeps of the one before it: a content filter
// gives a message back to the same gateway, which gives it a new queue id.
const (
	keptFirstClient = 'C' // the client that brought the message, before the filter
	keptHandOver    = 'q' // "status=sent (250 2.0.0 Ok: queued as 3D0F32A502)" by a filter on this host
	keptReturned    = 'n' // "sender non-delivery notification: 3D0F32A503": this message is the notification
)

// handedOver reads a delivery to a filter on this host that says under which
// queue id the message came back. From there it is the same message: what had
// failed of it goes on there, and what fails there came from the first client.
func (f *postfix) handedOver(l *postfixLine, id, rest []byte) {
	if !handsOver(rest) {
		return
	}
	at := bytes.LastIndex(rest, []byte("queued as "))
	if at < 0 {
		return
	}
	next := rest[at+len("queued as "):]
	n := 0
	for n < len(next) && idClass[next[n]] != 0 {
		n++
	}
	from := f.transaction(id)
	to := f.transaction(next[:n])
	if to == nil || to == from {
		return
	}
	if from != nil {
		for i := range from.lines {
			if k := &from.lines[i]; k.kind == keptClient && !to.has(keptFirstClient) {
				to.keepOf(from, k, keptFirstClient)
			}
		}
		if r := moveRecord(from, to, mail.Path(deliveryValue(text(rest), "to="))); r != nil {
			r.Outcome = mail.Delivered // to the filter; what becomes of it under the next id is told later
			f.p.touched(r, l.s, l.e.ms, l.offset, 0, l.raw)
		}
	}
	to.keep(keptHandOver, l.s, l.offset, l.raw)
	for _, r := range to.records { // those that failed before the filter had answered
		f.join(r, to)
		f.p.list(r)
	}
}

// handsOver reports whether a delivery was one to this host.
func handsOver(rest []byte) bool {
	at := bytes.Index(rest, []byte(", relay="))
	return at >= 0 && isLoopback(rest[at+len(", relay="):])
}

// moveRecord lets a recipient that had failed in one transaction go on in
// another. It returns nil where none had.
func moveRecord(from, to *transaction, recipient mail.Path) *record {
	for i, r := range from.records {
		if r.Recipient.Fold() == recipient.Fold() && to.recipient(recipient) == nil {
			to.records = append(to.records, r)
			from.records = append(from.records[:i:i], from.records[i+1:]...)
			return r
		}
	}
	return nil
}

// isLoopback reports whether a relay or a client, "name[ip]:port", is on this host.
func isLoopback(host []byte) bool {
	open := bytes.IndexByte(host, '[')
	if open < 0 {
		return false
	}
	ip := host[open+1:]
	return bytes.HasPrefix(ip, []byte("127.")) || bytes.HasPrefix(ip, []byte("::1]"))
}

// passes tells the stories of a delivery to a next hop.
func (f *postfix) passes(l *postfixLine, id, rest []byte) {
	if !f.p.stories.on {
		return
	}
	var r record
	if t := f.transaction(id); t != nil {
		f.join(&r, t)
		r.Time = unixTime(t.born)
	}
	readDelivery(&r.Message, text(rest))
	r.Format, r.Gateway, r.QueueID, r.Outcome = f.name(), f.head.gateway, string(id), mail.Delivered
	r.Reply = mail.Reply{}
	f.p.passes(f.transactionKey(id), &lineAt{l.s, l.offset, l.raw, l.e.ms}, &r.Message)
}
