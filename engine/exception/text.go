package exception

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// hostile reports whether a rune could hide or reorder what a person reads:
// control characters (line ends and escapes among them), bidirectional
// controls, zero-width and other format characters, private use, and what is
// left of invalid UTF-8.
func hostile(r rune) bool {
	switch {
	case r == utf8.RuneError, unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs):
		return true
	case r == '\u115f', r == '\u1160', r == '\u3164', r == '\uffa0': // Hangul fillers: letters that show nothing
		return true
	}
	return false
}

// clean replaces every hostile rune by U+FFFD and trims spaces.
func clean(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if hostile(r) {
			return utf8.RuneError
		}
		return r
	}, s))
}

func cleanAll(lines []string) []string {
	var out []string
	for _, l := range lines {
		out = append(out, clean(l))
	}
	return out
}

// The longest difference of a policy edit that the journal keeps.
const (
	differenceLines = 400
	differenceRunes = 400 // a line
)

func shorten(lines []string) []string {
	if more := len(lines) - differenceLines; more > 0 {
		lines = append(lines[:differenceLines:differenceLines], fmt.Sprintf("... %d more lines", more))
	}
	for i, l := range lines {
		if utf8.RuneCountInString(l) > differenceRunes {
			lines[i] = string([]rune(l)[:differenceRunes]) + " ..."
		}
	}
	return lines
}
