package logparse

import (
	"bytes"
	"strings"

	"mailwhy/engine/mail"
)

// exchange reads the message tracking log of Exchange Server 2007 and later,
// and the SMTP receive protocol log beside it: CSV files whose "#Fields:" row
// names the columns (Microsoft: "Message tracking", "Protocol logging").
//
// A message is one transaction under its Message-ID, since every server gives
// it an id of its own. The protocol log has sessions, and knows of refusals
// that tracking never sees.
type exchange struct {
	p     *Parser
	key   []byte
	heads csvHeads
}

func newExchange(p *Parser) *exchange { return &exchange{p: p, heads: csvHeads{}} }

func (f *exchange) name() string { return "exchange-tracking" }

func (f *exchange) save() ([]byte, error)  { return f.heads.save() }
func (f *exchange) load(data []byte) error { return f.heads.load(data) }

// exchangeFields are the columns of the tracking log where a file lacks its
// header, because it was cut or collected by line.
var exchangeFields = csvNames("date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,connector-id,source,event-id,internal-message-id,message-id,network-message-id,recipient-address,recipient-status,total-bytes,recipient-count,related-recipient-address,reference,message-subject,sender-address,return-path,message-info,directionality,tenant-id,original-client-ip,original-server-ip,custom-data,transport-traffic-type,log-id,schema-version")

func (f *exchange) detect(line []byte) bool {
	line = bytes.TrimPrefix(line, byteOrderMark)
	return bytes.HasPrefix(line, []byte("#Software: Microsoft Exchange")) || bytes.HasPrefix(line, []byte("#Log-type: Message Tracking")) ||
		bytes.HasPrefix(line, []byte("#Log-type: SMTP ")) || exchangeHeader(text(line)) != nil || len(line) > 20 && isDigit(line[0]) && exchangeBare(text(line))
}

// exchangeHeader returns the columns of a header row of either log, nil when
// the line is none.
func exchangeHeader(line string) []string {
	rest, hash := strings.CutPrefix(line, "#Fields: ")
	if !hash && !strings.HasPrefix(line, "date-time,") && !strings.HasPrefix(line, `"date-time"`) {
		return nil
	}
	columns := csvNames(rest)
	if hasAll(columns, "datetime", "eventid") || hasAll(columns, "datetime", "sessionid", "event") {
		return columns
	}
	return nil
}

// exchangeBare reports whether a row without header is one of the tracking log.
func exchangeBare(line string) bool {
	if strings.Count(line, ",") < 20 || !strings.Contains(line[:20], "T") {
		return false
	}
	row := csvRow{exchangeFields, csvFields(line)}
	return exchangeEvent(row.get("eventid")) != "" || row.get("eventid") == "RECEIVE"
}

func (f *exchange) line(s *Stream, offset int64, line []byte) bool {
	whole := text(bytes.TrimPrefix(line, byteOrderMark))
	if strings.HasPrefix(whole, "#") || strings.HasPrefix(whole, "date-time,") {
		if columns := exchangeHeader(whole); columns != nil {
			f.heads[s.source.ID] = columns
		}
		return f.detect(line) || s.current == f || s.pinned == f
	}
	columns := f.heads[s.source.ID]
	if columns == nil {
		if s.pinned != f && !exchangeBare(whole) {
			return false
		}
		columns = exchangeFields
	}
	row := csvRow{columns, csvFields(whole)}
	ms, _, ok := s.clock.iso([]byte(row.get("datetime")))
	if !ok {
		return s.pinned == f
	}
	s.seen(ms)
	l := &lineAt{s, offset, line, ms}
	if hasAll(columns, "sessionid") {
		f.protocol(l, row)
		return true
	}
	if !trackExchange(f.p, &f.key, f.name(), l, row) {
		s.unrecognised(offset, line)
	}
	return true
}

// exchangeEvent is what a tracking event says became of its recipients, ""
// when it says nothing of that.
func exchangeEvent(event string) mail.Outcome {
	switch event {
	case "FAIL", "BADMAIL", "SUBMITFAIL":
		return mail.Bounced
	case "DEFER", "SUBMITDEFER":
		return mail.Deferred
	case "POISONMESSAGE":
		return mail.Held
	case "DROP":
		return mail.Discarded
	case "SEND", "SENDEXTERNAL", "DELIVER", "DUPLICATEDELIVER":
		return mail.Delivered
	}
	return ""
}

// trackExchange reads a row of the tracking log, which Microsoft 365 exports
// as well. It returns false when a failing row was not understood.
func trackExchange(p *Parser, key *[]byte, format string, l *lineAt, row csvRow) bool {
	event := strings.ToUpper(row.get("eventid"))
	m := exchangeFacts(row, event)
	m.Format = format
	*key = append((*key)[:0], 'X')
	switch {
	case m.MessageID != "":
		*key = append(*key, m.MessageID...)
	case row.get("networkmessageid") != "":
		*key = append(*key, row.get("networkmessageid")...)
	default:
		*key = append(append(append(*key, l.s.source.ID...), '#'), m.QueueID...)
	}
	outcome := exchangeEvent(event)
	switch {
	case event == "DSN":
		dsnOf(p, key, l, row.get("reference"))
		return true
	case outcome == "":
		if event == "RECEIVE" || event == "SUBMIT" || event == "RESOLVE" || event == "EXPAND" || event == "REDIRECT" {
			m.OriginalRecipient = "" // of one recipient, not of the message
			p.know(p.transactionOf(*key, l), l, &m)
		}
		return !strings.Contains(event, "FAIL")
	}
	t := p.open.get(*key)
	if t == nil {
		if !outcome.Failing() && !p.opts.All {
			return true
		}
		t = p.transactionOf(*key, l)
	}
	m.Outcome, m.Phase = outcome, mail.PhaseDelivery
	recipients := strings.Split(row.get("recipientaddress"), ";")
	statuses := exchangeStatuses(row.get("recipientstatus"), len(recipients))
	for i, recipient := range recipients {
		one := m
		one.Recipient = mail.Path(recipient)
		exchangeReply(&one, row, event, statuses[i])
		p.conclude(t, l, &one, i)
	}
	return true
}

// dsnOf cites the row that says a notification was sent for the messages that
// reference names.
func dsnOf(p *Parser, key *[]byte, l *lineAt, reference string) {
	for _, id := range strings.Split(reference, ";") {
		*key = append(append((*key)[:0], 'X'), id...)
		t := p.open.get(*key)
		if t == nil || id == "" {
			continue
		}
		for _, r := range t.records {
			if r.Outcome.Failing() {
				p.touched(r, l.s, l.ms, l.offset, 0, l.raw)
			}
		}
	}
}

// exchangeFacts is what a row tells of the message.
func exchangeFacts(row csvRow, event string) mail.Message {
	m := mail.Message{
		MessageID: row.get("messageid"), QueueID: row.get("internalmessageid"), Subject: row.get("messagesubject"),
		EnvelopeFrom: exchangeSender(row), Size: decimal(row.get("totalbytes")),
	}
	if m.QueueID == "0" {
		m.QueueID = ""
	}
	if event == "RECEIVE" || event == "FAIL" || event == "DEFER" || event == "BADMAIL" {
		m.Gateway = row.get("serverhostname")
	}
	m.Client.IP = row.get("originalclientip")
	if event == "RECEIVE" && (m.Client.IP == "" || m.Client.IP == row.get("clientip")) {
		m.Client = mail.Client{IP: row.get("clientip"), Name: row.get("clienthostname")}
	}
	if related := mail.Path(row.get("relatedrecipientaddress")); strings.Contains(string(related), "@") {
		m.OriginalRecipient = related
	}
	switch strings.ToLower(row.get("directionality")) {
	case "incoming", "1", "inbound":
		m.Direction = mail.Inbound
	case "originating", "2", "outbound":
		m.Direction = mail.Outbound
	}
	return m
}

// exchangeSender is the reverse-path where it is logged, else the sender.
func exchangeSender(row csvRow) mail.Path {
	if path := row.get("returnpath"); path != "" {
		return unbracketed(path)
	}
	return unbracketed(row.get("senderaddress"))
}

// exchangeStatuses splits the statuses of n recipients. They are divided by
// semicolons and hold semicolons; the bracketed form, "[{LED=...};{MSG=...}]",
// says where each ends.
func exchangeStatuses(s string, n int) []string {
	statuses := make([]string, n)
	switch {
	case n == 1:
		statuses[0] = s
	case strings.Contains(s, "];[") || strings.Contains(s, "}];"):
		for i, part := range strings.SplitN(s, "];", n) {
			if !strings.HasSuffix(part, "]") {
				part += "]"
			}
			statuses[i] = part
		}
	default:
		parts := splitReplies(s)
		for i := range statuses {
			switch {
			case len(parts) == n:
				statuses[i] = parts[i]
			default: // one for all, or none can be told apart
				statuses[i] = s
			}
		}
	}
	return statuses
}

// splitReplies splits "550 a; b;550 c" before each reply code.
func splitReplies(s string) (parts []string) {
	start := 0
	for i := 0; i+4 < len(s); i++ {
		if s[i] != ';' {
			continue
		}
		if _, _, ok := replyCode(s[i+1:]); ok {
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// exchangeReply reads a recipient's status, "550 5.1.1 words" or
// "[{LED=550 5.1.1 words};{MSG=};{FQDN=mx};{IP=192.0.2.1};{LRT=}]".
func exchangeReply(m *mail.Message, row csvRow, event, status string) {
	m.Reported = mail.Reported{Type: event, Detail: status}
	if source := row.get("source"); source == "AGENT" || source == "ROUTING" || source == "DSN" || source == "POISONMESSAGE" {
		m.Reported.Rule = row.get("sourcecontext")
	}
	words := status
	if led := exchangePart(status, "LED"); led != "" {
		words = led
		if msg := exchangePart(status, "MSG"); msg != "" && m.Reported.Rule == "" {
			m.Reported.Type += ": " + msg
		}
		m.Remote = mail.Remote{Name: exchangePart(status, "FQDN"), IP: exchangePart(status, "IP")}
	}
	if words == "" && m.Outcome != mail.Delivered {
		words = row.get("sourcecontext")
	}
	if m.Outcome == mail.Delivered {
		m.Remote = mail.Remote{Name: row.get("serverhostname"), IP: row.get("serverip")}
	}
	m.Reply = readReply(strings.TrimSpace(words))
	if strings.Contains(status, "QUEUE.Expired") || strings.Contains(row.get("sourcecontext"), "QUEUE.Expired") || m.Outcome == mail.Bounced && m.Reply.Enhanced == "4.4.7" {
		m.Outcome = mail.Expired
	}
	if m.Outcome == mail.Bounced && m.Reply.Code >= 400 && m.Reply.Code < 500 && event == "DEFER" {
		m.Outcome = mail.Deferred
	}
}

// exchangePart is one value of "[{LED=...};{MSG=...}]".
func exchangePart(s, name string) string {
	_, s, ok := strings.Cut(s, "{"+name+"=")
	if !ok {
		return ""
	}
	for _, end := range []string{"};{", "}]", "}"} {
		if i := strings.Index(s, end); i >= 0 {
			return strings.TrimSpace(s[:i])
		}
	}
	return s
}
