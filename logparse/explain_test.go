package logparse

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExplain asks of every sample log that each fact that is part of a line is
// found in one, and that the span holds it.
func TestExplain(t *testing.T) {
	logs, _ := filepath.Glob("../sample-logs/*/*.log")
	facts, found := 0, 0
	for _, path := range logs {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		p := NewParser(Options{})
		p.Open(Source{ID: "0123456789abcdef", Name: "mail.log", ModTime: written}).Feed(0, data, true)
		for _, m := range inOrder(drain(p, nil)) {
			for _, o := range p.Explain(m) {
				if o.File == "" {
					t.Errorf("%s: %s has no line", path, o.Field)
				}
				facts++
				if o.Start == o.End {
					continue
				}
				found++
				span := ""
				for _, e := range m.Evidence {
					if e.Offset == o.Offset {
						span = e.Text[o.Start:o.End]
					}
				}
				if !strings.Contains(unquoted(span)+strings.ReplaceAll(span, "_", " "), strings.Trim(o.Value, "<>")) {
					t.Errorf("%s: %s %q is said to be %q", path, o.Field, o.Value, span)
				}
			}
		}
	}
	if found*100 < facts*70 {
		t.Errorf("only %d of %d facts have a place", found, facts)
	}
	t.Logf("%d facts, %d with their place", facts, found)
}
