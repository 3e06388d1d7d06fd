package tui

import (
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"

	"mailwhy/engine/exception"
)

// examine asks how the listed exceptions live: each costs a search.
func (x *exceptions) examine(all []exception.Exception) tea.Cmd {
	id, ctx, excepter := x.id, x.s.ctx, x.s.svc.Excepter
	return func() tea.Msg {
		health := map[int]exception.Health{}
		for _, e := range all {
			h, err := excepter.Living(ctx, e)
			if err != nil {
				return healthMsg{routed{id}, nil, err}
			}
			health[e.ID] = h
		}
		return healthMsg{routed{id}, health, nil}
	}
}

// stateWord is where an exception stands, or the gravest that was found in it.
func (x *exceptions) stateWord(e exception.Exception) string {
	state := e.State(x.s.now())
	if found := x.health[e.ID].Findings; len(found) > 0 && state == exception.Live {
		return string(found[0])
	}
	return string(state)
}

func (x *exceptions) stateStyle(e exception.Exception) lipgloss.Style {
	state := e.State(x.s.now())
	found := x.health[e.ID].Findings
	switch {
	case len(found) == 0 || state != exception.Live:
		return stateStyle(x.s.look, state)
	case found[0] == exception.Defeated:
		return x.s.look.bad
	}
	return x.s.look.warn
}

func (x *exceptions) hits(e exception.Exception) string {
	h, known := x.health[e.ID]
	if !known {
		return "-"
	}
	return number(h.Hits)
}

func (x *exceptions) lastHit(e exception.Exception) string {
	if last := x.health[e.ID].LastHit; !last.IsZero() {
		return x.s.day(last)
	}
	return "-"
}

// lived is what came since an exception was made, and what is to be looked at.
func (x *exceptions) lived(e exception.Exception) [][2]string {
	h, known := x.health[e.ID]
	if !known {
		return nil
	}
	var facts [][2]string
	for i, f := range h.Findings {
		facts = append(facts, [2]string{string(f), h.Because[i]})
	}
	since := "no message it is for was seen since"
	if h.Hits > 0 {
		since = fmt.Sprintf("%s %s it is for, %s let in, %s stopped", number(h.Hits), plural(h.Hits, "message", "messages"), number(h.LetIn), number(h.Stopped))
	}
	facts = append(facts, [2]string{"since then", since})
	for _, t := range h.Attempts {
		facts = append(facts, [2]string{"", strings.TrimSpace(t.Time.In(x.s.loc).Format("02 Jan 15:04") + "  " + string(t.Outcome) + "  " + t.Because)})
	}
	return facts
}
