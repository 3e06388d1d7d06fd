package logparse

import (
	"bytes"
	"slices"
	"strings"

	"mailwhy/engine/mail"
)

// The kinds of rows a session of the protocol log keeps beside its facts.
const (
	keptCommand   = '<' // a command; mail.Message.Attempts of the facts counts those that were answered
	keptRecipient = 'r' // an RCPT that was accepted
)

// protocol reads a row of the SMTP receive protocol log: "+" opens a session,
// "<" is what the client said, ">" the answer, "-" ends it. Commands may be
// sent ahead of their answers, which come in the same order.
func (f *exchange) protocol(l *lineAt, row csvRow) {
	f.key = append(append(f.key[:0], 'x'), row.get("sessionid")...)
	data := row.get("data")
	switch row.get("event") {
	case "+":
		f.session(l, row)
	case "-":
		if t := f.p.open.get(f.key); t != nil {
			f.p.open.finish(t)
		}
	case "<":
		t := f.session(l, row)
		if !t.keepAnother(keptCommand, l.s, l.offset, l.raw) {
			t.facts.Attempts = -1 // too many at once: answers can not be told apart any more
		}
	case ">":
		if _, more, ok := replyCode(data); ok && !more {
			f.answered(l, f.session(l, row), row, data)
		}
	}
}

// session returns the session of a row, with the client that its endpoint tells.
func (f *exchange) session(l *lineAt, row csvRow) *transaction {
	t := f.p.transactionOf(f.key, l)
	if t.facts == nil {
		m := mail.Message{Format: f.name()}
		m.Client.IP = endpointIP(row.get("remoteendpoint"))
		m.Gateway, _, _ = strings.Cut(row.get("connectorid"), `\`)
		f.p.know(t, l, &m)
	}
	return t
}

// endpointIP cuts the port from "192.0.2.1:25" or "[2001:db8::1]:25".
func endpointIP(s string) string {
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		s = s[:i]
	}
	return strings.Trim(s, "[]")
}

// answered reads an answer with the command it is for.
func (f *exchange) answered(l *lineAt, t *transaction, row csvRow, data string) {
	command, at := f.pending(t)
	reply := readReply(data)
	verb, argument := smtpCommand(command)
	if reply.Code < 400 {
		f.allowed(l, t, verb, argument, at, reply)
		return
	}
	m := mail.Message{Format: f.name(), Gateway: t.facts.Gateway, Outcome: mail.Rejected, Reply: reply}
	if reply.Temporary() {
		m.Outcome = mail.Deferred
	}
	m.Reported.Detail = reply.Text
	m.Reported.Type = row.get("context")
	m.Phase = stagePhase(verb)
	m.EnvelopeFrom = t.facts.EnvelopeFrom
	switch {
	case t.facts.Attempts < 0:
		m.Phase = mail.PhaseUnknown
	case command == "" && t.facts.Attempts == 0:
		m.Phase = mail.PhaseConnect
	case command == "" || verb == "BDAT":
		m.Phase = mail.PhaseEndOfData
		f.refuseAll(l, t, &m)
		return
	case verb == "MAIL":
		m.EnvelopeFrom = smtpPath(argument)
	case verb == "RCPT":
		m.Recipient = smtpPath(argument)
	case verb == "EHLO" || verb == "HELO":
		m.Client.Helo = argument
	case verb != "DATA":
		return // AUTH, STARTTLS, RSET: no message is on its way
	}
	f.refuseOne(l, t, &m, 0, at)
}

// pending takes the first command that has no answer yet; "" when there is none.
func (f *exchange) pending(t *transaction) (command string, at *keptLine) {
	n := 0
	for i := range t.lines {
		k := &t.lines[i]
		if k.kind != keptCommand {
			continue
		}
		if n == t.facts.Attempts {
			t.facts.Attempts++
			columns := f.heads[f.p.order[k.stream].source.ID]
			return csvRow{columns, csvFields(text(t.bytes(k)))}.get("data"), k
		}
		n++
	}
	return "", nil
}

// smtpCommand cuts a command's verb from its argument.
func smtpCommand(command string) (verb, argument string) {
	verb, argument, _ = strings.Cut(command, " ")
	verb = strings.ToUpper(verb)
	switch verb {
	case "MAIL", "RCPT":
		_, argument, _ = strings.Cut(argument, ":")
	}
	return verb, strings.TrimSpace(argument)
}

// smtpPath reads the address of "<a@b> SIZE=100".
func smtpPath(s string) mail.Path {
	if strings.HasPrefix(s, "<") {
		return unbracketed(s[:angleEnd(s)])
	}
	s, _, _ = strings.Cut(s, " ")
	return mail.Path(s)
}

// allowed notes what a command that was accepted tells.
func (f *exchange) allowed(l *lineAt, t *transaction, verb, argument string, at *keptLine, reply mail.Reply) {
	m := mail.Message{}
	switch verb {
	case "EHLO", "HELO":
		m.Client.Helo = argument
	case "MAIL":
		if t.facts.EnvelopeFrom.Known() {
			t, at = f.again(l, t)
		}
		m.EnvelopeFrom = smtpPath(argument)
	case "RCPT":
		if at != nil {
			t.keepOf(t, at, keptRecipient)
		}
		return
	default:
		return
	}
	if at != nil && learnAll(t.facts, &m) {
		t.keepOf(t, at, keptFact)
	}
}

// again starts the session's next message: the client stays, sender and
// recipients go. at is the MAIL that was just answered, nil when answers can
// not be told apart any more.
func (f *exchange) again(l *lineAt, old *transaction) (t *transaction, at *keptLine) {
	facts := *old.facts
	facts.EnvelopeFrom = ""
	before := transaction{lines: slices.Clone(old.lines), text: bytes.Clone(old.text)} // begin uses old's memory again
	t = f.p.open.begin(bytes.Clone(old.key), l.ms)
	t.facts = &facts
	n := 0
	for i := range before.lines {
		k := &before.lines[i]
		if k.kind == keptCommand {
			if n++; n < facts.Attempts {
				continue
			}
		} else if k.kind != keptFact || strings.Contains(strings.ToUpper(text(before.bytes(k))), "MAIL FROM:") {
			continue
		}
		t.keepOf(&before, k, k.kind)
	}
	facts.Attempts = min(facts.Attempts, 1) // the MAIL comes first
	for i := range t.lines {
		if t.lines[i].kind == keptCommand && facts.Attempts == 1 {
			return t, &t.lines[i]
		}
	}
	return t, nil
}

// refuseAll makes a message of each recipient that had been accepted.
func (f *exchange) refuseAll(l *lineAt, t *transaction, m *mail.Message) {
	var rows []keptLine
	for i := range t.lines {
		if t.lines[i].kind == keptRecipient {
			rows = append(rows, t.lines[i])
		}
	}
	if len(rows) == 0 {
		f.refuseOne(l, t, m, 0, nil)
		return
	}
	for i := range rows {
		one := *m
		columns := f.heads[f.p.order[rows[i].stream].source.ID]
		_, argument := smtpCommand(csvRow{columns, csvFields(text(t.bytes(&rows[i])))}.get("data"))
		one.Recipient = smtpPath(argument)
		f.refuseOne(l, t, &one, i, &rows[i])
	}
}

// refuseOne makes a message of an answer that refuses, with the rows of the
// session that tell of it.
func (f *exchange) refuseOne(l *lineAt, t *transaction, m *mail.Message, ordinal int, command *keptLine) {
	learnAll(m, t.facts)
	r := f.p.loneRecord()
	r.Message = *m
	if r.Direction == "" {
		r.Direction = mail.DirectionUnknown
	}
	for i := range t.lines {
		if k := &t.lines[i]; k.kind == keptFact {
			r.cite(f.p.order[k.stream].cited(k.offset, t.logged(k)))
		}
	}
	if command != nil {
		r.cite(f.p.order[command.stream].cited(command.offset, t.logged(command)))
	}
	f.p.failed(r, l.s, l.ms, l.offset, ordinal, l.raw)
}
