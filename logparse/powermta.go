package logparse

import (
	"strings"

	"mailwhy/engine/mail"
)

// powermta reads the accounting files of PowerMTA (User's Guide, "Accounting"):
// CSV whose first row names the columns, which are as many as were configured.
//
// A row is what became of one recipient. Records have no queue id: the time at
// which the message was queued, or what else the rows repeat, tells which are
// of the same one.
type powermta struct {
	p     *Parser
	key   []byte
	heads csvHeads
}

func newPowerMTA(p *Parser) *powermta { return &powermta{p: p, heads: csvHeads{}} }

func (f *powermta) name() string { return "powermta" }

func (f *powermta) save() ([]byte, error)  { return f.heads.save() }
func (f *powermta) load(data []byte) error { return f.heads.load(data) }

func (f *powermta) detect(line []byte) bool { return powermtaHeader(line) != nil }

// powermtaHeader returns the columns of a header row, nil when the line is
// none. The first column is the type, always.
func powermtaHeader(line []byte) []string {
	s := string(line[:min(len(line), 40)])
	s = strings.TrimLeft(strings.TrimPrefix(s, string(byteOrderMark)), "#\" ")
	if !strings.HasPrefix(s, "type") {
		return nil
	}
	columns := csvNames(strings.TrimPrefix(text(line), string(byteOrderMark)))
	if columns[0] == "type" && hasAll(columns, "timelogged") {
		return columns
	}
	return nil
}

func (f *powermta) line(s *Stream, offset int64, line []byte) bool {
	if columns := powermtaHeader(line); columns != nil {
		f.heads[s.source.ID] = columns
		return true
	}
	columns := f.heads[s.source.ID]
	if columns == nil {
		return false
	}
	l := &lineAt{s: s, offset: offset, raw: line}
	row := csvRow{columns, csvFields(text(line))}
	if ms := epochMilli(&s.clock, row.get("timelogged")); ms != 0 {
		l.ms = ms
		s.seen(ms)
	}
	f.row(l, row)
	return true
}

// row reads one record.
func (f *powermta) row(l *lineAt, row csvRow) {
	m := f.message(row)
	switch kind := strings.ToLower(row.get("type")); kind {
	case "d", "delivery":
		m.Outcome = mail.Delivered
	case "b", "bounce", "rb", "rs":
		m.Outcome = powermtaOutcome(row)
	case "t", "transient", "tq", "transient-queue":
		m.Outcome = mail.Deferred
	default: // r is a reception, f a complaint about what was delivered
		return
	}
	if m.Recipient == "" && !m.EnvelopeFrom.Known() {
		return // of a whole queue
	}
	if !f.setKey(row, &m) {
		if m.Outcome.Failing() {
			f.p.alone(l, &m)
		}
		return
	}
	if f.p.open.get(f.key) == nil && !m.Outcome.Failing() && !f.p.opts.All {
		return
	}
	f.p.conclude(f.p.transactionOf(f.key, l), l, &m, 0)
}

// powermtaOutcome is what a bounce or a report from a remote host says.
func powermtaOutcome(row csvRow) mail.Outcome {
	switch strings.ToLower(row.get("dsnaction")) {
	case "delayed":
		return mail.Deferred
	case "delivered", "relayed", "expanded":
		return mail.Delivered
	}
	status, _, _ := strings.Cut(row.get("dsnstatus"), " ")
	if row.get("bouncecat") == "message-expired" || status == "4.4.7" || status == "5.4.7" {
		return mail.Expired
	}
	return mail.Bounced
}

// setKey makes the key of the message that a row is about. It returns false
// where nothing tells two messages of the same two people apart.
func (f *powermta) setKey(row csvRow, m *mail.Message) bool {
	id := m.MessageID
	for _, column := range []string{"timequeued", "envid", "jobid"} {
		if id == "" {
			id = row.get(column)
		}
	}
	f.key = append(append(append(f.key[:0], 'W'), id...), 0)
	f.key = append(append(append(f.key, m.EnvelopeFrom.Fold()...), 0), m.Recipient.Fold()...)
	return id != ""
}

// message reads what a row tells of the message.
func (f *powermta) message(row csvRow) mail.Message {
	m := mail.Message{
		Format: f.name(), Phase: mail.PhaseDelivery, EnvelopeFrom: unbracketed(row.get("orig")), Recipient: unbracketed(row.get("rcpt")),
		Size: decimal(row.get("dlvsize")), Subject: row.get("headersubject"), MessageID: bracketed(row.get("headermessageid")),
	}
	m.HeaderFrom, m.HeaderFromName = mimeHeaderAddress(row.get("headerfrom"))
	original := row.get("orcpt")
	if _, address, ok := strings.Cut(original, ";"); ok { // "rfc822;a@b"
		original = address
	}
	if path := unbracketed(original); path.Fold() != m.Recipient.Fold() {
		m.OriginalRecipient = path
	}
	m.Client.Helo, m.Client.IP = powermtaHost(row.get("srcmta"))
	m.Remote.Name, m.Remote.IP = powermtaHost(row.get("dsnmta"))
	if ip := row.get("dlvdestinationip"); ip != "" {
		m.Remote.IP = ip
	}
	diagnostic := row.get("dsndiag")
	if _, words, ok := strings.Cut(diagnostic, ";"); ok && len(diagnostic)-len(words) <= len("x-powermta;") {
		diagnostic = words // "smtp;550 5.1.1 words", "x-pmta;words"
	}
	m.Reply = readReply(diagnostic)
	if m.Reply.Enhanced == "" {
		m.Reply.Enhanced, _ = cutEnhanced(row.get("dsnstatus"))
	}
	m.Reported = mail.Reported{Type: row.get("bouncecat"), Detail: m.Reply.Text}
	return m
}

// powermtaHost reads "name (ip)".
func powermtaHost(s string) (name, ip string) {
	name, ip, _ = strings.Cut(s, " (")
	return strings.TrimSpace(name), strings.TrimSuffix(ip, ")")
}
