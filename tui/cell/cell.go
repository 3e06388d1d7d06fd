// Package cell fits text into terminal cells and makes untrusted text safe to
// show: what it returns moves no cursor, turns no text round and hides nothing.
//
// Widths are those of Unicode UAX 11 and UAX 29 as charmbracelet/x/ansi counts
// them; controls are those of ECMA-48 (C0, C1) and the bidirectional and
// invisible characters of UAX 9 and UTS 39.
//
//	cell.Clean("a\x1b[31mb\u202e")  // "a^[[31mb<U+202E>"
//	cell.Fit("alice@acme.example", 8) // "alice@a…"
//
// It must not know about colours, screens or mail.
package cell

import (
	"strings"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// Width is the number of cells that clean text takes.
func Width(s string) int {
	if plain(s) {
		return len(s)
	}
	return ansi.StringWidth(s)
}

// Truncate cuts clean text to at most w cells; what was cut is marked by tail,
// which counts. A w of zero or less gives "".
func Truncate(s string, w int, tail string) string {
	if w <= 0 {
		return ""
	}
	head := prefix(s, w)
	if len(head) == len(s) && Width(s) <= w {
		return s
	}
	if Width(tail) > w {
		tail = ""
	}
	room := w - Width(tail)
	if plain(head) {
		return head[:min(room, len(head))] + tail
	}
	return ansi.Truncate(head, room, "") + tail
}

// TruncateLeft cuts clean text to at most w cells and keeps its end, which is
// what tells the names of files apart; what was cut is marked by head, which
// counts.
func TruncateLeft(s string, w int, head string) string {
	if w <= 0 {
		return ""
	}
	over := Width(s) - w
	if over <= 0 {
		return s
	}
	if Width(head) > w {
		head = ""
	}
	end := ansi.TruncateLeft(s, over+Width(head), "")
	for Width(end)+Width(head) > w { // the cut went through a wide character
		over++
		end = ansi.TruncateLeft(s, over+Width(head), "")
	}
	return head + end
}

// Show is Fit for untrusted text of any length: it cleans no more of it than
// can be seen.
func Show(s string, w int, tail string) string {
	head := prefix(s, w)
	clean := Clean(head)
	if len(head) < len(s) && Width(clean) <= w {
		clean += tail
	}
	return Fit(clean, w, tail)
}

// prefix returns as much of s as w cells can need, whole runes: a line of a
// megabyte is not measured to show eighty cells of it.
func prefix(s string, w int) string {
	const bytesPerCell = 4 + 3*mostMarks
	n := max(w, 0)*bytesPerCell + 2*bytesPerCell
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Pad fills clean text with blanks on the right up to w cells.
func Pad(s string, w int) string {
	if n := w - Width(s); n > 0 {
		return s + strings.Repeat(" ", n)
	}
	return s
}

// PadLeft fills clean text with blanks on the left up to w cells.
func PadLeft(s string, w int) string {
	if n := w - Width(s); n > 0 {
		return strings.Repeat(" ", n) + s
	}
	return s
}

// Fit makes clean text exactly w cells wide: cut with tail or padded.
func Fit(s string, w int, tail string) string {
	if w <= 0 {
		return ""
	}
	return Pad(Truncate(s, w, tail), w)
}

// Wrap breaks clean text into lines of at most w cells, at blanks where there
// are any. It returns at least one line; a w below one is taken as one.
func Wrap(s string, w int) []string {
	w = max(w, 1)
	var lines []string
	for paragraph := range strings.SplitSeq(s, "\n") {
		lines = append(lines, wrapLine(paragraph, w)...)
	}
	return lines
}

func wrapLine(s string, w int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		if line != "" && len(prefix(word, w)) == len(word) && Width(line)+1+Width(word) <= w {
			line += " " + word
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		for Width(prefix(word, w)) > w || len(prefix(word, w)) < len(word) {
			head := Truncate(word, w, "")
			if head == "" { // one grapheme wider than the line
				break
			}
			lines = append(lines, head)
			word = word[len(head):]
		}
		line = word
	}
	return append(lines, line)
}

// plain reports whether every byte is one printable ASCII cell.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
