package logparse

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// m365 reads message traces of Microsoft 365: the reporting API's JSON, and
// the CSV files that the admin center and PowerShell export (Microsoft:
// "Message trace", "Get-MessageTraceV2", "Start-HistoricalSearch").
//
// A trace names the message by its MessageTraceId and says in one word what
// became of each recipient; the extended export is a message tracking log.
type m365 struct {
	p     *Parser
	key   []byte
	heads csvHeads
}

func newM365(p *Parser) *m365 { return &m365{p: p, heads: csvHeads{}} }

func (f *m365) name() string { return "m365-trace" }

func (f *m365) save() ([]byte, error)  { return f.heads.save() }
func (f *m365) load(data []byte) error { return f.heads.load(data) }

func (f *m365) detect(line []byte) bool {
	if body := jsonBody(line); body != nil {
		return bytes.Contains(body, []byte(`"MessageTraceId"`)) || bytes.Contains(body, []byte(`"RecipientAddress"`)) && bytes.Contains(body, []byte(`"SenderAddress"`))
	}
	return m365Header(text(bytes.TrimPrefix(line, byteOrderMark))) != nil
}

// m365Header returns the columns of a header row of an export, nil when the
// line is none.
func m365Header(line string) []string {
	columns := csvNames(line)
	for _, known := range [][]string{
		{"origintimestamputc", "senderaddress", "recipientstatus"},
		{"datetimeutc", "eventid", "recipientaddress"},
		{"messagetraceid", "recipientaddress", "status"},
		{"received", "senderaddress", "recipientaddress", "status"},
		{"dateutc", "sender", "recipient", "status"},
	} {
		if hasAll(columns, known...) {
			return columns
		}
	}
	return nil
}

func (f *m365) line(s *Stream, offset int64, line []byte) bool {
	l := &lineAt{s: s, offset: offset, raw: line}
	whole := text(bytes.TrimPrefix(line, byteOrderMark))
	if columns := m365Header(whole); columns != nil {
		f.heads[s.source.ID] = columns
		return true
	}
	if columns := f.heads[s.source.ID]; columns != nil {
		f.row(l, csvRow{columns, csvFields(whole)})
		return true
	}
	if body := jsonBody(line); body != nil && (s.pinned == f || f.detect(line)) {
		eachJSON(body, func(n int, o jsonFields) { f.object(l, n, o) })
		return true
	}
	return s.pinned == f && strings.HasPrefix(whole, "#")
}

// object reads one trace of the API as a row with the keys for columns.
func (f *m365) object(l *lineAt, n int, o jsonFields) {
	row := csvRow{}
	for _, field := range o {
		if field.kind == jsonString || field.kind == jsonBare || field.kind == jsonEscaped {
			row.columns = append(row.columns, csvName(field.key))
			row.fields = append(row.fields, field.text())
		}
	}
	f.trace(l, row, n)
}

// row reads a row of an export.
func (f *m365) row(l *lineAt, row csvRow) {
	if !hasAll(row.columns, "eventid") {
		f.trace(l, row, 0)
		return
	}
	if ms, ok := m365Time(&l.s.clock, row.get("datetimeutc", "datetime")); ok {
		l.ms = ms
		l.s.seen(ms)
	}
	if !trackExchange(f.p, &f.key, f.name(), l, row) {
		l.s.unrecognised(l.offset, l.raw)
	}
}

// trace reads what the trace says became of each recipient.
func (f *m365) trace(l *lineAt, row csvRow, n int) {
	ms, ok := m365Time(&l.s.clock, row.get("received", "receivedutc", "origintimestamputc", "dateutc", "date"))
	if ok {
		l.ms = ms
		l.s.seen(ms)
	}
	m := mail.Message{
		Format: f.name(), Phase: mail.PhaseUnknown, QueueID: row.get("messagetraceid", "networkmessageid"),
		MessageID: bracketed(row.get("messageid")), Subject: row.get("subject", "messagesubject"), EnvelopeFrom: unbracketed(row.get("senderaddress", "sender")),
		Size: decimal(row.get("size", "totalbytes")), Gateway: row.get("organization"),
	}
	m.Client.IP = row.get("fromip", "originalclientip")
	m.Remote.IP = row.get("toip")
	switch strings.ToLower(row.get("directionality", "direction")) {
	case "incoming", "inbound", "1":
		m.Direction = mail.Inbound
	case "originating", "outbound", "2":
		m.Direction = mail.Outbound
	}
	f.key = append(append(f.key[:0], '3'), m.QueueID...)
	if m.QueueID == "" {
		f.key = append(append(f.key, m.MessageID...), m.EnvelopeFrom...)
	}
	if list := row.get("recipientstatus"); list != "" {
		for i, one := range strings.Split(list, ";") {
			recipient, status, ok := strings.Cut(one, "##")
			if ok {
				f.recipient(l, m, recipient, status, row, i)
			}
		}
		return
	}
	f.recipient(l, m, row.get("recipientaddress", "recipient"), row.get("status", "event", "deliverystatus"), row, 1000*n)
}

// recipient notes one recipient's status.
func (f *m365) recipient(l *lineAt, m mail.Message, recipient, status string, row csvRow, ordinal int) {
	m.Recipient = unbracketed(recipient)
	m.Outcome = m365Outcome(status)
	m.Reported = mail.Reported{Type: status, Detail: row.get("detail", "statusdetail", "action")}
	if m.Outcome == mail.Delivered || m.Outcome == mail.Bounced || m.Outcome == mail.Deferred {
		m.Phase = mail.PhaseDelivery
	}
	detail := strings.TrimPrefix(m.Reported.Detail, "Reason: ")
	if led := exchangePart(detail, "LED"); led != "" {
		detail = led
	}
	m.Reply = readReply(detail)
	if m.Outcome == mail.Bounced && (m.Reply.Enhanced == "4.4.7" || strings.Contains(detail, "QUEUE.Expired")) {
		m.Outcome = mail.Expired
	}
	t := f.p.open.get(f.key)
	if m.Outcome == "" || t == nil && !m.Outcome.Failing() && !f.p.opts.All {
		return
	}
	f.p.conclude(f.p.transactionOf(f.key, l), l, &m, ordinal)
}

// m365Outcome is what a status, or the last event of a list like "Receive,
// Fail", says. What is on its way or was expanded is no outcome yet.
func m365Outcome(status string) mail.Outcome {
	if i := strings.LastIndexByte(status, ','); i >= 0 {
		status = status[i+1:]
	}
	switch csvName(status) {
	case "failed", "fail", "failure":
		return mail.Bounced
	case "pending", "defer", "deferred":
		return mail.Deferred
	case "quarantined", "quarantine":
		return mail.Held
	case "filteredasspam":
		return mail.Rejected
	case "drop", "dropped":
		return mail.Discarded
	case "delivered", "deliver", "send", "sendexternal":
		return mail.Delivered
	}
	return ""
}

// m365Time reads the stamps of the exports: ISO 8601, "/Date(1658751973240)/",
// and the American form of PowerShell, "11/23/2026 8:15:00 AM".
func m365Time(c *clock, s string) (ms int64, ok bool) {
	s = strings.TrimSpace(s)
	if ms, _, ok := c.iso([]byte(s)); ok {
		return ms, true
	}
	if digits, found := strings.CutPrefix(s, "/Date("); found {
		digits, _, _ = strings.Cut(digits, ")")
		ms, err := strconv.ParseInt(digits, 10, 64)
		return ms, err == nil && ms > 0 && ms < 1e14
	}
	for _, layout := range []string{"1/2/2006 3:04:05 PM", "1/2/2006 15:04:05", "1/2/2006 15:04", "2006-01-02 15:04"} {
		if t, err := time.ParseInLocation(layout, s, c.zone()); err == nil {
			return t.UnixMilli(), true
		}
	}
	return 0, false
}
