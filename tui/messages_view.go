package tui

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"

	"mailwhy/engine/mail"
	"mailwhy/tui/cell"
	"mailwhy/tui/table"
)

func (m *messages) columns() []table.Column[mail.Message] {
	l := m.s.look
	return []table.Column[mail.Message]{
		{Title: "TIME", Min: 5, Max: 9, Text: func(v mail.Message, w int) string { return m.s.stamp(v.Time, w) }},
		{Title: "STATUS", Min: 9, Max: 9, Text: func(v mail.Message, _ int) string { return string(v.Outcome) },
			Style: func(v mail.Message) lipgloss.Style { return l.outcome(v.Outcome) }},
		{Title: "FROM", Min: 15, Max: 34, Text: func(v mail.Message, _ int) string { return sender(v) }},
		{Title: "TO", Min: 8, Max: 30, Drop: 2, Text: recipientIn},
		{Title: "REPLY", Min: 9, Max: 9, Wide: 92, Drop: 3, Text: func(v mail.Message, _ int) string {
			if codes := replyCodes(v.Reply); codes != "" {
				return codes
			}
			return "-"
		}},
		{Title: "WHY", Min: 14, Drop: 1, Text: func(v mail.Message, _ int) string { return m.verdicts.known[v.ID].why }},
	}
}

// sender is the address a row shows: the reverse-path, else the header's.
func sender(m mail.Message) string {
	switch {
	case m.EnvelopeFrom.Known():
		return string(m.EnvelopeFrom)
	case m.HeaderFrom.Known():
		return string(m.HeaderFrom)
	}
	return "-"
}

func recipient(m mail.Message) string {
	switch {
	case m.Recipient.Known():
		return string(m.Recipient)
	case m.OriginalRecipient.Known():
		return string(m.OriginalRecipient)
	}
	return "-"
}

// recipientIn leaves the domain out where there is no room for it.
func recipientIn(m mail.Message, w int) string {
	text := recipient(m)
	if local, _, ok := strings.Cut(text, "@"); ok && local != "" && w < 16 && cell.Width(text) > w {
		return local
	}
	return text
}

// stamp writes an instant in w cells: the time today, the weekday within six
// days, else the date.
func (s *session) stamp(t time.Time, w int) string {
	if t.IsZero() {
		return "-"
	}
	t = t.In(s.loc)
	now := s.now().In(s.loc)
	days := int(now.Sub(t).Hours() / 24)
	switch {
	case t.YearDay() == now.YearDay() && t.Year() == now.Year() && w < 8:
		return t.Format("15:04")
	case t.YearDay() == now.YearDay() && t.Year() == now.Year():
		return t.Format("15:04:05")
	case days >= 0 && days < 6 && w >= 9:
		return t.Format("Mon 15:04")
	case w < 6:
		return t.Format("02Jan")
	case t.Year() == now.Year() || w < 9:
		return t.Format("02 Jan")
	}
	return t.Format("02 Jan 06")
}

func (m *messages) resize(w, h int) {
	m.width, m.height = w, h
	m.table.Resize(w, max(h-m.headerHeight(), 2))
	if m.s.ready {
		m.s.ask(func(*Root) tea.Cmd { return m.explain() })
	}
}

// headerHeight is the number of lines above the table.
func (m *messages) headerHeight() int {
	if m.height < 12 {
		return 1
	}
	return 2
}

func (m *messages) view() string {
	lines := []string{m.queryLine()}
	if m.headerHeight() > 1 {
		lines = append(lines, m.summaryLine())
	}
	if len(m.table.Rows()) == 0 {
		lines = append(lines, m.emptiness()...)
		return fill(lines, m.width, m.height)
	}
	lines = append(lines, strings.Split(m.table.View(m.s.look.table()), "\n")...)
	return fill(lines, m.width, m.height)
}

func (m *messages) queryLine() string {
	l := m.s.look
	right := []seg{{m.countText() + " ", l.dim}}
	if m.editing {
		used := cell.Width(right[0].text) + 5
		if !strings.Contains(m.input.Value(), "since:") {
			right = append([]seg{{defaultQuery + "  ", l.dim}}, right...)
			used += cell.Width(defaultQuery) + 2
		}
		return l.ends(m.width, append([]seg{{" / ", l.key}}, inputSegs(m.input, m.width-used, true, l)...), right)
	}
	if !strings.Contains(m.text, "since:") {
		right = append([]seg{{defaultQuery + "  ", l.dim}}, right...)
	}
	return l.ends(m.width, []seg{{" / ", l.key}, {m.text, l.plain}}, right)
}

func (m *messages) countText() string {
	switch {
	case !m.s.ready:
		return "opening the index"
	case m.slow:
		return "searching"
	case m.counted:
		text := number(m.total.Count) + " of " + number(m.total.Of)
		if m.width >= 70 {
			text += " messages"
		}
		if m.width >= 96 {
			text += fmt.Sprintf("  %d ms", m.took.Milliseconds())
		}
		return text
	}
	return ""
}

// summaryLine is the error of the query, or the histogram.
func (m *messages) summaryLine() string {
	l := m.s.look
	if m.problem != "" {
		return l.line(m.width, seg{" " + m.problem, l.bad})
	}
	if len(m.bars) == 0 {
		return l.line(m.width)
	}
	values := make([]int, len(m.bars))
	sums := map[mail.Outcome]int{}
	for i, b := range m.bars {
		for o, n := range b.Counts {
			sums[o] += n
			values[i] += n
		}
	}
	left := []seg{{" ", l.plain}}
	for _, o := range []mail.Outcome{mail.Rejected, mail.Deferred, mail.Bounced, mail.Expired, mail.Held, mail.Discarded, mail.Delivered} {
		if sums[o] > 0 || o == mail.Rejected {
			left = append(left, seg{string(o) + " ", l.outcome(o)}, seg{number(sums[o]) + "  ", l.plain})
		}
	}
	from, to := m.bars[0].Start.In(m.s.loc).Format("02 Jan"), m.s.now().In(m.s.loc).Format("02 Jan")
	if m.width < 70 {
		values = values[len(values)/2:]
		from = m.bars[len(m.bars)/2].Start.In(m.s.loc).Format("02 Jan")
	}
	return l.ends(m.width, left, []seg{{from + " ", l.dim}, {l.spark(values), l.plain}, {" " + to + " ", l.dim}})
}

// emptiness says why there are no rows and what to do about it.
func (m *messages) emptiness() []string {
	l := m.s.look
	var text []string
	switch {
	case !m.s.ready || m.problem != "":
	case m.busy || m.task.waiting || !m.counted:
		text = []string{"searching"}
	case m.total.Older > 0:
		text = []string{fmt.Sprintf("Nothing matches here, but %s older %s.", number(m.total.Older), plural(m.total.Older, "message does", "messages do")),
			"Press w to look further back, or / to change the query.", `Press n to see what "we never saw it" rests on, and what to ask next.`}
	case m.total.Of == 0:
		text = []string{"No message that failed is known yet.", "Press 3 to see which logs are read and how far."}
	default:
		text = []string{"Nothing matches, older messages included.", "Press / to change the query, esc for everything since a week ago.",
			`Press n to see what "we never saw it" rests on, and what to ask next.`}
	}
	lines := []string{l.line(m.width)}
	for _, t := range text {
		lines = append(lines, l.line(m.width, seg{" " + t, l.plain}))
	}
	return lines
}

func (m *messages) note() string {
	var parts []string
	if n := m.fresh(); n > 0 && len(m.table.Rows()) > 0 {
		parts = append(parts, fmt.Sprintf("%s new %s", number(n), m.s.look.up))
	}
	return strings.Join(parts, "  ")
}

// number writes n with a comma every three digits.
func number(n int) string {
	if n < 0 {
		return "-" + number(-n)
	}
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
