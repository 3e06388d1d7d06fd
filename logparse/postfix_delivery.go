package logparse

import (
	"bytes"
	"strconv"
	"strings"

	"mailwhy/engine/mail"
)

// status reads a delivery agent's line, one recipient and one attempt:
//
//	to=<b>, orig_to=<c>, relay=host[ip]:25, delay=1, delays=1/0/0/0, dsn=5.1.1, status=bounced (host ...)
func (f *postfix) status(l *postfixLine, id, rest []byte) {
	var outcome mail.Outcome
	switch word := statusWord(rest); string(word) {
	case "sent":
		f.sent(l, id, rest)
		return
	case "deferred", "SOFTBOUNCE": // soft_bounce=yes: a bounce that is tried again
		outcome = mail.Deferred
	case "bounced":
		outcome = mail.Bounced
	case "expired", "force-expired":
		outcome = mail.Expired
	case "undeliverable", "undeliverable-but-not-cached": // an address probe: for good or for now, as its dsn says
	case "deliverable", "deliverable-but-not-cached":
		return
	case "":
		f.doubtful(l)
		return
	default: // a word cut off by syslog, or one to come
		l.s.unrecognised(l.offset, l.raw)
		return
	}
	whole, body := l.strings(rest)
	var m mail.Message
	readDelivery(&m, body)
	if outcome == "" {
		outcome = mail.Bounced
		if m.Reply.Enhanced != "" && m.Reply.Enhanced[0] == '4' {
			outcome = mail.Deferred
		}
	}
	t := f.transactionOrNew(l, id)
	f.retried(t, l, id, &m)
	r := f.record(t, id, m.Recipient)
	r.Outcome, r.Phase = outcome, mail.PhaseDelivery
	r.Reply, r.Reported = m.Reply, m.Reported
	if m.Remote != (mail.Remote{}) {
		r.Remote = m.Remote
	}
	if m.OriginalRecipient.Known() {
		r.OriginalRecipient = m.OriginalRecipient
	}
	f.failedText(r, l, whole)
}

// statusWord returns the word of ", status=sent (...". Mostly it stands right
// before the first bracket, which is quicker to find.
func statusWord(rest []byte) []byte {
	const key = ", status="
	if open := bytes.IndexByte(rest, '('); open > 0 && rest[open-1] == ' ' {
		word := rest[:open-1]
		equals := bytes.LastIndexByte(word, '=')
		if start := equals + 1 - len(key); start > 0 && string(word[start:equals+1]) == key {
			return word[equals+1:]
		}
	}
	i := bytes.Index(rest, []byte(key))
	if i < 0 {
		return nil
	}
	word := rest[i+len(key):]
	if end := bytes.IndexAny(word, " ,"); end >= 0 {
		word = word[:end]
	}
	return word
}

// sent turns a recipient that had failed into a delivered one, and keeps how
// it failed. Other deliveries make a message only where all are asked for.
func (f *postfix) sent(l *postfixLine, id, rest []byte) {
	if f.p.grey.n > 0 {
		if t := f.transaction(id); t != nil {
			var now mail.Message
			readDelivery(&now, text(rest))
			f.retried(t, l, id, &now)
		}
	}
	f.handedOver(l, id, rest)
	f.passes(l, id, rest)
	t := f.transaction(id)
	if !f.p.opts.All && (t == nil || len(t.records) == 0) {
		return
	}
	_, body := l.strings(rest)
	recipient := pathOf(deliveryValue(body, "to="))
	if t == nil {
		t = f.transactionOrNew(l, id)
	}
	r := t.find(recipient)
	switch {
	case r != nil:
	case f.p.opts.All:
		var m mail.Message
		readDelivery(&m, body)
		r = f.record(t, id, recipient)
		r.Phase, r.Reply, r.Remote, r.OriginalRecipient = mail.PhaseDelivery, m.Reply, m.Remote, m.OriginalRecipient
	default:
		return
	}
	r.Outcome = mail.Delivered
	f.p.touched(r, l.s, l.e.ms, l.offset, 0, l.raw)
}

// find returns the record of a recipient. A message held before its recipient
// was known belongs to the first one that is named.
func (t *transaction) find(recipient mail.Path) *record {
	if r := t.recipient(recipient); r != nil {
		return r
	}
	for _, r := range t.records {
		if r.Recipient == "" && r.Outcome == mail.Held {
			r.Recipient = recipient
			return r
		}
	}
	return nil
}

// readDelivery reads a status line behind its queue id.
func readDelivery(m *mail.Message, s string) {
	m.Recipient = mail.Path(deliveryValue(s, "to="))
	at := strings.Index(s, ", status=")
	head, tail := s[:at], s[at:]
	m.OriginalRecipient = mail.Path(deliveryValue(head, ", orig_to="))
	m.Remote = relayOf(deliveryValue(head, ", relay="))
	words := ""
	if i := strings.Index(tail, " ("); i >= 0 {
		words = tail[i+len(" ("):]
		if end := strings.LastIndexByte(words, ')'); end >= 0 {
			words = words[:end]
		}
	}
	readDeliveryReply(m, words)
	if i := strings.LastIndex(head, ", dsn="); i >= 0 {
		keepStatus(&m.Reply, head[i+len(", dsn="):])
	}
}

// keepStatus sets the status that Postfix concluded. It may disagree with the
// remote reply's own, which then stays in front of the text. What has not the
// form of RFC 3463 is none.
func keepStatus(r *mail.Reply, dsn string) {
	dsn, rest := cutEnhanced(dsn)
	if dsn == "" || rest != "" {
		return
	}
	if r.Enhanced != "" && r.Enhanced != dsn {
		r.Text = strings.TrimSpace(r.Enhanced + " " + r.Text)
	}
	r.Enhanced = dsn
}

// deliveryValue returns the value of a key, with or without angle brackets.
func deliveryValue(s, key string) string {
	if key != "to=" {
		i := strings.Index(s, key)
		if i < 0 {
			return ""
		}
		s = s[i:]
	}
	s = strings.TrimPrefix(s, key)
	if strings.HasPrefix(s, "<") {
		end := angleEnd(s)
		if end < 2 || s[end-1] != '>' {
			return ""
		}
		return s[1 : end-1]
	}
	value, _, _ := strings.Cut(s, ", ")
	return value
}

// readDeliveryReply reads the words in brackets behind status=. A remote reply
// is what follows "said: " or "refused to talk to me: "; everything else is
// Postfix's own and has no code.
func readDeliveryReply(m *mail.Message, words string) {
	m.Reported.Detail = words
	const said = " said: "
	for _, family := range [...]string{said, " refused to talk to me: "} {
		head, reply, ok := strings.Cut(words, family)
		if !ok || !strings.Contains(head, "host ") {
			continue
		}
		if i := strings.LastIndex(reply, " (in reply to "); i >= 0 {
			reply = reply[:i]
		}
		m.Reply = readReply(reply)
		class := classOf(m.Reply.Text, "")
		m.Reported.Type, m.Reported.Rule = class.Type, class.Rule
		switch {
		case strings.HasPrefix(head, "delivery temporarily suspended"):
			m.Reported.Type = "delivery temporarily suspended"
		case class.Type == "" || family != said:
			m.Reported.Type = strings.Trim("host"+family, ": ")
		}
		if m.Remote == (mail.Remote{}) {
			_, host, _ := strings.Cut(head, "host ")
			m.Remote = relayOf(host)
		}
		return
	}
	m.Reply.Text, m.Reported.Type = words, deliveryClass(words)
	if m.Remote == (mail.Remote{}) {
		if _, host, ok := strings.Cut(words, "connect to "); ok {
			if i := strings.Index(host, ": "); i >= 0 {
				m.Remote = relayOf(host[:i])
			}
		}
	}
}

// deliveryClass is the family of words in which Postfix reports a failure.
func deliveryClass(words string) string {
	for _, class := range []string{"delivery temporarily suspended", "lost connection with", "Host or domain name not found",
		"mail transport unavailable", "unknown mail transport error", "mail forwarding loop", "unknown user", "user unknown", "User unknown",
		"user lookup error", "Recipient address rejected", "message size"} {
		if strings.Contains(words, class) {
			return class
		}
	}
	if strings.HasPrefix(words, "connect to ") {
		if i := strings.LastIndex(words, ": "); i >= 0 {
			return words[i+len(": "):]
		}
	}
	class, _, _ := strings.Cut(words, ": ")
	return class
}

// relayOf reads "host[ip]:25"; local, none and transport names are no hosts.
func relayOf(s string) mail.Remote {
	open := strings.IndexByte(s, '[')
	if open < 0 {
		return mail.Remote{}
	}
	c := clientOf(s)
	if strings.Contains(c.IP, "/") { // a socket
		c.IP = ""
	}
	return mail.Remote{Name: c.Name, IP: c.IP}
}

// clientOf reads "name[ip]", "[ip]:port" or "local".
func clientOf(s string) mail.Client {
	open := strings.LastIndexByte(s, '[')
	if open < 0 {
		return mail.Client{}
	}
	var c mail.Client
	if name := s[:open]; name != "unknown" {
		c.Name = name
	}
	ip := s[open+1:]
	if end := strings.IndexByte(ip, ']'); end >= 0 {
		ip = ip[:end]
	}
	ip = strings.TrimPrefix(ip, "IPv6:")
	if ip != "unknown" {
		c.IP = ip
	}
	return c
}

// pathOf is a reverse-path: nothing between the brackets is the null path.
func pathOf(s string) mail.Path {
	if s == "" {
		return mail.NullPath
	}
	return mail.Path(s)
}

// joinFact reads a line of the message that tells something of all its
// recipients. It returns whether r learned anything.
func joinFact(r *record, kind byte, line string) bool {
	switch kind {
	case keptClient:
		_, s, ok := strings.Cut(line, ": client=")
		if !ok || r.Client.IP != "" || r.Client.Name != "" {
			return false
		}
		name, rest, _ := strings.Cut(s, ", ")
		if _, orig, ok := strings.Cut(rest, "orig_client="); ok { // behind a content filter
			name, _, _ = strings.Cut(orig, ", ")
		}
		c := clientOf(name)
		r.Client.IP, r.Client.Name = c.IP, c.Name
		return c != (mail.Client{})
	case keptFirstClient:
		_, s, ok := strings.Cut(line, ": client=")
		if !ok {
			return false
		}
		name, _, _ := strings.Cut(s, ", ")
		if isLoopback([]byte("[" + r.Client.IP + "]")) {
			c := clientOf(name)
			r.Client.IP, r.Client.Name = c.IP, c.Name
		}
		return true
	case keptHandOver, keptReturned:
		return true
	case keptMessageID:
		_, s, ok := strings.Cut(line, ": message-id=")
		if !ok || r.MessageID != "" || s == "" || s == "<>" {
			return false
		}
		r.MessageID = s
		return true
	case keptSender:
		return joinSender(r, line)
	case keptHelo:
		if r.Client.Helo != "" {
			return false
		}
		_, s, _ := strings.Cut(line, "reject: ")
		var m mail.Message
		readRefusal(&m, "reject", s)
		r.Client.Helo = m.Client.Helo
		return r.Client.Helo != ""
	case keptSubject:
		_, s, ok := strings.Cut(line, ": header Subject: ")
		if !ok || r.Subject != "" {
			return false
		}
		var m mail.Message
		readContentCheck(&m, "header", "header Subject: "+s)
		r.Subject = m.Subject
		return r.Subject != ""
	}
	return false
}

// joinSender reads "from=<a>, size=559, nrcpt=1 (queue active)".
func joinSender(r *record, line string) bool {
	i := strings.Index(line, ": from=<")
	if i < 0 {
		return false
	}
	s := line[i+len(": from="):]
	end := angleEnd(s)
	if end < 2 || s[end-1] != '>' {
		return false
	}
	learned := !r.EnvelopeFrom.Known()
	if learned {
		r.EnvelopeFrom = pathOf(s[1 : end-1])
	}
	if _, size, ok := strings.Cut(s[end:], "size="); ok && r.Size == 0 {
		size, _, _ = strings.Cut(size, ",")
		if n, err := strconv.ParseInt(size, 10, 64); err == nil && n > 0 {
			r.Size, learned = n, true
		}
	}
	return learned
}
