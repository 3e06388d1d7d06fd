package tui

import (
	"testing"

	tea "github.com/charmbracelet/bubbletea"
)

// A key press and the frame after it, with a thousand rows loaded.
func BenchmarkKeyPress(b *testing.B) {
	p := newProgram(b, newWorld(samples(1000)...), 160, 50, func(o *Options) { o.Environ = []string{"TERM=xterm-256color", "LANG=C.UTF-8"} })
	for range 30 {
		p.keys("G")
	}
	down, up := keyMsgs("j")[0], keyMsgs("k")[0]
	for i := 0; b.Loop(); i++ {
		p.root.Update([]tea.Msg{up, down}[i/20%2])
		_ = p.root.View()
	}
}

// The frame of a message with everything expanded.
func BenchmarkMessageFrame(b *testing.B) {
	p := newProgram(b, newWorld(samples(10)...), 160, 50, func(o *Options) { o.Environ = []string{"TERM=xterm-256color", "LANG=C.UTF-8"} })
	p.keys("enter")
	j := keyMsgs("j")[0]
	for b.Loop() {
		p.root.Update(j)
		_ = p.root.View()
	}
}
