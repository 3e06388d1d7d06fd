package tui

import (
	"slices"
	"strings"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
)

// enter begins editing the query line, ready to type another word.
func (m *messages) enter() {
	m.editing, m.before, m.pastAt = true, m.text, len(m.past)
	text := m.text
	if text != "" && !strings.HasSuffix(text, " ") {
		text += " "
	}
	m.input.SetValue(text)
	m.input.CursorEnd()
	m.input.Focus()
}

func (m *messages) leave(text string) {
	m.editing = false
	m.input.SetValue(text)
	m.input.Blur()
}

func (m *messages) edit(msg tea.KeyMsg) tea.Cmd {
	switch {
	case key.Matches(msg, m.prompt.accept):
		text := strings.TrimSpace(m.input.Value())
		m.leave(text)
		if text != "" && !slices.Contains(m.past, text) {
			m.past = append(m.past, text)
		}
		if text == m.text && m.problem == "" && !m.task.waiting {
			return nil
		}
		return m.submit(text)
	case key.Matches(msg, m.prompt.clear):
		m.input.SetValue("")
		return m.typed()
	case key.Matches(msg, m.prompt.older):
		return m.recall(-1)
	case key.Matches(msg, m.prompt.newer):
		return m.recall(1)
	}
	old := m.input.Value()
	var cmd tea.Cmd
	m.input, cmd = m.input.Update(msg)
	if m.input.Value() == old {
		return cmd
	}
	return tea.Batch(cmd, m.typed())
}

// recall puts a former query into the line.
func (m *messages) recall(n int) tea.Cmd {
	at := m.pastAt + n
	if at < 0 || at > len(m.past) {
		return nil
	}
	m.pastAt = at
	text := ""
	if at < len(m.past) {
		text = m.past[at]
	}
	m.input.SetValue(text)
	m.input.CursorEnd()
	return m.typed()
}

// spans are the steps in which a query looks further back.
var spans = [...]string{"since:7d", "since:30d", "since:365d", "since:3650d"}

// widen returns the query that looks further back.
func widen(text string) string {
	words := strings.Fields(text)
	at := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "since:") })
	if at < 0 {
		return strings.Join(append([]string{spans[1]}, words...), " ")
	}
	span := slices.Index(spans[:], words[at])
	words[at] = spans[min(span+1, len(spans)-1)]
	if span < 0 { // a date or another number of days: as far as the last step but one
		words[at] = spans[len(spans)-2]
	}
	return strings.Join(words, " ")
}
