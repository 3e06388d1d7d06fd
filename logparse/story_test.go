package logparse

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"mailwhy/engine/mail"
)

// TestStories reads the logs of each testdata/story/*.txtar in their order,
// backwards, and with a restart after each: whichever way, the messages and
// what the other gateways tell of them are those of its "want".
func TestStories(t *testing.T) {
	cases, _ := filepath.Glob("testdata/story/*.txtar")
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			logs, want := archive.Files[:len(archive.Files)-1], string(archive.Files[len(archive.Files)-1].Data)
			backwards := slices.Clone(logs)
			slices.Reverse(backwards)
			got := storyText(readStory(t, logs, false))
			if *update {
				archive.Files[len(archive.Files)-1].Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				want = got
			}
			for _, way := range []struct{ name, got string }{
				{"in order", got}, {"backwards", storyText(readStory(t, backwards, false))}, {"with restarts", storyText(readStory(t, logs, true))},
			} {
				if d := cmp.Diff(want, way.got); d != "" {
					t.Errorf("read %s (-want +got):\n%s", way.name, d)
				}
			}
		})
	}
}

// readStory reads several logs with one parser, or with one that is restored
// before each.
func readStory(t *testing.T, logs []txtar.File, restart bool) []mail.Message {
	t.Helper()
	p := NewParser(Options{Join: true})
	have := map[string]mail.Message{}
	for _, log := range logs {
		if restart {
			snapshot, err := p.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			p = NewParser(Options{})
			if err := p.Restore(snapshot); err != nil {
				t.Fatal(err)
			}
		}
		first, _, _ := strings.Cut(string(log.Data), "\n")
		p.Open(Source{ID: SourceID([]byte(first)), Name: log.Name, ModTime: written}).Feed(0, log.Data, true)
		drain(p, have)
	}
	return inOrder(have)
}

// storyText is a message a line, with what other gateways tell of it behind it.
func storyText(messages []mail.Message) string {
	var b strings.Builder
	told := func(format, gateway, queueID string, outcome mail.Outcome, lines []mail.Evidence) {
		where := map[string]int{}
		for _, e := range lines {
			where[e.File]++
		}
		fmt.Fprintf(&b, "%s %s %s %s %v", outcome, format, gateway, queueID, where)
	}
	for _, m := range messages {
		fmt.Fprintf(&b, "%s %s -> %s: ", m.Time.Format("02 15:04:05"), m.EnvelopeFrom, m.Recipient)
		told(m.Format, m.Gateway, m.QueueID, m.Outcome, m.Evidence)
		if m.Attempts > 1 {
			fmt.Fprintf(&b, " %d attempts", m.Attempts)
		}
		if m.Outcome == mail.Delivered {
			fmt.Fprintf(&b, " after %s", m.Last.Sub(m.Time))
		}
		b.WriteByte('\n')
		for _, h := range m.Hops {
			fmt.Fprintf(&b, "  %s ", h.Time.Format("02 15:04:05"))
			told(h.Format, h.Gateway, h.QueueID, h.Outcome, h.Evidence)
			fmt.Fprintf(&b, " by %s\n", h.Join)
		}
	}
	return b.String()
}

// TestHopsAreBounded: the oldest hop that nothing has joined yet goes first,
// and is counted while something still could join it.
func TestHopsAreBounded(t *testing.T) {
	p := NewParser(Options{Join: true, Hops: 2})
	passing := p.Open(Source{ID: "1", Name: "filter.log", ModTime: written})
	failing := p.Open(Source{ID: "2", Name: "mx1.log", ModTime: written})
	var filter, mx strings.Builder
	for i := range 3 {
		fmt.Fprintf(&filter, "Nov 20 10:00:0%d filter amavis[7]: (00007-0%d) Passed CLEAN {RelayedInbound}, [192.0.2.1]:1 <a@vendor.example> -> <b@corp.example>, Queue-ID: Q%d, Message-ID: <%d@vendor.example>, Hits: 0\n", i, i, i, i)
	}
	passing.Feed(0, []byte(filter.String()), true)
	drain(p, nil)
	for i := range 3 {
		fmt.Fprintf(&mx, "Nov 20 10:00:1%d mx1 postfix/cleanup[9]: AAAAA%d: message-id=<%d@vendor.example>\n", i, i, i)
		fmt.Fprintf(&mx, "Nov 20 10:00:1%d mx1 postfix/smtp[9]: AAAAA%d: to=<b@corp.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (timed out)\n", i, i)
	}
	failing.Feed(0, []byte(mx.String()), true)
	joined := ""
	for _, m := range inOrder(drain(p, nil)) {
		for _, h := range m.Hops {
			joined += m.QueueID + "=" + h.QueueID + " "
		}
	}
	if want := "AAAAA1=Q1 AAAAA2=Q2 "; joined != want {
		t.Errorf("joined %q, want %q", joined, want)
	}
	if n := len(p.stories.order); n != 2 || p.LetGo() != 4 {
		t.Errorf("%d remembered, %d let go, want 2 and 4", n, p.LetGo())
	}
}
