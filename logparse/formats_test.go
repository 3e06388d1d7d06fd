package logparse

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"mailwhy/engine/mail"

	"github.com/google/go-cmp/cmp"
)

// fuzzFormat reads any bytes as a log of a format and asks what must hold for
// every log: evidence points at its lines, what a message says stands in its
// evidence, and neither the size of the pieces nor a restart in between
// changes a message.
func fuzzFormat(f *testing.F, format string) {
	logs, _ := filepath.Glob("../sample-logs/" + format + "/*.log")
	if len(logs) == 0 {
		f.Fatalf("no sample logs of %s", format)
	}
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
	f.Fuzz(func(t *testing.T, data []byte, cut uint) {
		source := Source{ID: "0123456789abcdef", Name: "mail.log", Format: format, ModTime: written}
		whole, _ := parse(Options{}, source, data)
		checkSaid(t, data, whole)
		at := int(cut % uint(len(data)+1))
		if d := cmp.Diff(whole, parseCut(t, source, data, at, false)); d != "" {
			t.Errorf("fed in two pieces, cut at %d: %s", at, d)
		}
		if d := cmp.Diff(whole, parseCut(t, source, data, at, true)); d != "" {
			t.Errorf("restored at %d: %s", at, d)
		}
	})
}

// TestEveryFormatAnywhere cuts every sample log at some two hundred places,
// and goes on with the same parser and with one restored from a snapshot.
func TestEveryFormatAnywhere(t *testing.T) {
	logs, _ := filepath.Glob("../sample-logs/*/*.log")
	for _, path := range logs {
		t.Run(path, func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			source := Source{ID: "0123456789abcdef", Name: "mail.log", ModTime: written}
			whole, _ := parse(Options{}, source, data)
			checkSaid(t, data, whole)
			step := max(1, len(data)/200)
			for at := 0; at <= len(data); at += step {
				for _, restart := range []bool{false, true} {
					if d := cmp.Diff(whole, parseCut(t, source, data, at, restart)); d != "" {
						t.Fatalf("cut at %d, restart %v: %s", at, restart, d)
					}
				}
			}
		})
	}
}

// checkSaid asks that evidence points at its line and that facts stand in it.
func checkSaid(t *testing.T, data []byte, messages map[string]mail.Message) {
	t.Helper()
	for id, m := range messages {
		if m.ID != id || len(m.Evidence) == 0 || len(m.Evidence) > maxEvidence || m.Outcome == "" || m.Phase == "" || m.Format == "" || m.Direction == "" {
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
		if len(m.Evidence) < maxEvidence { // beyond it, a fact's line may have been given up
			checkFacts(t, &m, all.String())
		}
	}
}

// lineBreaks are those that Amavis puts into its lines.
var lineBreaks = regexp.MustCompile(`\.\.\.\n.*?\) \.\.\.`)

// unquoted undoes the escapes that formats have: JSON's, CSV's, Exim's.
func unquoted(s string) string {
	s += "\n" + lineBreaks.ReplaceAllString(s, "")
	return s + "\n" + unescapeQuoted(s) + "\n" + text(unescapeJSON([]byte(s))) + "\n" + strings.ReplaceAll(s, `""`, `"`) + "\n" + cefUnescape(s)
}

// checkFacts asks that each fact stands in the evidence.
func checkFacts(t *testing.T, m *mail.Message, evidence string) {
	t.Helper()
	evidence = unquoted(evidence)
	facts := []string{m.Client.IP, m.Client.Name, m.Client.Helo, string(m.Recipient), m.Subject, string(m.OriginalRecipient),
		m.Remote.IP, m.Remote.Name, m.QueueID, strings.Trim(m.MessageID, "<>"), string(m.HeaderFrom), m.HeaderFromName}
	if m.Format == "kumomta" && !strings.Contains(evidence, m.Reply.Enhanced) { // {"class": 5, "subject": 7, "detail": 1}
		facts = append(facts, strings.Split(m.Reply.Enhanced, ".")...)
	} else {
		facts = append(facts, m.Reply.Enhanced)
	}
	if !m.EnvelopeFrom.Null() {
		facts = append(facts, string(m.EnvelopeFrom))
	}
	if m.Reply.Code != 0 {
		facts = append(facts, strconv.Itoa(m.Reply.Code))
	}
	for _, fact := range facts {
		if !strings.Contains(evidence, fact) {
			t.Fatalf("%q stands nowhere in:\n%s\n%+v", fact, evidence, m)
		}
	}
}

// corpusCensus is what the real logs of a format are asked.
type corpusCensus struct {
	format string
	logs   []string // below the folder of corpora
	shapes []failingShape
	except []exception
}

// exception is a line shape that a failing shape would count and why it is no
// failure.
type exception struct {
	line   *regexp.Regexp
	reason string
}

// check asks that 99.5 of 100 failing lines stand in the evidence of a message
// with the outcome they tell, and that no message is called failed without one.
func (c corpusCensus) check(t *testing.T) {
	for _, pattern := range c.logs {
		logs, err := filepath.Glob(corpora(t, filepath.Dir(pattern)) + "/" + filepath.Base(pattern))
		if err != nil || len(logs) == 0 {
			t.Errorf("no corpus matches %s", pattern)
		}
		failing, missing, messages := 0, 0, 0
		for _, path := range logs {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(pattern, "fail2ban/") {
				data = regexp.MustCompile(`(?m)^#.*\n`).ReplaceAll(data, nil)
			}
			if strings.HasSuffix(path, ".ini") { // "log 1 pass = <line>"
				data = regexp.MustCompile(`(?m)^log \d+ \w+ = `).ReplaceAll(data, nil)
			}
			f, m, n := c.file(t, path, data)
			failing, missing, messages = failing+f, missing+m, messages+n
		}
		t.Logf("%s: %d failing lines, %d of them in no message, %d messages", pattern, failing, missing, messages)
		if missing*200 > failing {
			t.Errorf("%s: %d of %d failing lines are in no message of their outcome", pattern, missing, failing)
		}
	}
}

func (c corpusCensus) file(t *testing.T, path string, data []byte) (failing, missing, n int) {
	messages, stats := parse(Options{}, Source{Name: "log", ModTime: written, Format: c.format}, data)
	checkSaid(t, data, messages)
	cited := map[int64][]mail.Message{}
	full := false
	for _, m := range messages {
		full = full || len(m.Evidence) == maxEvidence
		for _, e := range m.Evidence {
			cited[e.Offset] = append(cited[e.Offset], m)
		}
	}
	eachLine(data, func(offset int64, line []byte) {
		for _, except := range c.except {
			if except.line.Match(line) {
				return
			}
		}
		for _, shape := range c.shapes {
			if !shape.line.Match(line) {
				continue
			}
			failing++
			if !said(cited[offset], shape.want) && !(full && len(cited[offset]) == 0) {
				missing++
				if missing <= 5 {
					t.Logf("%s: %s at %d is no message with the outcome %v: %q", filepath.Base(path), shape.name, offset, shape.want, line)
				}
			}
			return
		}
	})
	for id, m := range messages {
		if !m.Outcome.Failing() && m.Outcome != mail.Delivered || !c.saysSo(m) {
			t.Errorf("%s: message %s (%s) has no failing line: %+v", path, id, m.Outcome, m.Evidence)
		}
	}
	for _, e := range stats.Unrecognised[:min(3, len(stats.Unrecognised))] {
		t.Logf("%s: unrecognised: %.300s", filepath.Base(path), e.Text)
	}
	return failing, missing, len(messages)
}

// saysSo reports whether a message cites a line that fails.
func (c corpusCensus) saysSo(m mail.Message) bool {
	for _, e := range m.Evidence {
		for _, shape := range c.shapes {
			if shape.line.MatchString(e.Text) {
				return true
			}
		}
	}
	return false
}
