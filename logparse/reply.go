package logparse

import (
	"strings"

	"mailwhy/engine/mail"
)

// readReply reads an SMTP reply as logs flatten it: "550 5.1.1 text",
// "550-5.1.1 a 550-5.1.1 b 550 5.1.1 c", or an enhanced code alone. What is
// not there stays zero.
func readReply(s string) mail.Reply {
	var r mail.Reply
	s = strings.TrimSpace(s)
	code, more, ok := replyCode(s)
	if !ok {
		r.Enhanced, r.Text = cutEnhanced(s)
		return r
	}
	r.Code = code
	prefix := s[:3]
	s = s[min(4, len(s)):]
	r.Enhanced, r.Text = cutEnhanced(s)
	if !more {
		return r
	}
	// A reply of several lines: each repeats the code, and mostly the status.
	var text strings.Builder
	for rest := r.Text; rest != ""; {
		i := nextReplyLine(rest, prefix)
		if i < 0 {
			text.WriteString(rest)
			break
		}
		text.WriteString(rest[:i])
		last := rest[i+4] == ' '
		rest = rest[i+5:]
		if e, t := cutEnhanced(rest); e == r.Enhanced || r.Enhanced == "" {
			r.Enhanced, rest = e, t
		}
		text.WriteByte(' ')
		if last {
			text.WriteString(rest)
			break
		}
	}
	r.Text = text.String()
	return r
}

// nextReplyLine finds " 550-" or " 550 " in s.
func nextReplyLine(s, code string) int {
	for from := 0; ; {
		i := strings.Index(s[from:], " "+code)
		if i < 0 || from+i+5 > len(s) {
			return -1
		}
		i += from
		if s[i+4] == '-' || s[i+4] == ' ' {
			return i
		}
		from = i + 1
	}
}

// replyCode reads three digits; more tells that a dash says other lines follow.
func replyCode(s string) (code int, more, ok bool) {
	if len(s) < 3 || s[0] < '2' || s[0] > '5' || !isDigit(s[1]) || !isDigit(s[2]) {
		return 0, false, false
	}
	if len(s) > 3 && s[3] != ' ' && s[3] != '-' {
		return 0, false, false
	}
	return int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0'), len(s) > 3 && s[3] == '-', true
}

// cutEnhanced cuts an RFC 3463 status code, "5.7.1", from the start of s.
func cutEnhanced(s string) (enhanced, rest string) {
	if len(s) < 5 || (s[0] != '2' && s[0] != '4' && s[0] != '5') || s[1] != '.' {
		return "", s
	}
	i := 2
	for part := range 2 {
		start := i
		for i < len(s) && isDigit(s[i]) {
			i++
		}
		if i == start || i-start > 3 {
			return "", s
		}
		if part == 0 {
			if i >= len(s) || s[i] != '.' {
				return "", s
			}
			i++
		}
	}
	if i < len(s) && s[i] != ' ' {
		return "", s
	}
	return s[:i], strings.TrimPrefix(s[i:], " ")
}
