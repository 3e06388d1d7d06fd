package tui

import (
	"strings"
	"testing"
)

// Where nothing is found the proof is one key away, filled in from the query.
func TestNeverSeen(t *testing.T) {
	p := newProgram(t, newWorld(samples(4)...), 100, 30)
	p.keys("/", "ctrl+u", "from:carol@acme.example to:bob@corp.example since:30d", "enter")
	p.lacks("lists.example.net")
	p.keys("n")
	p.shows("Never seen?")
	p.shows("No refused, deferred or failed message of carol@acme.example to bob@corp.example was seen.")
	p.shows("since:30d")
	p.shows("mx2^[")
	p.shows("silent for 6 h in 1 gap")
	p.shows("permission denied")
	p.shows("mailwhy explain reads")
	p.keys("esc")
	p.shows("Nothing matches")
	if n := p.w.stray.Load(); n != 0 {
		t.Errorf("%d calls of a service outside a command", n)
	}
}

// Bare words are taken as the sender and the recipient; what is missing is
// typed, and what turns out to have been seen is shown.
func TestNeverSeenThatWas(t *testing.T) {
	p := newProgram(t, newWorld(samples(4)...), 100, 30)
	p.keys("n")
	p.shows("Who wrote to whom?")
	p.keys("enter")
	p.shows("Give the sender's address")
	p.keys("alice@acme.example", "tab", "bob@corp.example", "enter")
	p.shows("1 messages of the two were seen.")
	p.keys("enter")
	if got := p.root.list.text; got != `from:"alice@acme.example" to:"bob@corp.example" since:7d` {
		t.Errorf("the list asks %q", got)
	}
	p.shows("alice@acme.example")

	p.keys("/", "ctrl+u", "carol@acme.example bob@corp.example", "enter", "n")
	p.shows("of carol@acme.example to bob@corp.example was seen")
	p.keys("esc", "/", "ctrl+u", "-from:x to:zoe@corp.example", "enter", "n")
	x := p.root.top().(*unseen)
	if got := x.pair(); got != [2]string{"", "zoe@corp.example"} {
		t.Errorf("asks about %q", got)
	}
}

// The answer scrolls where it does not fit, and stands at its end.
func TestNeverSeenScrolls(t *testing.T) {
	p := newProgram(t, newWorld(samples(4)...), 60, 16)
	p.keys("/", "ctrl+u", "from:carol@acme.example", "enter", "n")
	p.lacks("permission denied")
	p.keys(strings.Split(strings.Repeat("down ", 40), " ")[:40]...)
	p.shows("permission denied")
	p.keys(strings.Split(strings.Repeat("up ", 40), " ")[:40]...)
	p.shows("No refused")
}

func TestTimeOfAQuery(t *testing.T) {
	for text, want := range map[string]string{"acme since:2d": "since:2d", "since:2d until:2026-11-20 x": "since:2d until:2026-11-20", "AT:09:14": "AT:09:14", "acme": "since:7d"} {
		if got := timeWords(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
