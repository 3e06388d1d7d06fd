package logparse

import (
	"bytes"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// cisco reads the text mail logs of Cisco Secure Email (ESA, IronPort; AsyncOS
// User Guide, "Logging"), its bounce logs and its consolidated events in CEF.
//
// An injection connection (ICID), a message (MID), a recipient of it (RID) and
// a delivery connection (DCID) have numbers of their own, and lines that name
// two of them join them.
type cisco struct {
	stateless
	p   *Parser
	key []byte
}

func newCisco(p *Parser) *cisco { return &cisco{p: p} }

func (f *cisco) name() string { return "cisco-esa" }

// ciscoLine is a line whose prefix is read.
type ciscoLine struct {
	lineAt
	gateway string
	body    string // behind "Info: "
}

// ciscoWords are how the lines of messages begin behind "Info: ".
var ciscoWords = []string{
	"New SMTP ", "ICID ", "MID ", "DCID ", "Start MID ", "Message done ", "Message aborted ", "Message finished ", "Bounced: ", "Delayed: ", "Double bounce: ",
	"Delivery start ", "LDAP: ", "Deleted: ", "ISQ: ", "EUQ: ", "RPC ", "Connection Error: ", "SMTP Auth ", "Begin Logfile", "Possible Delivery: ",
}

func (f *cisco) detect(line []byte) bool {
	if ciscoCEF(line) >= 0 {
		return true
	}
	body, _ := ciscoBody(line)
	for _, word := range ciscoWords {
		if strings.HasPrefix(body, word) {
			return true
		}
	}
	return false
}

// ciscoBody returns what stands behind the level of a line, and where the level
// begins.
func ciscoBody(line []byte) (body string, at int) {
	head := line[:min(len(line), 160)]
	for _, level := range []string{"Info: ", "Warning: "} {
		if i := bytes.Index(head, []byte(level)); i >= 0 && (i == 0 || line[i-1] == ' ') {
			return text(line[i+len(level):]), i
		}
	}
	return "", -1
}

func (f *cisco) line(s *Stream, offset int64, line []byte) bool {
	l := &ciscoLine{lineAt: lineAt{s: s, offset: offset, raw: line}}
	if at := ciscoCEF(line); at >= 0 {
		f.consolidated(l, text(line[at:]))
		return true
	}
	body, at := ciscoBody(line)
	if at < 0 {
		return f.continued(l) || s.pinned == f
	}
	if !f.detect(line) && s.current != f && s.pinned != f {
		return false
	}
	l.body = strings.TrimRight(body, " ")
	f.prefix(l, line[:at])
	if l.ms != 0 {
		s.seen(l.ms)
	}
	f.half(l, nil)
	if !f.read(l) {
		s.unrecognised(offset, line)
	}
	return true
}

// prefix reads "Wed Jun  2 14:58:14 2004 ", or that of syslog, or nothing.
func (f *cisco) prefix(l *ciscoLine, prefix []byte) {
	const layout = "Mon Jan _2 15:04:05 2006"
	if n := len(prefix) - len(layout) - 1; n >= 0 {
		if t, err := time.ParseInLocation(layout, string(prefix[n:n+len(layout)]), l.s.clock.zone()); err == nil {
			l.ms = t.UnixMilli()
			prefix = prefix[:n]
		}
	}
	if len(prefix) == 0 {
		return
	}
	var e envelope
	if n := l.s.clock.stampAndHost(prefix, &e); n > 0 {
		l.gateway = strings.Trim(string(e.host), "[]")
		if l.ms == 0 {
			l.ms = e.ms
		}
	} else if len(prefix) > 21 && l.ms == 0 { // "2019 Sep 28 16:13:51 host mail [info] name:nopid "
		if t, err := time.ParseInLocation("2006 Jan _2 15:04:05", string(prefix[:20]), l.s.clock.zone()); err == nil {
			l.ms = t.UnixMilli()
			l.gateway, _, _ = strings.Cut(string(prefix[21:]), " ")
		}
	}
}

// transactionKey is the key of a number on the line's appliance: 'i' of an
// injection connection, 'm' of a message, 'd' of a delivery connection.
func (f *cisco) transactionKey(l *ciscoLine, kind byte, id string) []byte {
	f.key = append(f.key[:0], 'C', kind)
	if l.gateway == "" {
		f.key = append(f.key, l.s.source.ID...)
	}
	f.key = append(append(append(f.key, l.gateway...), 0), id...)
	return f.key
}

func (f *cisco) message(l *ciscoLine) mail.Message {
	return mail.Message{Format: f.name(), Gateway: l.gateway, Phase: mail.PhaseUnknown}
}

// number cuts "MID 12 " from the start of s.
func ciscoNumber(s, name string) (id, rest string, ok bool) {
	s, ok = strings.CutPrefix(s, name)
	s = strings.TrimPrefix(s, ":")
	if !ok || !strings.HasPrefix(s, " ") {
		return "", s, false
	}
	s = s[1:]
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return s[:n], strings.TrimPrefix(s[n:], " "), n > 0
}

// ciscoFind returns the number behind "NAME " anywhere in s.
func ciscoFind(s, name string) string {
	for _, separator := range []string{name + " ", name + ": "} {
		i := strings.Index(s, separator)
		if i > 0 && s[i-1] != ' ' { // "ICID" is no "CID"
			continue
		}
		if i >= 0 {
			id, _, _ := ciscoNumber(s[i:], name)
			return id
		}
	}
	return ""
}

// read sends a line to whom it concerns; false when it looks like a failure of
// no known shape.
func (f *cisco) read(l *ciscoLine) bool {
	b := l.body
	if mid, rest, ok := ciscoNumber(b, "MID"); ok {
		return f.ofMessage(l, mid, rest)
	}
	if icid, rest, ok := ciscoNumber(b, "ICID"); ok {
		return f.ofConnection(l, icid, rest)
	}
	word := func(prefix string) bool { return strings.HasPrefix(b, prefix) }
	switch {
	case word("New SMTP ICID "), word("New SMTP DCID "):
		f.connected(l)
	case word("Start MID "):
		f.started(l)
	case word("Delivery start DCID "):
		f.deliveryStarted(l)
	case word("Message done "), word("Message aborted "), word("Message finished "):
		return f.ended(l)
	case word("Bounced: "), word("Delayed: "), word("Double bounce: "):
		return f.undelivered(l)
	case word("LDAP: Drop query "), word("LDAP: Bounce query "):
		f.ldap(l)
	case word("Deleted: MID "):
		m := f.message(l)
		m.Outcome, m.Phase, m.Reported = mail.Discarded, mail.PhaseQueue, mail.Reported{Type: "Deleted"}
		f.concludeRIDs(l, ciscoFind(b, "MID"), b, &m)
	case word("ISQ: Quarantined MID "), word("EUQ: Quarantined MID "), word("RPC Message done RCID "):
		m := f.message(l)
		m.Outcome, m.Phase, m.Reported = mail.Held, mail.PhaseQueue, mail.Reported{Type: "Spam Quarantine"}
		f.concludeAll(l, ciscoFind(b, "MID"), &m)
	}
	return true
}

// connected reads "New SMTP ICID 5 interface Management (10.1.1.1) address
// 10.1.1.209 reverse dns host name verified yes", and the same of a DCID.
func (f *cisco) connected(l *ciscoLine) {
	kind, name, s := byte('i'), "ICID", l.body[len("New SMTP "):]
	if strings.HasPrefix(s, "DCID ") {
		kind, name = 'd', "DCID"
	}
	id, rest, ok := ciscoNumber(s, name)
	if !ok {
		return
	}
	_, rest, _ = strings.Cut(rest, " address ")
	address, rest, _ := strings.Cut(rest, " ")
	m := f.message(l)
	if kind == 'd' {
		m.Remote.IP = address
		t := f.p.open.begin(f.transactionKey(l, kind, id), l.ms)
		t.facts = &m
		t.keepAnother(keptFact, l.s, l.offset, l.raw)
		return
	}
	m.Client.IP = address
	if _, host, ok := strings.Cut(rest, "reverse dns host "); ok {
		host, _, _ = strings.Cut(strings.TrimLeft(host, " "), " ")
		if host != "unknown" {
			m.Client.Name = host
		}
	}
	f.p.know(f.p.open.begin(f.transactionKey(l, kind, id), l.ms), &l.lineAt, &m)
}

// started reads "Start MID 6 ICID 5".
func (f *cisco) started(l *ciscoLine) {
	mid := ciscoFind(l.body, "MID")
	t := f.p.open.begin(f.transactionKey(l, 'm', mid), l.ms)
	f.inherit(t, f.p.open.get(f.transactionKey(l, 'i', ciscoFind(l.body, "ICID"))))
	m := f.message(l)
	m.QueueID = mid
	f.p.know(t, &l.lineAt, &m)
}

// inherit gives t what another transaction knows, and its lines.
func (f *cisco) inherit(t, from *transaction) {
	if from == nil || from == t || from.facts == nil {
		return
	}
	facts := *from.facts
	if t.facts != nil {
		learnAll(&facts, t.facts)
	}
	t.facts = &facts
	for i := range from.lines {
		k := &from.lines[i]
		t.keepOf(from, k, k.kind)
	}
}

// keptRID is the kind of lines that name a recipient: "MID 6 ICID 5 RID
// 0 To: <a@b>".
const keptRID = 'r'

// recipients are those of a message by their number.
func (f *cisco) recipients(t *transaction) map[string]mail.Path {
	list := map[string]mail.Path{}
	for i := range t.lines {
		k := &t.lines[i]
		if k.kind != keptRID {
			continue
		}
		body, _ := ciscoBody(t.bytes(k))
		if _, address, ok := strings.Cut(body, " To: <"); ok {
			if end := strings.LastIndexByte(address, '>'); end >= 0 {
				address = address[:end]
			}
			list[ciscoFind(body, "RID")] = mail.Path(address)
		}
	}
	return list
}

// conclude notes what became of one recipient, and cites the line that named it.
func (f *cisco) conclude(l *ciscoLine, t *transaction, m *mail.Message, ordinal int) {
	r := f.p.conclude(t, &l.lineAt, m, ordinal)
	if r == nil || m.Recipient == "" {
		return
	}
	f.p.keptLines(t, func(kind byte, line string, e mail.Evidence) {
		if kind == keptRID && strings.Contains(line, " To: <"+string(m.Recipient)) {
			r.cite(e)
		}
	})
}

// transaction returns that of a message; nil when there is none and m does not
// ask for one.
func (f *cisco) transaction(l *ciscoLine, mid string, m *mail.Message) *transaction {
	if f.p.open.get(f.transactionKey(l, 'm', mid)) == nil && !m.Outcome.Failing() && !f.p.opts.All {
		return nil
	}
	if m.QueueID == "" {
		m.QueueID = mid
	}
	return f.p.transactionOf(f.transactionKey(l, 'm', mid), &l.lineAt)
}

// concludeAll notes what became of all recipients of a message.
func (f *cisco) concludeAll(l *ciscoLine, mid string, m *mail.Message) {
	t := f.transaction(l, mid, m)
	if t == nil {
		return
	}
	n := 0
	recipients := f.recipients(t)
	for _, rid := range sortedKeys(recipients) {
		one := *m
		one.Recipient = recipients[rid]
		if r := t.recipient(one.Recipient); r != nil && ciscoOver(r.Outcome) {
			continue
		} else if r != nil && r.Outcome == mail.Held && m.Outcome == mail.Held { // put there, then stored there
			f.p.touched(r, l.s, l.ms, l.offset, n, l.raw)
			continue
		}
		f.conclude(l, t, &one, n)
		n++
	}
	if len(recipients) == 0 {
		f.p.concludeAll(t, &l.lineAt, m)
	}
}

// ciscoOver reports whether nothing follows an outcome.
func ciscoOver(o mail.Outcome) bool {
	return o == mail.Rejected || o == mail.Bounced || o == mail.Expired || o == mail.Discarded
}

// concludeRIDs notes what became of the recipients whose numbers stand in
// "to RID [0, 1]", "RID [0]" or "to [0]"; where they are not known by name, of
// the whole message.
func (f *cisco) concludeRIDs(l *ciscoLine, mid, s string, m *mail.Message) {
	t := f.transaction(l, mid, m)
	if t == nil {
		return
	}
	recipients := f.recipients(t)
	_, list, _ := strings.Cut(s, "[")
	list, _, _ = strings.Cut(list, "]")
	for i, rid := range strings.Split(list, ",") {
		one := *m
		one.Recipient = recipients[strings.TrimSpace(rid)]
		if one.Recipient == "" && len(recipients) > 0 {
			continue
		}
		f.conclude(l, t, &one, i)
	}
}
