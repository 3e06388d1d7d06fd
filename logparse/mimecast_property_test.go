package logparse

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mailwhy/engine/mail"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// FuzzMimecastV1 asks of any bytes read as v1 what must hold for every log.
func FuzzMimecastV1(f *testing.F) { fuzzMimecast(f, mimecastV1) }

// FuzzMimecastV2 asks the same of v2.
func FuzzMimecastV2(f *testing.F) { fuzzMimecast(f, mimecastV2) }

func fuzzMimecast(f *testing.F, format string) {
	for _, data := range mimecastLogs(f, format) {
		f.Add(data, uint(len(data)/2))
		for _, line := range bytes.SplitAfter(data, []byte("\n")) {
			f.Add(line, uint(len(line)/3))
		}
	}
	f.Add([]byte(`datetime=|aCode=\|Act=Rej|RejCode=`+"\r\x00|=|Subject=\xff|Act="), uint(7))
	f.Add([]byte(`{"aggregateId":"\ud83d\u","type":"receipt","action":"Rej","spamProcessingDetail":"\"{\\\"spf"`), uint(30))
	f.Fuzz(func(t *testing.T, data []byte, cut uint) {
		source := Source{ID: "0123456789abcdef", Name: "siem.log", Format: format, ModTime: written}
		whole, _ := parse(Options{}, source, data)
		checkMimecast(t, data, whole)
		at := int(cut % uint(len(data)+1))
		if d := cmp.Diff(whole, parseCut(t, source, data, at, false)); d != "" {
			t.Errorf("fed in two pieces, cut at %d: %s", at, d)
		}
		if d := cmp.Diff(whole, parseCut(t, source, data, at, true)); d != "" {
			t.Errorf("restored at %d: %s", at, d)
		}
	})
}

// mimecastLogs returns the sample logs of a format by name.
func mimecastLogs(tb testing.TB, format string) map[string][]byte {
	tb.Helper()
	logs := map[string][]byte{}
	paths, _ := filepath.Glob("../sample-logs/" + format + "/*.log")
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			tb.Fatal(err)
		}
		logs[filepath.Base(path)] = data
	}
	if len(logs) == 0 {
		tb.Fatalf("no sample logs of %s", format)
	}
	return logs
}

// checkMimecast asks that evidence points at its line and that neither the
// outcome nor the code is invented.
func checkMimecast(t *testing.T, data []byte, messages map[string]mail.Message) {
	t.Helper()
	said := map[mail.Outcome][]string{
		mail.Rejected:  {"rej"},
		mail.Deferred:  {"rej", "false", "no", "0"},
		mail.Bounced:   {"b", "rej", "false", "no", "0"},
		mail.Expired:   {"expired", "retr"},
		mail.Held:      {"h"},
		mail.Discarded: {"d"},
		mail.Delivered: {"true", "yes", "1"},
	}
	for id, m := range messages {
		if m.ID != id || len(m.Evidence) == 0 || m.Outcome == "" || m.Phase == "" || m.Direction == "" || m.Format == "" || m.Attempts < 1 {
			t.Fatalf("message %s is incomplete: %+v", id, m)
		}
		var all strings.Builder
		for _, e := range m.Evidence {
			line := data[e.Offset:]
			if end := bytes.IndexAny(line, "\r\n"); end >= 0 {
				line = line[:end]
			}
			if text(line) != e.Text || e.Offset > 0 && data[e.Offset-1] != '\n' && data[e.Offset-1] != '\r' {
				t.Fatalf("%s: at offset %d stands %q, evidence says %q", id, e.Offset, line, e.Text)
			}
			all.WriteString(strings.ToLower(e.Text))
		}
		if !slices.ContainsFunc(said[m.Outcome], func(word string) bool { return strings.Contains(all.String(), word) }) {
			t.Fatalf("outcome %s stands nowhere in:\n%s", m.Outcome, all.String())
		}
		if m.Reply.Code != 0 && !strings.Contains(all.String(), fmt.Sprint(m.Reply.Code)) && !strings.Contains(all.String(), `\u`) {
			t.Fatalf("code %d stands nowhere in:\n%s", m.Reply.Code, all.String())
		}
		if m.Outcome == mail.Rejected && m.Reply.Temporary() || m.Outcome == mail.Deferred && m.Reply.Permanent() {
			t.Fatalf("%s with code %d", m.Outcome, m.Reply.Code)
		}
	}
}

// TestMimecastSnapshotAnywhere restarts between any two pieces of every sample log.
func TestMimecastSnapshotAnywhere(t *testing.T) {
	for _, format := range []string{mimecastV1, mimecastV2} {
		for name, data := range mimecastLogs(t, format) {
			source := Source{ID: "0123456789abcdef", Name: name, ModTime: written}
			whole, _ := parse(Options{}, source, data)
			for at := 0; at <= len(data); at += max(1, len(data)/150) {
				if d := cmp.Diff(whole, parseCut(t, source, data, at, true)); d != "" {
					t.Fatalf("%s restored at %d: %s", name, at, d)
				}
			}
		}
	}
}

// TestMimecastAnyOrder reads the lines of each sample log backwards: what is
// said of a message does not depend on which of its files was read first.
// Attempts aside: what came before an end that is known is not counted twice.
// Nor what was greylisted: its retry is known by coming after it.
func TestMimecastAnyOrder(t *testing.T) {
	for _, format := range []string{mimecastV1, mimecastV2} {
		for name, data := range mimecastLogs(t, format) {
			lines := bytes.FieldsFunc(data, func(r rune) bool { return r == '\r' || r == '\n' })
			read := func(lines [][]byte) []mail.Message {
				messages, _ := parse(Options{}, Source{ID: "0123456789abcdef", Name: name}, append(bytes.Join(lines, []byte("\n")), '\n'))
				list := slices.DeleteFunc(inOrder(messages), func(m mail.Message) bool {
					return slices.ContainsFunc(m.Evidence, func(e mail.Evidence) bool { return strings.Contains(e.Text, "Internal resource") })
				})
				slices.SortFunc(list, func(a, b mail.Message) int {
					return strings.Compare(a.QueueID+string(a.Recipient)+string(a.EnvelopeFrom)+string(a.Outcome), b.QueueID+string(b.Recipient)+string(b.EnvelopeFrom)+string(b.Outcome))
				})
				return list
			}
			forward := read(lines)
			slices.Reverse(lines)
			backward := read(lines)
			identity := cmpopts.IgnoreFields(mail.Message{}, "ID", "Time", "Evidence", "QueueID")
			if d := cmp.Diff(forward, backward, identity); d != "" {
				t.Errorf("%s read backwards (-forward +backward):\n%s", name, d)
			}
		}
	}
}
