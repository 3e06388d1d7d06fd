package index

import (
	"cmp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

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
	add(fieldReason, template(m, m.Reply.Text), template(m, m.Reported.Type), template(m, m.Reported.Detail), m.Reply.Enhanced)
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

// template takes the addresses, numbers and ids out of a reason of a message,
// so that the same refusal of two messages has one text. The local parts of the
// message's own addresses ("User alice unknown") go too: who sees none must not
// find them.
func template(m *mail.Message, text string) string {
	words := strings.Fields(text)
	for i, w := range words {
		switch {
		case namesLocalPart(w, m):
			words[i] = "*"
		case strings.ContainsAny(w, "@<>[]"):
			words[i] = "*"
		case strings.ContainsAny(w, "0123456789") && len(w) > 6:
			words[i] = "*"
		}
	}
	return strings.Join(words, " ")
}

// shortestName is the length of the shortest local part that is looked for in a
// reason; shorter ones are words of any language.
const shortestName = 3

// namesLocalPart reports whether a word is, or holds between signs, the local
// part of one of the message's addresses.
func namesLocalPart(word string, m *mail.Message) bool {
	for _, p := range []mail.Path{m.EnvelopeFrom, m.HeaderFrom, m.Recipient, m.OriginalRecipient} {
		if local := p.Local(); len(local) >= shortestName && holdsWord(strings.ToLower(word), strings.ToLower(local)) {
			return true
		}
	}
	return false
}

// holdsWord reports whether s holds word with neither a letter nor a digit
// beside it.
func holdsWord(s, word string) bool {
	for at := 0; ; {
		i := strings.Index(s[at:], word)
		if i < 0 {
			return false
		}
		at += i
		before, _ := utf8.DecodeLastRuneInString(s[:at])
		after, _ := utf8.DecodeRuneInString(s[at+len(word):])
		if !isWord(before) && !isWord(after) {
			return true
		}
		at += len(word)
	}
}

func isWord(r rune) bool { return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) }

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
	reason := template(m, cmp.Or(m.Reply.Text, m.Reported.Detail, m.Reported.Type))
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
