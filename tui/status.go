package tui

import (
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// toastTime is how long a sentence stays that needs nothing from the user.
const toastTime = 8 * time.Second

// status is the sentence that takes the last line for a while.
type status struct {
	text string
	bad  bool
	seq  int
}

// fadeMsg ends the sentence with its number, so that an old timer cannot end a
// newer one.
type fadeMsg struct{ seq int }

// say shows a sentence for a while.
func (r *Root) say(text string) tea.Cmd {
	r.status.text, r.status.bad = text, false
	r.status.seq++
	return r.s.after(toastTime, fadeMsg{r.status.seq})
}

// complain shows what went wrong until the next key.
func (s *status) complain(text string) {
	s.text, s.bad = text, true
	s.seq++
}

func (s *status) fade(m fadeMsg) {
	if m.seq == s.seq && !s.bad {
		s.text = ""
	}
}

// key clears an error that was seen.
func (s *status) key() {
	if s.bad {
		s.text, s.bad = "", false
	}
}
