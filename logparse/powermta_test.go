package logparse

import (
	"regexp"
	"testing"

	"mailwhy/engine/mail"
)

func FuzzPowerMTA(f *testing.F) { fuzzFormat(f, "powermta") }

func TestPowerMTACensus(t *testing.T) {
	corpusCensus{
		format: "powermta",
		logs:   []string{"transcribed-snippets/powermta_acct.csv"},
		shapes: []failingShape{
			{"bounce", regexp.MustCompile(`^r?b,`), []mail.Outcome{mail.Bounced, mail.Expired}},
			{"transient", regexp.MustCompile(`^t,`), []mail.Outcome{mail.Deferred}},
		},
	}.check(t)
}
