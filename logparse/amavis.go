package logparse

import (
	"bytes"
	"strings"

	"mailwhy/engine/mail"
)

// amavis reads the summary that Amavis logs of each message it checked
// (amavisd's default log_template): "(03344-02) Blocked SPAM {actions}, ...".
//
// A long summary is split over several lines, each of which but the last ends
// in "..." and each of which but the first starts with it.
type amavis struct {
	stateless
	p   *Parser
	key []byte
}

func newAmavis(p *Parser) *amavis { return &amavis{p: p} }

func (f *amavis) name() string { return "amavis" }

func (f *amavis) detect(line []byte) bool {
	if !bytes.Contains(line, []byte("amavis")) {
		return false
	}
	c := newClock(unixTime(0), nil)
	_, _, ok := amavisBody(&c, line)
	return ok
}

// amavisBody reads the envelope of a line of Amavis.
func amavisBody(c *clock, line []byte) (e envelope, body []byte, ok bool) {
	if len(line) == 0 {
		return e, nil, false
	}
	n := c.stampAndHost(line, &e)
	if e.tag != nil {
		body = line[n:]
	} else if e.takeTag(line[n:]) {
		body = e.body
	}
	return e, body, bytes.HasPrefix(e.tag, []byte("amavis")) || bytes.HasSuffix(e.tag, []byte("/amavisd"))
}

func (f *amavis) line(s *Stream, offset int64, line []byte) bool {
	e, body, ok := amavisBody(&s.clock, line)
	if !ok && (s.pinned != f || !bytes.HasPrefix(line, []byte("("))) {
		return false
	}
	if !ok {
		body = line
	}
	l := &lineAt{s: s, offset: offset, raw: line, ms: e.ms}
	if l.ms != 0 {
		s.seen(l.ms)
	}
	if id, words, ok := strings.Cut(strings.TrimPrefix(text(body), "("), ") "); ok && len(id) < 40 {
		f.part(l, string(e.host), id, words)
	}
	return true
}

// keptPart is the kind of line of which others are the rest.
const keptPart = 'p'

// part joins a summary that is split.
func (f *amavis) part(l *lineAt, gateway, id, words string) {
	f.key = append(append(append(append(f.key[:0], 'A', '.'), gateway...), 0), id...)
	t := f.p.open.get(f.key)
	if t != nil && l.ms-t.born > transactionAge {
		f.p.open.letGo++ // its rest never came: the id is that of a later message
		f.p.open.close(t)
		t = nil
	}
	rest, continued := strings.CutPrefix(words, "...")
	head, more := strings.CutSuffix(words, "...")
	switch {
	case continued && t != nil:
		t.facts.Reply.Text += strings.TrimSuffix(rest, "...")
		t.keepAnother(keptPart, l.s, l.offset, l.raw)
		if more {
			return
		}
		f.summary(l, gateway, t.facts.Reply.Text, t)
		f.p.open.close(t)
	case more && amavisVerdict(words):
		t = f.p.open.begin(f.key, l.ms)
		t.facts = &mail.Message{Reply: mail.Reply{Text: head}}
		t.keepAnother(keptPart, l.s, l.offset, l.raw)
	case amavisVerdict(words):
		f.summary(l, gateway, words, nil)
	}
}

func amavisVerdict(s string) bool {
	return strings.HasPrefix(s, "Passed ") || strings.HasPrefix(s, "Blocked ")
}

// summary reads one summary. before is the transaction of its earlier lines.
func (f *amavis) summary(l *lineAt, gateway, s string, before *transaction) {
	verdict, rest, _ := strings.Cut(s, " ")
	category, rest := amavisCategory(rest)
	actions := ""
	if strings.HasPrefix(rest, " {") {
		actions, rest, _ = strings.Cut(rest[2:], "}")
	}
	m := mail.Message{Format: f.name(), Gateway: gateway, Direction: amavisDirection(actions), Phase: mail.PhaseQueue}
	m.Outcome = amavisOutcome(verdict, actions, strings.Contains(rest, ", quarantine: "))
	if m.Outcome == "" {
		l.s.unrecognised(l.offset, l.raw)
		return
	}
	if m.Outcome == mail.Rejected {
		m.Phase = mail.PhaseEndOfData // the answer to the client, which is waiting
	}
	name, rule, _ := strings.Cut(category, " (")
	m.Reported = mail.Reported{Type: name, Rule: strings.TrimSuffix(rule, ")"), Detail: actions}
	recipients := f.addresses(&m, rest)
	f.key = append(append(append(f.key[:0], 'A', '='), gateway...), 0) // '.' is part's: a gateway may start with it
	if m.QueueID != "" {
		f.key = append(f.key, m.QueueID...)
	} else if m.MessageID != "" {
		f.key = append(append(f.key, m.MessageID...), m.EnvelopeFrom.Fold()...)
	}
	for i, recipient := range recipients {
		one := m
		one.Recipient = recipient
		f.conclude(l, &one, i, before)
	}
}

// conclude notes the verdict for one recipient.
func (f *amavis) conclude(l *lineAt, m *mail.Message, ordinal int, before *transaction) {
	if f.p.open.get(f.key) == nil && !m.Outcome.Failing() && !f.p.opts.All && !f.p.stories.on {
		return
	}
	t := f.p.transactionOf(f.key, l)
	if m.QueueID == "" && m.MessageID == "" {
		t = f.p.open.begin(f.key, l.ms) // of no other message
	}
	first := *l
	if before != nil {
		k := &before.lines[0]
		first = lineAt{f.p.order[k.stream], k.offset, before.bytes(k), before.born}
	}
	if r := f.p.conclude(t, &first, m, ordinal); r != nil && before != nil {
		f.p.kept(before, func(_ byte, e mail.Evidence) { r.cite(e) })
		f.p.touched(r, l.s, l.ms, l.offset, ordinal, l.raw)
	}
}

// amavisCategory cuts "SPAM", "INFECTED (Eicar-Signature)" or "BANNED (a.exe,
// b (1).exe)" from the start of s.
func amavisCategory(s string) (category, rest string) {
	end := len(s)
	for _, stop := range []string{" {", ", "} {
		if i := strings.Index(s, stop); i >= 0 && i < end {
			end = i
		}
	}
	if i := strings.Index(s, " ("); i >= 0 && i < end { // names stand in parentheses, with commas
		for _, stop := range []string{") {", "), "} {
			if j := strings.Index(s, stop); j >= 0 {
				return s[:j+1], s[j+1:]
			}
		}
	}
	return s[:end], s[end:]
}

// amavisOutcome is what was done: a message that was blocked and kept in the
// quarantine can be released from it.
func amavisOutcome(verdict, actions string, quarantined bool) mail.Outcome {
	has := func(word string) bool { return strings.Contains(actions, word) }
	switch {
	case verdict == "Passed" && has("Relayed"):
		return mail.Delivered // to the mail server behind it
	case verdict == "Passed":
		return mail.Accepted
	case has("TempFailed"):
		return mail.Deferred
	case has("Rejected"):
		return mail.Rejected
	case has("Bounced"):
		return mail.Bounced
	case has("Quarantined"), quarantined:
		return mail.Held
	case has("Discarded"), has("NoBounce"), actions == "":
		return mail.Discarded
	}
	return ""
}

func amavisDirection(actions string) mail.Direction {
	for _, d := range []struct {
		word      string
		direction mail.Direction
	}{{"Inbound", mail.Inbound}, {"Outbound", mail.Outbound}, {"Internal", mail.Internal}, {"OpenRelay", mail.External}} {
		if strings.Contains(actions, d.word) {
			return d.direction
		}
	}
	return mail.DirectionUnknown
}

// addresses reads ", MYNETS LOCAL [client]:port [origin] <a@b> -> <c@d>,<e@f>,
// quarantine: X, Queue-ID: Y, Message-ID: <z>, Hits: 5.1, size: 885, ...".
func (f *amavis) addresses(m *mail.Message, s string) []mail.Path {
	head, rest, ok := strings.Cut(s, "> -> ")
	if !ok {
		return []mail.Path{""}
	}
	if open := strings.LastIndex(head, " <"); open >= 0 {
		m.EnvelopeFrom = unbracketed(head[open+1:] + ">")
		head = head[:open]
	}
	if _, client, ok := strings.Cut(head, "["); ok {
		client, _, _ = strings.Cut(client, "]")
		m.Client.IP = strings.TrimPrefix(client, "IPv6:")
	}
	recipients, rest := sendmailRecipients(rest)
	m.QueueID = amavisField(rest, "Queue-ID")
	m.MessageID = amavisField(rest, "Message-ID")
	m.SpamScore = float(amavisField(rest, "Hits"))
	m.Size = decimal(amavisField(rest, "size"))
	if _, subject, ok := strings.Cut(rest, `, Subject: "`); ok {
		m.Subject, _, _ = strings.Cut(subject, `", `)
	}
	if _, from, ok := strings.Cut(rest, ", From: "); ok {
		m.HeaderFrom, m.HeaderFromName = mimeHeaderAddress(from[:amavisFromEnd(from)])
	}
	return recipients
}

// amavisFromEnd is the length of a From header before the next field.
func amavisFromEnd(s string) int {
	for _, stop := range []string{">, ", ", "} {
		if i := strings.Index(s, stop); i >= 0 {
			return i + len(stop) - len(", ")
		}
	}
	return len(s)
}

// amavisField returns the value of "key: value, ".
func amavisField(s, key string) string {
	_, s, ok := strings.Cut(s, ", "+key+": ")
	if !ok {
		return ""
	}
	if strings.HasPrefix(s, "<") {
		return s[:angleEnd(s)]
	}
	s, _, _ = strings.Cut(s, ", ")
	return s
}
