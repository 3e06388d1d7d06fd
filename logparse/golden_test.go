package logparse

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailwhy/engine/mail"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// written is when the sample logs were last written to.
var written = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

// parse reads a whole log at once.
func parse(o Options, s Source, data []byte) (map[string]mail.Message, Stats) {
	p := NewParser(o)
	if s.ID == "" {
		s.ID = SourceID(data[:max(bytes.IndexByte(data, '\n'), 0)])
	}
	st := p.Open(s)
	st.Feed(0, data, true)
	return drain(p, nil), st.Stats()
}

// drain puts the newest state of each message into have.
func drain(p *Parser, have map[string]mail.Message) map[string]mail.Message {
	if have == nil {
		have = map[string]mail.Message{}
	}
	p.Drain(func(m mail.Message) { have[m.ID] = m })
	return have
}

// inOrder returns messages by id, which is by time.
func inOrder(messages map[string]mail.Message) []mail.Message {
	var list []mail.Message
	for _, m := range messages {
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b mail.Message) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// TestSampleLogs compares the messages of every sample log of this package's
// formats with testdata/<format>/<case>.golden: the messages as JSON, then the
// failing lines that were not recognised.
func TestSampleLogs(t *testing.T) {
	logs, err := filepath.Glob("../sample-logs/*/*.log")
	if err != nil || len(logs) == 0 {
		t.Fatalf("no sample logs: %v", err)
	}
	for _, path := range logs {
		format := filepath.Base(filepath.Dir(path))
		name := strings.TrimSuffix(filepath.Base(path), ".log")
		golden := filepath.Join("testdata", format, name+".golden")
		if _, err := os.Stat(golden); err != nil && (!*update || strings.HasPrefix(format, "mimecast")) {
			continue // a format that has its own test
		}
		t.Run(format+"/"+name, func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			messages, stats := parse(Options{}, Source{Name: filepath.Base(path), ModTime: written}, data)
			var got bytes.Buffer
			enc := json.NewEncoder(&got)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", " ")
			for _, m := range inOrder(messages) {
				if err := enc.Encode(m); err != nil {
					t.Fatal(err)
				}
			}
			for _, e := range stats.Unrecognised {
				fmt.Fprintf(&got, "unrecognised at %d: %q\n", e.Offset, e.Text)
			}
			if *update {
				if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got.String()); d != "" {
				t.Errorf("messages differ from %s (-want +got; go test -update writes it anew):\n%s", golden, d)
			}
		})
	}
}
