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

func FuzzSendmail(f *testing.F) { fuzzFormat(f, "sendmail") }

var sendmailCensus = corpusCensus{
	format: "sendmail",
	logs:   []string{"fail2ban/sendmail-reject", "transcribed-snippets/sendmail.log"},
	shapes: []failingShape{
		{"reject 4yz", regexp.MustCompile(`reject=4\d\d `), []mail.Outcome{mail.Deferred}},
		{"reject 5yz", regexp.MustCompile(`reject=5\d\d `), []mail.Outcome{mail.Rejected}},
		{"unknown user", regexp.MustCompile(`: <[^>]*>\.\.\. `), []mail.Outcome{mail.Rejected}},
		{"deferred", regexp.MustCompile(`stat=Deferred`), []mail.Outcome{mail.Deferred}},
		{"bounced", regexp.MustCompile(`dsn=5\.\d+\.\d+, .*stat=`), []mail.Outcome{mail.Bounced}},
		{"DSN", regexp.MustCompile(`: DSN: `), []mail.Outcome{mail.Bounced}},
		{"session", regexp.MustCompile(`rejecting commands from|\[rejected\]`), []mail.Outcome{mail.Rejected}},
	},
}

func TestSendmailCensus(t *testing.T) { sendmailCensus.check(t) }

// TestSendmailFail2ban compares with the address and the time that fail2ban
// expects of each refusal.
func TestSendmailFail2ban(t *testing.T) {
	content, err := os.ReadFile(corpora(t, "fail2ban", "sendmail-reject"))
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
		if strings.HasPrefix(line, "#") || !strings.Contains(line, "reject=") {
			continue
		}
		at, err := time.Parse("2006-1-2T15:04:05", want.Time)
		if err != nil {
			t.Fatal(err)
		}
		messages, _ := parse(Options{}, Source{ID: "0", Name: "log", ModTime: at.Add(24 * time.Hour)}, []byte(line))
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
	t.Logf("%d refusals", checked)
}
