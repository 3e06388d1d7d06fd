package logparse

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"mailwhy/engine/mail"
)

func FuzzExim(f *testing.F) { fuzzFormat(f, "exim") }

var eximCensus = corpusCensus{
	format: "exim",
	logs: []string{"perericr-ddgrey/mainlog", "exim-testsuite/log/*", "exim-testsuite/rejectlog/*", "exim-testsuite/paniclog/*",
		"fail2ban/exim", "fail2ban/exim-spam"},
	except: []exception{
		{regexp.MustCompile(`Warning: |SA: Debug: | event msg:|debug: | => .* C="| DKIM: `), "the message went on"},
		{regexp.MustCompile(`sender verify (fail|defer) for |(sender|recipient) verify defer \(`), "why an address could not be verified; the refusal has its own line"},
		{regexp.MustCompile(`^(Envelope-|[A-Z* ] [A-Za-z-]+:|\t)`), "the header of a refused message"},
		{regexp.MustCompile(`closed by DROP in ACL`), "the session ended; the refusal has its own line"},
		{regexp.MustCompile(`VRFY failed for|no verify|spamd|failed to expand|failed to open|regular expression`), "local trouble: what it refuses has its own line"},
	},
	shapes: []failingShape{
		{"temporarily rejected", regexp.MustCompile(`^([^"]|DN="[^"]*")* temporarily rejected[ :]`), []mail.Outcome{mail.Deferred}},
		{"SA-Exim", regexp.MustCompile(` SA: Action: (permanently rejected|silently tossed) message`), []mail.Outcome{mail.Rejected, mail.Discarded}},
		{"rejected", regexp.MustCompile(`^\S+ \S+ (\[\d+\] )?([^"]|DN="[^"]*")*\brejected( |$)`), []mail.Outcome{mail.Rejected}},
		{"discarded", regexp.MustCompile(`: discarded by |=> :blackhole: |=> blackhole \(`), []mail.Outcome{mail.Discarded}},
		{"dropped", regexp.MustCompile(`dropped by '|SMTP call from .* dropped: |refused connection from`), []mail.Outcome{mail.Rejected}},
		{"refused", regexp.MustCompile(`Connection from .* refused: `), []mail.Outcome{mail.Deferred}},
		{"deferred", regexp.MustCompile(`^\S+ \S+ (\[\d+\] )?\S+-\S+-\S+ == `), []mail.Outcome{mail.Deferred}},
		{"retry timeout", regexp.MustCompile(`^\S+ \S+ (\[\d+\] )?\S+-\S+-\S+ \*\* .*retry timeout exceeded`), []mail.Outcome{mail.Expired}},
		{"bounced", regexp.MustCompile(`^\S+ \S+ (\[\d+\] )?\S+-\S+-\S+ \*\* `), []mail.Outcome{mail.Bounced}},
		{"frozen", regexp.MustCompile(`-\S+ (Frozen|Message is frozen|frozen by)`), []mail.Outcome{mail.Held, mail.Bounced, mail.Expired, mail.Discarded, mail.Rejected}},
		{"cancelled", regexp.MustCompile(`-\S+ cancelled by`), []mail.Outcome{mail.Expired, mail.Discarded, mail.Bounced}},
		{"spool", regexp.MustCompile(`too many recipients: excess`), []mail.Outcome{mail.Rejected, mail.Deferred}},
	},
}

func TestEximCensus(t *testing.T) { eximCensus.check(t) }

// TestEximFail2ban compares with the address and the time that fail2ban expects
// of each refusal.
func TestEximFail2ban(t *testing.T) {
	for _, file := range []string{"exim", "exim-spam"} {
		content, err := os.ReadFile(corpora(t, "fail2ban", file))
		if err != nil {
			t.Fatal(err)
		}
		var want struct {
			Time string `json:"time"`
			Host string `json:"host"`
		}
		checked := 0
		for line := range strings.Lines(string(content)) {
			if expectation, ok := strings.CutPrefix(line, "# failJSON: "); ok {
				if err := json.Unmarshal([]byte(expectation), &want); err != nil {
					t.Fatalf("%s: %v", expectation, err)
				}
				continue
			}
			refusal := strings.Contains(line, "rejected") || strings.Contains(line, "dropped") || strings.Contains(line, "tossed")
			if strings.HasPrefix(line, "#") || !refusal {
				continue
			}
			at, err := time.Parse("2006-1-2T15:04:05", want.Time)
			if err != nil {
				t.Fatal(err)
			}
			messages, _ := parse(Options{}, Source{ID: "0", Name: "log"}, []byte(line))
			list := inOrder(messages)
			if len(list) != 1 {
				t.Errorf("%d messages of %s", len(list), line)
				continue
			}
			checked++
			if m := list[0]; m.Client.IP != want.Host || !m.Time.Equal(at) {
				t.Errorf("client %q at %s, want %q at %s: %s", m.Client.IP, m.Time, want.Host, at, line)
			}
		}
		t.Logf("%s: %d refusals", file, checked)
	}
}
