package tui

import (
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// paced draws a root's frames no faster than they are sent. Bubbletea asks for
// the frame after every message, thirty for one search, and sends the last of
// those that come between two of its ticks: to draw the others took half of
// what a server with many sessions had.
type paced struct {
	*Root
	every time.Duration // between two frames

	frame string
	drawn time.Time // when frame was drawn
	due   bool      // redrawMsg will come
	now   func() time.Time
}

// redrawMsg comes when the next frame may be drawn.
type redrawMsg struct{}

// Update passes messages on to the root; when a frame is too early for what
// they change, there is a later one.
func (p *paced) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if _, redraw := msg.(redrawMsg); redraw {
		p.due, p.drawn = false, time.Time{}
		return p, nil
	}
	_, cmd := p.Root.Update(msg)
	if since := p.now().Sub(p.drawn); since < p.every && !p.due {
		p.due = true
		cmd = tea.Batch(cmd, tea.Tick(p.every-since, func(time.Time) tea.Msg { return redrawMsg{} }))
	}
	return p, cmd
}

// View is the frame, the last one where it is too early for the next.
func (p *paced) View() string {
	if now := p.now(); now.Sub(p.drawn) >= p.every {
		p.frame, p.drawn = p.Root.View(), now
	}
	return p.frame
}
