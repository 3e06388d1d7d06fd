package tui

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailwhy/engine/mail"
	"mailwhy/tui/cell"
)

var update = flag.Bool("update", false, "write the golden screens")

// hostile are rows as attackers and far-away people write them.
func hostile() []mail.Message {
	rows := samples(406)[:6]
	rows[0].EnvelopeFrom = "\x1b[31mred\x1b[0m@acme.example"
	rows[0].Subject = "\u202egpj.exe\x1b]52;c;aGk=\x07 \r overwritten"
	rows[0].Reply.Text = "line one\r\nline two \u009b2J \x9b"
	rows[1].EnvelopeFrom, rows[1].HeaderFromName = "山田太郎@例え.example", "山田\u200b太郎"
	rows[1].Reported.Type = "グレーリスト \u2066x\u2069"
	rows[2].Recipient = "שלום@corp.example"
	rows[3].EnvelopeFrom, rows[3].Recipient = "", ""
	rows[3].Reply = mail.Reply{}
	rows[4].EnvelopeFrom = mail.Path("z" + strings.Repeat("\u0301", 20) + strings.Repeat("x", 3000) + "@acme.example")
	rows[0].Evidence[0].Text = "reject: \x1b[2J\x1b[H helo=<\u202e>" + strings.Repeat("A", 300)
	rows[5].Outcome, rows[5].Last = mail.Delivered, rows[5].Time.Add(6*60e9)
	return rows
}

// safeScreen fails the test when a view is not exactly the terminal's size or
// holds anything a terminal would obey. The tests' terminal has no colours, so
// no escape has a place in it.
func safeScreen(t *testing.T, p *program, width, height int) string {
	t.Helper()
	view := p.root.View()
	lines := strings.Split(view, "\n")
	if len(lines) != height {
		t.Errorf("%d lines, want %d:\n%s", len(lines), height, view)
	}
	for _, line := range lines {
		if got := cell.Width(line); got != width {
			t.Errorf("%d cells, want %d: %q", got, width, line)
		}
		if cell.Clean(line) != line {
			t.Errorf("not clean: %q", line)
		}
	}
	return view
}

func TestScreens(t *testing.T) {
	sizes := map[string][2]int{"80x24": {80, 24}, "120x40": {120, 40}, "60x20": {60, 20}}
	for name, size := range sizes {
		f := func(screen string, w *world, keys ...string) {
			t.Helper()
			p := newProgram(t, w, size[0], size[1])
			w.sources = []SourceStatus{
				{Path: "/var/log/maillog", Format: "postfix", Lines: 1234567, LastLine: noon, Unrecognised: 1, Samples: rowsEvidence(hostile()[0])},
				{Path: "/var/log/gone\x1b.log", Problem: "the file cannot be read: permission denied"},
			}
			p.run(p.root.readSources())
			p.keys(keys...)
			golden(t, filepath.Join("testdata", screen+"-"+name+".txt"), safeScreen(t, p, size[0], size[1]))
		}
		f("messages", newWorld(samples(40)...))
		f("hostile", newWorld(hostile()...))
		f("hostile-message", newWorld(hostile()...), "enter", "G", "enter")
		f("message", newWorld(samples(40)...), "enter")
		f("empty", newWorld())
		f("query", newWorld(samples(40)...), "/", "ctrl+u", "acme")
		f("bypass", newWorld(samples(40)...), "b")
		f("made", newWorld(samples(40)...), "b", "T-42", "enter", "enter", "right", "enter")
		f("managed", newWorld(samples(40)...), "m")
		f("exceptions", newWorld(samples(40)...), "b", "T-42", "enter", "enter", "right", "enter", "2", "enter")
		f("sources", newWorld(samples(4)...), "3")
		reading := newWorld(samples(4)...)
		reading.backlog = Backlog{Read: 120_000_000, Total: 480_000_000, Rate: 50_200_000, Left: 7 * time.Second}
		f("reading", reading, "3")
		f("policies", newWorld(samples(4)...), "4")
		f("policy", newWorld(samples(4)...), "4", "enter")
		f("causes", newWorld(samples(40)...), "5")
		f("cause", newWorld(manyOfOneCause()...), "5", "b")
		f("unseen", newWorld(samples(4)...), "/", "ctrl+u", "from:carol@acme.example to:bob@corp.example", "enter", "n")
		f("samples", newWorld(samples(4)...), "3", "j", "enter")
		f("copy", newWorld(samples(4)...), "y")
		f("help", newWorld(samples(4)...), "?")
	}
}

// manyOfOneCause are refusals of one domain, of several senders.
func manyOfOneCause() []mail.Message {
	var rows []mail.Message
	for _, m := range samples(40) {
		if m.EnvelopeFrom == "alice@acme.example" {
			m.EnvelopeFrom = []mail.Path{"alice@acme.example", "bill@acme.example"}[len(rows)%2]
			rows = append(rows, m)
		}
	}
	return rows
}

func rowsEvidence(m mail.Message) []mail.Evidence { return m.Evidence }

func golden(t *testing.T, path, got string) {
	t.Helper()
	got += "\n"
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s:\n%s", path, diff)
	}
}

// With ASCII asked for, or a dumb terminal, the frame has no other glyph.
func TestASCII(t *testing.T) {
	f := func(change func(*Options)) {
		t.Helper()
		for _, keys := range [][]string{{}, {"enter"}, {"b"}, {"2"}, {"3"}, {"4", "enter"}, {"5"}, {"n"}, {"n", "a", "enter"}, {"?"}, {"y"}, {"/", "a"}, {":"}} {
			p := newProgram(t, newWorld(samples(4)...), 80, 24, change)
			p.keys(keys...)
			for _, r := range p.root.View() {
				if r > 0x7e {
					t.Errorf("%v: %q on the screen", keys, r)
					break
				}
			}
		}
	}
	f(func(o *Options) { o.ASCII = true })
	f(func(o *Options) { o.Environ = []string{"TERM=dumb"} })
	f(func(o *Options) { o.Environ = []string{"TERM=xterm", "NO_COLOR=1", "LANG=C"} })
}

func TestColours(t *testing.T) {
	f := func(want bool, env ...string) {
		t.Helper()
		p := newProgram(t, newWorld(samples(4)...), 80, 24, func(o *Options) { o.Environ = env })
		if got := strings.Contains(p.root.View(), "\x1b["); got != want {
			t.Errorf("%v: colours %t, want %t", env, got, want)
		}
	}
	f(true, "TERM=xterm-256color", "LANG=C.UTF-8")
	f(true, "TERM=xterm-256color", "CI=1")
	f(true, "TERM=xterm-256color", "NO_COLOR=")
	f(false, "TERM=xterm-256color", "NO_COLOR=1")
	f(false, "TERM=dumb")
	f(false)
}
