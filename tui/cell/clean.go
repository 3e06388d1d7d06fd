package cell

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// mostMarks is how many combining marks one character may carry: more than any
// script needs, less than it takes to write over the lines above and below.
const mostMarks = 4

// Clean returns untrusted text as one line that is safe on any terminal.
// Controls become caret notation (ESC is "^["), C1 controls, bytes that are no
// UTF-8, bidirectional controls, zero-width and other invisible characters
// become "<U+202E>" or "<9B>", a tab becomes a blank. Every mark is ASCII.
// Variation selectors, over whose width terminals disagree, are left out.
func Clean(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	marks := 0
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r) {
			marks++
		} else {
			marks = 0
		}
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, "<%02X>", s[i])
		case r == '\t':
			b.WriteByte(' ')
		case r < 0x20 || r == 0x7f:
			b.WriteByte('^')
			b.WriteByte(byte(r) ^ 0x40)
		case 0xfe00 <= r && r <= 0xfe0f:
			// a variation selector
		case hidden(r) || marks > mostMarks:
			fmt.Fprintf(&b, "<U+%04X>", r)
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// CleanLines cleans text of several lines; only LF ends a line.
func CleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = Clean(strings.TrimSuffix(line, "\r"))
	}
	return strings.Join(lines, "\n")
}

// hidden reports whether a character is a control, or takes no cell, or looks
// like a blank without being one.
func hidden(r rune) bool {
	switch {
	case 0x80 <= r && r <= 0x9f: // C1
		return true
	case r == 0x034f, r == 0x115f, r == 0x1160, r == 0x17b4, r == 0x17b5, r == 0x3164, r == 0xffa0:
		return true // joiners and fillers that draw nothing
	case 0xe0000 <= r && r <= 0xe0fff: // tags, more selectors
		return true
	}
	return unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) ||
		unicode.Is(unicode.Co, r) || unicode.Is(unicode.Cs, r)
}
