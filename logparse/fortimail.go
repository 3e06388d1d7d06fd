package logparse

import (
	"bytes"
	"strings"

	"mailwhy/engine/mail"
)

// fortimail reads the logs of FortiMail ("FortiMail Log Reference"): key=value
// pairs between spaces or commas, of four types. Event logs of SMTP wrap a line
// of Sendmail, statistics tell each message's disposition; antispam and
// antivirus logs say why. The session id joins them.
type fortimail struct {
	stateless
	p   *Parser
	key []byte
}

func newFortiMail(p *Parser) *fortimail { return &fortimail{p: p} }

func (f *fortimail) name() string { return "fortimail" }

func (f *fortimail) detect(line []byte) bool {
	return bytes.Contains(line, []byte("log_id=")) && bytes.Contains(line, []byte("type=")) &&
		(bytes.Contains(line, []byte("session_id=")) || bytes.Contains(line, []byte("device_id=FE")) || bytes.Contains(line, []byte("type=kevent")))
}

// fortimailPairs are the fields of a line, in their order.
type fortimailPairs []struct{ key, value string }

func (p fortimailPairs) get(key string) string {
	for _, pair := range p {
		if pair.key == key {
			return pair.value
		}
	}
	return ""
}

// maxPairs is more than any line has.
const maxPairs = 100

// readFortimailPairs reads `key=value key="quoted value",key=value`. What
// stands before the first key is left out. A value without quotes ends at the
// next key: a subject may have none.
func readFortimailPairs(s string) (pairs fortimailPairs) {
	for s != "" && len(pairs) < maxPairs {
		key, rest, ok := strings.Cut(s, "=")
		if !ok {
			return pairs
		}
		if i := strings.LastIndexAny(key, " ,:>"); i >= 0 {
			key = key[i+1:]
		}
		var value string
		if strings.HasPrefix(rest, `"`) {
			value, s = fortimailQuoted(rest[1:])
		} else {
			n := fortimailValueEnd(rest)
			value, s = strings.TrimRight(rest[:n], " ,"), rest[n:]
		}
		pairs = append(pairs, struct{ key, value string }{key, value})
	}
	return pairs
}

// fortimailQuoted reads a value behind its first quote. Quotes in it are not
// escaped, so one that ends it is followed by a key or by nothing.
func fortimailQuoted(s string) (value, rest string) {
	for end := 0; ; end++ {
		i := strings.IndexByte(s[end:], '"')
		if i < 0 {
			return s, ""
		}
		end += i
		if rest := s[end+1:]; strings.TrimLeft(rest, " ,") == "" || fortimailKeyAhead(rest) {
			return s[:end], rest
		}
	}
}

// fortimailKeyAhead reports whether s starts with " key=" or ",key=".
func fortimailKeyAhead(s string) bool {
	trimmed := strings.TrimLeft(s, " ,")
	if len(trimmed) == len(s) {
		return false
	}
	key, _, ok := strings.Cut(trimmed, "=")
	return ok && key != "" && len(key) < 24 && strings.Trim(key, "abcdefghijklmnopqrstuvwxyz_0123456789") == ""
}

// fortimailValueEnd is the length of a value without quotes.
func fortimailValueEnd(s string) int {
	for i := range len(s) {
		if (s[i] == ' ' || s[i] == ',') && fortimailKeyAhead(s[i:]) {
			return i
		}
	}
	return len(s)
}

func (f *fortimail) line(s *Stream, offset int64, line []byte) bool {
	if !f.detect(line) {
		return s.pinned == f
	}
	whole := text(line)
	start := max(0, strings.Index(whole, "log_id="))
	pairs := readFortimailPairs(whole[start:])
	head := readFortimailPairs(whole[:start])
	l := &sendmailLine{lineAt: lineAt{s: s, offset: offset, raw: line}, format: f.name(), prefix: 'f'}
	l.ms = fortimailTime(&s.clock, line, head, pairs)
	if l.ms != 0 {
		s.seen(l.ms)
	}
	l.gateway = head.get("device_id")
	if l.gateway == "" {
		l.gateway = pairs.get("device_id")
	}
	l.id, _, _ = strings.Cut(pairs.get("session_id"), "-") // behind it, the id that the queue gave
	switch {
	case pairs.get("type") == "event" && pairs.get("subtype") == "smtp":
		if l.body = fortimailSendmail(pairs.get("msg")); !readSendmail(f.p, &f.key, l) && sendmailFailing(l.body) {
			s.unrecognised(offset, line)
		}
	case pairs.get("type") == "statistics":
		f.statistics(l, pairs)
	case pairs.get("type") == "spam", pairs.get("type") == "virus":
		f.finding(l, pairs)
	}
	return true
}

// fortimailTime reads "date=2026-11-23 time=08:00:00.123", "eventtime=" in
// milliseconds, or the stamp of syslog. A time without its date is no stamp.
func fortimailTime(c *clock, line []byte, head, pairs fortimailPairs) int64 {
	zone := *c
	offset := strings.Trim(pairs.get("tz")+head.get("tz"), `"`)
	if _, n, ok := zoneOf([]byte(offset)); !ok || n != len(offset) {
		offset = ""
	}
	if ms := epochMilli(&zone, head.get("eventtime")); ms != 0 {
		return ms
	}
	for _, stamp := range []string{head.get("date") + "T" + head.get("time"), text(line[:min(len(line), 23)])} {
		if ms, _, ok := zone.iso([]byte(stamp + offset)); ok {
			return ms
		}
	}
	var e envelope
	if c.stampAndHost(line, &e) > 0 {
		return e.ms
	}
	return 0
}

// fortimailSendmail is the text of Sendmail with the commas between its
// equates, which some exports lose.
func fortimailSendmail(s string) string {
	if strings.Contains(s, ", ") || !strings.Contains(s, " stat=") {
		return s
	}
	for _, key := range []string{"delay", "xdelay", "mailer", "pri", "relay", "dsn", "stat"} {
		s = strings.Replace(s, " "+key+"=", ", "+key+"=", 1)
	}
	return s
}

// statistics reads the history log of one message.
func (f *fortimail) statistics(l *sendmailLine, pairs fortimailPairs) {
	m := l.message()
	m.EnvelopeFrom = unbracketed(pairs.get("from"))
	m.HeaderFrom, m.HeaderFromName = mimeHeaderAddress(pairs.get("hfrom"))
	m.Subject, m.Size = pairs.get("subject"), decimal(pairs.get("message_length"))
	m.Client = fortimailClient(pairs)
	switch pairs.get("direction") {
	case "in":
		m.Direction = mail.Inbound
	case "out":
		m.Direction = mail.Outbound
	}
	disposition := pairs.get("disposition")
	m.Reported = mail.Reported{Type: pairs.get("classifier"), Rule: pairs.get("polid"), Detail: disposition}
	if virus := pairs.get("virus"); virus != "" {
		m.Reported.Detail += ": " + virus
	}
	m.Outcome = fortimailOutcome(disposition)
	m.Phase = mail.PhaseEndOfData
	if m.Size == 0 && m.Subject == "" {
		m.Phase = mail.PhaseUnknown // refused before its data, or an empty message
	}
	if m.Outcome == "" {
		if strings.HasPrefix(disposition, "0x") && strings.Trim(disposition, "0x") != "1" {
			l.s.unrecognised(l.offset, l.raw) // a file from the unit's disk has the actions as bits, which the vendor names only in part
		}
		return
	}
	recipients := mimeRecipients([]byte(pairs.get("to")))
	if len(recipients) == 0 {
		recipients = []mail.Path{""}
	}
	for i, recipient := range recipients {
		one := m
		one.Recipient = recipient
		l.concludeOne(f.p, &f.key, &one, i)
	}
	if t := f.p.open.get(l.transactionKey(&f.key, l.id)); t != nil && l.id != "" {
		f.found(t)
	}
}

func fortimailClient(pairs fortimailPairs) mail.Client {
	c := mail.Client{Name: pairs.get("client_name"), IP: pairs.get("client_ip")}
	if c.Name == c.IP {
		c.Name = ""
	}
	if c.IP == "" && strings.Trim(c.Name, "0123456789.:abcdefABCDEF") == "" { // older versions have only the one
		c.IP, c.Name = c.Name, ""
	}
	return c
}

// fortimailOutcome is what the actions of a disposition mean, which stand in
// one value with semicolons between them.
func fortimailOutcome(disposition string) mail.Outcome {
	d := strings.ToLower(disposition)
	has := func(word string) bool { return strings.Contains(d, word) }
	switch {
	case has("reject"):
		return mail.Rejected
	case has("quarantine"):
		return mail.Held
	case has("discard"), d == "block":
		return mail.Discarded
	case has("delay"), has("defer"):
		return mail.Deferred
	}
	return ""
}

// keptFinding is the kind of lines that say what a scanner found.
const keptFinding = 'v'

// finding reads an antispam or antivirus log: it says what was found, and the
// history log what came of it.
func (f *fortimail) finding(l *sendmailLine, pairs fortimailPairs) {
	if l.id == "" {
		return
	}
	t := f.p.transactionOf(l.transactionKey(&f.key, l.id), &l.lineAt)
	t.keepAnother(keptFinding, l.s, l.offset, l.raw)
	f.found(t)
}

// found completes the messages of a session with what scanners found in them.
func (f *fortimail) found(t *transaction) {
	f.p.keptLines(t, func(kind byte, line string, e mail.Evidence) {
		if kind != keptFinding {
			return
		}
		pairs := readFortimailPairs(line)
		for _, r := range t.records {
			if r.Reported.Type == "" || r.cites(e.File, e.Offset) {
				continue // of a delivery, or known
			}
			r.Reported.Detail += ": " + pairs.get("msg")
			learned := true
			fill(&r.Subject, pairs.get("subject"), &learned)
			r.cite(e)
			f.p.list(r)
		}
	})
}
