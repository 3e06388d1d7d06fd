package tui

import (
	"io"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"

	"mailwhy/engine/mail"
	"mailwhy/tui/cell"
	"mailwhy/tui/table"
)

// look is how a session's terminal is drawn: one value a session, so that many
// can differ in one process.
type look struct {
	plain, title, dim, bad, warn, good, key, heading, selected, cursor lipgloss.Style

	glyphs
	colour bool // false: nothing but glyphs tells things apart
}

// glyphs are the characters of the frame, each one cell wide.
type glyphs struct {
	pointer, tail, arrow, crumb, pass, stop, skip, unknown, winner, wall, rule, up, caret, bullet string
	corners                                                                                       [4]string // top left, top right, bottom left, bottom right
	bars                                                                                          []string  // from nothing to full
}

// newLook makes the styles for a terminal from its environment alone: the
// terminal is never asked anything.
func newLook(w io.Writer, o Options) look {
	env := environ(o.Environ)
	profile := termenv.NewOutput(io.Discard, termenv.WithEnvironment(env), termenv.WithTTY(true),
		termenv.WithProfile(termenv.Ascii)).EnvColorProfile()
	r := lipgloss.NewRenderer(w, termenv.WithEnvironment(env), termenv.WithProfile(profile))
	r.SetColorProfile(profile)
	r.SetHasDarkBackground(o.Dark)
	style := r.NewStyle
	ansi := func(c string) lipgloss.Style { return style().Foreground(lipgloss.Color(c)) }
	l := look{
		plain:    style(),
		title:    style().Bold(true),
		dim:      style().Faint(true),
		bad:      ansi("1"),
		warn:     ansi("3"),
		good:     ansi("2"),
		key:      ansi("6"),
		heading:  style().Faint(true),
		selected: style().Reverse(true),
		cursor:   style().Reverse(true),
		glyphs:   unicodeGlyphs(),
		colour:   profile != termenv.Ascii,
	}
	if o.ASCII || !env.unicode() {
		l.glyphs = asciiGlyphs()
	}
	return l
}

func unicodeGlyphs() glyphs {
	return glyphs{
		pointer: "▸", tail: "…", arrow: "→", crumb: "›", pass: "·", stop: "✗", skip: "–", unknown: "?",
		winner: "▶", wall: "│", rule: "─", up: "↑", caret: "▏", bullet: "•",
		corners: [4]string{"┌", "┐", "└", "┘"},
		bars:    []string{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"},
	}
}

func asciiGlyphs() glyphs {
	return glyphs{
		pointer: ">", tail: "~", arrow: ">", crumb: "/", pass: ".", stop: "x", skip: "-", unknown: "?",
		winner: "*", wall: "|", rule: "-", up: "^", caret: "|", bullet: "*",
		corners: [4]string{"+", "+", "+", "+"},
		bars:    []string{" ", ".", ":", "-", "=", "+", "*", "#", "@"},
	}
}

// environ is a session's environment as termenv wants it. CI is left out: it
// is how quiet mutes the libraries, not a word about this terminal.
type environ []string

// Environ returns all variables as "name=value".
func (e environ) Environ() []string { return e }

// Getenv returns the last value given for the variable.
func (e environ) Getenv(name string) string {
	if name == "CI" {
		return ""
	}
	value := ""
	for _, pair := range e {
		if k, v, ok := strings.Cut(pair, "="); ok && k == name {
			value = v
		}
	}
	return value
}

// unicode reports whether glyphs beyond ASCII can be expected to show: not on
// a dumb terminal and not in a locale that names another character set.
func (e environ) unicode() bool {
	if e.Getenv("TERM") == "dumb" {
		return false
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(e.Getenv(name)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return true
}

func (l look) table() table.Theme {
	return table.Theme{Heading: l.heading, Selected: l.selected, Pointer: l.pointer, Tail: l.tail}
}

// seg is a piece of a line: text of any origin and how it looks.
type seg struct {
	text  string
	style lipgloss.Style
}

// line draws segments in exactly w cells. Every text is cleaned here, so no
// caller can forget to.
func (l look) line(w int, segs ...seg) string {
	var b strings.Builder
	for _, s := range segs {
		if w <= 0 {
			break
		}
		text := strings.TrimRight(cell.Show(s.text, w, l.tail), " ")
		if trailing := len(s.text) - len(strings.TrimRight(s.text, " ")); trailing > 0 {
			text += strings.Repeat(" ", min(trailing, w-cell.Width(text)))
		}
		w -= cell.Width(text)
		if text != "" {
			b.WriteString(s.style.Render(text))
		}
	}
	b.WriteString(strings.Repeat(" ", max(w, 0)))
	return b.String()
}

// ends draws segments at both ends of a line of w cells; the right end goes
// when there is no room for it.
func (l look) ends(w int, left, right []seg) string {
	need := 0
	for _, s := range right {
		need += cell.Width(cell.Clean(s.text))
	}
	used := 0
	for _, s := range left {
		used += cell.Width(cell.Clean(s.text))
	}
	if need == 0 || need+min(used, w/2) >= w {
		return l.line(w, left...)
	}
	return l.line(w-need-1, left...) + " " + l.line(need, right...)
}

// outcome is the colour of an outcome; its word always stands beside it.
func (l look) outcome(o mail.Outcome) lipgloss.Style {
	switch o {
	case mail.Rejected, mail.Bounced, mail.Expired:
		return l.bad
	case mail.Deferred, mail.Held, mail.Discarded:
		return l.warn
	case mail.Delivered, mail.Accepted:
		return l.good
	}
	return l.plain
}

// spark draws one bar a value, the greatest full.
func (l look) spark(values []int) string {
	most := 0
	for _, v := range values {
		most = max(most, v)
	}
	var b strings.Builder
	for _, v := range values {
		i := 0
		if most > 0 && v > 0 {
			i = 1 + v*(len(l.bars)-2)/most
		}
		b.WriteString(l.bars[i])
	}
	return b.String()
}

// fill makes exactly h lines of w cells.
func fill(lines []string, w, h int) string {
	blank := strings.Repeat(" ", max(w, 0))
	for len(lines) < h {
		lines = append(lines, blank)
	}
	return strings.Join(lines[:max(h, 0)], "\n")
}
