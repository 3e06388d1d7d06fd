package tui

import (
	"context"
	"errors"
	"testing"

	tea "github.com/charmbracelet/bubbletea"

	"mailwhy/index"
)

// hold sends keys without running the commands they lead to.
func (p *program) hold(names ...string) []tea.Cmd {
	var cmds []tea.Cmd
	for _, name := range names {
		for _, msg := range keyMsgs(name) {
			_, cmd := p.root.Update(msg)
			cmds = append(cmds, cmd)
		}
	}
	return cmds
}

// What is pressed while a search runs is meant for the rows it brings.
func TestKeysAheadOfTheRows(t *testing.T) {
	newProgram := func() *program {
		p := newProgram(t, newWorld(samples(30)...), 100, 30)
		if row, _ := p.root.list.table.Selected(); row.EnvelopeFrom == "news@lists.example.net" {
			t.Fatal("the first row is one of those asked for: the test says nothing")
		}
		return p
	}
	p := newProgram()
	cmds := p.hold("/", "lists", "enter", "down", "enter", "b")
	if got := p.root.top().crumb(); got != "Messages" {
		t.Fatalf("%q was opened before the rows came", got)
	}
	for _, cmd := range cmds {
		p.run(cmd)
	}
	p.shows("Bypass: Take No Action")
	p.shows("news@lists.example.net")

	p = newProgram()
	cmds = p.hold("/", "lists", "enter", "enter", "esc")
	for _, cmd := range cmds {
		p.run(cmd)
	}
	if got := p.root.top().crumb(); got != "Messages" {
		t.Errorf("esc did not take the early enter back: %q", got)
	}

	p = newProgram()
	p.w.page = func(context.Context, index.Query) error { return errors.New("disk gone") }
	cmds = p.hold("/", "lists", "enter", "enter")
	for _, cmd := range cmds {
		p.run(cmd)
	}
	if got := p.root.top().crumb(); got != "Messages" {
		t.Errorf("a row of the search before was opened after this one failed: %q", got)
	}
}
