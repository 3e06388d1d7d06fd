package index

import (
	"cmp"
	"strconv"
	"strings"

	"mailwhy/engine/mail"
)

// longestTerm bounds an indexed value, in bytes.
const longestTerm = 1000

// fieldsOf gives the searchable values of a message by field, folded.
func fieldsOf(m *mail.Message) map[string][]string {
	fields := map[string][]string{}
	add := func(field string, texts ...string) {
		for _, text := range texts {
			if text = fold(text); text != "" {
				fields[field] = append(fields[field], text)
			}
		}
	}
	add(fieldSender, string(m.EnvelopeFrom.Fold()), string(m.HeaderFrom.Fold()), m.HeaderFromName)
	add(fieldRecipient, string(m.Recipient.Fold()), string(m.OriginalRecipient.Fold()))
	add(fieldHost, m.Client.Name, m.Client.IP, m.Client.Helo, m.Remote.Name, m.Remote.IP)
	add(fieldSubject, m.Subject)
	add(fieldReason, template(m.Reply.Text), template(m.Reported.Type), template(m.Reported.Detail), m.Reply.Enhanced)
	add(fieldRule, m.Reported.Rule, m.Reported.Type)
	add(fieldGateway, m.Gateway)
	add(fieldIP, m.Client.IP)
	add(fieldID, m.MessageID, strings.Trim(m.MessageID, "<>"), m.QueueID, m.ID, token(m.Reply.Text))
	for i := range m.Hops {
		h := &m.Hops[i]
		add(fieldID, h.QueueID, h.MessageID, strings.Trim(h.MessageID, "<>"))
	}
	if m.Reply.Code != 0 {
		add(fieldCode, strconv.Itoa(m.Reply.Code))
	}
	add(fieldCode, m.Reply.Enhanced)
	add(fieldOutcome, string(m.Outcome))
	fields[fieldCause] = []string{causeOf(m)}
	return fields
}

func fold(text string) string {
	text = strings.ToLower(strings.TrimSpace(text))
	if len(text) > longestTerm {
		text = strings.ToValidUTF8(text[:longestTerm], "")
	}
	return text
}

// template takes the addresses, numbers and ids out of a reason, so that the
// same refusal of two messages has one text.
func template(text string) string {
	words := strings.Fields(text)
	for i, w := range words {
		switch {
		case strings.ContainsAny(w, "@<>[]"):
			words[i] = "*"
		case strings.ContainsAny(w, "0123456789") && len(w) > 6:
			words[i] = "*"
		}
	}
	return strings.Join(words, " ")
}

// token is the bracketed id at the end of a gateway's reply, "[aCode.region]".
func token(text string) string {
	open := strings.LastIndexByte(text, '[')
	if open < 0 || !strings.HasSuffix(strings.TrimSpace(text), "]") {
		return ""
	}
	inner := strings.TrimSuffix(strings.TrimSpace(text[open+1:]), "]")
	code, _, _ := strings.Cut(inner, ".")
	if len(code) < 6 || strings.ContainsAny(inner, " :") {
		return ""
	}
	return inner
}

// causeSeparator stands between the parts of a cause; no log line has it.
const causeSeparator = "\x1f"

// causeOf is what Causes groups by: what the log names as the rule, the
// domain of the sender, the template of the reason.
func causeOf(m *mail.Message) string {
	rule := cmp.Or(m.Reported.Rule, m.Reported.Type)
	domain := cmp.Or(m.EnvelopeFrom.Domain(), m.HeaderFrom.Domain())
	reason := template(cmp.Or(m.Reply.Text, m.Reported.Detail, m.Reported.Type))
	parts := []string{rule, domain, reason}
	for i, part := range parts {
		part = strings.ReplaceAll(part, causeSeparator, " ")
		if len(part) > longestTerm/len(parts) {
			part = strings.ToValidUTF8(part[:longestTerm/len(parts)], "")
		}
		parts[i] = part
	}
	return strings.Join(parts, causeSeparator)
}
