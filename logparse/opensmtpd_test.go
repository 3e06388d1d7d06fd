package logparse

import (
	"regexp"
	"testing"

	"mailwhy/engine/mail"
)

func FuzzOpenSMTPD(f *testing.F) { fuzzFormat(f, "opensmtpd") }

var opensmtpdCensus = corpusCensus{
	format: "opensmtpd",
	logs:   []string{"transcribed-snippets/opensmtpd.log", "ossec-hids/opensmtpd.ini"},
	except: []exception{
		{regexp.MustCompile(`command="(AUTH|STARTTLS)`), "about who the client is, not about a message"},
	},
	shapes: []failingShape{
		{"refused 4yz", regexp.MustCompile(`failed-command .* result="4\d\d`), []mail.Outcome{mail.Deferred}},
		{"refused 5yz", regexp.MustCompile(`failed-command .* result="5\d\d`), []mail.Outcome{mail.Rejected}},
		{"old wording", regexp.MustCompile(`Failed command on session .* => 4`), []mail.Outcome{mail.Deferred}},
		{"TempFail", regexp.MustCompile(`result="TempFail"`), []mail.Outcome{mail.Deferred}},
		{"PermFail", regexp.MustCompile(`result="PermFail"`), []mail.Outcome{mail.Bounced}},
	},
}

func TestOpenSMTPDCensus(t *testing.T) { opensmtpdCensus.check(t) }
