package logparse

import (
	"bytes"
	"strings"

	"mailwhy/engine/mail"
)

// pmg reads the syslog of Proxmox Mail Gateway: what its filter,
// pmg-smtp-filter, did with a message, joined with the Postfix around it.
//
// The lines of Postfix are Postfix's; this format only looks at those that name
// the filter's session, or the message that it gets. A message is queued before
// the filter sees it, and then Message-ID leads to its queue id; or the filter
// answers while the client waits, and then the proxy's line says whose it was.
type pmg struct {
	stateless
	p   *Parser
	key []byte
}

func newPMG(p *Parser) *pmg { return &pmg{p: p} }

func (f *pmg) name() string { return "pmg" }

const pmgTag = "pmg-smtp-filter"

func (f *pmg) detect(line []byte) bool {
	if !bytes.Contains(line[:min(len(line), 200)], []byte(pmgTag)) {
		return false
	}
	c := newClock(unixTime(0), nil)
	e, ok := pmgEnvelope(&c, line)
	return ok && bytes.HasPrefix(e.tag, []byte(pmgTag))
}

func pmgEnvelope(c *clock, line []byte) (e envelope, ok bool) {
	if len(line) == 0 {
		return e, false
	}
	n := c.stampAndHost(line, &e)
	if e.tag != nil {
		e.body = line[n:]
		return e, true
	}
	return e, n > 0 && e.takeTag(line[n:])
}

// pmgLine is a line whose envelope is read.
type pmgLine struct {
	lineAt
	gateway string
	id      string // of the filter's session
	words   string
}

func (f *pmg) line(s *Stream, offset int64, line []byte) bool {
	e, ok := pmgEnvelope(&s.clock, line)
	if !ok {
		return false
	}
	l := &pmgLine{lineAt: lineAt{s, offset, line, e.ms}, gateway: text(e.host)}
	if !bytes.HasPrefix(e.tag, []byte(pmgTag)) {
		if isPostfixTag(e.tag) && f.aroundFilter(l, &e) {
			s.seen(l.ms)
			return true
		}
		return f.p.format("postfix").line(s, offset, line)
	}
	s.seen(l.ms)
	id, rest, ok := queueID(e.body)
	if !ok {
		return true
	}
	l.id, l.words = string(id), text(rest)
	f.filtered(l)
	return true
}

// transactionKey is the key of a filter session ('f') or of a Message-ID on its
// way to the filter ('m').
func (f *pmg) transactionKey(l *pmgLine, kind byte, id string) []byte {
	f.key = append(append(append(append(f.key[:0], 'G', kind), l.gateway...), 0), id...)
	return f.key
}

// postfix returns Postfix's transaction of a queue id.
func (f *pmg) postfix(l *pmgLine, id string) *transaction {
	f.key = append(f.key[:0], 'P')
	if l.gateway == "" {
		f.key = append(f.key, l.s.source.ID...)
	}
	f.key = append(append(append(f.key, l.gateway...), 0), id...)
	return f.p.open.get(f.key)
}

// filtered reads what the filter says of a message:
//
//	new mail message-id=<a@b>
//	SA score=8/5 time=0.5 bayes=0.00 hits=...
//	moved mail for <a@b> to spam quarantine - ID (rule: Quarantine Spam)
//	block mail to <a@b> (rule: Blocklist)
func (f *pmg) filtered(l *pmgLine) {
	m := mail.Message{Format: f.name(), Gateway: l.gateway, QueueID: l.id, Phase: mail.PhaseQueue}
	w := l.words
	switch {
	case strings.HasPrefix(w, "new mail message-id="):
		m.MessageID = strings.TrimSuffix(w[len("new mail message-id="):], "#012")
		f.p.know(f.p.open.begin(f.transactionKey(l, 'f', l.id), l.ms), &l.lineAt, &m)
		return
	case strings.HasPrefix(w, "SA score="):
		score, _, _ := strings.Cut(w[len("SA score="):], "/")
		m.SpamScore = float(score)
		f.p.know(f.session(l), &l.lineAt, &m)
		return
	case strings.HasPrefix(w, "virus detected: "):
		f.session(l).keepAnother(keptFinding, l.s, l.offset, l.raw)
		return
	case strings.HasPrefix(w, "moved mail for <"):
		rest := f.verdict(&m, w[len("moved mail for "):])
		kind, _, _ := strings.Cut(strings.TrimPrefix(rest, " to "), " - ")
		m.Outcome, m.Reported.Type = mail.Held, kind
	case strings.HasPrefix(w, "block mail to <"):
		f.verdict(&m, w[len("block mail to "):])
		m.Outcome, m.Reported.Type = mail.Discarded, "block"
	default:
		return
	}
	t := f.session(l)
	r := f.p.conclude(t, &l.lineAt, &m, 0)
	f.p.keptLines(t, func(kind byte, line string, e mail.Evidence) {
		if kind == keptFinding {
			_, r.Reported.Detail, _ = strings.Cut(line, ": virus detected: ")
			r.cite(e)
		}
	})
	if id := f.queued(l, r.MessageID); id != "" {
		f.join(l, r, id)
	}
}

func (f *pmg) session(l *pmgLine) *transaction {
	return f.p.transactionOf(f.transactionKey(l, 'f', l.id), &l.lineAt)
}

// verdict reads "<a@b> words (rule: name)" and returns the words.
func (f *pmg) verdict(m *mail.Message, s string) string {
	n := angleEnd(s)
	m.Recipient = unbracketed(s[:n])
	rest := s[n:]
	if i := strings.LastIndex(rest, " (rule: "); i >= 0 {
		m.Reported.Rule = strings.TrimSuffix(rest[i+len(" (rule: "):], ")")
		rest = rest[:i]
	}
	return rest
}

// queued returns the queue id of the message that the filter has, "" when none
// is known.
func (f *pmg) queued(l *pmgLine, messageID string) string {
	if messageID == "" {
		return ""
	}
	if t := f.p.open.get(f.transactionKey(l, 'm', messageID)); t != nil && t.facts != nil {
		return t.facts.QueueID
	}
	return ""
}

// join completes r with what Postfix knows of a queue id; it reports whether
// there was any.
func (f *pmg) join(l *pmgLine, r *record, id string) bool {
	t := f.postfix(l, id)
	if t == nil {
		return false
	}
	before := len(r.Evidence)
	f.p.keptLines(t, func(kind byte, line string, e mail.Evidence) {
		if joinFact(r, kind, line) {
			r.cite(e)
		}
	})
	if len(r.Evidence) == before {
		return false
	}
	f.p.list(r)
	return true
}

// aroundFilter reads Postfix's lines about messages on their way to the filter
// and from it. It returns true for the refusal that only repeats the filter's.
func (f *pmg) aroundFilter(l *pmgLine, e *envelope) bool {
	b := e.body
	switch {
	case bytes.Contains(b, []byte(": message-id=")):
		if id, rest, ok := queueID(b); ok {
			m := mail.Message{QueueID: string(id)}
			t := f.p.open.begin(f.transactionKey(l, 'm', strings.TrimPrefix(text(rest), "message-id=")), l.ms)
			t.facts = &m
		}
	case bytes.Contains(b, []byte("proxy-accept: END-OF-MESSAGE: ")), bytes.Contains(b, []byte("proxy-reject: END-OF-MESSAGE: ")):
		return f.proxied(l, e)
	case bytes.Contains(b, []byte(", status=sent (250 2.5.0 OK (")):
		f.handedOver(l, e)
	}
	return false
}

// proxied reads "proxy-accept: END-OF-MESSAGE: 250 2.5.0 OK (ID); from=<a>
// to=<b> proto=ESMTP helo=<c>", and what the proxy refuses for the filter.
func (f *pmg) proxied(l *pmgLine, e *envelope) bool {
	_, s, _ := strings.Cut(text(e.body), "END-OF-MESSAGE: ")
	reply, trailer := cutTrailer(s)
	open := strings.LastIndexByte(reply, '(')
	if open < 0 {
		return false
	}
	l.id = strings.TrimSuffix(reply[open+1:], ")")
	t := f.p.open.get(f.transactionKey(l, 'f', l.id))
	if t == nil {
		return false
	}
	m := mail.Message{Format: f.name(), Gateway: l.gateway, QueueID: l.id, Phase: mail.PhaseEndOfData}
	readTrailer(&m, trailer, "")
	client := f.postfix(l, "/"+string(e.tag)+"/"+string(e.pid)) // the session
	if client != nil && client.has(keptClient) {
		if r := (&record{}); joinFact(r, keptClient, text(client.bytes(&client.lines[0]))) {
			m.Client.IP, m.Client.Name = r.Client.IP, r.Client.Name
		}
	}
	if bytes.Contains(e.body, []byte("proxy-accept: ")) {
		m.Recipient = ""
		f.p.know(t, &l.lineAt, &m)
	} else {
		m.Reply = readReply(reply)
		m.Reported = mail.Reported{Type: "proxy-reject", Detail: m.Reply.Text}
		m.Outcome = mail.Rejected
		if m.Reply.Temporary() {
			m.Outcome = mail.Deferred
		}
		f.refused(t, l, &m)
	}
	for _, r := range t.records {
		if client != nil && r.ID != "" {
			f.p.kept(client, func(_ byte, e mail.Evidence) { r.cite(e) })
		}
	}
	return m.Outcome != ""
}

// refused notes that the client was told so: of the recipients that were
// blocked, or, where the filter said nothing of them, of the one on the line.
func (f *pmg) refused(t *transaction, l *pmgLine, m *mail.Message) {
	blocked := 0
	for i, r := range t.records {
		if r.Outcome != mail.Discarded {
			continue
		}
		blocked++
		rule := r.Reported
		r.Outcome, r.Phase, r.Reply, r.Reported = m.Outcome, m.Phase, m.Reply, rule
		learnAll(&r.Message, m)
		f.p.touched(r, l.s, l.ms, l.offset, i, l.raw)
	}
	if blocked == 0 {
		f.p.conclude(t, &l.lineAt, m, 0)
	}
}

// handedOver reads "QID: to=<a@b>, relay=..., status=sent (250 2.5.0 OK (ID))":
// the filter took it over, whatever it did with it then.
func (f *pmg) handedOver(l *pmgLine, e *envelope) {
	id, rest, ok := queueID(e.body)
	if !ok {
		return
	}
	_, session, _ := strings.Cut(text(rest), "status=sent (250 2.5.0 OK (")
	l.id, _, _ = strings.Cut(session, ")")
	t := f.p.open.get(f.transactionKey(l, 'f', l.id))
	if t == nil {
		return
	}
	for _, r := range t.records {
		if f.join(l, r, string(id)) {
			f.p.touched(r, l.s, l.ms, l.offset, 0, l.raw)
		}
	}
}
