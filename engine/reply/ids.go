package reply

import (
	"slices"
	"strings"
)

// mostIDs bounds what IDs gives.
const mostIDs = 40

// IDs lists what in a pasted text may be the id of a message, the surest first:
// the bracketed token at the end of a reply, the Message-ID (RFC 5322 section
// 3.6.4) of the returned message, and words of the form of a queue id. Most
// words of that form are none: look each of them up.
func IDs(text string) []string {
	if len(text) > longestInput {
		text = text[:longestInput]
	}
	var ids []string
	add := func(id string) {
		if id != "" && len(ids) < mostIDs && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	add(token(text))
	if code, region, ok := strings.Cut(token(text), "."); ok && region != "" {
		add(code) // the gateway's own log names it without its region
	}
	for rest := text; ; {
		at := strings.Index(strings.ToLower(rest), "message-id:")
		if at < 0 {
			break
		}
		rest = rest[at+len("message-id:"):]
		id, _, closed := strings.Cut(strings.TrimLeft(rest, " \t\r\n<"), ">")
		if closed && strings.Contains(id, "@") && !strings.ContainsAny(id, " \t\r\n") {
			add(id)
		}
	}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n<>()[]{};:,=\"'/", r) }) {
		if queueIDLike(word) {
			add(word)
		}
	}
	return ids
}

// queueIDLike reports whether a word has the form of the queue ids of Postfix,
// Exim or Sendmail, or of a gateway's token: 8 to 26 letters, digits and hyphens
// of which some are letters and some digits.
func queueIDLike(word string) bool {
	if len(word) < 8 || len(word) > 26 {
		return false
	}
	letters, digits := 0, 0
	for i := 0; i < len(word); i++ {
		switch c := word[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			letters++
		case c >= '0' && c <= '9':
			digits++
		case c != '-' || i == 0:
			return false
		}
	}
	return letters > 0 && digits > 0
}
