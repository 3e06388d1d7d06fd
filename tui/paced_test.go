package tui

import (
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

func TestFramesAreDrawnNoFasterThanTheyAreSent(t *testing.T) {
	now := time.Unix(0, 0)
	root := NewRoot(t.Context(), Options{}, nil)
	p := &paced{Root: root, every: 40 * time.Millisecond, now: func() time.Time { return now }}
	p.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	first := p.View()
	if first != root.View() {
		t.Fatalf("the first frame waits: %q", first)
	}

	now = now.Add(10 * time.Millisecond)
	_, cmd := p.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("?")})
	if p.View() != first || root.View() == first {
		t.Error("a frame was drawn that would not be sent")
	}
	if cmd == nil {
		t.Fatal("no later frame is asked for")
	}
	p.Update(redrawMsg{})
	if got := p.View(); got != root.View() {
		t.Errorf("what was typed is never drawn: %q", got)
	}
}
