package tui

import (
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"mailwhy/engine"
	"mailwhy/index"
)

// Ten thousand messages in any order: no panic, no update that one would feel,
// always a whole screen, and no service is called outside a command.
func TestAnyOrderOfMessages(t *testing.T) {
	w := newWorld(hostile()...)
	w.rows = append(w.rows, samples(400)[100:]...)
	p := newProgram(t, w, 80, 24)
	rng := rand.New(rand.NewPCG(1, 2))
	names := []string{"enter", "esc", "tab", "shift+tab", "up", "down", "left", "right", "pgup", "pgdown", "home", "end", "ctrl+u", "ctrl+d", "backspace",
		"j", "k", "J", "K", "b", "p", "m", "r", "y", "u", "t", "g", "G", "w", "f", "x", "e", "n", "1", "2", "3", "?", "/", ":", "s", "l", "a", "é", " "}
	var slowest time.Duration
	for i := range 10_000 {
		var msg tea.Msg
		switch n := rng.IntN(20); {
		case n == 0:
			msg = tea.WindowSizeMsg{Width: rng.IntN(200), Height: rng.IntN(60)}
		case n == 1:
			msg = []tea.Msg{tickMsg{}, policyWatchMsg{w.policies}, policyMsg{}, changedMsg{routed{1}}, refreshMsg{routed{1}},
				pageMsg{routed: routed{1}, gen: rng.IntN(50)}, moreMsg{routed: routed{1}}, totalMsg{routed: routed{rng.IntN(5)}},
				detailMsg{routed: routed{rng.IntN(90)}, gen: rng.IntN(3)}, draftMsg{routed: routed{rng.IntN(90)}}, createdMsg{routed: routed{rng.IntN(90)}},
				impactMsg{routed: routed{rng.IntN(90)}, report: engine.ImpactReport{}}, barsMsg{routed: routed{1}, bars: []index.Bucket{}},
				undoneMsg{id: rng.IntN(3)}, fadeMsg{rng.IntN(9)}, tea.FocusMsg{}, nil}[rng.IntN(17)]
		case n == 2:
			msg = tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("\x1b[200~jb\u202e"), Paste: true}
		default:
			msg = keyMsgs(names[rng.IntN(len(names))])[0]
		}
		begun := time.Now()
		_, cmd := p.root.Update(msg)
		slowest = max(slowest, time.Since(begun))
		p.run(cmd)
		if i%50 == 0 && p.root.width >= leastWidth && p.root.height >= leastHeight {
			safeScreen(t, p, p.root.width, p.root.height)
		}
		if t.Failed() {
			t.Fatalf("after message %d, %T", i, msg)
		}
	}
	t.Logf("slowest update %v", slowest)
	if slowest > 2*time.Second { // nothing waits in it, under the race detector on a busy machine either
		t.Errorf("an update took %v", slowest)
	}
	if n := w.stray.Load(); n != 0 {
		t.Errorf("%d calls of a service outside a command", n)
	}
}

// clipboard decodes what was sent to the terminal, the multiplexer's wrapping
// taken off.
func clipboard(t *testing.T, sent string) string {
	t.Helper()
	_, rest, ok := strings.Cut(sent, "]52;c;")
	end := strings.IndexAny(rest, "\x07\x1b")
	if !ok || end < 0 {
		t.Fatalf("no clipboard sequence in %q", sent)
	}
	text, err := base64.StdEncoding.DecodeString(rest[:end])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestCopy(t *testing.T) {
	f := func(key, want string) {
		t.Helper()
		p := newProgram(t, newWorld(hostile()...), 80, 24)
		p.keys("y", key)
		got := clipboard(t, p.out.String())
		if !strings.Contains(got, want) {
			t.Errorf("%s copied %q, want %q in it", key, got, want)
		}
		for _, r := range got {
			if r < 0x20 && r != '\n' || r >= 0x7f && r <= 0x9f || r == '\u202e' {
				t.Errorf("%s copied %U: %q", key, r, got)
			}
		}
		p.shows("Copied")
	}
	f("s", "^[[31mred^[[0m@acme.example")
	f("c", "bob@corp.example")
	f("r", "451 4.7.1 line one")
	f("l", "reject: ^[[2J")
	f("t", "WHAT HELPS:    bypass")
	f("m", "-0123456789abcdef-0406")
}

func TestCopyThroughTmux(t *testing.T) {
	p := newProgram(t, newWorld(samples(3)...), 80, 24, func(o *Options) { o.Environ = append(o.Environ, "TMUX=/tmp/tmux,1,0") })
	p.keys("y", "s")
	if got := p.out.String(); !strings.HasPrefix(got, "\x1bPtmux;\x1b\x1b]52;") || !strings.HasSuffix(got, "\x1b\\") {
		t.Errorf("%q", got)
	}
}

func TestPastesAreForTextAlone(t *testing.T) {
	w := newWorld(samples(3)...)
	p := newProgram(t, w, 80, 24)
	p.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("q"), Paste: true})
	p.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("bT-1"), Paste: true})
	if p.quit || len(p.root.stack) != 0 {
		t.Error("pasted text was taken as keys")
	}
	p.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("jb")})
	if _, ok := p.root.top().(*sheet); !ok {
		t.Error("keys that came together were lost")
	}
}
