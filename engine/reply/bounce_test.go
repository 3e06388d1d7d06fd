package reply

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestBounces explains whole bounces as people paste them; beside each stands
// what was understood.
func TestBounces(t *testing.T) {
	bounces, err := filepath.Glob("testdata/bounces/*.txt")
	if err != nil || len(bounces) == 0 {
		t.Fatalf("no bounces: %v", err)
	}
	for _, name := range bounces {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.MarshalIndent(Explain(string(text)), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, '\n')
		golden := strings.TrimSuffix(name, ".txt") + ".golden"
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), string(got)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		// Other line ends mean the same.
		crlf, err := json.MarshalIndent(Explain(strings.ReplaceAll(string(text), "\n", "\r\n")), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), string(crlf)+"\n"); d != "" {
			t.Errorf("%s with CR LF (-want +got):\n%s", name, d)
		}
	}
}
