package tui

import (
	"strings"

	"github.com/charmbracelet/bubbles/key"
	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"
)

// commandLine is what follows a colon.
type commandLine struct {
	input textinput.Model
	keys  promptKeys
}

func newCommandLine() *commandLine {
	return &commandLine{input: newInput(""), keys: newPromptKeys()}
}

func (c *commandLine) view(w int, l look) string {
	return l.line(w, append([]seg{{" :", l.key}}, inputSegs(c.input, w-3, true, l)...)...)
}

// commands are the words of the command line, an alias a letter.
func commandName(text string) string {
	names := []string{"messages", "exceptions", "sources", "policies", "causes", "help", "quit"}
	text = strings.ToLower(strings.TrimSpace(text))
	if text == "" {
		return ""
	}
	for _, n := range names {
		if strings.HasPrefix(n, text) {
			return n
		}
	}
	return "?"
}

func (r *Root) commandKey(msg tea.KeyMsg) tea.Cmd {
	switch {
	case key.Matches(msg, r.command.keys.cancel):
		r.command = nil
	case key.Matches(msg, r.command.keys.accept):
		text := r.command.input.Value()
		r.command = nil
		return r.execute(text)
	default:
		var cmd tea.Cmd
		r.command.input, cmd = r.command.input.Update(msg)
		return cmd
	}
	return nil
}

func (r *Root) execute(text string) tea.Cmd {
	switch commandName(text) {
	case "messages":
		return r.show(0)
	case "exceptions":
		return r.show(1)
	case "sources":
		return r.show(2)
	case "policies":
		return r.show(3)
	case "causes":
		return r.show(4)
	case "help":
		return r.push(newHelp(r.s, r.top(), r.keys))
	case "quit":
		return r.quit()
	case "?":
		r.status.complain("There is no command " + text + ": try messages, exceptions, sources, policies, causes, help, quit.")
	}
	return nil
}
