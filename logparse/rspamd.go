package logparse

import (
	"bytes"
	"strings"

	"mailwhy/engine/mail"
)

// rspamd reads what Rspamd logs of each message it scanned (rspamd.com,
// "Logging": the default log_format), and the history that its controller
// gives as JSON.
//
// Rspamd advises: whether a greylisted message comes again is another scan of
// it, found by Message-ID and sender.
type rspamd struct {
	stateless
	p   *Parser
	key []byte
}

func newRspamd(p *Parser) *rspamd { return &rspamd{p: p} }

func (f *rspamd) name() string { return "rspamd" }

// rspamdTask is the function whose lines tell of a scan.
const rspamdTask = "rspamd_task_write_log: "

func (f *rspamd) detect(line []byte) bool {
	if bytes.Contains(line[:min(len(line), 300)], []byte(rspamdTask)) {
		return true
	}
	body := jsonBody(line)
	return body != nil && bytes.Contains(body, []byte(`"required_score"`)) && bytes.Contains(body, []byte(`"action"`)) && bytes.Contains(body, []byte(`"symbols"`))
}

func (f *rspamd) line(s *Stream, offset int64, line []byte) bool {
	l := &lineAt{s: s, offset: offset, raw: line}
	at := bytes.Index(line[:min(len(line), 300)], []byte(rspamdTask))
	switch {
	case at >= 0:
		var e envelope
		n := s.clock.stampAndHost(line, &e)
		if l.ms = e.ms; l.ms != 0 {
			s.seen(l.ms)
		}
		gateway := ""
		if e.tag != nil || e.takeTag(line[n:]) && bytes.HasPrefix(e.tag, []byte("rspamd")) {
			gateway = text(e.host)
		}
		f.task(l, gateway, text(line[at+len(rspamdTask):]))
		return true
	case f.detect(line):
		n := 0
		eachJSON(jsonBody(line), func(_ int, o jsonFields) { f.history(l, o, &n) })
		return true
	}
	return s.pinned == f || bytes.Contains(line, []byte("; rspamd_")) // of its other functions
}

// task reads "id: <a@b>, qid: <X>, ip: 1.2.3.4, from: <a@b>, (default: T
// (reject): [16.20/15.00] [SYMBOL(4.00){option;},...]), len: 20, ..., rcpts: <c@d>".
func (f *rspamd) task(l *lineAt, gateway, s string) {
	head, rest, ok := strings.Cut(s, "(default: ")
	if !ok {
		l.s.unrecognised(l.offset, l.raw)
		return
	}
	_, rest, _ = strings.Cut(rest, " (")
	action, rest, _ := strings.Cut(rest, "): [")
	scores, rest, _ := strings.Cut(rest, "] [")
	symbols, tail, _ := strings.Cut(rest, "]), ")
	m := mail.Message{
		Format: f.name(), Gateway: gateway, QueueID: rspamdField(head, "qid"), EnvelopeFrom: unbracketed(rspamdField(head, "from")),
		Size: decimal(rspamdField(tail, "len")), Auth: rspamdAuth(symbols),
	}
	m.Client.IP = rspamdField(head, "ip")
	if id := rspamdField(head, "id"); id != "undef" {
		m.MessageID = bracketed(id)
	}
	score, _, _ := strings.Cut(scores, "/")
	m.SpamScore = float(score)
	m.Reported = mail.Reported{Type: action, Detail: symbols}
	if _, forced, ok := strings.Cut(tail, "forced: "); ok {
		m.Reply.Text, m.Reported.Rule = rspamdForced(forced)
	}
	recipients := strings.Split(rspamdField(tail, "rcpts"), ",")
	for i, recipient := range recipients {
		one := m
		one.Recipient = unbracketed(recipient)
		f.scanned(l, &one, i)
	}
}

// rspamdField returns the value of "key: <value>" or "key: value, ". A
// Message-ID and an address are between brackets, whatever they hold.
func rspamdField(s, key string) string {
	if !strings.HasPrefix(s, key+": ") {
		i := strings.Index(s, ", "+key+": ")
		if i < 0 {
			return ""
		}
		s = s[i+2:]
	}
	s = s[len(key)+2:]
	if !strings.HasPrefix(s, "<") {
		value, _, _ := strings.Cut(s, ",")
		return value
	}
	if i := strings.Index(s, ">, "); i > 0 {
		return s[1:i]
	}
	return strings.TrimSuffix(s[1:], ">")
}

// rspamdForced reads `reject "words"; score=nan (set by module)`.
func rspamdForced(s string) (words, module string) {
	if _, quoted, ok := strings.Cut(s, `"`); ok {
		words, _, _ = strings.Cut(quoted, `"; `)
		words = strings.TrimSuffix(words, `"`)
	}
	if _, by, ok := strings.Cut(s, "(set by "); ok {
		module, _, _ = strings.Cut(by, ")")
	}
	return words, module
}

// history reads one row of the controller's history.
func (f *rspamd) history(l *lineAt, o jsonFields, n *int) {
	l.ms = epochMilli(&l.s.clock, o.get("unix_time", "time"))
	if l.ms != 0 {
		l.s.seen(l.ms)
	}
	var symbols []string
	for _, symbol := range o.object("symbols") {
		symbols = append(symbols, symbol.key)
	}
	m := mail.Message{
		Format: f.name(), EnvelopeFrom: unbracketed(o.get("sender_smtp")), Subject: o.get("subject"), Size: decimal(o.get("size")),
		QueueID: o.get("qid", "queue_id"), SpamScore: float(o.get("score")), Auth: rspamdAuth(strings.Join(symbols, "(,") + "("),
	}
	m.HeaderFrom, m.HeaderFromName = mimeHeaderAddress(o.get("sender_mime"))
	if id := o.get("message-id"); id != "undef" {
		m.MessageID = bracketed(id)
	}
	if m.Client.IP = o.get("ip"); m.Client.IP == "unknown" {
		m.Client.IP = ""
	}
	m.Reported = mail.Reported{Type: o.get("action"), Rule: o.get("passthrough_module"), Detail: strings.Join(symbols, ",")}
	recipients := o.list("rcpt_smtp")
	if len(recipients) == 0 || len(recipients) == 1 && recipients[0] == "unknown" {
		recipients = []string{""}
	}
	for _, recipient := range recipients {
		one := m
		one.Recipient = unbracketed(recipient)
		f.scanned(l, &one, *n)
		*n++
	}
}

// scanned notes the action for one recipient.
func (f *rspamd) scanned(l *lineAt, m *mail.Message, ordinal int) {
	m.Phase = mail.PhaseEndOfData
	m.Outcome = rspamdOutcome(m.Reported.Type)
	if m.Outcome == "" {
		return
	}
	if m.MessageID == "" {
		if m.Outcome.Failing() {
			f.p.aloneAt(l, m, ordinal)
		}
		return
	}
	f.key = append(append(append(append(f.key[:0], 'R'), m.MessageID...), 0), m.EnvelopeFrom.Fold()...)
	if f.p.open.get(f.key) == nil && !m.Outcome.Failing() && !f.p.opts.All && !f.p.stories.on {
		return
	}
	f.p.conclude(f.p.transactionOf(f.key, l), l, m, ordinal)
}

// rspamdOutcome is what an action means for the message. Tagged messages pass:
// what their delivery came to stands in the mail server's log.
func rspamdOutcome(action string) mail.Outcome {
	switch action {
	case "reject":
		return mail.Rejected
	case "soft reject", "greylist":
		return mail.Deferred
	case "discard":
		return mail.Discarded
	case "quarantine":
		return mail.Held
	case "no action", "add header", "rewrite subject":
		return mail.Accepted
	}
	return ""
}

// rspamdAuth reads the symbols that say how a message was authenticated.
func rspamdAuth(symbols string) (auth mail.Auth) {
	has := func(name string) bool {
		return strings.HasPrefix(symbols, name+"(") || strings.Contains(symbols, ","+name+"(")
	}
	for _, s := range []struct {
		to           *string
		symbol, word string
	}{
		{&auth.SPF, "R_SPF_ALLOW", "pass"}, {&auth.SPF, "R_SPF_FAIL", "fail"}, {&auth.SPF, "R_SPF_SOFTFAIL", "softfail"}, {&auth.SPF, "R_SPF_NEUTRAL", "neutral"},
		{&auth.SPF, "R_SPF_NA", "none"}, {&auth.SPF, "R_SPF_DNSFAIL", "temperror"}, {&auth.SPF, "R_SPF_PERMFAIL", "permerror"},
		{&auth.DKIM, "R_DKIM_ALLOW", "pass"}, {&auth.DKIM, "R_DKIM_REJECT", "fail"}, {&auth.DKIM, "R_DKIM_NA", "none"},
		{&auth.DKIM, "R_DKIM_TEMPFAIL", "temperror"}, {&auth.DKIM, "R_DKIM_PERMFAIL", "permerror"},
		{&auth.DMARC, "DMARC_POLICY_ALLOW", "pass"}, {&auth.DMARC, "DMARC_POLICY_REJECT", "fail"}, {&auth.DMARC, "DMARC_POLICY_QUARANTINE", "fail"},
		{&auth.DMARC, "DMARC_POLICY_SOFTFAIL", "fail"}, {&auth.DMARC, "DMARC_NA", "none"}, {&auth.DMARC, "DMARC_DNSFAIL", "temperror"},
	} {
		if *s.to == "" && has(s.symbol) {
			*s.to = s.word
		}
	}
	return auth
}
