package logparse

import (
	"strings"

	"mailwhy/engine/mail"
)

// recipients reads "to=<a@b>,<c@d>, delay=..., mailer=esmtp, relay=name [ip],
// dsn=4.3.5, stat=Deferred: 451 4.3.5 words", one attempt for each recipient.
func (l *sendmailLine) recipients(p *Parser, key *[]byte) bool {
	if strings.Contains(l.body, ", reject=") || !strings.Contains(l.body, ", stat=") {
		return false
	}
	list, m := readSendmailDelivery(l.body)
	if m.Outcome == "" {
		return true
	}
	base := l.message()
	m.Format, m.Gateway, m.QueueID = base.Format, base.Gateway, base.QueueID
	if m.Phase == mail.PhaseEndOfData {
		if l.refusedBefore(p, key, list) {
			return true
		}
	}
	for i, recipient := range list {
		one := m
		one.Recipient = recipient
		l.concludeOne(p, key, &one, i)
	}
	return true
}

// refusedBefore gives a message that a filter refused at the end of its data
// the recipients it had: the to= lines that follow only repeat the refusal.
func (l *sendmailLine) refusedBefore(p *Parser, key *[]byte, list []mail.Path) bool {
	t := p.open.get(l.transactionKey(key, l.id))
	if t == nil || l.id == "" || len(t.records) == 0 || t.records[0].Phase != mail.PhaseEndOfData {
		return false
	}
	for i, recipient := range list {
		if r := t.named(recipient); r != nil {
			p.touched(r, l.s, l.ms, l.offset, 0, l.raw)
			continue
		}
		first := t.records[0]
		now := first.Message
		now.Recipient, now.ID, now.Evidence, now.Attempts = recipient, "", nil, 0
		p.conclude(t, &l.lineAt, &now, i)
	}
	return true
}

// readSendmailDelivery reads a to= line: its recipients, and what came of
// them, with the outcome "" where the line only tells of progress.
func readSendmailDelivery(s string) (list []mail.Path, m mail.Message) {
	list, s = sendmailRecipients(strings.TrimPrefix(s, "to="))
	head, stat, _ := strings.Cut(s, ", stat=")
	m.Remote = mail.Remote{}
	if relay := sendmailHost(sendmailEquate(head, "relay")); relay != (mail.Client{}) {
		m.Remote = mail.Remote{Name: relay.Name, IP: relay.IP}
	}
	dsn := sendmailEquate(head, "dsn")
	m.Phase = mail.PhaseDelivery
	m.Outcome = sendmailOutcome(stat, dsn)
	if dsn == "" && sendmailEquate(head, "mailer") == "" && m.Outcome == mail.Bounced {
		m.Outcome, m.Phase = mail.Rejected, mail.PhaseEndOfData // still in the dialogue with the client
	}
	m.Reported.Detail = stat
	m.Reported.Type, _, _ = strings.Cut(stat, ": ")
	m.Reported.Type, _, _ = strings.Cut(m.Reported.Type, "(")
	m.Reported.Type = strings.TrimSpace(m.Reported.Type)
	words := strings.TrimPrefix(stat, "Deferred: ")
	if m.Outcome == mail.Delivered {
		words = strings.TrimSuffix(strings.TrimPrefix(stat, "Sent ("), ")")
	}
	if reply := sendmailEquate(head, "reply"); reply != "" {
		words = reply
	} else if i := strings.LastIndex(stat, "(Reason from remote:"); i >= 0 { // FortiMail's addition
		words = strings.TrimSuffix(stat[i+len("(Reason from remote:"):], ")")
	}
	m.Reply = readReply(words)
	if m.Reply.Enhanced == "" || dsn != "" {
		if dsn != "" {
			keepStatus(&m.Reply, dsn)
		}
	}
	return list, m
}

// sendmailOutcome is what a stat= says; its class is the dsn's where the words
// are a reply's.
func sendmailOutcome(stat, dsn string) mail.Outcome {
	switch {
	case strings.HasPrefix(stat, "Sent"), strings.HasPrefix(stat, "Message accepted"):
		return mail.Delivered
	case strings.HasPrefix(stat, "Deferred"), strings.HasPrefix(stat, "deferred"):
		return mail.Deferred
	case strings.HasPrefix(stat, "queued"), strings.HasPrefix(stat, "aborted by sender"), strings.HasPrefix(stat, "Queued"):
		return ""
	case strings.HasPrefix(stat, "quarantine"):
		return mail.Held
	case strings.HasPrefix(stat, "Cannot send message for "), strings.HasPrefix(stat, "Cannot send message within "):
		return mail.Expired
	case strings.HasPrefix(dsn, "2."):
		return mail.Delivered
	case strings.HasPrefix(dsn, "4."):
		return mail.Deferred
	}
	return mail.Bounced
}

// sendmailRecipients cuts "<a@b>,<c@d>, " from the start of s.
func sendmailRecipients(s string) (list []mail.Path, rest string) {
	for len(list) < maxRecipients {
		n := strings.IndexByte(s, ',')
		if strings.HasPrefix(s, "<") {
			n = sendmailAngleEnd(s)
			if comma := strings.Index(s[:n], ", "); comma >= 0 && s[1] != '"' {
				n = comma // never closed: the bracket is another's
			} else if n == len(s) {
				n = -1
				if !strings.HasSuffix(s, ">") { // never closed: the address ends where the next equate may begin
					n = strings.Index(s, ", ")
				}
			}
		}
		if n < 0 {
			return append(list, unbracketed(s)), ""
		}
		list = append(list, unbracketed(s[:n]))
		s = s[n:]
		if strings.HasPrefix(s, ", ") || !strings.HasPrefix(s, ",") {
			return list, s
		}
		s = s[1:]
	}
	if i := strings.Index(s, ", "); i >= 0 {
		s = s[i:]
	}
	return list, s
}

// sendmailAngleEnd is the length of "<...>" at the start of s; what follows is
// a comma.
func sendmailAngleEnd(s string) int {
	for i := 1; i < len(s); i++ {
		if s[i] == '>' && (i+1 == len(s) || s[i+1] == ',') {
			return i + 1
		}
	}
	return len(s)
}
