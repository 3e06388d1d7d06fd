package logparse

import (
	"bytes"
	"strings"

	"mailwhy/engine/mail"
)

// opensmtpd reads the syslog lines of OpenSMTPD (smtpd(8)), as worded since
// 5.7 ("smtp failed-command", "mta delivery") and before ("smtp-in: Failed
// command on session").
//
// A session is one transaction, which knows the client and the sender; an
// envelope (evpid) is another, of one recipient, from its acceptance to its
// last delivery.
type opensmtpd struct {
	p   *Parser
	key []byte
}

func newOpenSMTPD(p *Parser) *opensmtpd { return &opensmtpd{p: p} }

func (f *opensmtpd) name() string { return "opensmtpd" }

// save has nothing: all that is open are transactions.
func (f *opensmtpd) save() ([]byte, error)  { return nil, nil }
func (f *opensmtpd) load(data []byte) error { return nil }

// opensmtpdLine is a line whose envelope is read.
type opensmtpdLine struct {
	lineAt
	gateway string
	session string // 16 hexadecimal digits
	body    string // behind the session id
}

func (f *opensmtpd) detect(line []byte) bool {
	c := newClock(unixTime(0), nil)
	_, body, ok := opensmtpdBody(&c, line)
	if !ok {
		return false
	}
	session, rest := opensmtpdSession(body)
	return session != "" && (strings.HasPrefix(rest, "smtp ") || strings.HasPrefix(rest, "mta ") || strings.HasPrefix(rest, "mda ")) ||
		strings.HasPrefix(rest, "smtp-in: ") || strings.HasPrefix(rest, "delivery: ") || strings.HasPrefix(rest, "relay: ") || strings.HasPrefix(rest, "info: OpenSMTPD ")
}

// opensmtpdBody reads the envelope; a line may have none.
func opensmtpdBody(c *clock, line []byte) (e envelope, body string, ok bool) {
	if len(line) == 0 {
		return e, "", false
	}
	n := c.stampAndHost(line, &e)
	if e.tag == nil && n > 0 && !e.takeTag(line[n:]) {
		return e, "", false
	}
	if e.tag == nil {
		session, _ := opensmtpdSession(text(line[:min(len(line), 40)]))
		return e, text(line), session != ""
	}
	if e.body == nil {
		e.body = withoutSolarisID(line[n:])
	}
	name, _, _ := bytes.Cut(e.tag, []byte("["))
	return e, strings.TrimLeft(text(e.body), " "), string(name) == "smtpd" || string(name) == "opensmtpd"
}

// opensmtpdSession cuts the session id from the start of a line.
func opensmtpdSession(s string) (id, rest string) {
	if len(s) < 18 || s[16] != ' ' {
		return "", s
	}
	for i := range 16 {
		if !isDigit(s[i]) && (s[i] < 'a' || s[i] > 'f') {
			return "", s
		}
	}
	return s[:16], s[17:]
}

func (f *opensmtpd) line(s *Stream, offset int64, line []byte) bool {
	e, body, ok := opensmtpdBody(&s.clock, line)
	if !ok {
		return s.pinned == f
	}
	l := opensmtpdLine{lineAt: lineAt{s, offset, line, e.ms}, gateway: text(e.host)}
	if l.ms == 0 {
		l.ms = s.lastTime
	}
	s.seen(l.ms)
	l.session, l.body = opensmtpdSession(body)
	if !f.read(&l) && (strings.Contains(l.body, "ail") && strings.Contains(l.body, "ommand") || strings.Contains(l.body, "Fail") || strings.Contains(l.body, "reject")) {
		s.unrecognised(offset, line)
	}
	return true
}

func (f *opensmtpd) message(l *opensmtpdLine) mail.Message {
	return mail.Message{Format: f.name(), Gateway: l.gateway, Phase: mail.PhaseUnknown}
}

// transactionKey is the key of a session ('s') or an envelope ('e').
func (f *opensmtpd) transactionKey(l *opensmtpdLine, kind byte, id string) []byte {
	f.key = append(f.key[:0], 'O', kind)
	if l.gateway == "" {
		f.key = append(f.key, l.s.source.ID...)
	}
	f.key = append(append(append(f.key, l.gateway...), 0), id...)
	return f.key
}

// read sends the line to whom it concerns; false when it is of no known shape.
func (f *opensmtpd) read(l *opensmtpdLine) bool {
	b := l.body
	word := func(prefix string) bool { return strings.HasPrefix(b, prefix) }
	switch {
	case word("smtp connected "):
		m := f.message(l)
		m.Client = opensmtpdClient(opensmtpdValue(b, "address"), opensmtpdValue(b, "host"))
		f.p.know(f.p.open.begin(f.transactionKey(l, 's', l.session), l.ms), &l.lineAt, &m)
	case word("smtp failed-command "):
		f.failedCommand(l, opensmtpdValue(b, "command"), opensmtpdValue(b, "result"))
	case word("smtp message "):
		f.accepted(l)
	case word("smtp envelope "):
		f.envelope(l)
	case word("smtp disconnected "):
		if t := f.p.open.get(f.transactionKey(l, 's', l.session)); t != nil {
			f.p.open.finish(t)
		}
	case word("smtp "), word("info: "), word("debug: "):
	case word("mta delivery "), word("mda delivery "):
		return f.delivery(l)
	case word("mta "), word("mda "):
	case word("warn: PermFail injecting failure report on message "):
	case word("smtp-in: "):
		return f.oldSession(l, b[len("smtp-in: "):])
	case word("delivery: "), word("relay: "):
		return f.oldDelivery(l)
	default:
		return false
	}
	return true
}

// opensmtpdValue returns the value of key=value, key="value" or key=<value>.
// A quoted value ends before the next key, since replies hold quotes.
func opensmtpdValue(s, key string) string {
	i := strings.Index(s, " "+key+"=")
	if i < 0 {
		return ""
	}
	s = s[i+len(key)+2:]
	switch {
	case strings.HasPrefix(s, "<"):
		return s[:angleEnd(s)]
	case !strings.HasPrefix(s, `"`):
		value, _, _ := strings.Cut(s, " ")
		return strings.TrimSuffix(value, ",")
	}
	s = s[1:]
	for end := 0; ; {
		quote := strings.Index(s[end:], `" `)
		if quote < 0 {
			return strings.TrimSuffix(s, `"`)
		}
		end += quote
		if word, _, ok := strings.Cut(s[end+2:], "="); ok && len(word) < 12 && !strings.ContainsAny(word, " \"") {
			return s[:end]
		}
		end += 2
	}
}

// opensmtpdClient is what "smtp connected address=1.2.3.4 host=name" tells.
func opensmtpdClient(address, host string) mail.Client {
	var c mail.Client
	if host != "<unknown>" {
		c.Name = host
	}
	if address == "local" {
		return c
	}
	address = strings.Trim(strings.TrimPrefix(address, "IPv6:"), "[]")
	c.IP = strings.TrimPrefix(address, "IPv6:")
	return c
}

// failedCommand reads a command that was refused. "MAIL FROM:" that was
// accepted is not logged: its sender is known only where it was refused.
func (f *opensmtpd) failedCommand(l *opensmtpdLine, command, result string) {
	if strings.HasPrefix(command, "AUTH") || strings.HasPrefix(command, "STARTTLS") {
		return
	}
	m := f.message(l)
	m.Reply = readReply(result)
	m.Outcome = mail.Rejected
	if m.Reply.Temporary() {
		m.Outcome = mail.Deferred
	}
	m.Reported.Detail = m.Reply.Text
	verb, argument, _ := strings.Cut(command, ":")
	switch strings.ToUpper(strings.TrimSpace(verb)) {
	case "":
		m.Phase = mail.PhaseConnect
	case "MAIL FROM":
		m.Phase, m.EnvelopeFrom = mail.PhaseMail, opensmtpdPath(argument)
	case "RCPT TO":
		m.Phase, m.Recipient = mail.PhaseRcpt, opensmtpdPath(argument)
	case "DATA":
		m.Phase = mail.PhaseData
	case ".":
		m.Phase = mail.PhaseEndOfData
	default:
		verb, helo, _ := strings.Cut(command, " ")
		m.Phase = stagePhase(strings.ToUpper(verb))
		if m.Phase == mail.PhaseHelo {
			m.Client.Helo = strings.TrimSpace(helo)
		}
	}
	m.Reported.Type, _, _ = strings.Cut(m.Reply.Text, ": ")
	t := f.p.transactionOf(f.transactionKey(l, 's', l.session), &l.lineAt)
	if t.facts != nil && t.facts.EnvelopeFrom.Known() && !m.EnvelopeFrom.Known() {
		m.EnvelopeFrom = t.facts.EnvelopeFrom
	}
	f.p.refuse(t, &l.lineAt, &m)
}

// refuse makes a message of one refused command of a session: another command
// of the session may be of another message. What the session's lines tell goes
// with it.
func (p *Parser) refuse(t *transaction, l *lineAt, m *mail.Message) {
	if t.facts != nil {
		sender := m.EnvelopeFrom
		learnAll(m, t.facts)
		m.EnvelopeFrom = sender
	}
	r := p.alone(l, m)
	var facts []mail.Evidence
	p.kept(t, func(_ byte, e mail.Evidence) { facts = append(facts, e) })
	r.Evidence = append(facts, r.Evidence...)
}

// opensmtpdPath reads "<a@b> SIZE=100".
func opensmtpdPath(s string) mail.Path {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "<") {
		s = s[:angleEnd(s)]
	}
	return unbracketed(s)
}

// accepted reads "smtp message msgid=c60e15f6 size=597 nrcpt=1 proto=ESMTP",
// or, in other versions, "smtp message address=... from=<a> to=<b>".
func (f *opensmtpd) accepted(l *opensmtpdLine) {
	m := f.message(l)
	m.Size = decimal(opensmtpdValue(l.body, "size"))
	f.p.know(f.p.transactionOf(f.transactionKey(l, 's', l.session), &l.lineAt), &l.lineAt, &m)
}

// envelope reads "smtp envelope evpid=... from=<a@b> to=<c@d>": the message of
// the session gets an envelope, which outlives the session.
func (f *opensmtpd) envelope(l *opensmtpdLine) {
	m := f.message(l)
	m.QueueID = opensmtpdValue(l.body, "evpid")
	m.EnvelopeFrom = unbracketed(opensmtpdValue(l.body, "from"))
	e := f.p.open.begin(f.transactionKey(l, 'e', m.QueueID), l.ms)
	if t := f.p.open.get(f.transactionKey(l, 's', l.session)); t != nil && t.facts != nil {
		client := *t.facts
		client.EnvelopeFrom = ""
		e.facts = &client
		for i := range t.lines {
			k := &t.lines[i]
			e.keepOf(t, k, keptFact)
		}
	}
	f.p.know(e, &l.lineAt, &m)
}

// delivery reads "mta delivery evpid=... from=<a> to=<b> rcpt=<-> relay="ip
// (name)" result="PermFail" stat="550 words"".
func (f *opensmtpd) delivery(l *opensmtpdLine) bool {
	return f.conclude(l, opensmtpdValue(l.body, "evpid"), func(key string) string { return opensmtpdValue(l.body, key) }, opensmtpdValue(l.body, "result"))
}

func (f *opensmtpd) conclude(l *opensmtpdLine, evpid string, value func(string) string, result string) bool {
	m := f.message(l)
	m.Phase, m.QueueID = mail.PhaseDelivery, evpid
	m.EnvelopeFrom = unbracketed(value("from"))
	m.Recipient = unbracketed(value("to"))
	if original := unbracketed(value("rcpt")); original != "-" && original != m.Recipient {
		m.OriginalRecipient = original
	}
	if relay := value("relay"); relay != "" {
		ip, name, _ := strings.Cut(relay, " (")
		m.Remote = mail.Remote{IP: ip, Name: strings.TrimSuffix(name, ")")}
	}
	m.Reported = mail.Reported{Type: result, Detail: value("stat")}
	m.Reply = readReply(m.Reported.Detail)
	switch result {
	case "Ok", "Delivered":
		m.Outcome = mail.Delivered
	case "TempFail":
		m.Outcome = mail.Deferred
	case "PermFail", "Loop":
		m.Outcome = mail.Bounced
	case "Expired":
		m.Outcome = mail.Expired
	default:
		return false
	}
	t := f.p.open.get(f.transactionKey(l, 'e', evpid))
	if t == nil {
		if !m.Outcome.Failing() && !f.p.opts.All {
			return true
		}
		t = f.p.open.add(f.transactionKey(l, 'e', evpid), l.ms)
	}
	f.p.conclude(t, &l.lineAt, &m, 0)
	if m.Outcome != mail.Deferred {
		f.p.open.finish(t)
	}
	return true
}

// oldSession reads the wording before 5.7:
//
//	New session 08d856b172f69c5c from host name [1.2.3.4]
//	Failed command on session 1f55bdcdf16e28a3: "MAIL FROM:<a@b>  " => 421 4.3.0: Temporary Error
func (f *opensmtpd) oldSession(l *opensmtpdLine, s string) bool {
	switch {
	case strings.HasPrefix(s, "New session "):
		id, rest, _ := strings.Cut(s[len("New session "):], " from host ")
		m := f.message(l)
		m.Client = clientOf(rest)
		m.Client.Name = strings.TrimSpace(m.Client.Name)
		if m.Client.IP == "local" {
			m.Client.IP = ""
		}
		l.session = id
		f.p.know(f.p.open.begin(f.transactionKey(l, 's', id), l.ms), &l.lineAt, &m)
	case strings.HasPrefix(s, "Failed command on session "):
		id, rest, ok := strings.Cut(s[len("Failed command on session "):], `: "`)
		at := strings.LastIndex(rest, `" => `)
		if !ok || at < 0 {
			return false
		}
		l.session = id
		result := rest[at+len(`" => `):]
		if code, words, ok := strings.Cut(result, ": "); ok && len(code) < 14 { // "421 4.3.0: Temporary Error"
			result = code + " " + words
		}
		f.failedCommand(l, rest[:at], result)
	case strings.HasPrefix(s, "Closing session "), strings.HasPrefix(s, "Received disconnect from session "):
		_, id, _ := strings.Cut(s, "session ")
		if t := f.p.open.get(f.transactionKey(l, 's', id)); t != nil {
			f.p.open.finish(t)
		}
	}
	return true
}

// oldDelivery reads "delivery: PermFail for 93e8f8d6b6a9c7f2: from=<a>, to=<b>,
// relay=ip (name), delay=1s, stat=550 words".
func (f *opensmtpd) oldDelivery(l *opensmtpdLine) bool {
	_, s, _ := strings.Cut(l.body, ": ")
	result, s, ok := strings.Cut(s, " for ")
	if !ok {
		return false
	}
	evpid, s, ok := strings.Cut(s, ": ")
	if !ok {
		return false
	}
	value := func(key string) string {
		_, rest, ok := strings.Cut(", "+s, ", "+key+"=")
		if !ok {
			return ""
		}
		if key != "stat" {
			rest, _, _ = strings.Cut(rest, ", ")
		}
		return rest
	}
	return f.conclude(l, evpid, value, result)
}
