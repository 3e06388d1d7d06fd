package tui

import (
	"slices"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"mailwhy/tui/cell"
)

// help lists the keys of the screen below it, made from its key map.
type help struct {
	s             *session
	id            int
	of            string
	groups        []helpGroup
	move          moveKeys
	scroll        int
	width, height int
}

type helpGroup struct {
	title string
	keys  []key.Binding
}

func newHelp(s *session, of screen, global globalKeys) *help {
	return &help{s: s, id: s.nextID(), of: of.crumb(), move: newMoveKeys(), groups: []helpGroup{
		{"Here", of.keys()}, {"Everywhere", global.all()},
		{"In the query line", newPromptKeys().all()}, {"In a sheet", newSheetKeys().all()},
	}}
}

func (h *help) ident() int          { return h.id }
func (h *help) crumb() string       { return "Help" }
func (h *help) start() tea.Cmd      { return nil }
func (h *help) keys() []key.Binding { return h.move.all() }
func (h *help) note() string        { return "" }
func (h *help) modal() bool         { return false }
func (h *help) back() bool          { return false }
func (h *help) stop()               {}
func (h *help) resize(w, height int) {
	h.width, h.height = w, height
	h.scrollTo(h.scroll)
}

func (h *help) update(msg tea.Msg) tea.Cmd {
	m, ok := msg.(tea.KeyMsg)
	if !ok {
		return nil
	}
	switch {
	case key.Matches(m, h.move.down):
		h.scrollTo(h.scroll + 1)
	case key.Matches(m, h.move.up):
		h.scrollTo(h.scroll - 1)
	case key.Matches(m, h.move.pageDown, h.move.halfDown):
		h.scrollTo(h.scroll + h.height)
	case key.Matches(m, h.move.pageUp, h.move.halfUp):
		h.scrollTo(h.scroll - h.height)
	case key.Matches(m, h.move.top):
		h.scrollTo(0)
	case key.Matches(m, h.move.bottom):
		h.scrollTo(len(h.lines()))
	}
	return nil
}

func (h *help) scrollTo(n int) { h.scroll = max(min(n, len(h.lines())-h.height), 0) }

func (h *help) lines() []string {
	l := h.s.look
	var lines []string
	for _, g := range h.groups {
		lines = append(lines, l.line(h.width, seg{" " + g.title, l.title}))
		for _, b := range enabled(g.keys) {
			lines = append(lines, l.line(h.width, seg{"   " + cell.Fit(b.Help().Key, 14, ""), l.key}, seg{b.Help().Desc, l.plain}))
		}
		lines = append(lines, l.line(h.width))
	}
	for _, text := range queryHelp() {
		lines = append(lines, l.line(h.width, seg{"   " + text, l.plain}))
	}
	return slices.Insert(lines, len(lines)-len(queryHelp()), l.line(h.width, seg{" A query", l.title}))
}

// queryHelp is the grammar of the query line.
func queryHelp() []string {
	return []string{
		"acme             any address, host, subject or reason with acme in it",
		"from: to: ip: host: code: reason: rule: qid: mid: gw:   one field",
		"is:rejected      or deferred bounced held expired delivered",
		"since:2d until:2026-11-20 at:09:14",
		"-from:acme       all but these; \"two words\" belong together",
		"cause:\"a|b|c\"    one group of the Causes screen",
	}
}

func (h *help) view() string {
	lines := h.lines()
	end := min(h.scroll+h.height, len(lines))
	return fill(lines[min(h.scroll, end):end:end], h.width, h.height)
}
