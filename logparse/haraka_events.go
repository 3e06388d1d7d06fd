package logparse

import (
	"slices"
	"strings"

	"mailwhy/engine/mail"
)

// read sends a line to whom it concerns.
func (f *haraka) read(l *harakaLine) {
	if l.uuid == "-" || l.uuid == "" {
		return
	}
	switch {
	case l.source == "outbound":
		f.outbound(l)
	case l.source != "core":
	case strings.HasPrefix(l.words, "connect "), strings.HasPrefix(l.words, "disconnect "):
		f.session(l)
	case strings.HasPrefix(l.words, "hook="):
		f.hook(l)
	case strings.HasPrefix(l.words, "sender "), strings.HasPrefix(l.words, "recipient "), strings.HasPrefix(l.words, "queue code="):
		f.answer(l)
	case strings.HasPrefix(l.words, "deny(soft?) overriden"), strings.HasPrefix(l.words, "deny(soft?) overridden"):
		f.overridden(l)
	}
}

func (f *haraka) transactionKey(gateway, uuid string) []byte {
	f.key = append(append(append(append(f.key[:0], 'H'), gateway...), 0), uuid...)
	return f.key
}

// transaction returns that of the line's message, which begins with what is
// known of its connection.
func (f *haraka) transaction(l *harakaLine) *transaction {
	if t := f.p.open.get(f.transactionKey(l.gateway, l.message)); t != nil {
		return t
	}
	t := f.p.transactionOf(f.transactionKey(l.gateway, l.message), &l.lineAt)
	if l.message == l.connection {
		return t
	}
	c := f.p.open.get(f.transactionKey(l.gateway, l.connection))
	if c == nil || c.facts == nil {
		return t
	}
	facts := *c.facts
	facts.EnvelopeFrom = ""
	t.facts = &facts
	for i := range c.lines {
		k := &c.lines[i]
		if k.kind == keptFact {
			t.keepOf(c, k, keptFact)
		}
	}
	return t
}

func (f *haraka) message(l *harakaLine) mail.Message {
	m := mail.Message{Format: f.name(), Gateway: l.gateway, Phase: mail.PhaseUnknown}
	if l.message != l.connection {
		m.QueueID = l.message
	}
	return m
}

// session reads "connect ip=1.2.3.4 port=..." and "disconnect ip=1.2.3.4
// rdns=name helo=name relay=N ...", which completes what the session refused.
func (f *haraka) session(l *harakaLine) {
	m := f.message(l)
	m.QueueID = ""
	m.Client = mail.Client{IP: l.value("ip"), Helo: l.value("helo")}
	switch name := l.value("rdns"); name {
	case "", "NXDOMAIN", "DNSERROR", "Unknown", "unknown":
	default:
		m.Client.Name = name
	}
	if strings.HasPrefix(l.words, "connect ") {
		f.p.know(f.p.open.begin(f.transactionKey(l.gateway, l.connection), l.ms), &l.lineAt, &m)
		return
	}
	if l.message != l.connection {
		f.learnLate(f.p.open.get(f.transactionKey(l.gateway, l.message)), l, &m)
	}
	f.refusedByCore(l, &m)
	t := f.p.open.get(f.transactionKey(l.gateway, l.connection))
	f.learnLate(t, l, &m)
	if t != nil {
		f.p.open.finish(t)
	}
}

// learnLate is know for what is of no use to messages to come.
func (f *haraka) learnLate(t *transaction, l *harakaLine, m *mail.Message) {
	if t == nil {
		return
	}
	for _, r := range t.records {
		if learnAll(&r.Message, m) {
			f.p.touched(r, l.s, l.ms, l.offset, 0, l.raw)
		}
	}
}

// harakaOutcome is what a plugin's or the core's answer means.
func harakaOutcome(code string) mail.Outcome {
	switch code {
	case "DENY", "DENYDISCONNECT":
		return mail.Rejected
	case "DENYSOFT", "DENYSOFTDISCONNECT":
		return mail.Deferred
	}
	return ""
}

// hook reads "hook=rcpt plugin=access function=rcpt params=<a@b> retval=DENY
// msg="words"".
func (f *haraka) hook(l *harakaLine) {
	hook := l.value("hook")
	m := f.message(l)
	m.Outcome = harakaOutcome(l.value("retval"))
	m.Reported = mail.Reported{Type: hook, Rule: l.value("plugin")}
	m.Reply = readReply(l.value("msg"))
	m.Reported.Detail = m.Reply.Text
	params := l.value("params")
	switch hook {
	case "connect", "connect_init", "lookup_rdns":
		m.Phase = mail.PhaseConnect
	case "helo", "ehlo":
		m.Phase, m.Client.Helo = mail.PhaseHelo, params
	case "mail":
		m.Phase, m.EnvelopeFrom = mail.PhaseMail, unbracketed(params)
	case "rcpt", "rcpt_ok":
		m.Phase, m.Recipient = mail.PhaseRcpt, unbracketed(params)
	case "data":
		m.Phase = mail.PhaseData
	case "data_post", "queue", "queue_outbound":
		m.Phase = mail.PhaseEndOfData
	default:
		return // AUTH, VRFY and the like are about no message
	}
	switch {
	case m.Outcome != "":
		f.refuse(l, &m)
	case hook == "mail":
		f.p.know(f.transaction(l), &l.lineAt, &mail.Message{EnvelopeFrom: m.EnvelopeFrom, QueueID: m.QueueID})
	case hook == "rcpt" && l.value("retval") == "OK":
		f.transaction(l).keepAnother(harakaAccepted, l.s, l.offset, l.raw)
	}
}

// harakaAccepted is the kind of lines that accept a recipient.
const harakaAccepted = 'r'

// accepted are the recipients that a message was accepted for, each once, and
// the lines that say so.
func (f *haraka) accepted(t *transaction) (list []mail.Path, lines []mail.Evidence) {
	f.p.keptLines(t, func(kind byte, line string, e mail.Evidence) {
		if kind != harakaAccepted {
			return
		}
		l, ok := harakaFields([]byte(line))
		if !ok {
			return
		}
		recipient := unbracketed(l.value("params"))
		if recipient == "" {
			recipient = harakaAddress(strings.TrimPrefix(l.said, "recipient "))
		}
		if !slices.Contains(list, recipient) {
			list, lines = append(list, recipient), append(lines, e)
		}
	})
	return list, lines
}

// refuse notes a denial. Of what is denied as a whole, it is of all recipients
// that were accepted.
func (f *haraka) refuse(l *harakaLine, m *mail.Message) {
	t := f.transaction(l)
	if m.Recipient != "" {
		f.p.conclude(t, &l.lineAt, m, 0)
		return
	}
	f.concludeAll(t, l, m)
}

// concludeAll notes what became of a whole message.
func (f *haraka) concludeAll(t *transaction, l *harakaLine, m *mail.Message) {
	recipients, lines := f.accepted(t)
	if len(recipients) == 0 {
		f.p.concludeAll(t, &l.lineAt, m)
		return
	}
	for i, recipient := range recipients {
		one := *m
		one.Recipient = recipient
		if r := f.p.conclude(t, &l.lineAt, &one, i); r != nil {
			r.cite(lines[i])
		}
	}
}

// answer reads what the client was told: `sender <a@b> code=DENY msg="words"`,
// `recipient <c@d> code=DENY msg="words" sender=a@b`, `queue code=DENY msg="words"`.
func (f *haraka) answer(l *harakaLine) {
	what, rest, _ := strings.Cut(l.said, " ")
	m := f.message(l)
	m.Outcome = harakaOutcome(l.value("code"))
	m.Reply = readReply(l.value("msg"))
	m.Reported = mail.Reported{Type: what, Detail: m.Reply.Text}
	switch what {
	case "sender":
		m.Phase, m.EnvelopeFrom = mail.PhaseMail, harakaAddress(rest)
	case "recipient":
		m.Phase, m.Recipient, m.EnvelopeFrom = mail.PhaseRcpt, harakaAddress(rest), unbracketed(l.value("sender"))
	case "queue":
		m.Phase = mail.PhaseEndOfData
	}
	t := f.transaction(l)
	switch {
	case m.Outcome != "":
		if !f.repeated(t, l, &m) {
			f.refuse(l, &m)
		}
	case what == "sender":
		f.p.know(t, &l.lineAt, &mail.Message{EnvelopeFrom: m.EnvelopeFrom, QueueID: m.QueueID})
	case what == "recipient":
		t.keepAnother(harakaAccepted, l.s, l.offset, l.raw)
	}
}

// harakaAddress is the address between the brackets that s starts with, "" when
// there is none.
func harakaAddress(s string) mail.Path {
	if !strings.HasPrefix(s, "<") {
		return ""
	}
	address := unbracketed(s[:angleEnd(s)])
	if strings.Contains(string(address[quotedEnd(string(address)):]), " ") {
		return "" // its end was lost: what closes it is of the words behind
	}
	return address
}

// repeated reports whether the core only says what a plugin's line said before
// it, and completes that.
func (f *haraka) repeated(t *transaction, l *harakaLine, m *mail.Message) bool {
	found := false
	for _, r := range t.records {
		if r.Recipient.Fold() != m.Recipient.Fold() && m.Phase == mail.PhaseRcpt || r.Outcome != m.Outcome || r.Phase != m.Phase || !harakaHooked(r) {
			continue
		}
		found = true
		learnAll(&r.Message, m)
		if r.Reply == (mail.Reply{}) {
			r.Reply, r.Reported.Detail = m.Reply, m.Reply.Text
		}
		f.p.touched(r, l.s, l.ms, l.offset, 0, l.raw)
	}
	return found
}

// harakaHooked reports whether the newest line of a message is a plugin's.
func harakaHooked(r *record) bool {
	return strings.Contains(r.Evidence[len(r.Evidence)-1].Text, "hook")
}

// overridden reads that another plugin took a denial back, to deny later or
// not at all.
func (f *haraka) overridden(l *harakaLine) {
	for _, id := range []string{l.message, l.connection} {
		t := f.p.open.get(f.transactionKey(l.gateway, id))
		if t == nil {
			continue
		}
		for _, r := range t.records {
			if (r.Outcome == mail.Rejected || r.Outcome == mail.Deferred) && harakaHooked(r) {
				r.Outcome = mail.Accepted
				f.p.touched(r, l.s, l.ms, l.offset, 0, l.raw)
			}
		}
		return
	}
}

// refusedByCore reads of "disconnect ip=... rcpts=accepted/deferred/rejected
// ... lr="550 I cannot deliver mail for <a@b>"" what no other line tells: that
// no plugin wanted the recipient.
func (f *haraka) refusedByCore(l *harakaLine, client *mail.Message) {
	counts := strings.Split(l.value("rcpts"), "/")
	if len(counts) != 3 || counts[1] == "0" && counts[2] == "0" {
		return
	}
	m := f.message(l)
	m.Reply = readReply(l.value("lr"))
	switch {
	case m.Reply.Permanent():
		m.Outcome = mail.Rejected
	case m.Reply.Temporary():
		m.Outcome = mail.Deferred
	default:
		return
	}
	for _, id := range []string{l.message, l.connection} {
		if t := f.p.open.get(f.transactionKey(l.gateway, id)); t != nil && len(t.records) > 0 {
			return
		}
	}
	m.Phase, m.Client = mail.PhaseRcpt, client.Client
	if _, address, ok := strings.Cut(m.Reply.Text, "deliver mail for "); ok {
		m.Recipient = harakaAddress(address)
	}
	m.Reported = mail.Reported{Type: "recipient", Detail: m.Reply.Text}
	f.p.conclude(f.transaction(l), &l.lineAt, &m, 0)
}

// outbound reads what the queue's deliveries log.
func (f *haraka) outbound(l *harakaLine) {
	m := f.message(l)
	m.Phase = mail.PhaseDelivery
	m.QueueID = l.message
	w := l.said
	switch {
	case strings.HasPrefix(l.words, "delivered file="):
		m.Outcome = mail.Delivered
		m.Remote = mail.Remote{Name: l.value("host"), IP: l.value("ip")}
		m.Reply = readReply(l.value("response"))
		f.delivered(l, &m, l.value("domain"))
		return
	case strings.HasPrefix(w, "recipient <"):
		told := w[len("recipient "):]
		m.Recipient = harakaAddress(told)
		_, reason, _ := strings.Cut(told[angleEnd(told):], ": ")
		m.Reply = readReply(reason)
		m.Outcome = mail.Bounced
		if strings.Contains(w, "> deferred: ") || m.Reply.Temporary() {
			m.Outcome = mail.Deferred
		}
		m.Reported = mail.Reported{Type: "recipient", Detail: m.Reply.Text}
		f.p.conclude(f.transaction(l), &l.lineAt, &m, 0)
		return
	case strings.HasPrefix(w, "bouncing mail: "), strings.HasPrefix(w, "Bouncing mail: "):
		m.Outcome = mail.Bounced
	case strings.HasPrefix(w, "Temp failing "):
		m.Outcome = mail.Deferred
	default:
		return
	}
	_, reason, _ := strings.Cut(w, ": ")
	if _, cause, ok := strings.Cut(reason, "Too many failures ("); ok {
		m.Outcome, reason = mail.Expired, strings.TrimSuffix(cause, ")")
	}
	m.Reply = readReply(strings.TrimPrefix(reason, "Error: "))
	m.Reported = mail.Reported{Type: "bouncing mail", Detail: reason}
	if m.Outcome == mail.Deferred {
		m.Reported.Type = "temp failing"
	}
	f.undelivered(l, &m)
}

// delivered ends the waiting of the recipients of a domain.
func (f *haraka) delivered(l *harakaLine, m *mail.Message, domain string) {
	t := f.p.open.get(f.transactionKey(l.gateway, l.message))
	if t == nil {
		return
	}
	recipients, lines := f.accepted(t)
	for _, r := range t.records {
		recipients = append(recipients, r.Recipient)
	}
	for i, recipient := range recipients {
		if domain != "" && recipient != "" && recipient.Domain() != mail.FoldDomain(domain) {
			continue
		}
		if r := t.recipient(recipient); r != nil && r.Outcome != mail.Deferred {
			continue
		}
		one := *m
		one.Recipient = recipient
		if r := f.p.conclude(t, &l.lineAt, &one, i); r != nil && i < len(lines) {
			r.cite(lines[i])
		}
	}
}

// undelivered notes a failure whose line names no recipient. A queued message
// is of one domain's recipients, but no line says of which.
func (f *haraka) undelivered(l *harakaLine, m *mail.Message) {
	t := f.transaction(l)
	recipients, _ := f.accepted(t)
	told := false
	for _, r := range t.records {
		told = told || harakaTold(r)
	}
	switch {
	case told: // each recipient had its own line
		for _, r := range t.records {
			if r.Outcome.Failing() && harakaTold(r) {
				f.p.touched(r, l.s, l.ms, l.offset, 0, l.raw)
			}
		}
	case oneDomain(recipients):
		f.concludeAll(t, l, m)
	default:
		f.p.conclude(t, &l.lineAt, m, 0)
	}
}

// harakaTold reports whether the newest line of a message is that of one
// recipient of a delivery.
func harakaTold(r *record) bool {
	last := r.Evidence[len(r.Evidence)-1].Text
	return strings.Contains(last, "recipient <") && strings.Contains(last, "outbound")
}

func oneDomain(recipients []mail.Path) bool {
	for _, r := range recipients {
		if r.Domain() != recipients[0].Domain() {
			return false
		}
	}
	return true
}
