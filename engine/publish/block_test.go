package publish

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestBlockLeavesTheRestAlone(t *testing.T) {
	for _, rest := range []string{"", "a REJECT\n", "no line end", "\r\nodd\x00bytes\n\n", "# mailwhy is mentioned\nb OK\n"} {
		b := block{filepath.Join(t.TempDir(), "map")}
		if err := os.WriteFile(b.path, []byte(rest), 0o640); err != nil {
			t.Fatal(err)
		}
		for _, lines := range [][]string{{"x DUNNO"}, {"x DUNNO", "y DUNNO"}, nil} {
			if err := b.write(lines); err != nil {
				t.Fatal(err)
			}
			ours, after, err := b.read()
			if err != nil || !slices.Equal(ours, lines) || string(after) != rest {
				t.Errorf("wrote %q before %q, read %q before %q (%v)", lines, rest, ours, after, err)
			}
		}
		if data, _ := os.ReadFile(b.path); string(data) != rest {
			t.Errorf("an empty block left %q of %q", data, rest)
		}
		if info, _ := os.Stat(b.path); info.Mode().Perm() != 0o640 {
			t.Errorf("mode became %v", info.Mode())
		}
	}
}

func TestBlockRefusesForeignEdits(t *testing.T) {
	edits := map[string]func(string) string{
		"a line inside":       func(s string) string { return strings.Replace(s, "x DUNNO\n", "x OK\n", 1) },
		"a line added":        func(s string) string { return strings.Replace(s, blockEnd, "z OK\n"+blockEnd, 1) },
		"the end cut":         func(s string) string { return strings.Replace(s, blockEnd+"\n", "", 1) },
		"something before it": func(s string) string { return "first OK\n" + s },
		"a copy after it":     func(s string) string { return s + s },
	}
	for name, edit := range edits {
		b := block{filepath.Join(t.TempDir(), "map")}
		if err := b.write([]string{"x DUNNO"}); err != nil {
			t.Fatal(err)
		}
		data, _ := os.ReadFile(b.path)
		edited := edit(string(data))
		if err := os.WriteFile(b.path, []byte(edited), 0o644); err != nil {
			t.Fatal(err)
		}
		var foreign *ForeignEditError
		if err := b.write(nil); !errors.As(err, &foreign) {
			t.Errorf("%s: got %v", name, err)
		}
		if now, _ := os.ReadFile(b.path); string(now) != edited {
			t.Errorf("%s: the edit was overwritten", name)
		}
	}
}

func TestBlockIsNotContinuedByTheRest(t *testing.T) {
	b := block{filepath.Join(t.TempDir(), "map")}
	if err := os.WriteFile(b.path, []byte("# comment\n  continued\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var foreign *ForeignEditError
	if err := b.write([]string{"x DUNNO"}); !errors.As(err, &foreign) {
		t.Errorf("got %v", err)
	}
}
