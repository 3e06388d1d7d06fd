package engine

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"mailwhy/engine/mail"
)

// TestCases runs the cases of testdata/*.txtar. A case is a policy file, a
// message in a file named after what it shows, and what must be said about it:
//
//	-- policy.yaml --
//	-- what it shows.msg --  lines "key: value", see messageOf; or .json
//	-- want --               lines of summary; "never x" = no line begins with x
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { runCases(t, file) })
	}
}

func runCases(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var set *Set
	var message mail.Message
	var name string
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, f := range archive.Files {
		switch {
		case f.Name == "policy.yaml":
			if set, err = Load("policy.yaml", f.Data); err != nil {
				t.Fatal(err)
			}
		case strings.HasSuffix(f.Name, ".msg"):
			name, message = f.Name, messageOf(t, f.Name, string(f.Data))
		case strings.HasSuffix(f.Name, ".json"):
			name, message = f.Name, mail.Message{}
			if err := json.Unmarshal(f.Data, &message); err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
		case f.Name == "want":
			got := summary(Why(set, &message, time.Time{}, now))
			for want := range strings.SplitSeq(strings.TrimSpace(string(f.Data)), "\n") {
				unwanted, never := strings.CutPrefix(want, "never ")
				is := slices.ContainsFunc(got, func(line string) bool {
					return line == want || never && strings.HasPrefix(line, unwanted)
				})
				if is == never {
					t.Errorf("%s:\nwant %s\ngot:\n\t%s", name, want, strings.Join(got, "\n\t"))
				}
			}
		default:
			t.Fatalf("%s: what is %q for?", file, f.Name)
		}
	}
}

// messageOf reads a message in the words of a log.
func messageOf(t *testing.T, name, text string) mail.Message {
	t.Helper()
	m := mail.Message{}
	when := func(value string) time.Time {
		at, err := time.Parse(time.RFC3339, value)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return at
	}
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		key, value, _ := strings.Cut(line, ": ")
		switch key {
		case "from":
			m.EnvelopeFrom = mail.Path(value)
		case "header":
			m.HeaderFrom = mail.Path(value)
		case "both":
			m.EnvelopeFrom, m.HeaderFrom = mail.Path(value), mail.Path(value)
		case "name":
			m.HeaderFromName = value
		case "to":
			m.Recipient = mail.Path(value)
		case "client":
			m.Client.IP = value
		case "time":
			m.Time = when(value)
		case "last":
			m.Last = when(value)
		case "outcome":
			m.Outcome = mail.Outcome(value)
		case "phase":
			m.Phase = mail.Phase(value)
		case "reply":
			code, words, _ := strings.Cut(value, " ")
			if _, err := fmt.Sscan(code, &m.Reply.Code); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			m.Reply.Text = words
		case "type":
			m.Reported.Type = value
		case "detail":
			m.Reported.Detail = value
		case "spf":
			m.Auth.SPF = value
		case "dkim":
			m.Auth.DKIM = value
		case "dmarc":
			m.Auth.DMARC = value
		default:
			t.Fatalf("%s: what is %q for?", name, key)
		}
	}
	return m
}

// summary is a trace in lines a mail administrator can read.
func summary(t Trace) []string {
	var lines []string
	verdict := func(key string, v Verdict) {
		text := key + " undetermined"
		if v.Outcome != nil {
			text = fmt.Sprintf("%s %s %s %s %s %s", key, *v.Outcome, v.Stage, v.Moment, v.Policy, v.Certainty)
		}
		lines = append(lines, strings.Join(strings.Fields(text), " "))
	}
	verdict("verdict", t.Verdict)
	if t.VerdictNow != nil {
		verdict("now", *t.VerdictNow)
	}
	if len(t.Verdict.Missing) > 0 {
		lines = append(lines, "missing "+strings.Join(t.Verdict.Missing, " "))
	}
	if t.Verdict.Ambiguous {
		lines = append(lines, "tied "+strings.Join(t.Verdict.Tied, " "))
	}
	lines = append(lines, fmt.Sprintf("depends_on_compare %v", t.Verdict.DependsOnCompare))
	for _, a := range t.Verdict.Assumes {
		lines = append(lines, "assumes "+a)
	}
	lines = append(lines, "agreement "+string(t.Agreement.Result), "detail "+t.Agreement.Detail)
	for _, s := range t.Steps {
		winner := ""
		if s.Winner != nil {
			winner = *s.Winner
		}
		at := fmt.Sprintf("%s %s", s.Moment, s.Stage)
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("step %s %s %s", at, s.Outcome, winner)), fmt.Sprintf("others %s %d", at, s.NotMatching))
		if s.Because != "" {
			lines = append(lines, fmt.Sprintf("because %s: %s", at, s.Because))
		}
		for _, p := range s.Policies {
			matched := "unknown"
			if p.Matched != nil {
				matched = map[bool]string{true: "matches", false: "does not match"}[*p.Matched]
			}
			lines = append(lines, fmt.Sprintf("%s %s %s", at, p.ID, matched), fmt.Sprintf("%s %s: %s", at, p.ID, p.Because), fmt.Sprintf("%s %s rank %v", at, p.ID, p.Rank))
		}
	}
	for _, r := range t.Remedies {
		works := "perhaps"
		if r.Works != nil {
			works = map[bool]string{true: "works", false: "useless"}[*r.Works]
		}
		lines = append(lines, fmt.Sprintf("%s %s %s", works, r.Kind, r.Scope))
	}
	return lines
}
