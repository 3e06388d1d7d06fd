package logparse

import (
	"regexp"
	"testing"

	"mailwhy/engine/mail"
)

func FuzzCisco(f *testing.F) { fuzzFormat(f, "cisco-esa") }

func TestCiscoCensus(t *testing.T) {
	corpusCensus{
		format: "cisco-esa",
		logs:   []string{"transcribed-snippets/cisco_esa_text_mail.log"},
		shapes: []failingShape{
			{"refused connection", regexp.MustCompile(`ICID \d+ (REJECT|TCPREFUSE|Delayed HAT REJECT) `), []mail.Outcome{mail.Rejected}},
			{"connection limit", regexp.MustCompile(`Receiving Failed: Connection limit`), []mail.Outcome{mail.Deferred}},
			{"receiving failed", regexp.MustCompile(`Receiving Failed: `), []mail.Outcome{mail.Rejected}},
			{"invalid recipient", regexp.MustCompile(`Invalid recipient address`), []mail.Outcome{mail.Rejected}},
			{"expired", regexp.MustCompile(`Bounced: .* - 5\.4\.7 - `), []mail.Outcome{mail.Expired}},
			{"bounced", regexp.MustCompile(`(Bounced|Double bounce): `), []mail.Outcome{mail.Bounced}},
			{"delayed", regexp.MustCompile(`Delayed: DCID`), []mail.Outcome{mail.Deferred}},
			{"LDAP drop", regexp.MustCompile(`LDAP: Drop query`), []mail.Outcome{mail.Discarded}},
			{"LDAP bounce", regexp.MustCompile(`LDAP: Bounce query`), []mail.Outcome{mail.Bounced}},
			{"dropped", regexp.MustCompile(`Dropped by `), []mail.Outcome{mail.Discarded}},
		},
	}.check(t)
}
