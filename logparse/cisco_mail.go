package logparse

import (
	"maps"
	"slices"
	"strings"

	"mailwhy/engine/mail"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// ofConnection reads "ICID 5 ...": what was refused before a message was there.
func (f *cisco) ofConnection(l *ciscoLine, icid, rest string) bool {
	m := f.message(l)
	m.Outcome = mail.Rejected
	if mid, words, ok := ciscoNumber(rest, "MID"); ok { // "ICID 5 MID 6 Invalid recipient address: ..."
		m.QueueID, rest = mid, words
	}
	word, after, _ := strings.Cut(rest, " ")
	switch {
	case word == "REJECT", word == "TCPREFUSE":
		m.Phase = mail.PhaseConnect
		m.Reported = ciscoGroup(word, after)
	case strings.HasPrefix(rest, "Delayed HAT REJECT "):
		m.Phase, m.Reported = mail.PhaseConnect, mail.Reported{Type: "HAT REJECT", Detail: rest}
		if open := strings.LastIndexByte(rest, '('); open >= 0 {
			m.Client.IP = strings.TrimSuffix(rest[open+1:], ")")
		}
	case strings.HasPrefix(rest, "Receiving Failed: "), strings.HasPrefix(rest, "Injection Failed: "):
		failed, reason, _ := strings.Cut(rest, ": ")
		m.Reported = mail.Reported{Type: failed, Detail: reason}
		if strings.Contains(reason, "onnection limit") {
			m.Phase, m.Outcome = mail.PhaseConnect, mail.Deferred
		}
	case strings.HasPrefix(rest, "Invalid recipient address: "):
		m.Phase = mail.PhaseRcpt
		m.Reported.Type, m.Reported.Detail, _ = strings.Cut(rest, ": ")
		m.Reported.Detail = strings.TrimSpace(m.Reported.Detail)
		_, command, _ := strings.Cut(rest, "RCPT TO:")
		m.Recipient = f.named(strings.TrimSuffix(command, "'"))
	case strings.HasPrefix(rest, "Invalid sender address: "):
		m.Phase = mail.PhaseMail
		m.Reported.Type, m.Reported.Detail, _ = strings.Cut(rest, ": ")
	case strings.HasPrefix(rest, "Address: ") && strings.Contains(rest, " sender rejected"):
		f.verified(&m, rest, " sender rejected")
	case strings.HasPrefix(rest, "Address: ") && strings.Contains(rest, " sender delayed"):
		f.verified(&m, rest, " sender delayed")
		m.Outcome = mail.Deferred
	case word == "ACCEPT", word == "RELAY", word == "SBRS", word == "TLS", word == "close", word == "lost", word == "Address:":
		if word == "close" {
			if t := f.p.open.get(f.transactionKey(l, 'i', icid)); t != nil {
				f.p.open.finish(t)
			}
		}
		return true
	default:
		return !strings.Contains(rest, "ejected") && !strings.Contains(rest, "REJECT")
	}
	if icid == "0" { // refused before it had a number
		f.p.alone(&l.lineAt, &m)
		return true
	}
	f.p.refuse(f.p.transactionOf(f.transactionKey(l, 'i', icid), &l.lineAt), &l.lineAt, &m)
	return true
}

// named is the address of a command; "<>" is no recipient.
func (f *cisco) named(s string) mail.Path {
	if path := unbracketed(s); path != mail.NullPath {
		return path
	}
	return ""
}

// verified reads "Address: <a@b> sender rejected, envelope sender domain does
// not exist".
func (f *cisco) verified(m *mail.Message, s, words string) {
	address, reason, _ := strings.Cut(strings.TrimPrefix(s, "Address: "), words)
	m.Phase, m.EnvelopeFrom = mail.PhaseMail, unbracketed(address)
	m.Reported = mail.Reported{Type: strings.TrimSpace(words), Detail: strings.TrimPrefix(reason, ", ")}
}

// ciscoGroup reads "SG BLACKLIST match sbrs[-10.0:-2.0] SBRS -9.9": the sender
// group, and what put the client into it.
func ciscoGroup(action, s string) mail.Reported {
	group, why, _ := strings.Cut(strings.TrimPrefix(s, "SG "), " match ")
	return mail.Reported{Type: action, Rule: group, Detail: strings.TrimSpace(why)}
}

// ofMessage reads "MID 6 ...".
func (f *cisco) ofMessage(l *ciscoLine, mid, rest string) bool {
	if icid, words, ok := ciscoNumber(rest, "ICID"); ok {
		return f.envelope(l, mid, icid, words)
	}
	m := f.message(l)
	word := func(prefix string) bool { return strings.HasPrefix(rest, prefix) }
	switch {
	case word("Message-ID "):
		m.MessageID = bracketed(ciscoText(rest[len("Message-ID "):]))
		f.know(l, mid, &m)
	case word("Subject "):
		m.Subject = ciscoText(rest[len("Subject "):])
		f.know(l, mid, &m)
	case word("ready "):
		m.Size = decimal(strings.SplitN(rest, " ", 3)[1])
		if _, from, ok := strings.Cut(rest, " bytes from "); ok {
			m.EnvelopeFrom = unbracketed(from)
		}
		f.know(l, mid, &m)
	case word("SPF: mailfrom identity "), word("DKIM: "), word("DMARC: "):
		f.authenticated(l, mid, rest)
	case word("rewritten to "):
		f.rewritten(l, mid, rest[len("rewritten to "):])
	case word("RID ["):
		f.responded(l, mid, rest)
	case word("quarantined to "), word("enqueued for transfer to centralized quarantine "), word("queued for transfer to centralized quarantine "):
		m.Outcome, m.Phase = mail.Held, mail.PhaseQueue
		_, name, _ := strings.Cut(rest, `"`)
		name, why, _ := strings.Cut(name, `"`)
		m.Reported = mail.Reported{Type: "quarantine", Rule: name, Detail: strings.Trim(why, " ()")}
		f.concludeAll(l, mid, &m)
	case word("deleted from quarantine "):
		m.Outcome, m.Phase, m.Reported = mail.Discarded, mail.PhaseQueue, mail.Reported{Type: "deleted from quarantine", Detail: rest}
		f.concludeAll(l, mid, &m)
	case word("rejected by "), word("Rejected by "):
		m.Outcome, m.Phase, m.Reported = mail.Rejected, mail.PhaseEndOfData, mail.Reported{Type: "rejected", Detail: rest}
		f.concludeAll(l, mid, &m)
	case word("Dropped by "), word("dropped by "), word("was dropped by "):
		f.dropped(l, mid, rest)
	case word("bounced by "), word("Bounced by "):
		m.Outcome, m.Phase, m.Reported = mail.Bounced, mail.PhaseQueue, mail.Reported{Type: "bounced", Detail: rest}
		f.concludeAll(l, mid, &m)
	default:
		return !strings.Contains(rest, "rejected")
	}
	return true
}

// know notes what a line tells of a message.
func (f *cisco) know(l *ciscoLine, mid string, m *mail.Message) {
	m.QueueID = mid
	f.p.know(f.p.transactionOf(f.transactionKey(l, 'm', mid), &l.lineAt), &l.lineAt, m)
}

// dropped reads why a message was thrown away.
func (f *cisco) dropped(l *ciscoLine, mid, words string) {
	m := f.message(l)
	m.Outcome, m.Phase, m.Reported = mail.Discarded, mail.PhaseQueue, mail.Reported{Type: "dropped", Detail: words}
	_, m.Reported.Rule, _ = strings.Cut(words, "ropped by ")
	f.concludeAll(l, mid, &m)
}

// ciscoText is a text without its quotes, which are not escaped in it.
func ciscoText(s string) string {
	s = strings.TrimSpace(s)
	if len(s) >= 2 && (s[0] == '\'' || s[0] == '"') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

// envelope reads "MID 6 ICID 5 From: <a@b>", "MID 6 ICID 5 RID 0 To: <c@d>" and
// "MID 6 ICID 5 To: <c@d> Rejected by RAT".
func (f *cisco) envelope(l *ciscoLine, mid, icid, words string) bool {
	m := f.message(l)
	m.QueueID = mid
	t := f.p.open.get(f.transactionKey(l, 'm', mid))
	if t == nil {
		t = f.p.open.add(f.transactionKey(l, 'm', mid), l.ms)
		f.inherit(t, f.p.open.get(f.transactionKey(l, 'i', icid)))
	}
	if from, ok := strings.CutPrefix(words, "From: "); ok {
		m.EnvelopeFrom = unbracketed(from)
		f.p.know(t, &l.lineAt, &m)
		return true
	}
	_, to, ok := strings.Cut(" "+words, " To: ")
	if !ok {
		return !strings.Contains(words, "ejected")
	}
	address, verdict, rejected := strings.Cut(to, "> Rejected by ")
	if !rejected {
		t.keepAnother(keptRID, l.s, l.offset, l.raw)
		return true
	}
	m.Outcome, m.Phase, m.Recipient = mail.Rejected, mail.PhaseRcpt, unbracketed(address+">")
	m.Reported = mail.Reported{Type: "Rejected by " + verdict, Rule: verdict}
	f.conclude(l, t, &m, 0)
	return true
}

// authenticated reads "SPF: mailfrom identity a@b Fail (v=spf1)", "DKIM: pass
// signature verified (...)" and "DMARC: Verification failed".
func (f *cisco) authenticated(l *ciscoLine, mid, s string) {
	m := f.message(l)
	words := strings.Fields(s)
	switch {
	case words[0] == "SPF:" && len(words) > 4:
		m.Auth.SPF = authWord(words[4])
	case words[0] == "DKIM:" && len(words) > 1:
		m.Auth.DKIM = authWord(words[1])
	case strings.HasPrefix(s, "DMARC: Verification passed"):
		m.Auth.DMARC = "pass"
	case strings.HasPrefix(s, "DMARC: Verification failed"):
		m.Auth.DMARC = "fail"
	}
	if m.Auth == (mail.Auth{}) {
		return
	}
	t := f.p.transactionOf(f.transactionKey(l, 'm', mid), &l.lineAt)
	if t.facts != nil && t.facts.Auth != (mail.Auth{}) { // one result after the other
		have := t.facts.Auth
		learned := false
		fill(&have.SPF, m.Auth.SPF, &learned)
		fill(&have.DKIM, m.Auth.DKIM, &learned)
		fill(&have.DMARC, m.Auth.DMARC, &learned)
		if learned {
			t.facts.Auth = have
			t.keepAnother(keptFact, l.s, l.offset, l.raw)
		}
		return
	}
	f.p.know(t, &l.lineAt, &m)
}

// rewritten reads "MID 1 rewritten to MID 2 by antispam", and of older systems
// "to 2 by": what is known of the one is known of the other.
func (f *cisco) rewritten(l *ciscoLine, mid, s string) {
	to, _, _ := strings.Cut(strings.TrimPrefix(s, "MID "), " ")
	from := f.p.open.get(f.transactionKey(l, 'm', mid))
	if from == nil || to == mid {
		return
	}
	from.keepAnother(keptFact, l.s, l.offset, l.raw)
	t := f.p.transactionOf(f.transactionKey(l, 'm', to), &l.lineAt)
	f.inherit(t, from)
	t.records = append(t.records, from.records...) // they go on under the new number
	from.records = nil
}

// responded reads "MID 6 RID [0] Response '2.6.0 queued'", which follows a
// delivery.
func (f *cisco) responded(l *ciscoLine, mid, rest string) {
	t := f.p.open.get(f.transactionKey(l, 'm', mid))
	if t == nil {
		return
	}
	for _, r := range t.records {
		if r.Outcome == mail.Delivered {
			f.p.touched(r, l.s, l.ms, l.offset, 0, l.raw)
		}
	}
}

// deliveryStarted reads "Delivery start DCID 3 MID 4 to RID [0, 1]".
func (f *cisco) deliveryStarted(l *ciscoLine) {
	d := f.p.open.get(f.transactionKey(l, 'd', ciscoFind(l.body, "DCID")))
	if d != nil {
		d.keep('s', l.s, l.offset, l.raw)
	}
}

// ended reads "Message done DCID 3 MID 4 to RID [0]", "Message aborted MID 4
// Dropped by amp" and "Message finished MID 4 done".
func (f *cisco) ended(l *ciscoLine) bool {
	mid := ciscoFind(l.body, "MID")
	switch {
	case strings.HasPrefix(l.body, "Message done DCID "):
		m := f.message(l)
		m.Outcome, m.Phase = mail.Delivered, mail.PhaseDelivery
		f.remote(l, &m)
		_, list, _ := strings.Cut(l.body, " to ")
		f.concludeRIDs(l, mid, list, &m)
	case strings.HasPrefix(l.body, "Message aborted "):
		_, words, _ := ciscoNumber(strings.TrimPrefix(l.body, "Message aborted "), "MID")
		switch {
		case strings.HasPrefix(words, "Dropped by "):
			f.dropped(l, mid, words)
		case strings.HasPrefix(words, "Rejected by "), strings.HasPrefix(words, "Bounced by "):
			return f.ofMessage(l, mid, words)
		}
	case strings.HasPrefix(l.body, "Message finished "):
		if t := f.p.open.get(f.transactionKey(l, 'm', mid)); t != nil {
			f.p.open.finish(t)
		}
	}
	return true
}

// remote fills the next hop of the line's delivery connection.
func (f *cisco) remote(l *ciscoLine, m *mail.Message) *transaction {
	d := f.p.open.get(f.transactionKey(l, 'd', ciscoFind(l.body, "DCID")))
	if d != nil && d.facts != nil {
		m.Remote = d.facts.Remote
	}
	return d
}

// ldap reads "LDAP: Drop query NAME MID 1 RID 2 address a@b".
func (f *cisco) ldap(l *ciscoLine) {
	m := f.message(l)
	m.Outcome, m.Phase = mail.Bounced, mail.PhaseQueue
	if strings.HasPrefix(l.body, "LDAP: Drop ") {
		m.Outcome = mail.Discarded
	}
	head, address, _ := strings.Cut(l.body, " address ")
	m.Recipient = unbracketed(address)
	m.Reported.Type, m.Reported.Rule, _ = strings.Cut(head, " query ")
	m.Reported.Rule, _, _ = strings.Cut(m.Reported.Rule, " MID ")
	if t := f.transaction(l, ciscoFind(head, "MID"), &m); t != nil {
		f.conclude(l, t, &m, 0)
	}
}
