package logparse

import (
	"bytes"
	"strings"

	"mailwhy/engine/mail"
)

// sendmail reads the syslog lines of Sendmail 8 (Sendmail Installation and
// Operation Guide, "The system log"; RELEASE_NOTES for the newer equates).
//
// A message is one transaction under its queue id, which refused recipients
// have as well: the sender and the client stand on the from= line, which comes
// after the refusals and before the deliveries.
type sendmail struct {
	p   *Parser
	key []byte
}

func newSendmail(p *Parser) *sendmail { return &sendmail{p: p} }

func (f *sendmail) name() string { return "sendmail" }

// save has nothing: all that is open are transactions.
func (f *sendmail) save() ([]byte, error)  { return nil, nil }
func (f *sendmail) load(data []byte) error { return nil }

// sendmailLine is a line whose envelope is read. It serves the gateways that
// wrap lines of Sendmail as well.
type sendmailLine struct {
	lineAt
	format  string
	prefix  byte // of transaction keys
	gateway string
	id      string // queue id, empty = none
	body    string // behind the queue id
}

func (f *sendmail) detect(line []byte) bool {
	c := newClock(unixTime(0), nil)
	_, _, ok := sendmailBody(&c, line)
	return ok
}

// sendmailBody reads the envelope of a line of Sendmail.
func sendmailBody(c *clock, line []byte) (e envelope, body []byte, ok bool) {
	if len(line) == 0 {
		return e, nil, false
	}
	n := c.stampAndHost(line, &e)
	if e.tag != nil {
		body = bytes.TrimLeft(withoutSolarisID(line[n:]), " ")
	} else if e.takeTag(line[n:]) {
		body = e.body
	}
	return e, body, isSendmailTag(e.tag)
}

// isSendmailTag reports whether a syslog tag is "sendmail[1]", "sm-mta[1]", or
// the name another daemon of it has.
func isSendmailTag(tag []byte) bool {
	name, _, _ := bytes.Cut(tag, []byte("["))
	switch string(name) {
	case "sendmail", "sm-mta", "sm-msp-queue", "sm-acceptingconnections", "sm-que", "sm-msp", "sm-client", "sendmail-mta", "sm-mta-in", "sm-mta-out":
		return true
	}
	return bytes.HasPrefix(name, []byte("sendmail")) && len(name) < 20
}

func (f *sendmail) line(s *Stream, offset int64, line []byte) bool {
	e, body, ok := sendmailBody(&s.clock, line)
	if !ok {
		if s.pinned != f {
			return false
		}
		e.ms, e.host = 0, nil
		body = line
	}
	l := sendmailLine{lineAt: lineAt{s, offset, line, e.ms}, format: f.name(), prefix: 'S', gateway: text(e.host)}
	if e.ms != 0 {
		s.seen(e.ms)
	}
	l.id, l.body = sendmailID(text(body))
	if !readSendmail(f.p, &f.key, &l) && sendmailFailing(l.body) {
		s.unrecognised(offset, line)
	}
	return true
}

// sendmailFailing reports whether a line that was not understood looks like a
// refusal.
func sendmailFailing(body string) bool {
	return strings.Contains(body, "reject=") || strings.Contains(body, "stat=Deferred") || strings.Contains(body, " rejected")
}

// sendmailID cuts "6AN8FIXe014294: "; a line about a message may lack the id
// and keep its colon.
func sendmailID(body string) (id, rest string) {
	if rest, ok := strings.CutPrefix(body, ": "); ok {
		return "", rest
	}
	n := 0
	for n < len(body) && idClass[body[n]] != 0 {
		n++
	}
	if n < 7 || n > 20 || !strings.HasPrefix(body[n:], ": ") || !strings.ContainsAny(body[:n], "0123456789") {
		return "", strings.TrimPrefix(body, noQueue+": ")
	}
	return body[:n], body[n+2:]
}

// sendmailEquate returns the value of "key=value, " in s. Values hold commas,
// so the next key ends it.
func sendmailEquate(s, key string) string {
	i := strings.Index(s, ", "+key+"=")
	switch {
	case strings.HasPrefix(s, key+"="):
		s = s[len(key)+1:]
	case i >= 0:
		s = s[i+len(key)+len(", ="):]
	default:
		return ""
	}
	for end := 0; ; {
		next := strings.Index(s[end:], ", ")
		if next < 0 {
			return s
		}
		end += next
		rest := s[end+2:]
		equals := strings.IndexAny(rest, "= ,")
		if equals > 0 && equals < 12 && rest[equals] == '=' || strings.HasPrefix(rest, "discard") {
			return s[:end]
		}
		end += 2
	}
}

// transactionKey is the key of a queue id on the line's gateway.
func (l *sendmailLine) transactionKey(buffer *[]byte, id string) []byte {
	key := append((*buffer)[:0], l.prefix)
	if l.gateway == "" {
		key = append(key, l.s.source.ID...)
	}
	key = append(append(append(key, l.gateway...), 0), id...)
	*buffer = key
	return key
}

func (l *sendmailLine) message() mail.Message {
	return mail.Message{Format: l.format, Gateway: l.gateway, QueueID: l.id, Phase: mail.PhaseUnknown}
}

// readSendmail reads a line behind its queue id. It returns false when the
// line is of no known shape.
func readSendmail(p *Parser, key *[]byte, l *sendmailLine) bool {
	b := l.body
	switch {
	case strings.HasPrefix(b, "from="):
		return l.sender(p, key)
	case strings.HasPrefix(b, "to="):
		return l.recipients(p, key)
	case strings.HasPrefix(b, "ruleset="):
		return l.ruleset(p, key)
	case strings.HasPrefix(b, "Milter: "), strings.HasPrefix(b, "milter="):
		return l.milter(p, key)
	case strings.HasPrefix(b, "<"):
		return l.unknownUser(p, key)
	}
	if id, rest := sendmailID(b); id != "" && l.id != "" {
		return l.notified(p, key, id, rest)
	}
	return l.session(p)
}

// sender reads "from=<a@b>, size=235, class=0, nrcpts=1, msgid=<x@y>, relay=name [ip]".
func (l *sendmailLine) sender(p *Parser, key *[]byte) bool {
	if l.id == "" {
		return true
	}
	m := l.message()
	m.EnvelopeFrom = unbracketed(sendmailEquate(l.body, "from"))
	m.Size = decimal(sendmailEquate(l.body, "size"))
	m.MessageID = bracketed(sendmailEquate(l.body, "msgid"))
	m.Client = sendmailHost(sendmailEquate(l.body, "relay"))
	p.know(p.transactionOf(l.transactionKey(key, l.id), &l.lineAt), &l.lineAt, &m)
	return true
}

// sendmailHost reads "name [ip] (may be forged)"; a name in brackets is an
// address once more.
func sendmailHost(s string) mail.Client {
	s = strings.TrimSuffix(s, " (may be forged)")
	open := strings.LastIndexByte(s, '[')
	if open < 0 || !strings.HasSuffix(s, "]") {
		if strings.ContainsAny(s, "@ ,") {
			return mail.Client{} // "root@localhost": a program on the host itself
		}
		return mail.Client{Name: strings.TrimSuffix(s, ".")}
	}
	c := mail.Client{IP: strings.TrimPrefix(s[open+1:len(s)-1], "IPv6:")}
	if name := strings.TrimSpace(s[:open]); !strings.HasPrefix(name, "[") {
		c.Name = strings.TrimSuffix(name, ".")
	}
	return c
}

// concludeOne notes an outcome under the queue id, or alone where there is none.
func (l *sendmailLine) concludeOne(p *Parser, key *[]byte, m *mail.Message, ordinal int) {
	if l.id == "" {
		if m.Outcome.Failing() && ordinal == 0 {
			p.alone(&l.lineAt, m)
		}
		return
	}
	t := p.open.get(l.transactionKey(key, l.id))
	if t == nil && !m.Outcome.Failing() && !p.opts.All {
		return
	}
	p.conclude(p.transactionOf(l.transactionKey(key, l.id), &l.lineAt), &l.lineAt, m, ordinal)
}

// ruleset reads "ruleset=check_rcpt, arg1=<a@b>, relay=name [ip], reject=550 5.7.1 words".
func (l *sendmailLine) ruleset(p *Parser, key *[]byte) bool {
	m := l.message()
	rule := sendmailEquate(l.body, "ruleset")
	arg1, rest := sendmailArgument(l.body)
	m.Client = sendmailHost(sendmailEquate(rest, "relay"))
	m.Reported = mail.Reported{Type: rule}
	reason := ""
	switch _, reject, rejected := strings.Cut(rest, ", reject="); {
	case rejected:
		reason = reject
		m.Outcome = mail.Rejected
	case strings.HasSuffix(l.body, ", discard"):
		m.Outcome = mail.Discarded
	case strings.Contains(l.body, ", quarantine="):
		_, reason, _ = strings.Cut(l.body, ", quarantine=")
		m.Outcome = mail.Held
	default:
		return !rejected
	}
	m.Reply = readReply(reason)
	if m.Outcome == mail.Rejected && m.Reply.Temporary() {
		m.Outcome = mail.Deferred
	}
	m.Reported.Detail = m.Reply.Text
	switch rule {
	case "check_relay":
		m.Phase = mail.PhaseConnect
		if m.Client.IP == "" {
			m.Client.IP = strings.TrimPrefix(sendmailEquate(rest, "arg2"), "IPv6:")
		}
	case "check_mail":
		m.Phase, m.EnvelopeFrom = mail.PhaseMail, unbracketed(arg1)
	case "check_rcpt", "check_local_rcpt":
		m.Phase, m.Recipient = mail.PhaseRcpt, unbracketed(arg1)
	case "check_compat":
		m.Phase, m.EnvelopeFrom, m.Recipient = mail.PhaseRcpt, unbracketed(arg1), unbracketed(sendmailEquate(rest, "arg2"))
	case "check_data":
		m.Phase = mail.PhaseData
	case "check_eoh", "check_eom", "check_header":
		m.Phase = mail.PhaseEndOfData
	}
	if strings.HasPrefix(rule, "Check") || strings.HasPrefix(arg1, "\"") && rule != "check_rcpt" {
		m.Phase = mail.PhaseEndOfData // a header's own ruleset
	}
	if _, address, ok := strings.Cut(m.Reply.Text, "Domain of sender address "); ok {
		address, _, _ = strings.Cut(address, " does not ")
		m.EnvelopeFrom = mail.Path(address)
	}
	l.concludeOne(p, key, &m, 0)
	return true
}

// sendmailArgument returns arg1 of a ruleset's line, an address of the
// client's own choice mostly, and what follows it.
func sendmailArgument(s string) (arg1, rest string) {
	_, s, ok := strings.Cut(s, ", arg1=")
	if !ok || !strings.HasPrefix(s, "<") {
		return sendmailEquate("arg1="+s, "arg1"), ", " + s
	}
	for _, end := range []string{">, arg2=", ">, relay=", ">, reject=", ">, discard"} {
		if i := strings.Index(s, end); i >= 0 {
			return s[:i+1], s[i+1:]
		}
	}
	return s, ""
}

// milter reads "Milter: to=<a@b>, reject=451 4.7.1 words". The line that names
// the filter, "milter=name, action=rcpt, reject=...", is kept with it.
func (l *sendmailLine) milter(p *Parser, key *[]byte) bool {
	name := sendmailEquate(l.body, "milter")
	at := strings.Index(l.body, ", reject=")
	m := l.message()
	switch {
	case at >= 0:
		m.Outcome = mail.Rejected
		m.Reply = readReply(l.body[at+len(", reject="):])
		if m.Reply.Temporary() {
			m.Outcome = mail.Deferred
		}
	case strings.Contains(l.body, ", discard"):
		m.Outcome = mail.Discarded
	case strings.Contains(l.body, "quarantine="):
		m.Outcome = mail.Held
		_, reason, _ := strings.Cut(l.body, "quarantine=")
		m.Reply.Text = reason
	default:
		return true
	}
	if l.id == "" {
		if name == "" {
			p.alone(&l.lineAt, &m)
		}
		return true
	}
	t := p.transactionOf(l.transactionKey(key, l.id), &l.lineAt)
	if name != "" && m.Outcome != mail.Held {
		t.keepAnother(keptFact, l.s, l.offset, l.raw)
		if t.facts == nil {
			t.facts = &mail.Message{}
		}
		t.facts.Reported.Rule = name
		return true
	}
	m.Reported = mail.Reported{Type: "milter", Detail: m.Reply.Text, Rule: name}
	if t.facts != nil && name == "" {
		m.Reported.Rule = t.facts.Reported.Rule
	}
	words := strings.TrimPrefix(l.body, "Milter: ")
	switch {
	case strings.HasPrefix(words, "to="):
		m.Phase, m.Recipient = mail.PhaseRcpt, unbracketed(sendmailEquate(words, "to"))
	case strings.HasPrefix(words, "from="):
		m.Phase, m.EnvelopeFrom = mail.PhaseMail, unbracketed(sendmailEquate(words, "from"))
	case strings.HasPrefix(words, "helo="):
		m.Phase, m.Client.Helo = mail.PhaseHelo, sendmailEquate(words, "helo")
	case strings.HasPrefix(words, "connect"):
		m.Phase = mail.PhaseConnect
	default:
		m.Phase = mail.PhaseEndOfData
		p.concludeAll(t, &l.lineAt, &m)
		t.keepAnother(keptFact, l.s, l.offset, l.raw) // it refuses the recipients, too, that later lines name
		return true
	}
	p.conclude(t, &l.lineAt, &m, 0)
	return true
}

// unknownUser reads "<a@b>... User unknown", which has no code.
func (l *sendmailLine) unknownUser(p *Parser, key *[]byte) bool {
	n := angleEnd(l.body)
	if i := strings.Index(l.body, ">... "); i >= 0 {
		n = i + 1
	}
	words, ok := strings.CutPrefix(l.body[n:], "... ")
	if !ok {
		return false
	}
	m := l.message()
	m.Outcome, m.Phase, m.Recipient = mail.Rejected, mail.PhaseRcpt, unbracketed(l.body[:n])
	m.Reply = readReply(words)
	if m.Reply.Temporary() {
		m.Outcome = mail.Deferred
	}
	m.Reported.Type = m.Reply.Text
	l.concludeOne(p, key, &m, 0)
	return true
}

// notified reads "OLD: NEW: DSN: Service unavailable", the bounce message that
// is sent for a failed one.
func (l *sendmailLine) notified(p *Parser, key *[]byte, notice, words string) bool {
	reason, ok := strings.CutPrefix(words, "DSN: ")
	if !ok {
		return strings.HasPrefix(words, "clone") || strings.Contains(words, "notify") || strings.HasPrefix(words, "return")
	}
	p.notifying(p.transactionOf(l.transactionKey(key, notice), &l.lineAt), l.id)
	t := p.transactionOf(l.transactionKey(key, l.id), &l.lineAt)
	if len(t.records) == 0 {
		m := l.message()
		m.Outcome, m.Phase = mail.Bounced, mail.PhaseDelivery
		m.Reply.Text, m.Reported = reason, mail.Reported{Type: "DSN", Detail: reason}
		p.conclude(t, &l.lineAt, &m, 0)
	}
	p.notified(t, &l.lineAt, notice, mail.Bounced, mail.Expired, mail.Deferred)
	return true
}

// session reads lines that refuse a client before it named a message.
func (l *sendmailLine) session(p *Parser) bool {
	m := l.message()
	m.Outcome = mail.Rejected
	switch b := l.body; {
	case strings.HasPrefix(b, "rejecting commands from "):
		host, reason, _ := strings.Cut(strings.TrimPrefix(b, "rejecting commands from "), " due to ")
		m.Client, m.Phase = sendmailHost(strings.TrimSpace(host)), mail.PhaseConnect
		m.Reported = mail.Reported{Type: "rejecting commands", Detail: reason}
	case strings.HasSuffix(b, " [rejected]"):
		host, command, ok := strings.Cut(strings.TrimSuffix(b, " [rejected]"), "]: ")
		if !ok {
			return false
		}
		m.Client = sendmailHost(host + "]")
		m.Reported = mail.Reported{Type: "command rejected", Detail: command}
	case strings.HasPrefix(b, "tcpwrappers (") && strings.HasSuffix(b, " rejection"):
		m.Phase = mail.PhaseConnect
		name, ip, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(b, "tcpwrappers ("), ") rejection"), ", ")
		m.Client = mail.Client{Name: name, IP: ip}
		m.Reported.Type = "tcpwrappers"
	default:
		return false
	}
	p.alone(&l.lineAt, &m)
	return true
}
