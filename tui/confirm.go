package tui

import (
	"strings"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"mailwhy/tui/cell"
)

// confirm asks one question; its answer is no unless the other button is
// chosen and pressed.
type confirm struct {
	s             *session
	id            int
	km            confirmKeys
	title, text   string
	yes           string
	do            func() tea.Cmd
	chosen        bool
	width, height int
}

func newConfirm(s *session, title, text, yes string, do func() tea.Cmd) *confirm {
	return &confirm{s: s, id: s.nextID(), km: newConfirmKeys(), title: title, text: text, yes: yes, do: do}
}

func (c *confirm) ident() int          { return c.id }
func (c *confirm) crumb() string       { return strings.ToLower(c.title) }
func (c *confirm) start() tea.Cmd      { return nil }
func (c *confirm) keys() []key.Binding { return c.km.all() }
func (c *confirm) note() string        { return "" }
func (c *confirm) modal() bool         { return true }
func (c *confirm) back() bool          { return false }
func (c *confirm) stop()               {}
func (c *confirm) resize(w, h int)     { c.width, c.height = w, h }

func (c *confirm) update(msg tea.Msg) tea.Cmd {
	m, ok := msg.(tea.KeyMsg)
	if !ok {
		return nil
	}
	switch {
	case key.Matches(m, c.km.other):
		c.chosen = !c.chosen
	case key.Matches(m, c.km.cancel):
		c.s.close()
	case key.Matches(m, c.km.enter):
		c.s.close()
		if c.chosen {
			return c.do()
		}
	}
	return nil
}

func (c *confirm) view() string {
	l := c.s.look
	w := min(c.width, sheetWidth)
	body := []string{l.line(w - 4)}
	for _, line := range cell.Wrap(cell.Clean(c.text), w-4) {
		body = append(body, l.line(w-4, seg{line, l.plain}))
	}
	button := func(name string, on bool) seg {
		if on {
			return seg{l.pointer + "[ " + name + " ]", l.selected}
		}
		return seg{"  " + name + "   ", l.plain}
	}
	body = append(body, l.line(w-4), l.line(w-4, button("Cancel", !c.chosen), seg{"   ", l.plain}, button(c.yes, c.chosen)))
	return l.box(c.title, body, w, c.width, c.height)
}
