package logparse

import (
	"strings"

	"mailwhy/engine/mail"
)

// lineAt is a line being read: where it stands and when it was written.
type lineAt struct {
	s      *Stream
	offset int64
	raw    []byte
	ms     int64 // Unix milliseconds, 0 = no stamp
}

// keptFact is the kind of line whose facts are read already.
const keptFact = 'k'

// transactionOf returns the open transaction of a key, a new one when there is
// none. A key that is heard again longer after than a queue keeps mail is
// another message's.
func (p *Parser) transactionOf(key []byte, l *lineAt) *transaction {
	if t := p.open.get(key); t != nil {
		if l.ms == 0 || t.born == 0 || max(l.ms-t.born, t.born-l.ms) <= transactionAge {
			return t
		}
		p.open.close(t)
	}
	return p.open.add(key, l.ms)
}

// know notes what a line tells of a whole message: of the recipients that have
// failed already, and of those that will.
func (p *Parser) know(t *transaction, l *lineAt, facts *mail.Message) {
	if t.facts == nil {
		t.facts = &mail.Message{}
	}
	if !learnAll(t.facts, facts) {
		return
	}
	t.keepAnother(keptFact, l.s, l.offset, l.raw)
	for _, r := range t.records {
		if learnAll(&r.Message, facts) {
			p.touched(r, l.s, l.ms, l.offset, 0, l.raw)
		}
	}
}

// learnAll is learn with the facts that a Mimecast event never has.
func learnAll(m *mail.Message, from *mail.Message) bool {
	learned := false
	if m.Client.IP == "" && m.Client.Name == "" || m.Client.IP == from.Client.IP {
		fill(&m.Client.Name, from.Client.Name, &learned)
	}
	fill(&m.Client.Helo, from.Client.Helo, &learned)
	fill(&m.QueueID, from.QueueID, &learned)
	fill(&m.OriginalRecipient, from.OriginalRecipient, &learned)
	return learn(m, from) || learned
}

// conclude notes what a line says became of one recipient of t: now has the
// outcome, the phase, the reply and whatever else the line tells. Deliveries
// are noted of recipients that had failed; of others only where all messages
// are asked for. ordinal tells apart the recipients of one line.
func (p *Parser) conclude(t *transaction, l *lineAt, now *mail.Message, ordinal int) *record {
	failing := now.Outcome.Failing()
	r := t.recipient(now.Recipient)
	if r == nil && now.Recipient != "" {
		if r = t.recipient(""); r != nil && (failing || r.Outcome == mail.Deferred || r.Outcome == mail.Held) { // what was not known by name is this one
			r.Recipient = now.Recipient
		} else { // what failed for good is another's, if this one was delivered
			r = nil
		}
	}
	if r == nil {
		r = p.retriedIn(t, l, now)
	}
	if r == nil {
		if !failing && !p.opts.All {
			p.passesIn(t, l, now)
			return nil
		}
		r, _ = t.record(now.Recipient)
		r.Format, r.Gateway, r.Direction = now.Format, now.Gateway, mail.DirectionUnknown
		if t.facts != nil {
			learnAll(&r.Message, t.facts)
			for _, h := range t.facts.Hops {
				r.notifies(h.QueueID)
			}
		}
		p.kept(t, func(kind byte, e mail.Evidence) {
			if kind == keptFact {
				r.cite(e)
			}
		})
	}
	if failing || r.Outcome == "" {
		r.Outcome, r.Phase, r.Reported = now.Outcome, now.Phase, now.Reported
		if now.Reply != (mail.Reply{}) {
			r.Reply = now.Reply
		}
		if now.Remote != (mail.Remote{}) {
			r.Remote = now.Remote
		}
	} else {
		r.Outcome = now.Outcome
	}
	learnAll(&r.Message, now)
	if failing {
		p.failed(r, l.s, l.ms, l.offset, ordinal, l.raw)
	} else {
		p.touched(r, l.s, l.ms, l.offset, ordinal, l.raw)
	}
	return r
}

// retriedIn is retried for a transaction that the common join keeps.
func (p *Parser) retriedIn(t *transaction, l *lineAt, now *mail.Message) *record {
	if p.grey.n == 0 || t.facts == nil {
		return nil
	}
	facts := *now
	learnAll(&facts, t.facts)
	r := p.retried(t, &facts, l, t.firstLine(l.s))
	if r == nil {
		return nil
	}
	learnAll(&r.Message, t.facts)
	p.kept(t, func(kind byte, e mail.Evidence) {
		if kind == keptFact {
			r.cite(e)
		}
	})
	return r
}

// passesIn is passes for a transaction that the common join keeps.
func (p *Parser) passesIn(t *transaction, l *lineAt, now *mail.Message) {
	if !p.stories.on {
		return
	}
	m := *now
	m.Time = unixTime(t.born)
	if t.facts != nil {
		learnAll(&m, t.facts)
	}
	p.kept(t, func(kind byte, e mail.Evidence) {
		if kind == keptFact {
			m.Evidence = append(m.Evidence, e)
		}
	})
	p.passes(t.key, l, &m)
}

// concludeAll is conclude for a line that names no recipient: it is of all that
// are known, or of one that is not.
func (p *Parser) concludeAll(t *transaction, l *lineAt, now *mail.Message) {
	if len(t.records) == 0 {
		p.conclude(t, l, now, 0)
		return
	}
	for i := range t.records {
		one := *now
		one.Recipient = t.records[i].Recipient
		p.conclude(t, l, &one, i)
	}
}

// alone makes a message of one line that tells all about it.
func (p *Parser) alone(l *lineAt, m *mail.Message) *record { return p.aloneAt(l, m, 0) }

// aloneAt is alone for a line that makes several messages; ordinal tells them
// apart.
func (p *Parser) aloneAt(l *lineAt, m *mail.Message, ordinal int) *record {
	if r := p.deferredAgain(m, l); r != nil {
		r.Reply, r.Reported = m.Reply, m.Reported
		p.failed(r, l.s, l.ms, l.offset, ordinal, l.raw)
		return r
	}
	r := p.loneRecord()
	r.Message = *m
	if r.Direction == "" {
		r.Direction = mail.DirectionUnknown
	}
	if r.Phase == "" {
		r.Phase = mail.PhaseUnknown
	}
	p.failed(r, l.s, l.ms, l.offset, ordinal, l.raw)
	p.greylist(r, l)
	return r
}

// bracketed is a Message-ID with its angle brackets, which some products leave
// out of their logs.
func bracketed(id string) string {
	if id == "" || id == "<>" || strings.HasPrefix(id, "<") {
		return strings.TrimSuffix(id, "<>")
	}
	return "<" + id + ">"
}

// unbracketed is an address without its angle brackets; "<>" stays the null
// path and "" not known.
func unbracketed(s string) mail.Path {
	s = strings.TrimSpace(s)
	if s == "<>" {
		return mail.NullPath
	}
	if len(s) > 2 && s[0] == '<' && s[len(s)-1] == '>' {
		s = s[1 : len(s)-1]
	}
	return mail.Path(s)
}
