package logparse

import (
	"bytes"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// ciscoCEF returns where the consolidated event of a line starts, -1 when it
// has none.
func ciscoCEF(line []byte) int {
	at := bytes.Index(line[:min(len(line), 200)], []byte("CEF:"))
	if at < 0 || !bytes.Contains(line[at:min(len(line), at+200)], []byte("|Cisco|")) || !bytes.Contains(line, []byte("ESAMID=")) {
		return -1
	}
	return at
}

// cefKeys are the keys of a consolidated event that tell something of the
// message (AsyncOS User Guide, "Consolidated Event Logs").
var cefKeys = map[string]bool{
	"act": true, "msg": true, "suser": true, "duser": true, "src": true, "shost": true, "dvc": true, "start": true, "end": true,
	"sourceAddress": true, "sourceHostName": true, "startTime": true, "endTime": true,
}

// cefKey reports whether a word is a key of the event and not one of a value:
// subjects and the dictionaries of Python hold equals signs too.
func cefKey(word string) bool {
	if cefKeys[word] || strings.HasPrefix(word, "ESA") || strings.HasPrefix(word, "device") || strings.HasPrefix(word, "dvc") {
		return true
	}
	return strings.HasPrefix(word, "cs") || strings.HasPrefix(word, "cfp") || strings.HasPrefix(word, "cn")
}

// cefExtension reads "key=value key=value" (ArcSight Common Event Format). An
// equals sign of a value is escaped, but not everywhere.
func cefExtension(s string) map[string]string {
	fields := map[string]string{}
	key, start := "", 0
	for i := 0; i < len(s); i++ {
		if s[i] != '=' || i > 0 && s[i-1] == '\\' {
			continue
		}
		word := strings.LastIndexByte(s[start:i], ' ') + 1 + start
		if !cefKey(s[word:i]) || strings.ContainsAny(s[word:i], "{'\":") {
			continue
		}
		if key != "" {
			fields[key] = cefValue(s[start:max(start, word-1)])
		}
		if _, twice := fields[s[word:i]]; twice { // a value that looks like a key: the first one counts
			key = ""
		} else {
			key = s[word:i]
		}
		start = i + 1
	}
	if key != "" {
		fields[key] = cefValue(s[start:])
	}
	return fields
}

// cefValue undoes CEF's escapes, and takes the quotes of Python off.
func cefValue(s string) string { return ciscoText(cefUnescape(strings.TrimSpace(s))) }

func cefUnescape(s string) string {
	return strings.NewReplacer(`\=`, "=", `\\`, `\`, `\|`, "|", `\n`, " ", `\r`, "").Replace(s)
}

// consolidated reads an event that tells a message's whole life at its end.
func (f *cisco) consolidated(l *ciscoLine, s string) {
	head := s
	for range 7 {
		_, head, _ = strings.Cut(head, "|")
	}
	fields := cefExtension(head)
	var e envelope
	l.s.clock.stampAndHost(l.raw, &e)
	m := f.event(fields)
	if l.gateway = text(e.host); l.gateway != "" && e.ms != 0 {
		m.Gateway = l.gateway
	}
	l.ms = e.ms
	for _, key := range []string{"endTime", "end", "startTime", "start"} { // the start, as the vendor counts events
		if t, err := time.ParseInLocation("Mon Jan _2 15:04:05 2006", strings.Replace(fields[key], "  ", " ", 1), l.s.clock.zone()); err == nil {
			l.ms = t.UnixMilli()
		}
	}
	if l.ms != 0 {
		l.s.seen(l.ms)
	}
	m.Outcome = ciscoAct(fields["act"], fields["ESAFinalActionDetails"])
	if m.Outcome == "" {
		return
	}
	m.Reported = mail.Reported{Type: fields["act"], Rule: fields["cs1"], Detail: fields["ESAFinalActionDetails"]}
	if status, words := cutEnhanced(m.Reported.Detail); status != "" {
		m.Reply = mail.Reply{Enhanced: status, Text: strings.TrimPrefix(words, "- ")}
		if status == "5.4.7" {
			m.Outcome = mail.Expired
		}
	}
	t := f.transaction(l, m.QueueID, &m)
	if t == nil {
		return
	}
	recipients := mimeRecipients([]byte(fields["duser"]))
	if len(recipients) == 0 {
		recipients = []mail.Path{""}
	}
	for i, recipient := range recipients {
		one := m
		one.Recipient = recipient
		f.conclude(l, t, &one, i)
	}
}

// ciscoAct is what a final action means.
func ciscoAct(act, details string) mail.Outcome {
	switch strings.ToUpper(act) {
	case "DELIVERED":
		return mail.Delivered
	case "BOUNCED":
		return mail.Bounced
	case "DROPPED":
		return mail.Discarded
	case "DQ", "QUARANTINED", "QUARANTINE":
		return mail.Held
	case "REJECTED":
		return mail.Rejected
	case "DELAYED", "DEFERRED":
		return mail.Deferred
	case "ABORTED":
		if strings.Contains(details, "ropped") {
			return mail.Discarded
		}
	}
	return ""
}

// event reads the facts of an event.
func (f *cisco) event(fields map[string]string) mail.Message {
	first := func(keys ...string) string {
		for _, key := range keys {
			if fields[key] != "" {
				return fields[key]
			}
		}
		return ""
	}
	m := mail.Message{
		Format: f.name(), Gateway: fields["dvc"], Phase: mail.PhaseQueue, QueueID: fields["ESAMID"], EnvelopeFrom: unbracketed(fields["suser"]),
		Subject: fields["msg"], Size: decimal(fields["ESAMsgSize"]), MessageID: bracketed(fields["cs4"]),
	}
	if fields["act"] == "BOUNCED" || fields["act"] == "DELIVERED" {
		m.Phase = mail.PhaseDelivery
	}
	m.HeaderFrom, m.HeaderFromName = mimeHeaderAddress(fields["ESAFriendlyFrom"])
	m.Client = mail.Client{IP: first("sourceAddress", "src"), Name: first("sourceHostName", "shost"), Helo: fields["ESAHeloDomain"]}
	if m.Client.Name == "unknown" {
		m.Client.Name = ""
	}
	switch fields["deviceDirection"] {
	case "0":
		m.Direction = mail.Inbound
	case "1":
		m.Direction = mail.Outbound
	}
	m.Auth = mail.Auth{SPF: ciscoSPF(fields["ESASPFVerdict"]), DKIM: authWord(fields["ESADKIMVerdict"]), DMARC: authWord(fields["ESADMARCVerdict"])}
	return m
}

// ciscoSPF reads "SoftFail", or "{'mailfrom': {'result': 'Pass', ...}, ...}".
func ciscoSPF(s string) string {
	if _, result, ok := strings.Cut(s, "'mailfrom': {'result': '"); ok {
		s, _, _ = strings.Cut(result, "'")
	}
	return authWord(s)
}
