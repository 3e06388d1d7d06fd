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
//	-- what it shows.json --
//	-- want --              lines of summary
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
		case strings.HasSuffix(f.Name, ".json"):
			name, message = f.Name, mail.Message{}
			if err := json.Unmarshal(f.Data, &message); err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
		case f.Name == "want":
			got := summary(Why(set, &message, time.Time{}, now))
			for want := range strings.SplitSeq(strings.TrimSpace(string(f.Data)), "\n") {
				if !slices.Contains(got, want) {
					t.Errorf("%s:\nwant %s\ngot:\n\t%s", name, want, strings.Join(got, "\n\t"))
				}
			}
		default:
			t.Fatalf("%s: what is %q for?", file, f.Name)
		}
	}
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
	lines = append(lines, "agreement "+string(t.Agreement.Result))
	for _, r := range t.Remedies {
		works := "perhaps"
		if r.Works != nil {
			works = map[bool]string{true: "works", false: "useless"}[*r.Works]
		}
		lines = append(lines, fmt.Sprintf("%s %s %s", works, r.Kind, r.Scope))
	}
	return lines
}
