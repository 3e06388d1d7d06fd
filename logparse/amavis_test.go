package logparse

import (
	"regexp"
	"testing"

	"mailwhy/engine/mail"
)

func FuzzAmavis(f *testing.F) { fuzzFormat(f, "amavis") }

func TestAmavisCensus(t *testing.T) {
	corpusCensus{
		format: "amavis",
		logs:   []string{"transcribed-snippets/amavis.log"},
		shapes: []failingShape{
			{"quarantined", regexp.MustCompile(`\) Blocked .*(Quarantined|quarantine: )`), []mail.Outcome{mail.Held}},
			{"blocked", regexp.MustCompile(`\) Blocked `), []mail.Outcome{mail.Discarded, mail.Rejected, mail.Bounced, mail.Deferred}},
		},
	}.check(t)
}
