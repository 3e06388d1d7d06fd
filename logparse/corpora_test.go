package logparse

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"mailwhy/engine/mail"

	"go.yaml.in/yaml/v3"
)

// corpora is a folder of real logs beside the repository, or where
// MAILWHY_CORPORA says, which may be absent. Nothing of it stands in the
// repository.
func corpora(t *testing.T, elem ...string) string {
	t.Helper()
	root := os.Getenv("MAILWHY_CORPORA")
	if root == "" {
		root = filepath.Join("..", "..", "shared", "corpora")
	}
	path := filepath.Join(append([]string{root}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the folder of real logs is not here: %v", err)
	}
	return path
}

// failingShape is a line shape that says a message failed, and what it may
// say of the outcome by itself; a later line may change it.
type failingShape struct {
	name string
	line *regexp.Regexp
	want []mail.Outcome
}

var failingShapes = []failingShape{
	{"reject 5yz", regexp.MustCompile(`: (milter-|proxy-)?reject: [A-Z-]+( from \S+)?: 5\d\d[ -]`), []mail.Outcome{mail.Rejected}},
	{"reject 4yz", regexp.MustCompile(`: (milter-|proxy-)?reject: [A-Z-]+( from \S+)?: 4\d\d[ -]`), []mail.Outcome{mail.Deferred}},
	{"reject with a status only", regexp.MustCompile(`: milter-reject: END-OF-MESSAGE from \S+: 5\.\d+\.\d+ `), []mail.Outcome{mail.Rejected}},
	{"discard", regexp.MustCompile(`: (milter-)?discard: `), []mail.Outcome{mail.Discarded}},
	{"hold", regexp.MustCompile(`: (milter-)?hold: `), []mail.Outcome{mail.Held}},
	{"deferred", regexp.MustCompile(`: to=.*, status=deferred `), []mail.Outcome{mail.Deferred}},
	{"bounced", regexp.MustCompile(`: to=.*, status=bounced `), []mail.Outcome{mail.Bounced}},
	{"expired", regexp.MustCompile(`status=(force-)?expired, `), []mail.Outcome{mail.Expired}},
	{"undeliverable", regexp.MustCompile(`, status=undeliverable `), []mail.Outcome{mail.Bounced, mail.Deferred}},
}

// later is what an outcome may become.
var later = map[mail.Outcome][]mail.Outcome{
	mail.Deferred: {mail.Delivered, mail.Bounced, mail.Expired, mail.Held, mail.Rejected},
	mail.Bounced:  {mail.Expired, mail.Delivered},
	mail.Expired:  {mail.Bounced},
	mail.Held:     {mail.Delivered, mail.Deferred, mail.Bounced, mail.Expired},
	mail.Rejected: {mail.Delivered, mail.Deferred, mail.Bounced},
}

// notMessages are lines that speak of refusals, failing sessions and local
// trouble but are not read as a failed message, and why.
var notMessages = []struct {
	line   *regexp.Regexp
	reason string
}{
	{regexp.MustCompile(`: reject_warning: `), "the restriction was only tried out: the message was accepted"},
	{regexp.MustCompile(`\]: [0-9A-Za-z]+: (filter|prepend|replace|redirect|info|warning): `), "the message went on"},
	{regexp.MustCompile(`\]: [0-9A-Za-z]+: host \S+ (said|refused to talk to me): `), "one of several hosts of a delivery: the status= line says what came of it"},
	{regexp.MustCompile(`\]: [0-9A-Za-z]+: (lost connection|conversation) with `), "one of several hosts of a delivery: the status= line says what came of it"},
	{regexp.MustCompile(`postscreen\[\d+\]: (PREGREET|HANGUP|DNSBL rank|COMMAND (TIME|COUNT|LENGTH) LIMIT|BLACKLISTED|DENYLISTED|NON-SMTP COMMAND|BARE NEWLINE) `),
		"a test that failed: whether that refuses is configuration, and a refusal has its own NOQUEUE line"},
	{regexp.MustCompile(`: (NOQUEUE: )?(lost connection|timeout|too many errors) after `), "the session ended; no message was refused by it that has no line of its own"},
	{regexp.MustCompile(`: improper command pipelining after `), "the client's manners: what is refused has its own line"},
	{regexp.MustCompile(`: warning: .*rate limit exceeded: `), "the client is refused at connect by anvil, before it named a message"},
	{regexp.MustCompile(`: warning: .*(lookup failure|Search error|not enough free space)`), "the refusal it causes has its own line, with 451 or 452"},
	{regexp.MustCompile(`: warning: (hostname \S+ does not resolve|\S+: address not listed|.*SASL .* authentication failed)`), "about the client, not about a message"},
}

// TestCensus reads every Postfix corpus and asks that each failing line stands
// in the evidence of a message with the outcome it tells, and that no message
// is called failed without one.
func TestCensus(t *testing.T) {
	root := corpora(t)
	for _, pattern := range []string{"kdent-postfix_log_analysis/*", "pixelpark-postfix-logsums/*", "louisitvn-pflgviewer/*", "infohtreasure-Postfix-Maillog-Dump/*",
		"ossec-hids/postfix.ini", "fail2ban/postfix", "digineo-postfix_exporter/mail.log"} {
		logs, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(logs) == 0 {
			t.Errorf("no corpus matches %s", pattern)
		}
		for _, path := range logs {
			t.Run(pattern+"/"+filepath.Base(path), func(t *testing.T) { census(t, path) })
		}
	}
}

func census(t *testing.T, path string) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(path, ".ini") { // "log 1 pass = <line>"
		data = regexp.MustCompile(`(?m)^log \d+ \w+ = `).ReplaceAll(data, nil)
	}
	messages, stats := parse(Options{}, Source{Name: "log", ModTime: written}, data)
	cited := map[int64][]mail.Message{}
	full := map[string]bool{} // queue ids of messages that no longer cite all their attempts
	for _, m := range messages {
		if len(m.Evidence) == maxEvidence {
			full[m.QueueID] = true
		}
		for _, e := range m.Evidence {
			cited[e.Offset] = append(cited[e.Offset], m)
		}
	}
	counts := map[string]int{}
	missing := 0
	eachLine(data, func(offset int64, line []byte) {
		for _, except := range notMessages {
			if except.line.Match(line) {
				counts[except.line.String()]++
				for _, m := range cited[offset] {
					if m.Subject == "" { // a header check that only logs tells the subject
						t.Errorf("%q is evidence of message %s, but %s", line, m.ID, except.reason)
					}
				}
				return
			}
		}
		for _, shape := range failingShapes {
			if !shape.line.Match(line) {
				continue
			}
			counts[shape.name]++
			_, body, _ := bytes.Cut(line, []byte("]: "))
			if id, _, _ := queueID(body); full[string(id)] {
				return
			}
			if !said(cited[offset], shape.want) {
				missing++
				if missing <= 10 {
					t.Errorf("%s at %d is no message with the outcome %v: %q", shape.name, offset, shape.want, line)
				}
			}
			return
		}
	})
	for id, m := range messages {
		if m.Format != "postfix" { // a host may run two mail servers
			continue
		}
		failing := false
		for _, e := range m.Evidence {
			for _, shape := range failingShapes {
				failing = failing || shape.line.MatchString(e.Text)
			}
			failing = failing || strings.Contains(e.Text, "reject: ") || strings.Contains(e.Text, "size limit exceeded") || strings.Contains(e.Text, "try again later")
		}
		if !failing {
			t.Errorf("message %s (%s) has no failing line: %+v", id, m.Outcome, m.Evidence)
		}
	}
	t.Logf("%d lines, %d messages, failing lines %v, unrecognised %d", stats.Lines, len(messages), counts, stats.UnrecognisedFailing)
	for _, e := range stats.Unrecognised[:min(5, len(stats.Unrecognised))] {
		t.Logf("unrecognised: %.200s", e.Text)
	}
}

// said reports whether a message that cites a line has, or had, an outcome.
// A message of many attempts cites only its first and newest.
func said(citing []mail.Message, want []mail.Outcome) bool {
	for _, m := range citing {
		for _, w := range want {
			if m.Outcome == w {
				return true
			}
			for _, l := range later[w] {
				if m.Outcome == l {
					return true
				}
			}
		}
	}
	return false
}

func eachLine(data []byte, yield func(offset int64, line []byte)) {
	for offset := 0; offset < len(data); {
		end := bytes.IndexByte(data[offset:], '\n')
		if end < 0 {
			end = len(data) - offset
		}
		yield(int64(offset), bytes.TrimSuffix(data[offset:offset+end], []byte("\r")))
		offset += end + 1
	}
}

// TestWhyscream compares with the fields that whyscream/postfix-grok-patterns
// expects of each line that fails.
func TestWhyscream(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpora(t, "whyscream-postfix-grok-patterns"), "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no expectations: %v", err)
	}
	failing := 0
	for _, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var test struct {
			Data    string            `yaml:"data"`
			Results map[string]string `yaml:"results"`
		}
		if err := yaml.Unmarshal(content, &test); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		messages, stats := parse(Options{}, Source{ID: "0", Name: "log", Format: "postfix"}, []byte(test.Data+"\n"))
		list := inOrder(messages)
		wantFailing := whyscreamFails(test.Results)
		switch {
		case stats.UnrecognisedFailing > 0:
			t.Errorf("%s is not recognised: %s", filepath.Base(path), test.Data)
		case len(list) == 0 && wantFailing:
			t.Errorf("%s makes no message: %s", filepath.Base(path), test.Data)
		case len(list) > 0 && !wantFailing && !strings.Contains(test.Data, "try again later") && !strings.Contains(test.Data, "placed on hold"):
			t.Errorf("%s makes a message: %s", filepath.Base(path), test.Data)
		case len(list) == 1 && wantFailing:
			failing++
			checkWhyscream(t, filepath.Base(path), test.Results, list[0])
		}
	}
	t.Logf("%d files, %d of them failing lines", len(files), failing)
}

// whyscreamFails reports whether the expectation is one of a failed message.
func whyscreamFails(want map[string]string) bool {
	switch want["postfix_action"] {
	case "reject", "milter-reject", "discard", "hold":
		return true
	}
	status := want["postfix_status"]
	return status != "" && status != "sent" && status != "deliverable" || want["postfix_milter_result"] == "reject" ||
		want["postfix_proxy_result"] == "reject" || want["postfix_postscreen_toobusy_data"] != ""
}

func checkWhyscream(t *testing.T, file string, want map[string]string, m mail.Message) {
	t.Helper()
	number := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	got := map[string]string{
		"postfix_queueid": m.QueueID, "postfix_client_hostname": m.Client.Name, "postfix_client_ip": m.Client.IP,
		"postfix_status_code": number(m.Reply.Code), "postfix_status_code_enhanced": m.Reply.Enhanced,
		"postfix_proxy_status_code": number(m.Reply.Code), "postfix_proxy_status_code_enhanced": m.Reply.Enhanced,
		"postfix_from": strings.Trim(string(m.EnvelopeFrom), "<>"), "postfix_postscreen_toobusy_data": m.Reply.Text,
	}
	for key, value := range got {
		expected, ok := want[key]
		if expected == noQueue || expected == "unknown" {
			expected = "" // no queue id yet; no reverse name
		}
		if ok && value != expected {
			t.Errorf("%s: %s is %q, want %q", file, key, value, expected)
		}
	}
	for _, text := range []string{"postfix_status_message", "postfix_smtp_response", "postfix_error_response", "postfix_local_response", "postfix_pipe_response"} {
		if expected := want[text]; expected != "" && !strings.HasSuffix(m.Reply.Text, expected) && m.Reported.Detail != expected {
			t.Errorf("%s: %s is neither in the text %q nor the detail %q: %q", file, text, m.Reply.Text, m.Reported.Detail, expected)
		}
	}
	for key, value := range keyValues(want["postfix_keyvalue_data"]) {
		got := map[string]string{"from": strings.TrimSuffix(strings.TrimPrefix(string(m.EnvelopeFrom), "<"), ">"), "to": string(m.Recipient),
			"helo": m.Client.Helo, "orig_to": string(m.OriginalRecipient), "dsn": m.Reply.Enhanced}
		if g, ok := got[key]; ok && g != value {
			t.Errorf("%s: %s is %q, want %q", file, key, g, value)
		}
	}
}

// keyValues splits "from=<a> to=<b>, dsn=4.0.0".
func keyValues(s string) map[string]string {
	values := map[string]string{}
	for _, m := range regexp.MustCompile(`(\w+)=(<[^>]*>|[^ ,]*)`).FindAllStringSubmatch(s, -1) {
		values[m[1]] = strings.Trim(m[2], "<>")
	}
	return values
}

// TestFail2ban compares with the address and the time that fail2ban expects of
// each line.
func TestFail2ban(t *testing.T) {
	content, err := os.ReadFile(corpora(t, "fail2ban", "postfix"))
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Time  string `json:"time"`
		Host  string `json:"host"`
		Match bool   `json:"match"`
	}
	checked := 0
	for line := range strings.Lines(string(content)) {
		if expectation, ok := strings.CutPrefix(line, "# failJSON: "); ok {
			if err := json.Unmarshal([]byte(expectation), &want); err != nil {
				t.Fatalf("%s: %v", expectation, err)
			}
			continue
		}
		if strings.HasPrefix(line, "#") || !strings.Contains(line, "reject: ") {
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

// TestDigineo compares with the counters that digineo/postfix_exporter expects.
func TestDigineo(t *testing.T) {
	data, err := os.ReadFile(corpora(t, "digineo-postfix_exporter", "mail.log"))
	if err != nil {
		t.Fatal(err)
	}
	messages, _ := parse(Options{}, Source{Name: "mail.log", ModTime: written}, data)
	if list := inOrder(messages); len(list) != 1 || list[0].Reply.Code != 450 {
		t.Errorf("messages %+v, want one with code 450", list)
	}
	messages, _ = parse(Options{All: true}, Source{Name: "mail.log", ModTime: written}, data)
	delivered := 0
	for _, m := range messages {
		if m.Outcome == mail.Delivered {
			delivered++
			if m.QueueID == "838FC8A5F" && m.Size != 939 {
				t.Errorf("size of %s is %d, want 939", m.QueueID, m.Size)
			}
		}
	}
	if delivered != 2 {
		t.Errorf("%d delivered messages, want 2", delivered)
	}
}

// TestSekoia compares with the addresses and outcomes that SEKOIA's intake
// format for Postfix expects of each failing line.
func TestSekoia(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpora(t, "sekoia-intake-formats", "postfix"), "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no expectations: %v", err)
	}
	failing := 0
	for _, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var test struct {
			Input    struct{ Message string }
			Expected struct {
				Action  struct{ Name string }
				Email   struct{ To struct{ Address []string } }
				Postfix struct {
					QueueID struct{ Local string } `json:"queue_id"`
				}
			}
		}
		if err := json.Unmarshal(content, &test); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		messages, _ := parse(Options{}, Source{ID: "0", Name: "log", Format: "postfix"}, []byte(test.Input.Message))
		name := test.Expected.Action.Name
		if name != "deferred" && name != "bounced" {
			if len(messages) > 0 {
				t.Errorf("%s makes a message: %s", filepath.Base(path), test.Input.Message)
			}
			continue
		}
		failing++
		for _, m := range messages {
			if string(m.Outcome) != name || string(m.Recipient) != test.Expected.Email.To.Address[0] || m.QueueID != test.Expected.Postfix.QueueID.Local {
				t.Errorf("%s: %s %s %s, want %+v", filepath.Base(path), m.Outcome, m.Recipient, m.QueueID, test.Expected)
			}
		}
		if len(messages) != 1 {
			t.Errorf("%s makes %d messages: %s", filepath.Base(path), len(messages), test.Input.Message)
		}
	}
	t.Logf("%d files, %d failing", len(files), failing)
}
