package logparse

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"mailwhy/engine/mail"
)

// kumomta reads the log records of KumoMTA, one JSON object a line
// (docs.kumomta.com, "Log Record").
//
// The records of one message carry its spool id. A refused command (Rejection)
// and a bounce that came back as mail (OOB) are messages of their own: their
// ids are not of the message that failed.
type kumomta struct {
	stateless
	p   *Parser
	key []byte
}

func newKumoMTA(p *Parser) *kumomta { return &kumomta{p: p} }

func (f *kumomta) name() string { return "kumomta" }

func (f *kumomta) detect(line []byte) bool {
	body := jsonBody(line)
	return body != nil && bytes.Contains(body, []byte(`"type"`)) && bytes.Contains(body, []byte(`"recipient"`)) &&
		(bytes.Contains(body, []byte(`"bounce_classification"`)) || bytes.Contains(body, []byte(`"num_attempts"`)) || bytes.Contains(body, []byte(`"nodeid"`)))
}

func (f *kumomta) line(s *Stream, offset int64, line []byte) bool {
	body := jsonBody(line)
	if body == nil || s.pinned != f && !f.detect(line) {
		return false
	}
	l := &lineAt{s: s, offset: offset, raw: line}
	n := 0
	eachJSON(body, func(_ int, o jsonFields) { f.record(l, o, &n) })
	return true
}

// record reads one log record; n counts the recipients of the line.
func (f *kumomta) record(l *lineAt, o jsonFields, n *int) {
	l.ms = epochMilli(&l.s.clock, o.get("timestamp", "event_time", "created"))
	if l.ms != 0 {
		l.s.seen(l.ms)
	}
	kind := o.get("type")
	m := f.message(o, kind)
	recipients := o.list("recipient")
	if len(recipients) == 0 {
		recipients = []string{""}
	}
	for _, recipient := range recipients {
		one := m
		one.Recipient = unbracketed(recipient)
		f.one(l, kind, &one, *n)
		*n++
	}
}

// one notes what a record says of one recipient.
func (f *kumomta) one(l *lineAt, kind string, m *mail.Message, ordinal int) {
	switch kind {
	case "Reception":
		if m.QueueID != "" {
			f.p.know(f.p.transactionOf(f.transactionKey(m), l), l, m)
		}
		return
	case "Delivery":
		m.Outcome = mail.Delivered
	case "TransientFailure", "Delay":
		m.Outcome = mail.Deferred
	case "Bounce", "AdminBounce":
		m.Outcome = mail.Bounced
	case "Expiration":
		m.Outcome = mail.Expired
	case "OOB":
		m.Outcome, m.QueueID = mail.Bounced, ""
	case "Rejection":
		m.Outcome = mail.Rejected
		if m.Reply.Temporary() {
			m.Outcome = mail.Deferred
		}
	default: // Feedback is a complaint about what was delivered
		return
	}
	if kind == "OOB" || kind == "Rejection" || m.QueueID == "" {
		if m.Outcome.Failing() {
			f.p.aloneAt(l, m, ordinal)
		}
		return
	}
	if f.p.open.get(f.transactionKey(m)) == nil && !m.Outcome.Failing() && !f.p.opts.All {
		return
	}
	t := f.p.transactionOf(f.transactionKey(m), l)
	f.p.conclude(t, l, m, ordinal)
	if m.Outcome != mail.Deferred {
		f.p.open.finish(t)
	}
}

func (f *kumomta) transactionKey(m *mail.Message) []byte {
	f.key = append(append(f.key[:0], 'K'), m.QueueID...)
	return f.key
}

// message reads what a record of a kind tells. The peer is who submitted the
// message, or who was to receive it.
func (f *kumomta) message(o jsonFields, kind string) mail.Message {
	m := mail.Message{
		Format: f.name(), Phase: mail.PhaseDelivery, QueueID: o.get("id"), EnvelopeFrom: kumoSender(o),
		Size: decimal(o.get("size")),
	}
	response := o.object("response")
	m.Reply = mail.Reply{Code: int(decimal(response.get("code"))), Text: response.get("content")}
	if e := response.object("enhanced_code"); e != nil {
		m.Reply.Enhanced, _ = cutEnhanced(e.get("class") + "." + e.get("subject") + "." + e.get("detail"))
	}
	m.Reported = mail.Reported{Type: kind, Detail: m.Reply.Text}
	if class := o.get("bounce_classification"); class != "" && class != "Uncategorized" {
		m.Reported.Rule = class
	}
	for _, header := range o.object("headers") {
		switch strings.ToLower(header.key) {
		case "subject":
			m.Subject = header.text()
		case "message-id":
			m.MessageID = header.text()
		case "from":
			m.HeaderFrom, m.HeaderFromName = mimeHeaderAddress(header.text())
		}
	}
	name, ip := o.get("peer_address.name"), o.get("peer_address.addr")
	if ip == "0.0.0.0" || ip == "::" { // what it writes where there is none
		ip = ""
	}
	switch kind {
	case "Reception":
		m.Client = mail.Client{IP: ip, Helo: name}
	case "Rejection":
		m.Client = mail.Client{IP: ip, Helo: name}
		m.Phase = smtpPhase(response.get("command"))
	case "Expiration", "AdminBounce", "Delay":
		m.Phase = mail.PhaseQueue
	default:
		m.Remote = mail.Remote{Name: strings.TrimSuffix(name, "."), IP: ip}
	}
	return m
}

// kumoSender is the reverse-path: a record has the key always, empty for the
// null path of a message that was received.
func kumoSender(o jsonFields) mail.Path {
	f, ok := o.find("sender")
	switch {
	case !ok || f.kind == jsonNull:
		return ""
	case len(f.raw) > 0:
		return unbracketed(f.text())
	case o.get("type") == "Rejection": // refused before MAIL FROM, or at it
		return ""
	}
	return mail.NullPath
}

// smtpPhase is the moment of the dialogue to which a command belongs.
func smtpPhase(command string) mail.Phase {
	command = strings.ToUpper(strings.TrimSpace(command))
	verb, _, _ := strings.Cut(command, " ")
	switch {
	case command == "." || strings.HasPrefix(command, "END"):
		return mail.PhaseEndOfData
	case strings.HasPrefix(command, "MAIL"):
		return mail.PhaseMail
	case strings.HasPrefix(command, "RCPT"):
		return mail.PhaseRcpt
	}
	return stagePhase(verb)
}

// epochMilli reads a stamp as JSON logs have it: seconds since 1970 with or
// without fraction, milliseconds, or ISO 8601. 0 is none.
func epochMilli(c *clock, s string) int64 {
	if ms, _, ok := c.iso([]byte(s)); ok {
		return ms
	}
	n, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil || math.IsNaN(n) || n <= 0 || n > 1e14:
		return 0
	case n > 1e11:
		return int64(n)
	}
	return int64(math.Round(n * 1000))
}
