package engine

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// The mutation check breaks one comparator or stage at a time and expects the
// tests of this package to notice (about ten minutes):
//
//	go test ./engine -run Mutations -v -timeout 60m -engine.mutate
//
// It can be done in parts: -engine.mutate.after 70 begins with the 71st. Of
// what were 137 ways the first 91 were tried last, and all of them were
// noticed.
var (
	mutate      = flag.Bool("engine.mutate", false, "break the package in many ways, one at a time, and expect a test to fail")
	mutateAfter = flag.Int("engine.mutate.after", 0, "how many of the ways are left out, from the first")
)

// TestMutations reads testdata/mutations: a file's name, a line, and what is
// put in its place. That each still applies is checked always, the rest only
// where asked for.
func TestMutations(t *testing.T) {
	archive, err := txtar.ParseFile(filepath.Join("testdata", "mutations"))
	if err != nil {
		t.Fatal(err)
	}
	made, noticed := 0, 0
	for _, f := range archive.Files {
		source, err := os.ReadFile(f.Name)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(f.Data)), "\n")
		for len(lines) >= 2 {
			before, ok := strings.CutPrefix(lines[0], "- ")
			after, also := strings.CutPrefix(lines[1], "+ ")
			if lines = lines[2:]; !ok || !also && after != "+" {
				t.Fatalf("%s: a pair of lines must begin with - and +: %q %q", f.Name, before, after)
			}
			if after == "+" {
				after = ""
			}
			if n := strings.Count(string(source), before); n != 1 {
				t.Errorf("%s: %q stands there %d times", f.Name, before, n)
				continue
			}
			if !*mutate {
				continue
			}
			if made++; made <= *mutateAfter {
				continue
			}
			if broken(t, f.Name, strings.Replace(string(source), before, after, 1)) {
				noticed++
			} else {
				t.Errorf("%s: no test notices\n- %s\n+ %s", f.Name, before, after)
			}
			t.Logf("%d of %d noticed so far", noticed, made-*mutateAfter)
		}
	}
}

// broken reports whether the tests fail with another text of one file.
func broken(t *testing.T, name, text string) bool {
	t.Helper()
	dir := t.TempDir()
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	changed := filepath.Join(dir, name)
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for file, data := range map[string]string{changed: text, filepath.Join(dir, "overlay.json"): string(overlay)} {
		if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("go", "test", "-overlay", filepath.Join(dir, "overlay.json"), "-vet=off", "-failfast",
		"-run", "Cases|Property|Load|Boundaries|Long|Changes", "-engine.cases", "4000", "-timeout", "300s", ".").CombinedOutput()
	if err != nil && strings.Contains(string(out), "build failed") {
		t.Errorf("%s does not compile:\n%s", name, firstLines(out))
		return false
	}
	return err != nil
}

func firstLines(out []byte) string {
	lines := strings.SplitN(string(out), "\n", 6)
	return fmt.Sprint(strings.Join(lines[:min(5, len(lines))], "\n"))
}
