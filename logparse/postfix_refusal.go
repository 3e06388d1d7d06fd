package logparse

import (
	"bytes"
	"strings"

	"mailwhy/engine/mail"
)

// action reads "reject: RCPT from ...", "milter-reject: ...", "hold: header ..."
// and their relatives; id is nil for a message without queue id.
func (f *postfix) action(l *postfixLine, id, rest []byte) {
	verb, found := actionVerb(rest)
	if !found {
		f.doubtful(l)
		return
	}
	var outcome mail.Outcome
	switch verb {
	case "reject", "milter-reject", "proxy-reject":
	case "discard", "milter-discard":
		outcome = mail.Discarded
	case "hold", "milter-hold":
		outcome = mail.Held
	case "warning", "info":
		if id != nil && bytes.Contains(rest, []byte(": header Subject: ")) {
			f.fact(l, id, keptSubject)
		}
		return
	default: // reject_warning, filter, prepend, replace, redirect, ...: the message goes on
		return
	}
	if id == nil {
		f.refuseUnqueued(l, verb, outcome, rest)
		return
	}
	whole, body := l.strings(rest)
	var m mail.Message
	readRefusal(&m, verb, body[len(verb)+2:])
	if outcome != "" {
		m.Outcome = outcome
	}
	t := f.transactionOrNew(l, id)
	f.retried(t, l, id, &m)
	r := f.record(t, id, m.Recipient)
	refuse(r, &m)
	f.failedText(r, l, whole)
	if f.greylists(l, &r.Message) {
		if w := f.p.wait(&r.Message, l.s, l.e.ms, l.offset); w != nil {
			w.r = r
		}
	}
	if m.Client.Helo != "" {
		t.keep(keptHelo, l.s, l.offset, l.raw)
	}
	if m.Phase == mail.PhaseEndOfData && outcome != mail.Held {
		f.p.open.finish(t) // the queue file is gone, and "removed" never comes
	}
}

// actionVerb cuts the word before the first ": ".
func actionVerb(rest []byte) (string, bool) {
	i := bytes.IndexByte(rest, ':')
	if i <= 0 || i > 24 || i+2 >= len(rest) || rest[i+1] != ' ' {
		return "", false
	}
	for _, verb := range []string{"reject", "milter-reject", "proxy-reject", "discard", "milter-discard", "hold", "milter-hold", "warning", "info",
		"reject_warning", "filter", "prepend", "replace", "redirect", "bcc", "permit", "strip", "proxy-accept", "delay", "trace", "strip", "ignore"} {
		if string(rest[:i]) == verb {
			return verb, true
		}
	}
	if bytes.HasPrefix(rest, []byte("milter-header-")) {
		return "milter-header", true
	}
	return "", false
}

// strings returns the line and the part of it that rest is, sharing memory
// where the line was valid UTF-8.
func (l *postfixLine) strings(rest []byte) (whole, body string) {
	whole = text(l.raw)
	if len(whole) == len(l.raw) && bytes.HasSuffix(l.raw, rest) {
		return whole, whole[len(whole)-len(rest):]
	}
	return whole, text(rest)
}

// failedText is Parser.failed for a line that already is a string.
func (f *postfix) failedText(r *record, l *postfixLine, whole string) {
	if l.s.outer != nil {
		whole = text(l.s.outer)
	}
	f.p.failed(r, l.s, l.e.ms, l.offset, 0, nil)
	r.cite(mail.Evidence{File: l.s.source.Name, Offset: l.offset, Text: whole})
}

func (f *postfix) refuseUnqueued(l *postfixLine, verb string, outcome mail.Outcome, rest []byte) {
	r := f.p.loneRecord()
	whole := f.p.slab.text(l.raw)
	var body string
	if len(whole) == len(l.raw) && bytes.HasSuffix(l.raw, rest) {
		body = whole[len(whole)-len(rest):]
	} else {
		body = text(rest)
	}
	r.Evidence = f.p.slab.one()
	readRefusal(&r.Message, verb, body[len(verb)+2:])
	if outcome != "" {
		r.Outcome = outcome
	}
	f.refused(r, l, whole)
}

// refusedAlone takes over what was read of a refusal ahead of joining.
func (f *postfix) refusedAlone(l *postfixLine, m *mail.Message) {
	r := f.p.loneRecord()
	r.Message = *m
	whole := m.Evidence[0].Text
	r.Evidence = m.Evidence[:0]
	f.refused(r, l, whole)
}

// refused completes the refusal of a message without queue id.
func (f *postfix) refused(r *record, l *postfixLine, whole string) {
	r.Format, r.Gateway, r.Direction = f.name(), f.head.gateway, mail.DirectionUnknown
	if f.proxied && r.Client.IP == "" && r.Client.Name == "" {
		if t := f.p.open.get(f.sessionKey(l)); t != nil {
			f.join(r, t)
		}
	}
	greylists := f.greylists(l, &r.Message)
	if greylists && f.greylisted(r, l, whole) {
		return
	}
	f.failedText(r, l, whole)
	if greylists {
		f.waits(r, l)
	}
}

// refuse takes over what the newest failing line says.
func refuse(r *record, m *mail.Message) {
	r.Outcome, r.Phase, r.Reply, r.Reported = m.Outcome, m.Phase, m.Reply, m.Reported
	if m.Client.IP != "" || m.Client.Name != "" {
		r.Client.IP, r.Client.Name = m.Client.IP, m.Client.Name
	}
	if m.Client.Helo != "" {
		r.Client.Helo = m.Client.Helo
	}
	if m.EnvelopeFrom.Known() {
		r.EnvelopeFrom = m.EnvelopeFrom
	}
	if m.Subject != "" {
		r.Subject = m.Subject
	}
}

// readRefusal reads what follows "reject: ":
//
//	RCPT from name[ip]: 550 5.1.1 <thing>: Class: reason; from=<a> to=<b> proto=ESMTP helo=<c>
//	END-OF-MESSAGE: 554 5.7.0 text; from=<a> to=<b> proto=SMTP helo=<c>
//	header Subject: words from name[ip]; from=<a> to=<b> proto=ESMTP helo=<c>: 5.7.1 text
func readRefusal(m *mail.Message, verb, s string) {
	end := 0
	for end < len(s) && s[end] != ' ' && s[end] != ':' {
		end++
	}
	stage := s[:end]
	switch stage {
	case "header", "body", "mime-header", "nested-header":
		readContentCheck(m, stage, s)
	default:
		m.Phase = stagePhase(stage)
		s = s[len(stage):]
		if rest, ok := strings.CutPrefix(s, " from "); ok {
			end := strings.Index(rest, ": ")
			if end < 0 {
				m.Client = clientOf(rest)
				s = ""
				break
			}
			m.Client, s = clientOf(rest[:end]), rest[end:]
		}
		s = strings.TrimPrefix(s, ": ")
		reply, trailer := cutTrailer(s)
		m.Reply = readReply(reply)
		m.Reported = classOf(m.Reply.Text, verb)
		readTrailer(m, trailer, thingOf(m.Reply.Text))
	}
	m.Outcome = mail.Rejected
	if m.Reply.Temporary() {
		m.Outcome = mail.Deferred
	}
}

func stagePhase(stage string) mail.Phase {
	switch stage {
	case "CONNECT":
		return mail.PhaseConnect
	case "HELO", "EHLO":
		return mail.PhaseHelo
	case "MAIL":
		return mail.PhaseMail
	case "RCPT":
		return mail.PhaseRcpt
	case "DATA", "BDAT":
		return mail.PhaseData
	case "END-OF-MESSAGE", "DOT":
		return mail.PhaseEndOfData
	}
	return mail.PhaseUnknown // VRFY, ETRN: no message is on its way
}

// readContentCheck reads a header or body check of cleanup. The checked text
// comes first and is the sender's own, so everything is sought from the right.
func readContentCheck(m *mail.Message, stage, s string) {
	m.Phase = mail.PhaseEndOfData
	head, trailer := s, ""
	for end := len(s); ; {
		i := strings.LastIndex(s[:end], "; from=<")
		if i < 0 {
			break
		}
		if i > 0 && (s[i-1] == ']' || strings.HasSuffix(s[:i], " from local")) {
			head, trailer = s[:i], s[i+len("; "):]
			break
		}
		end = i
	}
	if i := strings.LastIndex(head, " from "); i >= 0 && trailer != "" {
		m.Client = clientOf(head[i+len(" from "):])
		head = head[:i]
	}
	checked := strings.TrimPrefix(strings.TrimPrefix(head, stage), " ")
	m.Reported.Type = stage
	if name, value, ok := strings.Cut(checked, ": "); ok && stage != "body" {
		m.Reported.Type = stage + " " + name
		checked = value
		if strings.EqualFold(name, "Subject") {
			m.Subject = value
		}
	}
	m.Reported.Detail = checked
	if i := strings.LastIndex(trailer, ">: "); i >= 0 {
		m.Reply = readReply(trailer[i+len(">: "):])
		trailer = trailer[:i+1]
	}
	readTrailer(m, trailer, "")
}

// cutTrailer splits the reply from "from=<a> to=<b> proto=ESMTP helo=<c>". The
// reply may hold anything but the client's own words stand in two places
// only: the thing refused, which comes first in angle brackets, and the helo,
// which comes after proto=. So the split is the last "; from=<" between them.
func cutTrailer(s string) (reply, trailer string) {
	skip := 0
	for skip < len(s) && (isDigit(s[skip]) || s[skip] == '.' || s[skip] == ' ') {
		skip++
	}
	if skip < len(s) && s[skip] == '<' {
		skip += angleEnd(s[skip:])
	}
	rest := s[skip:]
	limit := len(rest)
	if i := strings.Index(rest, "proto="); i >= 0 {
		limit = i
	}
	for _, key := range []string{"; from=<", "; to=<", "; from=", "; to="} {
		if i := lastIndex(rest[:limit], key); i >= 0 {
			return s[:skip+i], rest[i+len("; "):]
		}
	}
	if limit >= 2 && rest[limit-2:limit] == "; " {
		return s[:skip+limit-2], rest[limit:]
	}
	if i := strings.LastIndex(rest, "; helo=<"); i >= 0 {
		return s[:skip+i], rest[i+len("; "):]
	}
	return s, ""
}

// lastIndex is strings.LastIndex for a key that mostly stands there once.
func lastIndex(s, key string) int {
	last := strings.Index(s, key)
	for next := last; next >= 0; {
		next = strings.Index(s[last+1:], key)
		if next >= 0 {
			last += 1 + next
		}
	}
	return last
}

// readTrailer reads from=, to= and helo=; postscreen puts commas in between.
// A value that is cut off by the end of the line is not a fact.
func readTrailer(m *mail.Message, s, thing string) {
	for s != "" {
		for s != "" && (s[0] == ' ' || s[0] == ',') {
			s = s[1:]
		}
		key, rest, ok := strings.Cut(s, "=")
		if !ok {
			return
		}
		var value string
		value, s, ok = trailerValue(rest, thing, key == "helo")
		if !ok {
			return
		}
		switch key {
		case "from":
			m.EnvelopeFrom = pathOf(value)
			if value == "" && !strings.HasPrefix(rest, "<") {
				m.EnvelopeFrom = ""
			}
		case "to":
			m.Recipient = mail.Path(value)
		case "helo":
			m.Client.Helo = value
			return // the client's own word: nothing behind it is believed
		}
	}
}

// trailerValue takes "<value>" or a bare word from the start of s. The helo is
// the last value, so it reaches to the last angle bracket.
func trailerValue(s, thing string, last bool) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, "<") {
		end := strings.IndexAny(s, " ,")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], true
	}
	if last {
		end := strings.LastIndexByte(s, '>')
		if i := strings.Index(s, "> sasl_"); i >= 0 {
			end = i
		}
		if end < 0 {
			return "", "", false
		}
		return s[1:end], s[end+1:], true
	}
	if thing != "" && strings.HasPrefix(s[1:], thing) && strings.HasPrefix(s[1+len(thing):], ">") {
		return thing, s[len(thing)+2:], true
	}
	end := angleEnd(s)
	if s[end-1] != '>' {
		return "", "", false
	}
	return s[1 : end-1], s[end:], true
}

// angleEnd returns the length of the "<...>" that s starts with; a quoted
// local part may hold angle brackets, and so may sloppy addresses.
func angleEnd(s string) int {
	for i := 1 + quotedEnd(s[min(1, len(s)):]); i < len(s); i++ {
		if s[i] != '>' {
			continue
		}
		if rest := s[i+1:]; rest == "" || rest[0] == ' ' || rest[0] == ',' || rest[0] == ':' || rest[0] == ';' {
			return i + 1
		}
	}
	return len(s)
}

// quotedEnd is the length of the Quoted-string (RFC 5321, 4.1.2) that s starts
// with, 0 when it starts with none; it may lack its end.
func quotedEnd(s string) int {
	if !strings.HasPrefix(s, `"`) {
		return 0
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return len(s)
}

// thingOf is what a reply says was refused: "<thing>: Sender address rejected".
func thingOf(reply string) string {
	if !strings.HasPrefix(reply, "<") {
		return ""
	}
	end := angleEnd(reply)
	if !strings.HasPrefix(reply[end:], ": ") {
		return ""
	}
	return reply[1 : end-1]
}

// classOf reads the words of a refusal: its class, the list it names, the rest.
func classOf(reply, verb string) mail.Reported {
	words := reply
	if thing := thingOf(reply); thing != "" || strings.HasPrefix(reply, "<>: ") {
		words = words[len(thing)+len("<>: "):]
	}
	words = strings.TrimPrefix(words, ": ")
	rep := mail.Reported{}
	if len(words) > 0 {
		rep.Rule = ruleOf(words)
	}
	switch class, rest, ok := strings.Cut(words, " rejected: "); {
	case ok && len(class) < 32 && !strings.ContainsAny(class, ";:"):
		rep.Type, rep.Detail = words[:len(class)+len(" rejected")], rest
	case strings.HasPrefix(words, "Service unavailable; "):
		rep.Type, rep.Detail = "Service unavailable", words[len("Service unavailable; "):]
	case strings.HasPrefix(words, "Relay access denied"):
		rep.Type = "Relay access denied"
		rep.Detail = strings.TrimLeft(words[len(rep.Type):], ".;: ")
	case verb == "": // a remote host's words, of no known class
	case verb == "reject":
		rep.Type, rep.Detail, _ = strings.Cut(words, "; ")
	default: // the filter behind it chose the words
		rep.Type, rep.Detail = verb, words
	}
	return rep
}

// ruleOf is the list a refusal names: the zone of a DNS list, or the table in
// which the user was not found.
func ruleOf(words string) string {
	if _, zone, ok := strings.Cut(words, " blocked using "); ok {
		if i := strings.IndexAny(zone, "; ,"); i >= 0 {
			zone = zone[:i]
		}
		return zone
	}
	if _, table, ok := strings.Cut(words, "User unknown in "); ok && strings.HasSuffix(table, " table") {
		return table
	}
	return ""
}

// tooBig reads "warning: ID: queue file size limit exceeded": smtpd answers
// 552, but no line says so. smtpd and cleanup both log it.
func (f *postfix) tooBig(l *postfixLine, id []byte) {
	const words = "queue file size limit exceeded"
	t := f.transactionOrNew(l, id)
	r := f.record(t, id, "")
	if r.Reported.Type == words {
		f.p.touched(r, l.s, l.e.ms, l.offset, 0, l.raw)
		return
	}
	r.Outcome, r.Phase = mail.Rejected, mail.PhaseEndOfData
	r.Reported = mail.Reported{Type: words}
	f.p.failed(r, l.s, l.e.ms, l.offset, 0, l.raw)
	f.p.open.finish(t)
}

// lookupProblem reads cleanup's "x_maps map lookup problem for a@b -- message
// not accepted, try again later".
func (f *postfix) lookupProblem(l *postfixLine, id, rest []byte) {
	t := f.transactionOrNew(l, id)
	r := f.record(t, id, "")
	r.Outcome, r.Phase = mail.Deferred, mail.PhaseEndOfData
	words := text(rest)
	table, _, _ := strings.Cut(words, " ")
	r.Reported = mail.Reported{Type: "map lookup problem", Rule: table, Detail: words}
	f.p.failed(r, l.s, l.e.ms, l.offset, 0, l.raw)
	f.p.open.finish(t)
}
