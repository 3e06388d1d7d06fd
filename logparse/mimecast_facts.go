package logparse

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"mailwhy/engine/mail"
)

// facts is what an event tells of the message as such, whatever became of it.
func (e *mimeEvent) facts(stage mimeStage) mail.Message {
	m := mail.Message{
		Gateway:      e.text(mimeAccount),
		EnvelopeFrom: mimePath(e.text(mimeSender)),
		Subject:      e.text(mimeSubject),
		MessageID:    e.text(mimeMessageID),
		Direction:    mimeDirectionOf(e.text(mimeDirection)),
	}
	if (stage == mimeImpersonation || stage == mimeOther) && m.Direction == "" {
		m.Direction = mimeDirectionOf(e.text(mimeRoute))
	}
	m.HeaderFrom, m.HeaderFromName = mimeHeaderAddress(e.text(mimeHeaderFrom))
	if n, err := strconv.ParseInt(e.text(mimeSize), 10, 64); err == nil && n > 0 {
		m.Size = n
	}
	m.Client.IP = e.text(mimeClientIP)
	if m.Client.IP == "" && stage != mimeDelivery {
		m.Client.IP = e.text(mimeIP)
	}
	if stage == mimeReceipt {
		if score, err := strconv.ParseFloat(e.text(mimeSpamScore), 64); err == nil && !math.IsNaN(score) && !math.IsInf(score, 0) {
			m.SpamScore = &score
		}
		m.Auth = mimeAuth(e.value[mimeSpamDetail])
	}
	return m
}

// remote is the next hop of a delivery event.
func (e *mimeEvent) remote() mail.Remote {
	r := mail.Remote{Name: e.text(mimeNextHop), IP: e.text(mimeNextHopIP)}
	if r.IP == "" {
		r.IP = e.text(mimeIP)
	}
	return r
}

// learn fills what m does not know yet and reports whether there was any.
func learn(m *mail.Message, from *mail.Message) bool {
	learned := false
	fill(&m.Gateway, from.Gateway, &learned)
	fill(&m.EnvelopeFrom, from.EnvelopeFrom, &learned)
	if m.HeaderFrom == "" && from.HeaderFrom != "" {
		m.HeaderFromName = from.HeaderFromName
	}
	fill(&m.HeaderFrom, from.HeaderFrom, &learned)
	fill(&m.Subject, from.Subject, &learned)
	fill(&m.MessageID, from.MessageID, &learned)
	fill(&m.Size, from.Size, &learned)
	fill(&m.Client.IP, from.Client.IP, &learned)
	fill(&m.Auth, from.Auth, &learned)
	if m.Direction == mail.DirectionUnknown {
		m.Direction = ""
	}
	fill(&m.Direction, from.Direction, &learned)
	if m.Direction == "" {
		m.Direction = mail.DirectionUnknown
	}
	if m.SpamScore == nil && from.SpamScore != nil {
		m.SpamScore, learned = from.SpamScore, true
	}
	return learned
}

func fill[T comparable](have *T, value T, learned *bool) {
	var zero T
	if *have == zero && value != zero {
		*have, *learned = value, true
	}
}

// mimePath is an address as logged. Nothing is not the null path here: a
// refused message is logged with an empty Sender whatever it was.
func mimePath(s string) mail.Path {
	if s == "<>" {
		return mail.NullPath
	}
	if strings.HasPrefix(s, "<") && strings.HasSuffix(s, ">") {
		s = s[1 : len(s)-1]
	}
	return mail.Path(s)
}

// mimeHeaderAddress reads "a@b", "<a@b>" or "Alice <a@b>".
func mimeHeaderAddress(s string) (mail.Path, string) {
	open := strings.LastIndexByte(s, '<')
	if open < 0 || !strings.HasSuffix(s, ">") {
		return mail.Path(s), ""
	}
	name := strings.TrimSpace(s[:open])
	if len(name) >= 2 && name[0] == '"' && name[len(name)-1] == '"' {
		name = name[1 : len(name)-1]
	}
	return mail.Path(s[open+1 : len(s)-1]), name
}

func mimeDirectionOf(s string) mail.Direction {
	switch d := mail.Direction(strings.ToLower(s)); d {
	case mail.Inbound, mail.Outbound, mail.Internal, mail.External:
		return d
	}
	return ""
}

// maxListed is the most recipients that are read of one event.
const maxListed = 1000

// mimeRecipients splits the recipients of an event at commas and semicolons
// outside of quotes; a JSON array of strings is such a list too. An event
// without recipient has none.
func mimeRecipients(b []byte) []mail.Path {
	s := text(b)
	if strings.HasPrefix(s, "[") {
		s = strings.NewReplacer("[", "", "]", "", `"`, "").Replace(s)
	}
	var list []mail.Path
	quoted, start := false, 0
	for i := 0; i <= len(s) && len(list) < maxListed; i++ {
		if i < len(s) && s[i] == '"' {
			quoted = !quoted
		}
		if i < len(s) && (quoted || s[i] != ',' && s[i] != ';') {
			continue
		}
		if p := mimePath(strings.TrimSpace(s[start:i])); p.Known() {
			list = append(list, p)
		}
		start = i + 1
	}
	return list
}

// mimeAuth reads spamProcessingDetail: an object, a string with an object in
// it, or a string with a string with an object in it.
func mimeAuth(detail []byte) (auth mail.Auth) {
	detail = bytes.TrimSpace(detail)
	for range 2 {
		if len(detail) > 1 && (detail[0] == '"' || bytes.HasPrefix(detail, []byte(`{\"`))) {
			detail = bytes.TrimSpace(unescapeJSON(bytes.Trim(detail, `"`)))
		}
	}
	c := jsonCursor{b: detail}
	if !c.take('{') {
		return auth
	}
	for {
		key, raw, _, ok := c.member()
		if !ok {
			return auth
		}
		switch string(key) {
		case "spf":
			auth.SPF = mimeAuthWord(raw)
		case "dkim":
			auth.DKIM = mimeAuthWord(raw)
		case "dmarc":
			auth.DMARC = mimeAuthWord(raw)
		}
	}
}

// mimeAuthWord translates {"info":"SPF_FAIL","allow":true} into the words of
// RFC 8601; "" where the result is not told. The info is the result, allow only
// whether the gateway minded it, so it speaks where the info says nothing.
func mimeAuthWord(object []byte) string {
	c := jsonCursor{b: object}
	if !c.take('{') {
		return ""
	}
	info, refused := "", false
	for {
		key, raw, _, ok := c.member()
		if !ok {
			break
		}
		switch string(key) {
		case "info":
			info = strings.ToUpper(string(raw))
		case "allow":
			refused = string(raw) == "false"
		}
	}
	if _, word, ok := strings.Cut(info, "_"); ok && (strings.HasPrefix(info, "SPF_") || strings.HasPrefix(info, "DKIM_") || strings.HasPrefix(info, "DMARC_")) {
		info = word
	}
	switch info {
	case "ALLOW", "PASS", "OK":
		return "pass"
	case "FAIL", "HARDFAIL", "HARD_FAIL", "REJECT", "DENY", "QUARANTINE", "INVALID":
		return "fail"
	case "SOFTFAIL", "SOFT_FAIL":
		return "softfail"
	case "NEUTRAL":
		return "neutral"
	case "NONE":
		return "none"
	case "TEMPERROR", "TEMP_ERROR":
		return "temperror"
	case "PERMERROR", "PERM_ERROR":
		return "permerror"
	}
	if refused {
		return "fail"
	}
	return ""
}
