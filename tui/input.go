package tui

import (
	"github.com/charmbracelet/bubbles/cursor"
	"github.com/charmbracelet/bubbles/textinput"

	"mailwhy/tui/cell"
)

// newInput makes a text input in use; it is drawn by inputSegs, so that its
// look is the session's and its cursor shows without colours too.
func newInput(text string) textinput.Model {
	in := textinput.New()
	in.Prompt = ""
	in.KeyMap.Paste.SetEnabled(false)      // it would run a program on the server; the terminal pastes by itself
	in.Cursor.SetMode(cursor.CursorStatic) // a blinking one is traffic for nothing
	in.SetValue(text)
	in.CursorEnd()
	in.Focus()
	return in
}

// inputSegs draws a text input in at most w cells, the cursor always in sight.
func inputSegs(in textinput.Model, w int, active bool, l look) []seg {
	runes := []rune(in.Value())
	pos := min(in.Position(), len(runes))
	before, after := cell.Clean(string(runes[:pos])), cell.Clean(string(runes[pos:]))
	if !active {
		return []seg{{cell.Truncate(before+after, w, l.tail), l.plain}}
	}
	for cell.Width(before) > w-2 && before != "" {
		_, rest := cut(before)
		before = rest
	}
	head, rest := cut(after)
	room := w - cell.Width(before) - 1
	if !l.colour {
		return []seg{{before, l.plain}, {l.caret, l.plain}, {cell.Truncate(after, room, ""), l.plain}}
	}
	if head == "" {
		head = " "
	}
	return []seg{{before, l.plain}, {head, l.cursor}, {cell.Truncate(rest, room-cell.Width(head)+1, ""), l.plain}}
}

// cut takes the first character off.
func cut(s string) (head, rest string) {
	for i := range s {
		if i > 0 {
			return s[:i], s[i:]
		}
	}
	return s, ""
}
