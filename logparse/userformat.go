package logparse

import (
	"bytes"
	"regexp"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// UserFormat is a line format that a file describes (see ReadUserFormat): how
// its lines are told from others, and rules, of which the first that matches a
// line says what it tells. Regular expressions are those of Go's regexp, which
// take time in proportion to the line.
type UserFormat struct {
	name   string
	file   string
	syslog bool     // lines stand behind a syslog envelope; the rules see what the program said
	tags   []string // the programs' names there
	detect *regexp.Regexp
	layout string // of the time group, where the envelope has no stamp
	rules  []userRule
}

// Name is the format's name, as in mail.Message.Format.
func (u *UserFormat) Name() string { return u.name }

// userRule reads one line shape.
type userRule struct {
	line    int // in the file
	match   *regexp.Regexp
	fields  []string // by group; "" = not captured
	set     map[string]string
	phase   mail.Phase
	outcome string            // one of the outcomes, or a word of outcomeWords
	field   string            // the group that says the outcome
	values  map[string]string // by what that group says
	repeats bool              // the line says again what an earlier one of the same attempt said
	scores  bool              // underscores stand for the spaces of the reply
}

// The words that stand where an outcome may: byReply is rejected for 5yz and
// deferred for 4yz, byDelivery bounced for 5yz; fact only teaches, ignore is
// understood and left; begin and end say from where to where a queue id is of
// one message.
const (
	byReply    = "by_reply"
	byDelivery = "by_delivery_reply"
	onlyFact   = "fact"
	ignored    = "ignore"
	begins     = "begin"
	ends       = "end"
)

// userFields are what a group may be named after to be a fact. delivery is the
// number under which later lines speak of one recipient of a queue id.
var userFields = map[string]func(m *mail.Message, s string){
	"time":               nil,
	"delivery":           nil,
	"recipients":         nil,
	"code":               func(m *mail.Message, s string) { m.Reply.Code, _, _ = replyCode(s) },
	"enhanced":           func(m *mail.Message, s string) { m.Reply.Enhanced, _ = cutEnhanced(s) },
	"text":               func(m *mail.Message, s string) { m.Reply.Text = s },
	"reply":              func(m *mail.Message, s string) { m.Reply = readReply(s) },
	"client_ip":          func(m *mail.Message, s string) { m.Client.IP = s },
	"client_name":        func(m *mail.Message, s string) { m.Client.Name = s },
	"helo":               func(m *mail.Message, s string) { m.Client.Helo = s },
	"envelope_from":      func(m *mail.Message, s string) { m.EnvelopeFrom = unbracketed(s) },
	"header_from":        func(m *mail.Message, s string) { m.HeaderFrom, m.HeaderFromName = mimeHeaderAddress(s) },
	"recipient":          func(m *mail.Message, s string) { m.Recipient = recipientOf(s) },
	"original_recipient": func(m *mail.Message, s string) { m.OriginalRecipient = recipientOf(s) },
	"subject":            func(m *mail.Message, s string) { m.Subject = s },
	"message_id":         func(m *mail.Message, s string) { m.MessageID = bracketed(s) },
	"queue_id":           func(m *mail.Message, s string) { m.QueueID = s },
	"size":               func(m *mail.Message, s string) { m.Size = decimal(s) },
	"remote_ip":          func(m *mail.Message, s string) { m.Remote.IP = s },
	"remote_name":        func(m *mail.Message, s string) { m.Remote.Name = s },
	"reported_type":      func(m *mail.Message, s string) { m.Reported.Type = s },
	"reported_rule":      func(m *mail.Message, s string) { m.Reported.Rule = s },
	"reported_detail":    func(m *mail.Message, s string) { m.Reported.Detail = s },
	"spam_score":         func(m *mail.Message, s string) { m.SpamScore = float(s) },
}

// recipientOf is an address without brackets; there is no null recipient.
func recipientOf(s string) mail.Path {
	if path := unbracketed(s); path != mail.NullPath {
		return path
	}
	return ""
}

// described is a UserFormat at work.
type described struct {
	stateless
	p   *Parser
	u   *UserFormat
	key []byte
}

func (f *described) name() string { return f.u.name }

func (f *described) detect(line []byte) bool {
	if !f.u.named(line[:min(len(line), 200)]) {
		return false
	}
	c := newClock(unixTime(0), nil)
	_, _, ok := f.u.body(&c, line)
	return ok
}

// named reports whether the head of a line names one of the programs.
func (u *UserFormat) named(head []byte) bool {
	for _, tag := range u.tags {
		if bytes.Contains(head, []byte(tag)) {
			return true
		}
	}
	return !u.syslog
}

// body returns what the rules see of a line, and where that starts; ok is
// false when the line is not of this format.
func (u *UserFormat) body(c *clock, line []byte) (e envelope, start int, ok bool) {
	if len(line) == 0 {
		return e, 0, false
	}
	if u.syslog {
		n := c.stampAndHost(line, &e)
		if e.tag != nil {
			start = n
		} else if !e.takeTag(line[n:]) {
			return e, 0, false
		} else {
			start = len(line) - len(e.body)
		}
		program, _, _ := bytes.Cut(e.tag, []byte("["))
		if slash := bytes.LastIndexByte(program, '/'); slash >= 0 {
			program = program[slash+1:]
		}
		ok = isOneOf(string(program), u.tags)
		if !ok {
			return e, 0, false
		}
	}
	return e, start, u.detect == nil || u.detect.Match(line[start:])
}

func (f *described) line(s *Stream, offset int64, line []byte) bool {
	e, start, ok := f.u.body(&s.clock, line)
	if !ok {
		return s.pinned == f
	}
	l := &lineAt{s: s, offset: offset, raw: line, ms: e.ms}
	body := text(line[start:])
	for i := range f.u.rules {
		rule := &f.u.rules[i]
		groups := rule.match.FindStringSubmatchIndex(body)
		if groups == nil {
			continue
		}
		f.apply(l, string(e.host), rule, body, groups)
		return true
	}
	if l.ms != 0 {
		s.seen(l.ms)
	}
	if looksFailing(line) {
		s.unrecognised(offset, line)
	}
	return true
}

// apply reads a line by a rule.
func (f *described) apply(l *lineAt, gateway string, rule *userRule, body string, groups []int) {
	m := mail.Message{Format: f.u.name, Gateway: gateway, Phase: rule.phase}
	delivery, outcome := "", rule.outcome
	var recipients []mail.Path
	for field, value := range rule.set {
		userFields[field](&m, value)
	}
	for i, field := range rule.fields {
		if field == "" || groups[2*i] < 0 {
			continue
		}
		value := body[groups[2*i]:groups[2*i+1]]
		if field == rule.field {
			outcome = rule.values[value]
		}
		if rule.scores && (field == "reply" || field == "text") {
			value = strings.ReplaceAll(value, "_", " ")
		}
		switch {
		case field == "time":
			if t, err := time.ParseInLocation(f.u.layout, value, l.s.clock.zone()); err == nil {
				l.ms = t.UnixMilli()
			}
		case field == "delivery":
			delivery = value
		case field == "recipients":
			recipients = mimeRecipients([]byte(value))
		case userFields[field] != nil:
			userFields[field](&m, value)
		}
	}
	if l.ms != 0 {
		l.s.seen(l.ms)
	}
	if m.Reported.Detail == "" {
		m.Reported.Detail = m.Reply.Text
	}
	if recipients == nil {
		recipients = []mail.Path{m.Recipient}
	}
	f.note(l, rule, &m, outcome, delivery, recipients)
}

// note does what the outcome asks for.
func (f *described) note(l *lineAt, rule *userRule, m *mail.Message, outcome, delivery string, recipients []mail.Path) {
	switch outcome {
	case "", ignored:
		return
	case onlyFact:
		f.learn(l, m, delivery)
		return
	case begins:
		f.p.open.begin(f.transactionKey(m, 'q', m.QueueID), l.ms)
		return
	case ends:
		if t := f.p.open.get(f.transactionKey(m, 'q', m.QueueID)); t != nil {
			f.p.open.finish(t)
		}
		return
	case byReply, byDelivery:
		switch {
		case m.Reply.Temporary():
			m.Outcome = mail.Deferred
		case m.Reply.Permanent() && outcome == byDelivery:
			m.Outcome = mail.Bounced
		case m.Reply.Permanent():
			m.Outcome = mail.Rejected
		default:
			l.s.unrecognised(l.offset, l.raw)
			return
		}
	default:
		m.Outcome = mail.Outcome(outcome)
	}
	var of *transaction // the delivery, which knows the message and its recipient
	if delivery != "" {
		if of = f.p.open.get(f.transactionKey(m, 'd', delivery)); of != nil {
			m.QueueID, recipients = of.facts.QueueID, []mail.Path{of.facts.Recipient}
		}
	}
	for i, recipient := range recipients {
		one := *m
		one.Recipient = recipient
		f.conclude(l, rule, &one, i, of)
	}
}

func (f *described) conclude(l *lineAt, rule *userRule, m *mail.Message, ordinal int, of *transaction) {
	if m.QueueID == "" {
		if m.Outcome.Failing() {
			f.p.aloneAt(l, m, ordinal)
		}
		return
	}
	key := f.transactionKey(m, 'q', m.QueueID)
	if f.p.open.get(key) == nil && !m.Outcome.Failing() && !f.p.opts.All {
		return
	}
	t := f.p.transactionOf(key, l)
	if r := t.recipient(m.Recipient); rule.repeats && r != nil && r.Outcome == m.Outcome {
		f.p.touched(r, l.s, l.ms, l.offset, ordinal, l.raw)
		return
	}
	r := f.p.conclude(t, l, m, ordinal)
	if r != nil && of != nil {
		f.p.kept(of, func(_ byte, e mail.Evidence) { r.cite(e) })
	}
}

// learn notes what a line tells of a message, or which recipient of it a
// delivery is of.
func (f *described) learn(l *lineAt, m *mail.Message, delivery string) {
	switch {
	case delivery != "":
		t := f.p.open.begin(f.transactionKey(m, 'd', delivery), l.ms)
		t.facts = &mail.Message{QueueID: m.QueueID, Recipient: m.Recipient}
		t.keepAnother(keptFact, l.s, l.offset, l.raw)
	case m.QueueID != "":
		f.p.know(f.p.transactionOf(f.transactionKey(m, 'q', m.QueueID), l), l, m)
	}
}

// transactionKey is that of a queue id or a delivery.
func (f *described) transactionKey(m *mail.Message, kind byte, id string) []byte {
	f.key = append(append(append(f.key[:0], 'U', kind), f.u.name...), 0)
	f.key = append(append(append(f.key, m.Gateway...), 0), id...)
	return f.key
}
