package logparse

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailwhy/engine/mail"

	"github.com/google/go-cmp/cmp"
)

// FuzzPostfix reads any bytes as a Postfix log and asks what must hold for
// every log: evidence points at its lines, outcomes and codes stand in the
// evidence, and neither the size of the pieces nor a restart in between
// changes a message.
func FuzzPostfix(f *testing.F) {
	logs, _ := filepath.Glob("../sample-logs/postfix/*.log")
	for _, path := range logs {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for len(data) > 0 { // pieces, so that mutations reach the parser and not only the splitter
			n := min(len(data), 3000)
			f.Add(data[:n], uint(n/2))
			data = data[n:]
		}
	}
	f.Add([]byte("to=<, status=deferred (\nNOQUEUE: reject: RCPT from \r1234: reject: \x00\xff; from=<"), uint(9))
	f.Fuzz(func(t *testing.T, data []byte, cut uint) {
		source := Source{ID: "0123456789abcdef", Name: "mail.log", Format: "postfix", ModTime: written}
		whole, _ := parse(Options{}, source, data)
		checkEvidence(t, data, whole)
		at := int(cut % uint(len(data)+1))
		if d := cmp.Diff(whole, parseCut(t, source, data, at, false)); d != "" {
			t.Errorf("fed in two pieces, cut at %d: %s", at, d)
		}
		if d := cmp.Diff(whole, parseCut(t, source, data, at, true)); d != "" {
			t.Errorf("restored at %d: %s", at, d)
		}
	})
}

// parseCut reads data in two pieces, with a new parser for the second if
// restart is set.
func parseCut(t *testing.T, source Source, data []byte, at int, restart bool) map[string]mail.Message {
	t.Helper()
	p := NewParser(Options{})
	s := p.Open(source)
	used := s.Feed(0, data[:at], false)
	if used > at {
		t.Fatalf("Feed used %d of %d bytes", used, at)
	}
	got := drain(p, nil)
	if restart {
		state, err := p.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		p = NewParser(Options{})
		if err := p.Restore(state); err != nil {
			t.Fatal(err)
		}
		s = p.Open(source)
	}
	s.Feed(int64(used), data[used:], true)
	return drain(p, got)
}

func checkEvidence(t *testing.T, data []byte, messages map[string]mail.Message) {
	t.Helper()
	for id, m := range messages {
		if m.ID != id || len(m.Evidence) == 0 || len(m.Evidence) > maxEvidence || m.Outcome == "" || m.Phase == "" {
			t.Fatalf("message %s is incomplete: %+v", id, m)
		}
		var all strings.Builder
		for _, e := range m.Evidence {
			if e.Offset < 0 || e.Offset >= int64(len(data)) {
				t.Fatalf("%s: offset %d outside of %d bytes", id, e.Offset, len(data))
			}
			line := data[e.Offset:]
			if end := bytes.IndexAny(line, "\r\n"); end >= 0 {
				line = line[:end]
			}
			if got := text(line); got != e.Text {
				t.Fatalf("%s: at offset %d stands %q, evidence says %q", id, e.Offset, got, e.Text)
			}
			if before := e.Offset - 1; before >= 0 && data[before] != '\n' && data[before] != '\r' {
				t.Fatalf("%s: offset %d is inside of a line", id, e.Offset)
			}
			all.WriteString(e.Text + "\n" + insideOf(e.Text))
		}
		checkNotInvented(t, &m, all.String())
	}
}

// insideOf is the line that a collector's is around, "" where it is none.
func insideOf(line string) string {
	if line == "" {
		return ""
	}
	inner, ok := unwrapped([]byte(line))
	if !ok {
		return ""
	}
	return text(inner) + "\n"
}

// checkNotInvented asks that each fact stands in the evidence.
func checkNotInvented(t *testing.T, m *mail.Message, evidence string) {
	t.Helper()
	words := map[mail.Outcome][]string{
		mail.Rejected:  {"reject: ", "size limit exceeded"},
		mail.Deferred:  {"reject: ", "status=deferred", "status=SOFTBOUNCE", "status=undeliverable", "try again later"},
		mail.Bounced:   {"status=bounced", "status=undeliverable"},
		mail.Expired:   {"expired"},
		mail.Held:      {"hold"},
		mail.Discarded: {"discard: "},
		mail.Delivered: {"status=sent"},
	}
	said := false
	for _, w := range words[m.Outcome] {
		said = said || strings.Contains(evidence, w)
	}
	if !said {
		t.Fatalf("outcome %s stands nowhere in:\n%s", m.Outcome, evidence)
	}
	facts := []string{m.Client.IP, m.Client.Name, m.Client.Helo, string(m.Recipient), string(m.EnvelopeFrom), m.MessageID, m.Reply.Enhanced,
		m.Reported.Rule, m.Subject, m.QueueID, string(m.OriginalRecipient), m.Remote.IP, m.Remote.Name}
	for _, fact := range facts {
		if !strings.Contains(evidence, fact) && fact != "proxy-reject" {
			t.Fatalf("%q stands nowhere in:\n%s", fact, evidence)
		}
	}
}

// TestSnapshotAnywhere restarts between any two pieces of every sample log.
func TestSnapshotAnywhere(t *testing.T) {
	logs, _ := filepath.Glob("../sample-logs/postfix/*.log")
	for _, path := range logs {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		source := Source{ID: "0123456789abcdef", Name: "mail.log", ModTime: written}
		whole, _ := parse(Options{}, source, data)
		step := max(1, len(data)/200)
		for at := 0; at <= len(data); at += step {
			if d := cmp.Diff(whole, parseCut(t, source, data, at, true)); d != "" {
				t.Fatalf("%s restored at %d: %s", path, at, d)
			}
		}
	}
}
