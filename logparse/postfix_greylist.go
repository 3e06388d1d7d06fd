package logparse

import (
	"bytes"
	"strings"

	"mailwhy/engine/mail"
)

// greylists is greylisting with what postscreen answers a client that has only
// just passed its tests (postscreen(8): the client "must disconnect and
// reconnect").
func (f *postfix) greylists(l *postfixLine, m *mail.Message) bool {
	return greylisting(m) || m.Outcome == mail.Deferred && m.Phase == mail.PhaseRcpt && m.Reply.Code == 450 && m.Reply.Enhanced == "4.3.2" &&
		strings.HasPrefix(m.Reply.Text, "Service currently unavailable") && bytes.Contains(l.e.tag, []byte("postscreen"))
}

// greylisted notes a refusal without queue id by greylisting. It returns false
// where the message has not been tried before: r is to be told as any other is.
func (f *postfix) greylisted(r *record, l *postfixLine, whole string) bool {
	w := f.p.waits(&r.Message, r.Recipient, l.s, l.e.ms, l.offset)
	if w == nil {
		return false
	}
	first := f.p.greylistedRecord(w)
	f.p.again(w, l.s, l.e.ms, l.offset)
	first.Reply, first.Reported = cloneReply(r.Reply), cloneReported(r.Reported)
	f.failedText(first, l, strings.Clone(whole))
	return true
}

// cloneReply is a reply that does not hold the slab of a line that many share.
func cloneReply(r mail.Reply) mail.Reply {
	return mail.Reply{Code: r.Code, Enhanced: strings.Clone(r.Enhanced), Text: strings.Clone(r.Text)}
}

func cloneReported(r mail.Reported) mail.Reported {
	return mail.Reported{Type: strings.Clone(r.Type), Rule: strings.Clone(r.Rule), Detail: strings.Clone(r.Detail)}
}

// waits lets a refusal without queue id wait for its retry: as its line, where
// that tells all.
func (f *postfix) waits(r *record, l *postfixLine) {
	w := f.p.wait(&r.Message, l.s, l.e.ms, l.offset)
	if w == nil {
		return
	}
	if l.s.outer == nil && f.p.repeats == 0 && !f.proxied && bytes.HasPrefix(l.e.body, []byte(noQueue+": ")) {
		w.line, w.gateway = f.p.grey.texts.text(l.raw), r.Gateway
		return
	}
	r.lone, w.r = false, r
}

// refusalOf reads the line of a refusal that waits: only those of Postfix do as
// their line.
func (p *Parser) refusalOf(w *greylisted) mail.Message {
	line := strings.Clone(w.line)
	_, rest, _ := strings.Cut(line, noQueue+": ")
	verb, words, _ := strings.Cut(rest, ": ")
	m := mail.Message{Format: w.format, Gateway: w.gateway, Direction: mail.DirectionUnknown}
	readRefusal(&m, verb, words)
	m.Evidence = []mail.Evidence{{File: w.stream.source.Name, Offset: w.offset, Text: line}}
	return m
}

// retried lets a recipient whom greylisting had deferred in another session go
// on under this queue id. now has the recipient, and what the line tells of
// sender and client.
func (f *postfix) retried(t *transaction, l *postfixLine, id []byte, now *mail.Message) {
	_, may := f.p.mayWait(now.Recipient)
	_, original := f.p.mayWait(now.OriginalRecipient)
	if !may && !original || t == nil || t.recipient(now.Recipient) != nil {
		return
	}
	facts := record{Message: mail.Message{
		Format: f.name(), Gateway: f.head.gateway, QueueID: string(id), EnvelopeFrom: now.EnvelopeFrom,
		Client: now.Client, Recipient: now.Recipient, OriginalRecipient: now.OriginalRecipient,
	}}
	f.join(&facts, t)
	at := &lineAt{l.s, l.offset, l.raw, l.e.ms}
	r := f.p.retried(t, &facts.Message, at, t.firstLine(l.s))
	if r == nil {
		return
	}
	learnAll(&r.Message, &facts.Message)
	f.p.kept(t, func(kind byte, e mail.Evidence) {
		if kind == keptClient || kind == keptMessageID || kind == keptSender {
			r.cite(e)
		}
	})
}

// mayBeRetry reports whether a delivery, in the words behind its queue id, may
// be that of a message that greylisting had deferred: its recipient and its
// sender are waited for.
func (f *postfix) mayBeRetry(rest []byte, hash uint64) bool {
	p := f.p
	if p.grey.n == 0 {
		return false
	}
	to, after := angled(rest[len("to="):])
	if orig, ok := bytes.CutPrefix(after, []byte(", orig_to=")); ok {
		if original, _ := angled(orig); f.mayBeFor(original, hash) {
			return true
		}
	}
	return f.mayBeFor(to, hash)
}

func (f *postfix) mayBeFor(to []byte, hash uint64) bool {
	p := f.p
	toSum := sum(p.open.byKey.seed, to)
	if p.grey.to[toSum%greylistRoom] == 0 {
		return false
	}
	q := &p.open.waiting
	for i := q.chain(hash); i != 0; i = q.entries[i-1].before {
		e := &q.entries[i-1]
		if m := (mark{shape: e.mark}); e.hash == hash && e.state == quietWaits && m.kind() == markedSender {
			from, _ := angled(q.bytes(e)[m.body()+m.id()+len(": from="):])
			if len(from) == 0 {
				from = []byte(mail.NullPath)
			}
			_, waits := p.grey.waiting[joinSums(sum(p.open.byKey.seed, from), toSum)]
			return waits
		}
	}
	return false // without sender there is no triplet
}

// angled is what stands in angle brackets at the start of b, and what follows.
func angled(b []byte) (inside, after []byte) {
	end := bytes.IndexByte(b, '>')
	if end < 1 || b[0] != '<' {
		return nil, nil
	}
	if end+1 < len(b) && b[end+1] != ',' { // a sloppy address
		end = angleEnd(text(b)) - 1
	}
	return b[1:end], b[end+1:]
}
