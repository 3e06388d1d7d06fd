package logparse

import (
	"bytes"
	"strings"

	"mailwhy/engine/mail"
)

// refused reads a refusal in the SMTP dialogue, with or without message id:
//
//	H=name (helo) [ip] F=<a@b> [temporarily ]rejected RCPT <c@d>: reason
//	rejected from <a@b> H=name (helo) [ip]: message too big: read=501 max=500
//
// It returns false when the line is none.
func (f *exim) refused(l *eximLine) bool {
	m := f.message(l)
	verb := readEximRefusal(text(l.body), &m)
	switch verb {
	case "":
		return false
	case eximVerify:
		f.verified(l, &m)
		return true
	}
	f.explainVerify(l, &m)
	if len(l.id) == 0 {
		r := f.p.alone(&l.lineAt, &m)
		f.citeVerify(l, r)
		return true
	}
	t := f.transaction(l)
	if len(t.records) > 0 && t.records[0].Reported.Type == saExim && t.records[0].Outcome == m.Outcome {
		f.p.touched(t.records[0], l.s, l.ms, l.offset, 0, l.raw) // what SA-Exim decided, in Exim's own words
		return true
	}
	if m.Recipient == "" {
		f.p.concludeAll(t, &l.lineAt, &m)
	} else {
		f.p.conclude(t, &l.lineAt, &m, 0)
	}
	f.block[l.s.source.ID] = string(t.key)
	return true
}

// eximVerify is what readEximRefusal returns of a line that tells why an
// address could not be verified; the refusal stands on a line of its own.
const eximVerify = "verify"

// readEximRefusal fills m and returns the verb, "" when s is no refusal.
func readEximRefusal(s string, m *mail.Message) string {
	if verb := readEximSession(s, m); verb != "" {
		return verb
	}
	for rest := s; rest != ""; {
		s = strings.TrimLeft(rest, " ")
		end := strings.IndexAny(s, " =")
		if end <= 0 {
			return ""
		}
		if s[end] == ' ' {
			if sender, after := eximAddress(s); !m.EnvelopeFrom.Known() && (strings.HasPrefix(after, " H=") || strings.HasPrefix(after, " U=")) {
				m.EnvelopeFrom, rest = unbracketed(sender), after // local_scan's lines have the sender without F=
				continue
			}
			return readEximVerb(s, m)
		}
		var key, value string
		key, value, rest = eximAttribute(s)
		eximRefusalFact(m, key, value)
	}
	return ""
}

func eximRefusalFact(m *mail.Message, key, value string) {
	switch key {
	case "H", "host":
		m.Client = eximHost(value)
	case "F":
		m.EnvelopeFrom = unbracketed(value)
		if value == "" {
			m.EnvelopeFrom = mail.NullPath
		}
	}
}

// readEximVerb reads from "rejected", "temporarily rejected", "RCPT ...:
// discarded by", "dropped by" or "sender verify" on.
func readEximVerb(s string, m *mail.Message) string {
	m.Outcome = mail.Rejected
	if rest, ok := strings.CutPrefix(s, "temporarily "); ok {
		m.Outcome, s = mail.Deferred, rest
	}
	switch {
	case strings.HasPrefix(s, "rejected "):
		readEximWhat(s[len("rejected "):], m)
		return "rejected"
	case strings.HasPrefix(s, "RCPT "), strings.HasPrefix(s, "MAIL "):
		if !strings.Contains(s, ": discarded by ") {
			return ""
		}
		m.Outcome, m.Phase = mail.Discarded, stagePhase(s[:4])
		address, rest := eximAddress(s[len("RCPT "):])
		m.Recipient = unbracketed(address)
		eximReason(m, strings.TrimPrefix(rest, ": "))
		m.Reported.Type = strings.TrimPrefix(rest, ": ")
		return "discarded"
	case strings.HasPrefix(s, "dropped by '"):
		stage, reason, _ := strings.Cut(s[len("dropped by '"):], "' ACL: ")
		m.Phase = eximStage(stage)
		eximReason(m, reason)
		m.Reported.Type = "dropped by '" + stage + "' ACL"
		return "dropped"
	case strings.HasPrefix(s, "sender verify fail for "), strings.HasPrefix(s, "sender verify defer for "):
		_, s, _ = strings.Cut(s, " for ")
		address, rest := eximAddress(s)
		m.EnvelopeFrom = unbracketed(address)
		m.Reported.Detail = strings.TrimPrefix(rest, ": ")
		return eximVerify
	}
	return ""
}

// readEximWhat reads what follows "rejected ".
func readEximWhat(s string, m *mail.Message) {
	if strings.HasPrefix(s, "from ") { // "from <a@b> H=...: message too big"
		readEximTooBig(s[len("from "):], m)
		return
	}
	for _, what := range eximWhats {
		rest, ok := strings.CutPrefix(s, what.words)
		if !ok {
			continue
		}
		m.Phase = what.phase
		m.Reported.Type = "rejected " + strings.TrimSuffix(strings.TrimSpace(what.words), ":")
		if what.names {
			rest = eximNamed(rest, what.phase, m)
		}
		eximReason(m, strings.TrimPrefix(strings.TrimPrefix(rest, ":"), " "))
		return
	}
	what, reason, _ := strings.Cut(s, ": ")
	m.Reported.Type = "rejected " + what
	eximReason(m, reason)
}

// eximWhats are the things Exim rejects, as it words them.
var eximWhats = []struct {
	words string
	phase mail.Phase
	names bool // an address or a host name follows
}{
	{"RCPT ", mail.PhaseRcpt, true},
	{"MAIL command ", mail.PhaseMail, true},
	{"MAIL from ", mail.PhaseMail, true},
	{"MAIL FROM:", mail.PhaseMail, true},
	{"MAIL ", mail.PhaseMail, true},
	{"EHLO or HELO ", mail.PhaseHelo, true},
	{"EHLO from ", mail.PhaseHelo, true},
	{"HELO from ", mail.PhaseHelo, true},
	{`connection in "connect" ACL`, mail.PhaseConnect, false},
	{"connection", mail.PhaseConnect, false},
	{"after DATA", mail.PhaseEndOfData, false},
	{"during MIME ACL checks", mail.PhaseEndOfData, false},
	{"DATA", mail.PhaseData, false},
	{"by local_scan():", mail.PhaseEndOfData, false},
	{"by local_scan", mail.PhaseEndOfData, false},
	{"by non-SMTP ACL", mail.PhaseEndOfData, false},
	{"VRFY ", mail.PhaseUnknown, true},
	{"EXPN ", mail.PhaseUnknown, true},
}

// eximNamed reads the thing refused: a recipient, a sender, a name.
func eximNamed(s string, phase mail.Phase, m *mail.Message) (rest string) {
	thing, rest := eximAddress(s)
	switch {
	case phase == mail.PhaseRcpt:
		m.Recipient = unbracketed(thing)
	case phase == mail.PhaseMail && strings.HasPrefix(thing, "["), phase == mail.PhaseHelo && m.Client == (mail.Client{}):
		n := eximHostEnd(s) // "MAIL from [ip]:", "HELO from name [ip]:"
		if n > 0 && n <= len(s) && strings.Contains(s[:n], "[") {
			m.Client, rest = eximHost(s), s[n:]
		}
	case phase == mail.PhaseMail && strings.HasPrefix(thing, "<"):
		m.EnvelopeFrom = unbracketed(thing)
	case phase == mail.PhaseHelo && m.Client.Helo == "":
		m.Client.Helo = thing
	}
	for strings.HasPrefix(rest, " ") { // "MAIL FROM:<a@b> U=root: message too big"
		key, value, after := eximAttribute(rest)
		if value == "" {
			break
		}
		if strings.HasSuffix(value, ":") && key != "H" {
			value, after = strings.TrimSuffix(value, ":"), ":"+after
		}
		eximRefusalFact(m, key, value)
		rest = after
	}
	return rest
}

// readEximTooBig reads "<a@b> H=name (helo) [ip]: message too big: read=501 max=500".
func readEximTooBig(s string, m *mail.Message) {
	m.Phase = mail.PhaseEndOfData
	sender, rest := eximAddress(s)
	m.EnvelopeFrom = unbracketed(sender)
	for {
		rest = strings.TrimLeft(rest, " ")
		if rest == "" || rest[0] == ':' {
			break
		}
		key, value, after := eximAttribute(rest)
		if key == rest {
			break
		}
		if key != "H" && strings.HasSuffix(value, ":") {
			value, after = strings.TrimSuffix(value, ":"), ":"+after
		}
		eximRefusalFact(m, key, value)
		rest = after
	}
	eximReason(m, strings.TrimPrefix(rest, ": "))
	m.Reported.Type, _, _ = strings.Cut(m.Reported.Detail, ": ")
}

// eximReason reads the administrator's words. A code counts only where it is
// of the class that was answered: Exim answers 550 or 451 where it is not.
func eximReason(m *mail.Message, reason string) {
	m.Reported.Detail = reason
	m.Reported.Rule = eximList(reason)
	r := readReply(strings.ReplaceAll(reason, `\n`, " "))
	if m.Outcome == mail.Deferred && r.Permanent() || m.Outcome == mail.Rejected && r.Temporary() || r.Code != 0 && r.Code < 400 {
		r = mail.Reply{Text: reason}
	}
	m.Reply = r
}

// eximList is the DNS list that a reason names.
func eximList(reason string) string {
	for _, words := range []string{" is in a black list at ", " is listed at ", " is listed in ", " found in dnsbl ", " listed by "} {
		if _, list, ok := strings.Cut(reason, words); ok {
			if i := strings.IndexAny(list, " ;,\\:"); i >= 0 {
				list = list[:i]
			}
			return list
		}
	}
	return ""
}

func eximStage(stage string) mail.Phase {
	switch strings.ToLower(stage) {
	case "connect":
		return mail.PhaseConnect
	case "helo", "ehlo", "ehlo or helo":
		return mail.PhaseHelo
	case "mail":
		return mail.PhaseMail
	case "rcpt":
		return mail.PhaseRcpt
	case "predata", "data":
		return mail.PhaseData
	}
	return mail.PhaseUnknown
}

// readEximSession reads the lines that end a session before a message was
// named, which are worded each in its own way.
func readEximSession(s string, m *mail.Message) string {
	m.Outcome = mail.Rejected
	switch {
	case strings.HasPrefix(s, "Error while reading message with no usable sender address"):
		m.Phase = mail.PhaseEndOfData
		_, reason, _ := strings.Cut(s, ": ")
		eximReason(m, reason)
		m.Reported.Type, _, _ = strings.Cut(reason, ": ")
		return "rejected"
	case strings.HasPrefix(s, "SMTP protocol synchronization error ("):
		_, rest, ok := strings.Cut(s, "): rejected ")
		if !ok {
			return ""
		}
		m.Reported = mail.Reported{Type: "SMTP protocol synchronization error", Detail: s}
		if strings.HasPrefix(rest, "connection from ") {
			m.Phase = mail.PhaseConnect
		} else if len(rest) > 5 && rest[0] == '"' {
			m.Phase = stagePhase(strings.ToUpper(rest[1:5]))
		}
		if i := strings.LastIndex(rest, "H="); i >= 0 {
			m.Client = eximHost(rest[i+len("H="):])
		}
		return "rejected"
	case strings.HasPrefix(s, "SMTP call from "):
		rest := s[len("SMTP call from "):]
		_, reason, ok := strings.Cut(rest, "dropped: ")
		if !ok {
			return ""
		}
		m.Client = eximHost(rest)
		class, _, _ := strings.Cut(reason, " (")
		m.Reported = mail.Reported{Type: class, Detail: reason}
		return "dropped"
	case strings.HasPrefix(s, "refused connection from "):
		m.Phase = mail.PhaseConnect
		rest := s[len("refused connection from "):]
		m.Client = eximHost(strings.TrimPrefix(rest, "H="))
		m.Reported = mail.Reported{Type: "refused connection", Detail: s}
		if open := strings.LastIndexByte(s, '('); open >= 0 {
			m.Reported.Rule = strings.Trim(s[open:], "()")
		}
		return "rejected"
	case strings.HasPrefix(s, "Connection from ") && strings.Contains(s, " refused: "):
		m.Phase, m.Outcome = mail.PhaseConnect, mail.Deferred
		head, reason, _ := strings.Cut(s[len("Connection from "):], " refused: ")
		m.Client = eximHost(strings.TrimPrefix(head, "H="))
		m.Reported = mail.Reported{Type: "refused connection", Detail: reason}
		return "rejected"
	case strings.HasPrefix(s, "too many recipients: excess "):
		m.Phase = mail.PhaseRcpt
		if strings.Contains(s, "temporarily rejected") {
			m.Outcome = mail.Deferred
		}
		m.Reported = mail.Reported{Type: "too many recipients", Detail: s}
		return "rejected"
	}
	m.Outcome = ""
	return ""
}

// verifyKey is that of the verification that failed last for a client.
func (f *exim) verifyKey(l *eximLine, c mail.Client) []byte {
	f.key = append(append(append(f.key[:0], 'E'), l.gateway...), 0, '?')
	f.key = append(append(append(f.key, c.IP...), ' '), c.Helo...)
	return f.key
}

// verified keeps the line that says why a sender could not be verified.
func (f *exim) verified(l *eximLine, m *mail.Message) {
	t := f.p.open.begin(f.verifyKey(l, m.Client), l.ms)
	t.facts = &mail.Message{EnvelopeFrom: m.EnvelopeFrom, Reported: m.Reported}
	t.keep(keptFact, l.s, l.offset, l.raw)
}

// verifyOf returns what was said of the sender's verification, nil when nothing
// was. It holds for the session, which a minute bounds here.
func (f *exim) verifyOf(l *eximLine, m *mail.Message) *transaction {
	if !strings.Contains(m.Reported.Detail, "erify fail") && !strings.Contains(m.Reported.Detail, "sender verify") {
		return nil
	}
	t := f.p.open.get(f.verifyKey(l, m.Client))
	if t == nil || t.facts == nil || l.ms-t.born > 60_000 || t.facts.EnvelopeFrom.Fold() != m.EnvelopeFrom.Fold() {
		return nil
	}
	return t
}

func (f *exim) explainVerify(l *eximLine, m *mail.Message) {
	if t := f.verifyOf(l, m); t != nil {
		m.Reported.Detail += ": " + t.facts.Reported.Detail
	}
}

func (f *exim) citeVerify(l *eximLine, r *record) {
	probe := mail.Message{Client: r.Client, EnvelopeFrom: r.EnvelopeFrom, Reported: r.Reported}
	if t := f.verifyOf(l, &probe); t != nil {
		f.p.kept(t, func(_ byte, e mail.Evidence) { r.cite(e) })
	}
}

// header reads a line of the block that a reject log lists behind a refusal of
// a message: its envelope and its header, each line with a letter before it.
func (f *exim) header(l *eximLine) bool {
	key, ok := f.block[l.s.source.ID]
	if !ok {
		return false
	}
	t := f.p.open.get([]byte(key))
	if t == nil || t.facts == nil && len(t.records) == 0 {
		delete(f.block, l.s.source.ID)
		return true
	}
	l.ms = t.born
	b := l.raw
	var m mail.Message
	name, value, ok := bytes.Cut(b, []byte(": "))
	switch {
	case bytes.HasPrefix(b, []byte("----")):
		delete(f.block, l.s.source.ID)
		return true
	case !ok || len(name) == 0 || name[0] == '\t':
		return true
	case string(name) == "Envelope-from":
		m.EnvelopeFrom = unbracketed(text(value))
	case string(name) == "Envelope-to":
		f.recipients(t, l, text(value))
		return true
	case len(name) > 2 && name[1] == ' ':
		readHeaderLine(&m, text(name[2:]), text(value))
	}
	f.p.know(t, &l.lineAt, &m)
	return true
}

// recipients gives a refused message, whose refusal names none, its recipients.
func (f *exim) recipients(t *transaction, l *eximLine, list string) {
	if len(t.records) == 0 {
		return
	}
	for i, address := range strings.Split(list, ", ") {
		recipient := unbracketed(address)
		if recipient == "" || t.recipient(recipient) != nil || i >= maxRecipients {
			continue
		}
		if r := t.recipient(""); r != nil {
			r.Recipient = recipient
			f.p.touched(r, l.s, l.ms, l.offset, 0, l.raw)
			continue
		}
		first := t.records[0]
		r, _ := t.record(recipient)
		evidence := first.Evidence
		r.Message = first.Message
		r.Recipient, r.ID, r.Evidence = recipient, "", nil
		for _, e := range evidence[:min(len(evidence), headEvidence)] {
			r.cite(e)
		}
		f.p.touched(r, l.s, first.Time.UnixMilli(), l.offset, i, l.raw)
	}
}

// readHeaderLine reads a line of a message's header.
func readHeaderLine(m *mail.Message, name, value string) {
	switch strings.ToLower(name) {
	case "from":
		m.HeaderFrom, m.HeaderFromName = mimeHeaderAddress(value)
	case "subject":
		m.Subject = value
	case "message-id":
		m.MessageID = bracketed(strings.TrimSpace(value))
	}
}
