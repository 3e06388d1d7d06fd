package logparse

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func FuzzM365(f *testing.F) { fuzzFormat(f, "m365-trace") }

// TestM365Sekoia compares with the fields that SEKOIA's intake format for the
// message trace expects. Neither of its messages fails, so all are asked for.
func TestM365Sekoia(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpora(t, "sekoia-intake-formats", "message-trace"), "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no expectations: %v", err)
	}
	for _, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var test struct {
			Input    struct{ Message string }
			Expected struct {
				Timestamp time.Time `json:"@timestamp"`
				Email     struct {
					From      struct{ Address []string }
					To        struct{ Address []string }
					MessageID string `json:"message_id"`
					Subject   string
				}
				Source    struct{ IP string }
				Office365 struct {
					MessageTrace struct {
						TraceID string `json:"id"`
					} `json:"message_trace"`
				}
				Event struct{ Outcome, Action string }
			}
		}
		if err := json.Unmarshal(content, &test); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		messages, stats := parse(Options{All: true}, Source{ID: "0", Name: "log"}, []byte(test.Input.Message))
		if stats.Format != "m365-trace" || stats.UnrecognisedFailing != 0 {
			t.Errorf("%s is taken for %q", filepath.Base(path), stats.Format)
		}
		for _, m := range inOrder(messages) {
			want := test.Expected
			if string(m.EnvelopeFrom) != want.Email.From.Address[0] || string(m.Recipient) != want.Email.To.Address[0] || m.Subject != want.Email.Subject || m.Client.IP != want.Source.IP {
				t.Errorf("%s: %+v, want %+v", filepath.Base(path), m, want)
			}
			if m.Outcome.Failing() {
				t.Errorf("%s: %s", filepath.Base(path), m.Outcome)
			}
		}
	}
}
