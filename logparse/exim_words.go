package logparse

import (
	"strconv"
	"strings"

	"mailwhy/engine/mail"
)

// eximAttribute reads the next "K=value" of a log line, which may be quoted, or
// H=, whose value is of several words. A word that is no attribute is returned
// as a key without value.
func eximAttribute(s string) (key, value, rest string) {
	s = strings.TrimLeft(s, " ")
	end := strings.IndexAny(s, " =:")
	if end <= 0 || s[end] != '=' {
		key, rest, _ = strings.Cut(s, " ")
		return key, "", rest
	}
	key, s = s[:end], s[end+1:]
	switch {
	case key == "H" || key == "host":
		n := eximHostEnd(s)
		return key, s[:n], s[n:]
	case strings.HasPrefix(s, `"`):
		for i := 1; i < len(s); i++ {
			if s[i] == '\\' {
				i++
			} else if s[i] == '"' {
				return key, unescapeQuoted(s[1:i]), s[i+1:]
			}
		}
		return key, "", "" // cut off
	case strings.HasPrefix(s, "<"):
		n := angleEnd(s)
		return key, s[:n], s[n:]
	}
	value, rest, _ = strings.Cut(s, " ")
	return key, value, rest
}

// unescapeQuoted undoes a backslash before a quote or a backslash.
func unescapeQuoted(s string) string {
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(s)
}

// eximHostEnd returns the length of "name (helo) [ip]:port" at the start of s.
func eximHostEnd(s string) int {
	i := 0
	if i < len(s) && s[i] != '(' && s[i] != '[' { // the name, or an address without brackets
		for i < len(s) && s[i] != ' ' {
			i++
		}
	}
	if strings.HasPrefix(s[i:], " (") || strings.HasPrefix(s[i:], "(") {
		// The client chose what stands in the brackets: an address that follows
		// them ends them, however many there are inside.
		if end := strings.Index(s[i:], ") ["); end >= 0 {
			i += end + 1
		} else if end := strings.IndexByte(s[i:], ')'); end >= 0 {
			i += end + 1
		}
	}
	if strings.HasPrefix(s[i:], " [") || strings.HasPrefix(s[i:], "[") {
		if end := strings.IndexByte(s[i:], ']'); end >= 0 {
			i += end + 1
			if i < len(s) && s[i] == '*' { // a connection that was used before
				i++
			}
			if i < len(s) && s[i] == ':' {
				j := i + 1
				for j < len(s) && isDigit(s[j]) {
					j++
				}
				if j > i+1 {
					i = j
				}
			}
		}
	}
	return i
}

// eximHost reads "name (helo) [ip]:port", of which any part may be missing.
func eximHost(s string) mail.Client {
	s = s[:eximHostEnd(s)]
	var c mail.Client
	if open := strings.LastIndexByte(s, '['); open >= 0 && (open == 0 || s[open-1] == ' ') {
		c.IP, _, _ = strings.Cut(s[open+1:], "]")
		s = strings.TrimRight(s[:open], " ")
	}
	if open := strings.IndexByte(s, '('); open >= 0 && strings.HasSuffix(s, ")") {
		c.Helo = s[open+1 : len(s)-1]
		s = strings.TrimRight(s[:open], " ")
	}
	c.Name = s
	return c
}

// eximAddress cuts the address a line begins with. Its local part may be
// quoted; a pipe or a file is no address and may hold spaces.
func eximAddress(s string) (address, rest string) {
	switch {
	case strings.HasPrefix(s, "<"):
		n := angleEnd(s)
		return s[:n], s[n:]
	case strings.HasPrefix(s, ":blackhole:"):
		return s[:len(":blackhole:")], s[len(":blackhole:"):]
	case strings.HasPrefix(s, "|"), strings.HasPrefix(s, "/"):
		for _, end := range []string{" <", " R=", " routing defer", ": "} {
			if i := strings.Index(s, end); i >= 0 {
				return s[:i], s[i:]
			}
		}
		return s, ""
	}
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case quoted:
		case s[i] == ' ', s[i] == ':' && i+1 < len(s) && s[i+1] == ' ', s[i] == ':' && i > 0 && i+1 == len(s):
			return s[:i], s[i:]
		}
	}
	if quoted { // an odd quote: the first space ends it after all
		if i := strings.IndexByte(s, ' '); i >= 0 {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// decimal reads a count; 0 when it is none.
func decimal(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// float reads a score; nil when it is none.
func float(s string) *float64 {
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || n != n || n > 1e9 || n < -1e9 {
		return nil
	}
	return &n
}
