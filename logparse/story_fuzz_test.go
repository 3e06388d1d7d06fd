package logparse

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"mailwhy/engine/mail"
)

// FuzzStories reads any bytes as the logs of two gateways that hand messages to
// one another and asks what must hold for every pair: what a message says of
// the other gateway stands in that gateway's log, and a restart between the two
// changes nothing.
func FuzzStories(f *testing.F) {
	cases, _ := filepath.Glob("testdata/story/*.txtar")
	if len(cases) == 0 {
		f.Fatal("no cases")
	}
	for _, path := range cases {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		logs := archive.Files[:len(archive.Files)-1]
		f.Add(logs[0].Data, logs[len(logs)-1].Data)
	}
	f.Fuzz(func(t *testing.T, one, other []byte) {
		logs := []txtar.File{{Name: "one.log", Data: append([]byte("one\n"), one...)}, {Name: "other.log", Data: append([]byte("other\n"), other...)}}
		whole := readStory(t, logs, false)
		for _, m := range whole {
			checkLines(t, logs, m.Evidence)
			for _, h := range m.Hops {
				checkLines(t, logs, h.Evidence)
				checkHop(t, h)
			}
		}
		if d := cmp.Diff(whole, readStory(t, logs, true)); d != "" {
			t.Errorf("with a restart between the logs: %s", d)
		}
	})
}

// checkLines asks that each line of evidence stands where it says.
func checkLines(t *testing.T, logs []txtar.File, evidence []mail.Evidence) {
	t.Helper()
	for _, e := range evidence {
		var line []byte
		for _, log := range logs {
			if log.Name == e.File && e.Offset >= 0 && e.Offset < int64(len(log.Data)) {
				line = log.Data[e.Offset:]
			}
		}
		if end := bytes.IndexAny(line, "\r\n"); end >= 0 {
			line = line[:end]
		}
		if line == nil || text(line) != e.Text {
			t.Fatalf("%s has %q at %d, evidence says %q", e.File, line, e.Offset, e.Text)
		}
	}
}

// checkHop asks that what a hop says stands in its lines.
func checkHop(t *testing.T, h mail.Hop) {
	t.Helper()
	if len(h.Evidence) == 0 && h.Join == mail.ByNotification && h.QueueID != "" && h.Outcome == "" {
		return // the id alone is known: the log that fails names it
	}
	if len(h.Evidence) == 0 && h.Join == mail.ByTriplet && h.QueueID != "" && h.Outcome == mail.Deferred {
		return // its lines are the message's own
	}
	if len(h.Evidence) == 0 || len(h.Evidence) > maxEvidence || h.Join == "" || h.Format == "" {
		t.Fatalf("a hop is incomplete: %+v", h)
	}
	var all strings.Builder
	for _, e := range h.Evidence {
		all.WriteString(e.Text + "\n")
	}
	said := unquoted(all.String() + insideOf(all.String()))
	for _, fact := range []string{h.QueueID, strings.Trim(h.MessageID, "<>")} {
		if len(h.Evidence) < maxEvidence && !strings.Contains(said, fact) {
			t.Fatalf("%q stands nowhere in %+v", fact, h)
		}
	}
}
