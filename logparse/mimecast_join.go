package logparse

import (
	"strconv"
	"strings"

	"mailwhy/engine/mail"
)

// maxRecipients is more than one message has: the vendor takes 100. Logs whose
// ids were masked would otherwise make one message of all.
const maxRecipients = 200

// transaction returns the event's message, a new one when it is not open. An
// id that is heard again long after is another message's.
func (f *mimecast) transaction(l *mimeLine, e *mimeEvent) *transaction {
	key := f.key(l, e)
	if t := f.p.open.get(key); t != nil && len(t.records) < maxRecipients && (l.ms == 0 || t.born == 0 || max(l.ms-t.born, t.born-l.ms) <= transactionAge) {
		return t
	}
	born := l.ms
	if born == 0 {
		born = l.s.lastTime
	}
	return f.p.open.begin(key, born)
}

// count is how many lines of a kind are kept.
func (t *transaction) count(kind byte) int {
	n := 0
	for i := range t.lines {
		if t.lines[i].kind == kind {
			n++
		}
	}
	return n
}

// kept calls do with each kept event of t. The event is only valid during the
// call and replaces the one that was being read.
func (f *mimecast) kept(t *transaction, do func(kind byte, l *mimeLine, e *mimeEvent)) {
	key := string(t.key)
	for i := range t.lines {
		k := &t.lines[i]
		l := mimeLine{s: f.p.order[k.stream], offset: k.offset, raw: t.bytes(k)}
		f.events(f.body(l.raw), func(e *mimeEvent) {
			if l.ms = f.stamp(l.s, e); string(f.key(&l, e)) == key {
				do(k.kind, &l, e)
			}
			l.object++
		})
	}
}

// fail reads an event that says a message failed, for each recipient it names.
// One that names none is of the recipients that the receipts name.
func (f *mimecast) fail(l *mimeLine, e *mimeEvent, stage mimeStage, out mail.Outcome) {
	t := f.transaction(l, e)
	t.reopen(&f.p.open)
	failure := f.verdict(e, stage, out)
	recipients := mimeRecipients(e.value[mimeRcpt])
	if len(recipients) == 0 {
		t.keepAnother(mimeKeptNameless, l.s, l.offset, l.raw)
		recipients = f.receivers(t)
	}
	if len(recipients) == 0 {
		recipients = append(recipients, "")
	}
	for _, recipient := range recipients {
		f.failRecipient(t, l, &failure, recipient)
	}
	f.settle(t)
}

// verdict is an event as a message without recipient.
func (f *mimecast) verdict(e *mimeEvent, stage mimeStage, out mail.Outcome) mail.Message {
	m := e.facts(stage)
	m.Format, m.QueueID, m.Outcome = f.version, e.text(mimeID), out
	m.Reply = e.reply()
	m.Phase = e.phase(stage, m.Reply)
	m.Reported = e.reported(stage)
	if stage == mimeDelivery {
		m.Remote = e.remote()
	}
	return m
}

// receivers are the recipients that the receipts of t name.
func (f *mimecast) receivers(t *transaction) (list []mail.Path) {
	f.kept(t, func(kind byte, _ *mimeLine, e *mimeEvent) {
		if kind == mimeKeptReceipt {
			list = append(list, mimeRecipients(e.value[mimeRcpt])...)
		}
	})
	return list
}

// failRecipient notes a failing event for one recipient.
func (f *mimecast) failRecipient(t *transaction, l *mimeLine, failure *mail.Message, recipient mail.Path) {
	r := t.named(recipient)
	at := &lineAt{l.s, l.offset, l.raw, l.ms}
	if r == nil { // the same triplet, greylisted under another id?
		attempt := *failure
		attempt.Recipient = recipient
		if r = f.p.deferredAgain(&attempt, at); r != nil {
			t.records = append(t.records, r)
		}
	}
	waits := r != nil
	if r == nil {
		r, _ = t.record(recipient)
	}
	again := len(r.Evidence) > 0 && (r.Outcome == mail.Held && failure.Outcome == mail.Held || r.tells(l.raw))
	f.decide(r, l, failure)
	learn(&r.Message, failure)
	if again {
		f.p.touched(r, l.s, l.ms, l.offset, 0, l.raw)
	} else {
		f.p.failed(r, l.s, l.ms, l.offset, ordinal(t, l), l.raw)
	}
	f.complete(t, r)
	if !waits {
		f.p.greylist(r, at)
	}
}

// named returns the record of a recipient. A record whose recipient was not
// known belongs to the first one that is named.
func (t *transaction) named(recipient mail.Path) *record {
	if r := t.recipient(recipient); r != nil {
		return r
	}
	if r := t.recipient(""); r != nil {
		r.Recipient = recipient
		return r
	}
	return nil
}

// tells reports whether a line with these very words is evidence already: logs
// that are fetched twice tell everything twice.
func (r *record) tells(line []byte) bool {
	said := text(line)
	for _, e := range r.Evidence {
		if e.Text == said {
			return true
		}
	}
	return false
}

// ordinal numbers the messages that one event makes; those of a second event
// on the same line start at 1000.
func ordinal(t *transaction, l *mimeLine) int {
	first := 1000 * l.object
	line := strings.TrimSuffix(string(appendMessageID(nil, l.ms, l.s.source.ID, l.offset, 0)), "000")
	next := first
	for _, r := range t.records {
		if number, ok := strings.CutPrefix(r.ID, line); ok {
			if n, err := strconv.Atoi(number); err == nil && n >= next && n < first+1000 {
				next = n + 1
			}
		}
	}
	return next
}

// decide sets what became of a recipient, unless something newer is known. What
// is final is not undone by an attempt that was read late.
func (f *mimecast) decide(r *record, l *mimeLine, now *mail.Message) {
	if r.Outcome != "" && (unixTime(l.ms).Before(r.Last) || final(r.Outcome) && !final(now.Outcome)) {
		return
	}
	r.Format, r.Outcome, r.Phase = now.Format, now.Outcome, now.Phase
	r.Reply, r.Reported, r.Remote = now.Reply, now.Reported, now.Remote
	if r.QueueID == "" {
		r.QueueID = now.QueueID
	}
}

// final reports whether no other attempt follows.
func final(o mail.Outcome) bool {
	return o != mail.Deferred && o != mail.Held && o != mail.Accepted && o != ""
}

// complete fills a record from the kept events: first those of its recipient
// or of none, then those of its fellows.
func (f *mimecast) complete(t *transaction, r *record) {
	for _, own := range []bool{true, false} {
		f.kept(t, func(kind byte, l *mimeLine, e *mimeEvent) {
			if of := concerns(e, r.Recipient); of != own || kind == mimeKeptNameless {
				return
			}
			stage := e.stage()
			m := e.facts(stage)
			learned := learn(&r.Message, &m)
			if own && kind == mimeKeptDelivered && e.outcome(stage) == mail.Delivered && !unixTime(l.ms).Before(r.Last) && !final(r.Outcome) {
				r.deliver(e.remote())
				learned = true
			}
			if learned {
				f.p.touched(r, l.s, l.ms, l.offset, 0, l.raw)
			}
		})
	}
}

// concerns reports whether an event names the recipient or none at all.
func concerns(e *mimeEvent, recipient mail.Path) bool {
	if len(e.value[mimeRcpt]) == 0 {
		return true
	}
	for _, p := range mimeRecipients(e.value[mimeRcpt]) {
		if p.Fold() == recipient.Fold() {
			return true
		}
	}
	return false
}

// accepted keeps an event that lets the message pass a stage, and tells what it
// says to the recipients that have failed.
func (f *mimecast) accepted(l *mimeLine, e *mimeEvent, stage mimeStage) {
	kind := byte(mimeKeptProcess)
	if stage == mimeReceipt {
		kind = mimeKeptReceipt
	}
	t := f.transaction(l, e)
	t.reopen(&f.p.open)
	if kind == mimeKeptReceipt || !t.has(kind) {
		t.keepAnother(kind, l.s, l.offset, l.raw)
	}
	f.passes(t, l, e, stage, mail.Accepted)
	if stage == mimeReceipt && f.p.grey.n > 0 {
		f.retried(t, l, e)
	}
	if len(t.records) == 0 && !f.p.opts.All {
		return
	}
	m := f.verdict(e, stage, mail.Accepted)
	recipients := mimeRecipients(e.value[mimeRcpt])
	if t.has(mimeKeptNameless) && kind == mimeKeptReceipt {
		f.nameless(t, recipients)
	}
	if f.p.opts.All && kind == mimeKeptReceipt {
		for _, recipient := range recipients {
			f.pass(t, l, &m, recipient)
		}
	}
	for _, r := range t.records {
		if learn(&r.Message, &m) {
			f.p.touched(r, l.s, l.ms, l.offset, 0, l.raw)
		}
	}
}

// retried lets the recipients of a receipt go on whom greylisting had deferred
// under another id. They are let in; whether they are delivered is told later.
func (f *mimecast) retried(t *transaction, l *mimeLine, e *mimeEvent) {
	now := f.verdict(e, mimeReceipt, mail.Accepted)
	at := &lineAt{l.s, l.offset, l.raw, l.ms}
	for _, now.Recipient = range mimeRecipients(e.value[mimeRcpt]) {
		if t.recipient(now.Recipient) != nil {
			continue
		}
		if r := f.p.retried(t, &now, at, t.firstLine(l.s)); r != nil {
			r.Outcome = mail.Accepted
			learn(&r.Message, &now)
			f.p.touched(r, l.s, l.ms, l.offset, 0, l.raw)
			f.complete(t, r)
		}
	}
}

// nameless gives the failing events that name no recipient to those that a
// receipt names after them.
func (f *mimecast) nameless(t *transaction, recipients []mail.Path) {
	for _, recipient := range recipients {
		if t.recipient(recipient) != nil {
			continue
		}
		if r := t.named(recipient); r != nil {
			f.p.list(r)
			continue
		}
		var lines []mimeLine
		var failures []mail.Message
		f.kept(t, func(kind byte, l *mimeLine, e *mimeEvent) {
			stage := e.stage()
			if out := e.outcome(stage); kind == mimeKeptNameless && out.Failing() && len(e.value[mimeRcpt]) == 0 {
				lines = append(lines, *l)
				failures = append(failures, f.verdict(e, stage, out))
			}
		})
		for i := range lines {
			f.failRecipient(t, &lines[i], &failures[i], recipient)
		}
	}
}

// delivered reads an event that says the next hop took the message. What had
// failed before stays told: only the outcome changes.
func (f *mimecast) delivered(l *mimeLine, e *mimeEvent) {
	t := f.transaction(l, e)
	t.keepAnother(mimeKeptDelivered, l.s, l.offset, l.raw)
	f.passes(t, l, e, mimeDelivery, mail.Delivered)
	if len(t.records) > 0 || f.p.opts.All {
		now := f.verdict(e, mimeDelivery, mail.Delivered)
		for _, recipient := range mimeRecipients(e.value[mimeRcpt]) {
			r := t.named(recipient)
			switch {
			case r == nil && f.p.opts.All:
				f.pass(t, l, &now, recipient)
				continue
			case r == nil:
				continue
			case r.Outcome == mail.Accepted && r.Attempts == 0:
				f.decide(r, l, &now)
			case !unixTime(l.ms).Before(r.Last):
				r.deliver(now.Remote)
			}
			learn(&r.Message, &now)
			f.p.touched(r, l.s, l.ms, l.offset, 0, l.raw)
		}
	}
	f.settle(t)
}

// deliver notes that the next hop took the message at last.
func (r *record) deliver(remote mail.Remote) {
	r.Outcome = mail.Delivered
	if r.Remote == (mail.Remote{}) {
		r.Remote = remote
	}
}

// pass makes or changes the record of a recipient that does not fail, where
// all messages are asked for.
func (f *mimecast) pass(t *transaction, l *mimeLine, now *mail.Message, recipient mail.Path) {
	r := t.named(recipient)
	if r == nil {
		r, _ = t.record(recipient)
	}
	if r.Outcome == "" {
		f.decide(r, l, now)
	}
	learn(&r.Message, now)
	f.p.touched(r, l.s, l.ms, l.offset, ordinal(t, l), l.raw)
	f.complete(t, r)
}

// passes tells the stories of an event that lets the message pass, for those
// recipients that had not failed.
func (f *mimecast) passes(t *transaction, l *mimeLine, e *mimeEvent, stage mimeStage, out mail.Outcome) {
	if !f.p.stories.on {
		return
	}
	m := f.verdict(e, stage, out)
	recipients := mimeRecipients(e.value[mimeRcpt])
	if len(recipients) == 0 && len(t.records) == 0 {
		recipients = []mail.Path{""}
	}
	for _, m.Recipient = range recipients {
		if t.recipient(m.Recipient) == nil {
			f.p.passes(t.key, &lineAt{l.s, l.offset, l.raw, l.ms}, &m)
		}
	}
}

// settle finishes a message when every recipient of its receipts has come to
// an end. A failure at the next hop whose receipt was not read waits for it.
func (f *mimecast) settle(t *transaction) {
	receipts, done := t.count(mimeKeptReceipt), t.count(mimeKeptDelivered)
	atDoor := receipts == 0
	for _, r := range t.records {
		refused := r.Outcome == mail.Rejected || r.Outcome == mail.Deferred && r.Phase != mail.PhaseDelivery
		if !refused && !final(r.Outcome) {
			return
		}
		if !refused && r.Outcome != mail.Delivered {
			done++
		}
		atDoor = atDoor && refused
	}
	if done >= receipts && (receipts > 0 || atDoor) {
		f.p.open.finish(t)
	}
}

// reopen takes a finished transaction back: another recipient's event came.
func (t *transaction) reopen(o *transactions) {
	if t.list == &o.finished {
		t.list.remove(t)
		o.open.append(t)
	}
}
