package logparse

import (
	"bytes"
	"strings"

	"mailwhy/engine/mail"
)

// proofpoint reads the log feed of Proofpoint on Demand ("PoD Log API"), one
// JSON record a line: "maillog" records wrap a line of Sendmail, "message"
// records tell what the filter decided. Both name the queue id.
type proofpoint struct {
	stateless
	p   *Parser
	key []byte
}

func newProofpoint(p *Parser) *proofpoint { return &proofpoint{p: p} }

func (f *proofpoint) name() string { return "proofpoint-pod" }

func (f *proofpoint) detect(line []byte) bool {
	body := jsonBody(line)
	has := func(key string) bool { return bytes.Contains(body, []byte(key)) }
	return body != nil && (has(`"sm"`) && (has(`"qid"`) || has(`"pps"`)) || has(`"filter"`) && has(`"disposition"`) && has(`"guid"`) ||
		has(`"msgParts"`) && has(`"guid"`) || has(`"msgPartsUrl"`))
}

func (f *proofpoint) line(s *Stream, offset int64, line []byte) bool {
	body := jsonBody(line)
	if body == nil || s.pinned != f && !f.detect(line) {
		return false
	}
	l := &lineAt{s: s, offset: offset, raw: line}
	eachJSON(body, func(_ int, o jsonFields) {
		if l.ms = epochMilli(&s.clock, o.get("ts")); l.ms != 0 {
			s.seen(l.ms)
		}
		switch {
		case o.object("filter") != nil:
			f.filtered(l, o)
		case o.get("data") != "" || o.object("sm") != nil:
			f.maillog(l, o)
		}
	})
	return true
}

// proofpointAgent is the host that wrote a record.
func proofpointAgent(o jsonFields) string { return o.get("pps.agent", "metadata.origin.data.agent") }

// maillog reads a record around a line of Sendmail: the line itself, or its
// fields where the record has only those.
func (f *proofpoint) maillog(l *lineAt, o jsonFields) {
	sl := &sendmailLine{lineAt: *l, format: f.name(), prefix: 'p', gateway: proofpointAgent(o)}
	e, body, ok := sendmailBody(&l.s.clock, []byte(o.get("data")))
	switch {
	case ok:
		sl.id, sl.body = sendmailID(text(body))
		if sl.ms == 0 {
			sl.ms = e.ms
		}
		if sl.gateway == "" {
			sl.gateway = text(e.host)
		}
	default:
		sl.id, sl.body = o.get("sm.qid"), sendmailEquates(o.object("sm"))
	}
	if !readSendmail(f.p, &f.key, sl) && sendmailFailing(sl.body) {
		l.s.unrecognised(l.offset, l.raw)
	}
}

// sendmailEquates writes the fields of a line as the line had them: the
// addresses first, the status last.
func sendmailEquates(sm jsonFields) string {
	var first, middle, last []string
	for _, field := range sm {
		if strings.Trim(field.key, "abcdefghijklmnopqrstuvwxyz_0123456789") != "" {
			continue // no equate's name
		}
		values := sm.list(field.key)
		if field.key == "to" {
			for i := range values {
				values[i] = "<" + strings.Trim(values[i], "<>") + ">"
			}
		}
		equate := field.key + "=" + strings.Join(values, ",")
		switch field.key {
		case "qid":
		case "to", "from", "ruleset":
			first = append(first, equate)
		case "stat", "reject":
			last = append(last, equate)
		default:
			middle = append(middle, equate)
		}
	}
	return strings.Join(append(append(first, middle...), last...), ", ")
}

// filtered reads what the filter decided for all recipients of a message.
func (f *proofpoint) filtered(l *lineAt, o jsonFields) {
	filter := o.object("filter")
	m := f.message(o, filter)
	m.Outcome = proofpointOutcome(filter, &m)
	if m.Outcome == "" {
		return
	}
	sl := &sendmailLine{lineAt: *l, prefix: 'p', gateway: m.Gateway, id: m.QueueID}
	recipients := o.list("envelope.rcpts")
	if len(recipients) == 0 {
		recipients = []string{""}
	}
	for i, recipient := range recipients {
		one := m
		one.Recipient = unbracketed(recipient)
		sl.concludeOne(f.p, &f.key, &one, i)
	}
}

// proofpointOutcome is what the final action means: what was put into a
// quarantine and not delivered is held.
func proofpointOutcome(filter jsonFields, m *mail.Message) mail.Outcome {
	quarantined := filter.object("quarantine") != nil
	for _, action := range filter.objects("actions") {
		verb := action.get("action")
		quarantined = quarantined || verb == "quarantine"
		if action.get("isFinal") == "true" || m.Reported.Type == "" || verb == "quarantine" {
			m.Reported = mail.Reported{Type: action.get("module"), Rule: action.get("rule"), Detail: verb}
		}
	}
	if folder := filter.get("quarantine.folder"); folder != "" {
		m.Reported.Detail = "quarantine: " + folder
	}
	switch disposition := strings.ToLower(filter.get("disposition")); disposition {
	case "reject":
		return mail.Rejected
	case "retry", "tempfail", "defer":
		return mail.Deferred
	case "discard", "quarantine":
		if quarantined || disposition == "quarantine" {
			return mail.Held
		}
		return mail.Discarded
	}
	return "" // it went on: its deliveries are in the maillog
}

// message reads what a filter's record tells.
func (f *proofpoint) message(o, filter jsonFields) mail.Message {
	m := mail.Message{
		Format: f.name(), Gateway: proofpointAgent(o), QueueID: filter.get("qid"), Phase: mail.PhaseEndOfData,
		EnvelopeFrom: unbracketed(o.get("envelope.from")), Size: decimal(filter.get("msgSizeBytes")),
		Direction: mimeDirectionOf(filter.get("routeDirection")), SpamScore: float(filter.get("modules.spam.scores.overall")),
	}
	if m.Size == 0 {
		m.Size = decimal(o.get("msg.sizeBytes"))
	}
	m.Client = mail.Client{IP: o.get("connection.ip"), Helo: o.get("connection.helo"), Name: o.get("connection.host")}
	if status := o.get("connection.resolveStatus"); strings.Contains(status, "unknown") || m.Client.Name == m.Client.IP {
		m.Client.Name = ""
	}
	m.Subject = strings.Join(o.list("msg.header.subject"), " ")
	m.MessageID = strings.Join(o.list("msg.header.message-id"), " ")
	if from := o.list("msg.header.from"); len(from) > 0 {
		m.HeaderFrom, m.HeaderFromName = mimeHeaderAddress(from[0])
	}
	m.Auth.SPF = authWord(filter.get("modules.spf.result"))
	for _, signature := range filter.objects("modules.dkimv") {
		if word := authWord(signature.get("result")); m.Auth.DKIM != "pass" {
			m.Auth.DKIM = word
		}
	}
	for _, result := range filter.objects("modules.dmarc.authResults") {
		if result.get("method") == "dmarc" {
			m.Auth.DMARC = authWord(result.get("result"))
		}
	}
	return m
}

// authWord is a result in the words of RFC 8601, "" where it is none of them.
func authWord(s string) string {
	switch s = strings.ToLower(strings.TrimSpace(s)); s {
	case "pass", "fail", "softfail", "neutral", "none", "temperror", "permerror":
		return s
	}
	return ""
}
