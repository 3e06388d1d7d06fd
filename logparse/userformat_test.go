package logparse

import (
	"regexp"
	"strings"
	"testing"

	"mailwhy/engine/mail"
)

func FuzzCourier(f *testing.F) { fuzzFormat(f, "courier") }
func FuzzQmail(f *testing.F)   { fuzzFormat(f, "qmail") }
func FuzzSpamd(f *testing.F)   { fuzzFormat(f, "spamd") }
func FuzzASSP(f *testing.F)    { fuzzFormat(f, "assp") }

// FuzzReadUserFormat asks that no file makes the reader panic, and that what is
// wrong is said with its place.
func FuzzReadUserFormat(f *testing.F) {
	for _, u := range shippedFormats() {
		data, err := shippedFiles.ReadFile(u.file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := ReadUserFormat("x.yaml", data); err != nil && !strings.HasPrefix(err.Error(), "x.yaml:") {
			t.Errorf("the error does not say where: %v", err)
		}
	})
}

const gatewayFormat = `version: 1
name: my-gateway
envelope: syslog
detect:
  programs: [gw]
rules:
  - match: 'refused <(?P<recipient>[^>]*)> from (?P<envelope_from><[^>]*>) by (?P<reported_rule>\S+): (?P<reply>.*)$'
    outcome: by_reply
    phase: rcpt
    set: {reported_type: access list}
  - match: 'state=(?P<state>\w+) to=(?P<recipients>\S+)'
    outcome: {field: state, values: {kept: held, lost: discarded}}
`

// TestUserFormatIsRead reads lines by a file, and says of each fact by which
// rule and where.
func TestUserFormatIsRead(t *testing.T) {
	u, err := ReadUserFormat("gw.yaml", []byte(gatewayFormat))
	if err != nil {
		t.Fatal(err)
	}
	p := NewParser(Options{Formats: []*UserFormat{u}})
	log := "Nov 23 08:00:00 gw1 gw[1]: refused <bob@corp.example> from <> by P-7: 550 5.7.1 not here\n" +
		"Nov 23 08:00:01 gw1 gw[1]: state=kept to=sue@corp.example,tom@corp.example\n" +
		"Nov 23 08:00:02 gw1 gw[1]: state=other to=sue@corp.example\n" +
		"Nov 23 08:00:03 gw1 gw[1]: rejected for a reason that no rule knows\n"
	s := p.Open(Source{ID: "0123456789abcdef", Name: "gw.log", ModTime: written})
	s.Feed(0, []byte(log), true)
	list := inOrder(drain(p, nil))
	if len(list) != 3 || s.Stats().UnrecognisedFailing != 1 || s.Stats().Format != "my-gateway" {
		t.Fatalf("%d messages, stats %+v, want 3 and one line not recognised", len(list), s.Stats())
	}
	if m := list[0]; m.Outcome != "rejected" || m.Recipient != "bob@corp.example" || m.EnvelopeFrom != "<>" || m.Reply.Code != 550 || m.Reported.Rule != "P-7" || m.Reported.Type != "access list" {
		t.Errorf("the refusal reads as %+v", m)
	}
	if list[1].Outcome != "held" || list[1].Recipient != "sue@corp.example" || list[2].Recipient != "tom@corp.example" {
		t.Errorf("the quarantine reads as %+v and %+v", list[1], list[2])
	}
	for _, o := range p.Explain(list[0]) {
		switch o.Field {
		case "recipient", "envelope_from", "reply.code", "reply.enhanced", "reported.rule":
			if got := log[o.Offset+int64(o.Start) : o.Offset+int64(o.End)]; got != o.Value || o.Rule != "gw.yaml:7" {
				t.Errorf("%s is said to stand where %q stands, by %s", o.Field, got, o.Rule)
			}
		}
	}
}

// TestUserFormatMistakes: each is one sentence that names its line.
func TestUserFormatMistakes(t *testing.T) {
	for _, c := range []struct{ change, to, want string }{
		{"version: 1", "version: 2", "f.yaml:1: version must be 1"},
		{"name: my-gateway", "name: My Gateway", `f.yaml:2: name "My Gateway" is not a format's name: lower case letters, digits and hyphens`},
		{"name: my-gateway", "name: postfix", "f.yaml:2: postfix is a format of the program: choose another name"},
		{"envelope: syslog", "envelope: json", `f.yaml:3: envelope must be syslog or none, not "json"`},
		{"  programs: [gw]", "  programs: []", "f.yaml:4: detect.programs must name the programs whose lines these are"},
		{"  programs: [gw]", "  tags: [gw]", `f.yaml:5: unknown key "tags"`},
		{"(?P<recipient>", "(?P<recipient", "f.yaml:7: match: invalid named capture"},
		{"outcome: by_reply", "outcome: refused", `f.yaml:8: outcome "refused" is not known: it is one of rejected deferred`},
		{"phase: rcpt", "phase: lunch", `f.yaml:8: phase "lunch" is not known`},
		{"set: {reported_type: access list}", "set: {colour: red}", `f.yaml:8: set: "colour" is no field: it is one of client_ip`},
		{"field: state", "field: mood", `f.yaml:12: outcome.field "mood" is no group of the match`},
		{"kept: held", "kept: eaten", `f.yaml:12: outcome "eaten" is not known`},
		{"detect:", "detect: [", "f.yaml:"},
	} {
		_, err := ReadUserFormat("f.yaml", []byte(strings.Replace(gatewayFormat, c.change, c.to, 1)))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("with %q: %v\nwant %s", c.to, err, c.want)
		}
	}
}

// TestDescribedCensus reads the real logs of the formats that come described.
func TestDescribedCensus(t *testing.T) {
	temporary, refused := []mail.Outcome{mail.Deferred}, []mail.Outcome{mail.Rejected}
	for _, c := range []corpusCensus{
		{
			format: "courier", logs: []string{"fail2ban/courier-smtp"},
			except: []exception{{regexp.MustCompile(`msg="535 `), "about who the client is, not about a message"}},
			shapes: []failingShape{{"refused", regexp.MustCompile(`error,relay=.*: 5\d\d `), refused}},
		},
		{
			format: "qmail", logs: []string{"fail2ban/qmail"},
			shapes: []failingShape{
				{"refused for now", regexp.MustCompile(`: 4\d\d `), temporary},
				{"blocked", regexp.MustCompile(`rblsmtpd: \S+ blocked `), refused},
			},
		},
		{
			format: "assp", logs: []string{"fail2ban/assp"},
			except: []exception{
				{regexp.MustCompile(`\[SMTP Error\] 535 |after reply: 535|AUTH errors`), "about who the client is, not about a message"},
				{regexp.MustCompile(`SSL negotiation`), "about the connection"},
			},
			shapes: []failingShape{{"relay attempt", regexp.MustCompile(`relay attempt blocked`), refused}},
		},
	} {
		c.check(t)
	}
}
