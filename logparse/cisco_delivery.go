package logparse

import (
	"strings"

	"mailwhy/engine/mail"
)

// undelivered reads what became of an attempt, in its four wordings:
//
//	Bounced: DCID 3 MID 4 to RID 0 - 5.1.0 - Unknown address error ('550', ['words']) []
//	Delayed: DCID 3 MID 4 From: <a@b> To: <c@d> RID 0 - 4.3.2 - words ('421', ['words'])
//	Delayed: DCID: 4370 Message 10800 to 0 - 4.4.0 - words ('000', ['words']) []
//	Bounced: 45346670:0 From:<a@b> To:<c@d> Reason: "5.1.0 - words" Response: "('550', ['words'])"
func (f *cisco) undelivered(l *ciscoLine) bool {
	kind, s, _ := strings.Cut(l.body, ": ")
	m := f.message(l)
	m.Phase = mail.PhaseDelivery
	mid, rid, ok := f.whose(&m, s)
	if !ok {
		return false
	}
	reason, response := ciscoReason(s)
	status, words := cutEnhanced(reason)
	words = strings.TrimPrefix(words, "- ")
	m.Reported = mail.Reported{Type: kind, Detail: words}
	m.Reply = ciscoReply(response)
	if m.Reply.Enhanced == "" {
		m.Reply.Enhanced = status
	}
	if m.Reply.Text == "" {
		m.Reply.Text = words
	}
	switch {
	case kind == "Delayed":
		m.Outcome = mail.Deferred
	case status == "5.4.7" || strings.Contains(words, "Delivery expired"):
		m.Outcome = mail.Expired
	default:
		m.Outcome = mail.Bounced
	}
	f.failedDelivery(l, &m, mid, rid)
	if strings.Contains(response, "[") && !strings.Contains(response, "])") {
		f.half(l, &m)
	}
	return true
}

// failedDelivery notes m of the recipient rid of message mid.
func (f *cisco) failedDelivery(l *ciscoLine, m *mail.Message, mid, rid string) {
	d := f.remote(l, m)
	t := f.transaction(l, mid, m)
	if m.Recipient == "" {
		m.Recipient = f.recipients(t)[rid]
	}
	f.conclude(l, t, m, 0)
	if r := t.recipient(m.Recipient); d != nil && r != nil {
		f.p.kept(d, func(kind byte, e mail.Evidence) {
			if kind == keptFact {
				r.cite(e)
			}
		})
	}
}

// whose reads the message and the recipient of an attempt.
func (f *cisco) whose(m *mail.Message, s string) (mid, rid string, ok bool) {
	for _, name := range []string{"MID", "Message"} {
		if mid == "" {
			mid = ciscoFind(s, name)
		}
	}
	if mid == "" { // "45346670:0 From:<a@b>" of a bounce log
		head, _, _ := strings.Cut(s, " ")
		mid, rid, _ = strings.Cut(head, ":")
		if mid == "" || strings.Trim(mid+rid, "0123456789") != "" {
			return "", "", false
		}
	}
	if _, from, found := strings.Cut(s, "From:"); found {
		m.EnvelopeFrom = ciscoAddress(from)
	}
	if _, to, found := strings.Cut(s, " To:"); found {
		m.Recipient = ciscoAddress(to)
	}
	if rid == "" {
		_, behind, _ := strings.Cut(s, " to ")
		behind = strings.TrimPrefix(behind, "RID ")
		rid, _, _ = strings.Cut(behind, " ")
		if strings.Contains(s, " To: ") {
			rid = ciscoFind(s, "RID")
		}
	}
	return mid, rid, true
}

// ciscoAddress reads "<a@b>" at the start of s.
func ciscoAddress(s string) mail.Path {
	s = strings.TrimLeft(s, " ")
	if !strings.HasPrefix(s, "<") {
		return ""
	}
	return unbracketed(s[:angleEnd(s)])
}

// ciscoReason cuts the reason and the response of a remote host.
func ciscoReason(s string) (reason, response string) {
	if _, quoted, ok := strings.Cut(s, "Reason:"); ok { // of a bounce log
		quoted = strings.TrimLeft(quoted, " ")
		reason, response, _ = strings.Cut(strings.TrimPrefix(quoted, `"`), `" Response: `)
		return reason, strings.Trim(response, ` "`)
	}
	for {
		_, behind, ok := strings.Cut(s, " - ")
		if !ok {
			return "", ""
		}
		s = behind
		if status, _ := cutEnhanced(s); status != "" {
			break
		}
	}
	if open := strings.Index(s, " ('"); open >= 0 {
		return s[:open], s[open+1:]
	}
	return s, ""
}

// ciscoReply reads "('550', ['5.1.1 words', 'more'])". Code '000' stands where
// there was no reply, and the words are then the appliance's own.
func ciscoReply(s string) mail.Reply {
	code, rest, ok := strings.Cut(strings.TrimPrefix(s, "('"), "', [")
	if !ok {
		return mail.Reply{}
	}
	lines := pythonStrings(rest)
	for i := 1; i < len(lines); i++ { // each line of a reply repeats the status
		if status, words := cutEnhanced(lines[i]); status != "" && strings.HasPrefix(lines[0], status+" ") {
			lines[i] = words
		}
	}
	words := strings.Join(lines, " ")
	if code == "000" {
		return mail.Reply{Text: words}
	}
	return readReply(code + " " + words)
}

// pythonStrings reads the strings of a list behind its bracket, as Python
// writes them. One that is cut off counts as far as it goes.
func pythonStrings(s string) (list []string) {
	for len(list) < maxListed {
		s = strings.TrimLeft(s, ", ")
		if s == "" || s[0] != '\'' && s[0] != '"' {
			return list
		}
		quote := s[0]
		var b strings.Builder
		i := 1
		for ; i < len(s) && s[i] != quote; i++ {
			if s[i] == '\\' && i+1 < len(s) {
				i++
				if strings.IndexByte("nrt", s[i]) >= 0 {
					b.WriteByte(' ')
					continue
				}
			}
			b.WriteByte(s[i])
		}
		list = append(list, b.String())
		s = s[min(i+1, len(s)):]
	}
	return list
}

// half remembers that a source's newest line broke off inside of a response,
// whose rest stands on the next; m nil forgets it.
func (f *cisco) half(l *ciscoLine, m *mail.Message) {
	f.key = append(append(f.key[:0], 'C', '~'), l.s.source.ID...)
	t := f.p.open.get(f.key)
	if m == nil {
		if t != nil {
			f.p.open.close(t)
		}
		return
	}
	t = f.p.open.begin(f.key, l.ms)
	t.facts = &mail.Message{QueueID: m.QueueID, Recipient: m.Recipient, Gateway: l.gateway}
}

// continued reads a line without prefix: the rest of a response. It returns
// false when none is awaited.
func (f *cisco) continued(l *ciscoLine) bool {
	f.key = append(append(f.key[:0], 'C', '~'), l.s.source.ID...)
	half := f.p.open.get(f.key)
	if half == nil {
		return false
	}
	l.gateway, l.ms = half.facts.Gateway, half.born
	t := f.p.open.get(f.transactionKey(l, 'm', half.facts.QueueID))
	if t == nil {
		return true
	}
	r := t.recipient(half.facts.Recipient)
	if r == nil || r.ID == "" {
		return true
	}
	words := text(l.raw)
	end := strings.Index(words, "])")
	if end >= 0 {
		words = words[:end]
	}
	r.Reply.Text = strings.TrimSpace(r.Reply.Text + " " + strings.Trim(words, "'\" "))
	f.p.touched(r, l.s, l.ms, l.offset, 0, l.raw)
	if end >= 0 || len(r.Reply.Text) > maxUnrecognisedText {
		f.half(l, nil)
	}
	return true
}
