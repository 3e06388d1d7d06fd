package logparse

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"mailwhy/engine/mail"
)

// exim reads the main, reject and panic logs of Exim, as it writes them itself
// or through syslog (the Exim specification, "Log files").
//
// A message is one transaction from "<=" to "Completed". A refused RCPT has no
// message id and is a message of its own. Exim logs no reply code but where the
// administrator's words begin with one, so most refusals have none.
type exim struct {
	p   *Parser
	key []byte

	// block is the transaction whose header a reject log is listing, by source.
	block map[string]string
}

func newExim(p *Parser) *exim { return &exim{p: p, block: map[string]string{}} }

func (f *exim) name() string { return "exim" }

func (f *exim) save() ([]byte, error) {
	if len(f.block) == 0 {
		return nil, nil
	}
	return json.Marshal(f.block)
}

func (f *exim) load(data []byte) error {
	if err := json.Unmarshal(data, &f.block); err != nil {
		return fmt.Errorf("decode open header blocks: %w", err)
	}
	return nil
}

// eximLine is a line whose envelope is read.
type eximLine struct {
	lineAt
	gateway string
	native  bool   // no syslog around it
	id      []byte // message id, empty = none
	body    []byte // behind the message id
}

func (f *exim) detect(line []byte) bool {
	c := newClock(unixTime(0), nil)
	var l eximLine
	if !readEximEnvelope(&c, line, &l) {
		return false
	}
	return !l.native || len(l.id) > 0 && eximFlag(l.body) || eximWords(l.body)
}

// eximFlag reports whether what follows a message id is Exim's.
func eximFlag(b []byte) bool {
	for _, flag := range []string{"<= ", "=> ", "-> ", ">> ", "*> ", "** ", "== ", "Completed", "H=", "U=", "F=", "SA: ", "rejected ", "Message is frozen", "Frozen", "DKIM: "} {
		if bytes.HasPrefix(b, []byte(flag)) {
			return true
		}
	}
	return false
}

// eximWords reports whether a line without message id is surely Exim's: many
// programs begin their lines with a stamp.
func eximWords(b []byte) bool {
	for _, word := range []string{"H=", "U=", "F=<", "exim ", "SMTP connection from ", "SMTP call from ", "SMTP protocol ", "Start queue run: ", "End queue run: ",
		"no host name found for ", "no IP address found for ", "unexpected disconnection while reading SMTP", "rejected MAIL ", "rejected EHLO ", "rejected HELO ",
		"refused connection from ", "no MAIL in SMTP connection", "too many recipients: "} {
		if bytes.HasPrefix(b, []byte(word)) {
			return true
		}
	}
	return bytes.Contains(b[:min(len(b), 40)], []byte(" authenticator failed for "))
}

// readEximEnvelope reads stamp, syslog's prefix and the message id. Exim
// writes its own stamp behind syslog's too, when it was told to.
func readEximEnvelope(c *clock, line []byte, l *eximLine) bool {
	body, ms, ok := eximStamp(c, line)
	if ok {
		l.native = true
		if host, rest, syslog := eximTag(body); syslog {
			l.native, body, l.gateway = false, rest, host
		}
	} else {
		var e envelope
		if len(line) == 0 {
			return false
		}
		n := c.stampAndHost(line, &e)
		switch {
		case e.tag != nil && isEximTag(e.tag):
			body = withoutSolarisID(line[n:])
		case e.tag == nil && e.takeTag(line[n:]) && isEximTag(e.tag):
			body = e.body
		default:
			host, rest, syslog := eximTag(line) // a journal's short form has no stamp
			if !syslog {
				return false
			}
			e.host, body = []byte(host), rest
		}
		ms, l.gateway = e.ms, string(e.host)
		if inner, own, ok := eximStamp(c, body); ok {
			body, ms = inner, own
		}
	}
	l.ms = ms
	if end := bytes.IndexByte(body, ']'); end > 1 && end < 12 && body[0] == '[' && allDigits(body[1:end]) {
		body = bytes.TrimPrefix(body[end+1:], []byte(" "))
	}
	if n := eximID(body); n > 0 {
		l.id, body = body[:n], bytes.TrimPrefix(body[n:], []byte(" "))
	}
	l.body = body
	return true
}

// eximStamp reads "2026-11-23 08:36:57.123 +0100 ".
func eximStamp(c *clock, b []byte) (rest []byte, ms int64, ok bool) {
	if len(b) < 20 || b[4] != '-' || b[10] != ' ' {
		return nil, 0, false
	}
	ms, n, ok := c.iso(b)
	if !ok || n >= len(b) || b[n] != ' ' {
		return nil, 0, false
	}
	rest = b[n+1:]
	if len(rest) > 5 && (rest[0] == '+' || rest[0] == '-') && rest[5] == ' ' && allDigits(rest[1:5]) {
		zoned := append(append(make([]byte, 0, 40), b[:n]...), rest[:5]...)
		if own, _, ok := c.iso(zoned); ok {
			return rest[6:], own, true
		}
	}
	return rest, ms, true
}

// eximTag reads "host exim[29786]: " and "info exim[8003]: ".
func eximTag(b []byte) (host string, rest []byte, ok bool) {
	space := bytes.IndexByte(b, ' ')
	if space <= 0 || !bytes.HasPrefix(b[space+1:], []byte("exim")) {
		return "", nil, false
	}
	tag, rest, found := bytes.Cut(b[space+1:], []byte(": "))
	if !found || !isEximTag(tag) {
		return "", nil, false
	}
	switch host = string(b[:space]); host {
	case "info", "notice", "warning", "err", "crit", "alert", "emerg", "debug": // a severity where the host would be
		host = ""
	}
	return host, rest, true
}

// isEximTag reports whether a syslog tag is "exim", "exim4" or "exim[29786]".
func isEximTag(tag []byte) bool {
	if !bytes.HasPrefix(tag, []byte("exim")) {
		return false
	}
	name, _, _ := bytes.Cut(tag, []byte("["))
	return len(name) <= len("exim-mainlog") && bytes.IndexByte(name, ' ') < 0
}

func allDigits(b []byte) bool {
	for _, c := range b {
		if !isDigit(c) {
			return false
		}
	}
	return len(b) > 0
}

// eximID returns the length of a message id, "1xVPXm-00029D-1A" or, since
// 4.97, "1xVPXm-000000029DA-1A2b"; 0 when b starts with none.
func eximID(b []byte) int {
	for _, form := range [...][3]int{{6, 6, 2}, {6, 11, 4}} {
		n := form[0] + form[1] + form[2] + 2
		if len(b) < n || len(b) > n && b[n] != ' ' || b[form[0]] != '-' || b[form[0]+form[1]+1] != '-' {
			continue
		}
		good := true
		for i, c := range b[:n] {
			if i != form[0] && i != form[0]+form[1]+1 && idClass[c] == 0 {
				good = false
			}
		}
		if good {
			return n
		}
	}
	return 0
}

func (f *exim) line(s *Stream, offset int64, line []byte) bool {
	l := eximLine{lineAt: lineAt{s: s, offset: offset, raw: line}}
	if !readEximEnvelope(&s.clock, line, &l) {
		return f.header(&l) || s.pinned == f
	}
	if l.native && s.pinned != f && s.current != f && !f.detect(line) {
		return false
	}
	delete(f.block, s.source.ID)
	if l.ms != 0 {
		s.seen(l.ms)
	}
	understood := false
	if len(l.id) > 0 {
		understood = f.queued(&l)
	} else {
		understood = f.unqueued(&l)
	}
	if !understood && eximFailing(l.body) {
		s.unrecognised(offset, line)
	}
	return true
}

// eximFailing reports whether a line that was not understood speaks of a
// refusal. What is said of one host of a delivery, or of a verification, is
// said again by the line that decides.
func eximFailing(b []byte) bool {
	if bytes.HasPrefix(b, []byte("Warning: ")) || bytes.HasPrefix(b, []byte("event ")) || bytes.Contains(b, []byte(" Warning: ")) || bytes.Contains(b, []byte("sender verify ")) ||
		bytes.Contains(b, []byte("SMTP error from remote mail server")) {
		return false
	}
	return bytes.Contains(b, []byte("rejected ")) || bytes.Contains(b, []byte("discarded by ")) || bytes.Contains(b, []byte(" dropped by "))
}

// transaction is the message of the line's id. Exim's ids hold time and
// process, so the main log and the reject log of one host join by them.
func (f *exim) transactionKey(l *eximLine, id []byte) []byte {
	f.key = append(append(append(append(f.key[:0], 'E'), l.gateway...), 0), id...)
	return f.key
}

func (f *exim) transaction(l *eximLine) *transaction {
	return f.p.transactionOf(f.transactionKey(l, l.id), &l.lineAt)
}

// message is what every message of the line has.
func (f *exim) message(l *eximLine) mail.Message {
	return mail.Message{Format: f.name(), Gateway: l.gateway, QueueID: string(l.id), Phase: mail.PhaseUnknown}
}

// queued reads a line about a message that has an id.
func (f *exim) queued(l *eximLine) bool {
	b := l.body
	if len(b) > 3 && b[2] == ' ' {
		switch string(b[:2]) {
		case "<=":
			f.arrived(l)
			return true
		case "==", "**":
			f.undelivered(l)
			return true
		case "=>", "->", ">>", "*>":
			f.delivered(l)
			return true
		}
	}
	word, _, _ := bytes.Cut(b, []byte(" "))
	switch string(word) {
	case "Completed":
		if t := f.p.open.get(f.transactionKey(l, l.id)); t != nil {
			f.p.open.finish(t)
		}
		return true
	case "Frozen", "frozen", "Message":
		if bytes.HasPrefix(b, []byte("Message ")) && !bytes.HasPrefix(b, []byte("Message is frozen")) {
			return true
		}
		f.frozen(l)
		return true
	case "cancelled":
		f.cancelled(l)
		return true
	case "SA:":
		f.spamAssassin(l)
		return true
	}
	return f.refused(l)
}

// unqueued reads a line about a message that has no id.
func (f *exim) unqueued(l *eximLine) bool { return f.refused(l) }

// arrived reads "<= a@b H=name (helo) [ip] P=esmtp S=450 id=... T="subject" from <a@b> for c@d".
func (f *exim) arrived(l *eximLine) {
	m := f.message(l)
	s := text(l.body)[len("<= "):]
	sender, rest := eximAddress(s)
	m.EnvelopeFrom = unbracketed(sender)
	bounced := ""
	for rest != "" {
		var key, value string
		key, value, rest = eximAttribute(rest)
		switch key {
		case "H":
			m.Client = eximHost(value)
		case "S":
			m.Size = decimal(value)
		case "id":
			m.MessageID = bracketed(value)
		case "T":
			m.Subject = value
		case "R":
			bounced = value
		case "for", "from":
			rest = ""
		}
	}
	t := f.p.open.begin(f.transactionKey(l, l.id), l.ms)
	f.p.know(t, &l.lineAt, &m)
	if bounced != "" { // "R=": this is a bounce, or a warning, about another message
		f.p.notifying(t, bounced)
		f.p.notified(f.p.open.get(f.transactionKey(l, []byte(bounced))), &l.lineAt, string(l.id), mail.Bounced, mail.Expired, mail.Deferred)
	}
}

// frozen reads the lines of a message that waits for an administrator. What
// has bounced stays bounced.
func (f *exim) frozen(l *eximLine) {
	t := f.transaction(l)
	m := f.message(l)
	m.Outcome, m.Phase = mail.Held, mail.PhaseQueue
	m.Reported = mail.Reported{Type: "frozen", Detail: text(l.body)}
	waiting := len(t.records) == 0
	for i, r := range t.records {
		switch r.Outcome {
		case mail.Deferred:
			m.Recipient = r.Recipient
			f.p.conclude(t, &l.lineAt, &m, i)
		default: // said again at every queue run
			f.p.touched(r, l.s, l.ms, l.offset, 0, l.raw)
		}
	}
	if waiting {
		f.p.conclude(t, &l.lineAt, &m, 0)
	}
}

// cancelled reads the end of a message that somebody, or its age, removed.
func (f *exim) cancelled(l *eximLine) {
	t := f.transaction(l)
	m := f.message(l)
	m.Outcome, m.Phase = mail.Discarded, mail.PhaseQueue
	m.Reported = mail.Reported{Type: "cancelled", Detail: text(l.body)}
	if bytes.Contains(l.body, []byte("timeout_frozen_after")) {
		m.Outcome = mail.Expired
	}
	waiting := len(t.records) == 0
	for i, r := range t.records {
		if r.Outcome == mail.Deferred || r.Outcome == mail.Held {
			m.Recipient = r.Recipient
			f.p.conclude(t, &l.lineAt, &m, i)
		} else {
			f.p.touched(r, l.s, l.ms, l.offset, 0, l.raw)
		}
	}
	if waiting {
		f.p.conclude(t, &l.lineAt, &m, 0)
	}
	f.p.open.finish(t)
}

// saExim is the reported type of what SA-Exim decided.
const saExim = "SA-Exim"

// spamAssassin reads SA-Exim's verdict.
func (f *exim) spamAssassin(l *eximLine) {
	s, ok := strings.CutPrefix(text(l.body), "SA: Action: ")
	if !ok {
		return
	}
	action, rest, ok := strings.Cut(s, " message: score=")
	if !ok {
		return
	}
	m := f.message(l)
	score, _, _ := strings.Cut(rest, " ")
	m.SpamScore = float(score)
	m.Phase = mail.PhaseEndOfData
	m.Reported = mail.Reported{Type: saExim, Detail: s}
	if i := strings.LastIndex(s, ") for "); i >= 0 {
		m.Recipient = mail.Path(s[i+len(") for "):])
		if strings.ContainsAny(string(m.Recipient), ", ") {
			m.Recipient = ""
		}
		s = s[:i]
	}
	if _, from, ok := strings.Cut(s, ". From <"); ok {
		sender, host, _ := strings.Cut(from, ">")
		m.EnvelopeFrom = pathOf(sender)
		if _, host, ok = strings.Cut(host, "(host="); ok {
			m.Client = eximHost(strings.TrimPrefix(host, "NULL "))
		}
	}
	switch action {
	case "permanently rejected":
		m.Outcome = mail.Rejected
	case "temporarily rejected":
		m.Outcome = mail.Deferred
	case "silently tossed":
		m.Outcome = mail.Discarded
	default:
		return
	}
	f.p.conclude(f.transaction(l), &l.lineAt, &m, 0)
}
