package tui

import (
	"testing"

	"github.com/charmbracelet/bubbles/key"
)

// Every map of keys that are taken in one place: no key does two things there
// and every key says what it does.
func TestKeyMaps(t *testing.T) {
	global := newGlobalKeys().all()
	f := func(name string, bindings []key.Binding, with ...key.Binding) {
		t.Helper()
		taken := map[string]string{}
		for _, b := range append(append([]key.Binding{}, bindings...), with...) {
			if b.Help().Key == "" || b.Help().Desc == "" {
				t.Errorf("%s: %v has no help", name, b.Keys())
			}
			if len(b.Keys()) == 0 {
				t.Errorf("%s: %s has no key", name, b.Help().Desc)
			}
			for _, k := range b.Keys() {
				if other, ok := taken[k]; ok {
					t.Errorf("%s: %s means %q and %q", name, k, other, b.Help().Desc)
				}
				taken[k] = b.Help().Desc
			}
		}
	}
	f("messages", newListKeys(true).all(), global...)
	f("message", newDetailKeys(true).all(), global...)
	f("exceptions", newExceptionKeys(true, true).all(), global...)
	f("sources", newSourceKeys().all(), global...)
	f("query line", newPromptKeys().all())
	f("sheet", newSheetKeys().all())
	f("question", newConfirmKeys().all())
	f("copy", newCopyKeys().all())
}

// Help lists every key of the screen it was opened on.
func TestHelpIsComplete(t *testing.T) {
	for _, where := range [][]string{{}, {"enter"}, {"2"}, {"3"}} {
		p := newProgram(t, newWorld(samples(4)...), 100, 90)
		p.keys(where...)
		bindings := append(p.root.top().keys(), p.root.keys.all()...)
		p.keys("?")
		for _, b := range bindings {
			p.shows(b.Help().Desc)
			p.shows(b.Help().Key)
		}
		p.keys("?")
	}
}

// Nothing destructive lies on the keys that vim users press without thinking.
func TestHarmlessKeys(t *testing.T) {
	k := newExceptionKeys(true, true)
	for _, b := range []key.Binding{k.revoke, k.extend} {
		for _, name := range b.Keys() {
			if name == "d" || name == "ctrl+d" || name == "ctrl+k" {
				t.Errorf("%s is on %s", b.Help().Desc, name)
			}
		}
	}
}
