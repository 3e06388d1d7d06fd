package logparse

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mailwhy/engine/mail"

	"github.com/google/go-cmp/cmp"
)

// parseFiles reads logs one after the other into one parser.
func parseFiles(t *testing.T, paths []string) ([]mail.Message, Stats) {
	t.Helper()
	p := NewParser(Options{})
	var all Stats
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s := p.Open(Source{ID: SourceID([]byte(path)), Name: filepath.Base(path), ModTime: written})
		if used := s.Feed(0, data, true); used != len(data) {
			t.Fatalf("%s: used %d of %d bytes", path, used, len(data))
		}
		st := s.Stats()
		if st.Format != "mimecast-v1" && st.Format != "mimecast-v2" {
			t.Errorf("%s: taken for %q", path, st.Format)
		}
		all.Lines += st.Lines
		all.UnrecognisedFailing += st.UnrecognisedFailing
	}
	return inOrder(drain(p, nil)), all
}

// TestMimecastRealV1 reads a day of one tenant's files, one a stage, in both
// orders: four of 26 receipts fail, one of them for now.
func TestMimecastRealV1(t *testing.T) {
	dir := corpora(t, "JoshuaSmeda-mimecast_log_collector")
	paths, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	forward, stats := parseFiles(t, paths)
	if stats.Lines != 134 || stats.UnrecognisedFailing != 0 {
		t.Errorf("%d lines and %d unrecognised, want 134 and 0", stats.Lines, stats.UnrecognisedFailing)
	}
	slices.Reverse(paths)
	backward, _ := parseFiles(t, paths)
	if d := cmp.Diff(forward, backward); d != "" {
		t.Errorf("the order of the files changes the messages:\n%s", d)
	}
	type fact struct {
		Outcome                   mail.Outcome
		Phase                     mail.Phase
		Code                      int
		Type, Rule, IP, Direction string
		Time                      string
		Sender, Header, Subject   bool
	}
	var got []fact
	for _, m := range forward {
		got = append(got, fact{m.Outcome, m.Phase, m.Reply.Code, m.Reported.Type, m.Reported.Rule, m.Client.IP, string(m.Direction),
			m.Time.Format("15:04:05"), m.EnvelopeFrom.Known(), m.HeaderFrom.Known(), m.Subject != ""})
		if m.Reply.Text == "" || m.Reported.Detail == "" || m.Recipient == "" || m.Gateway == "" || m.QueueID == "" || m.Attempts != 1 || len(m.Evidence) != 1 {
			t.Errorf("incomplete: %+v", m)
		}
	}
	want := []fact{
		{mail.Rejected, mail.PhaseRcpt, 550, "IP Found in RBL", "csi.mimecast.org", "192.0.2.103", "inbound", "11:44:46", true, false, false},
		{mail.Rejected, mail.PhaseData, 0, "Connection Attempt", "", "203.0.113.32", "inbound", "11:48:06", true, true, true},
		{mail.Rejected, mail.PhaseRcpt, 550, "IP Found in RBL", "sip.invaluement.mimecast.org", "192.0.2.213", "inbound", "11:48:16", true, false, false},
		{mail.Deferred, mail.PhaseRcpt, 451, "Connection Attempt", "Attempt Greylisted", "192.0.2.249", "inbound", "11:52:05", true, false, false},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("messages (-want +got):\n%s", d)
	}
}

// sekoiaDifferences are the expected fields of another parser that a Message
// does not carry or carries in another form, by the start of their path, and why.
var sekoiaDifferences = map[string]string{
	"event.":                                               "their own classes; the action is our outcome, checked apart",
	"email.direction":                                      "they keep the case of the log; ours are the words of mail.Direction",
	"mimecast.siem.processing_id":                          "the id of a step; a message is joined by the aggregate id",
	"mimecast.siem.subtype":                                "says the action again",
	"mimecast.siem.virus_found":                            "says the rejection's text again, or the scanner's, which is reported.detail",
	"mimecast.siem.spam.processing_detail.rbl":             "says the rejection's text again",
	"mimecast.siem.spam.processing_detail.permittedSender": "which permit list was seen: no field of a Message",
	"mimecast.siem.spam.processing_detail.managedSender":   "which user's list was seen: no field of a Message",
	"mimecast.siem.spam.processing_detail.spf.allow":       "auth.spf is the result, not whether the gateway minded it",
	"related.ip":                                           "says the client's address again",
	"source.address":                                       "says the client's address again",
	"url.":                                                 "parts of a URL inside of the reply's text",
}

// sekoiaFields are the expected fields that a Message carries.
var sekoiaFields = map[string]func(*mail.Message) string{
	"@timestamp":                   func(m *mail.Message) string { return m.Time.Format("2006-01-02T15:04:05.000000Z") },
	"email.subject":                func(m *mail.Message) string { return m.Subject },
	"email.message_id":             func(m *mail.Message) string { return strings.Trim(m.MessageID, "<>") }, // they cut the angle brackets
	"network.direction":            func(m *mail.Message) string { return string(m.Direction) },
	"email.to.address":             func(m *mail.Message) string { return string(m.Recipient) },
	"email.from.address":           func(m *mail.Message) string { return string(m.EnvelopeFrom) },
	"organization.id":              func(m *mail.Message) string { return m.Gateway },
	"source.ip":                    func(m *mail.Message) string { return m.Client.IP },
	"source.user.domain":           func(m *mail.Message) string { return m.EnvelopeFrom.Domain() },
	"destination.user.domain":      func(m *mail.Message) string { return m.Recipient.Domain() },
	"mimecast.siem.aggregate_id":   func(m *mail.Message) string { return m.QueueID },
	"mimecast.siem.hold_reason":    func(m *mail.Message) string { return m.Reported.Type },
	"mimecast.siem.rejection.type": func(m *mail.Message) string { return m.Reported.Type },
	"mimecast.siem.rejection.info": func(m *mail.Message) string { return m.Reported.Detail },
	"mimecast.siem.rejection.code": func(m *mail.Message) string { return fmt.Sprint(m.Reply.Code) },
	"mimecast.siem.spam.score":     func(m *mail.Message) string { return fmt.Sprint(*m.SpamScore) },
	"mimecast.siem.spam.processing_detail.spf.info": func(m *mail.Message) string {
		return map[string]string{"pass": "ALLOW"}[m.Auth.SPF]
	},
}

// TestMimecastSekoia compares each failing event of a set with expectations
// with what another parser makes of it: 2 refused, 2 held of 23.
func TestMimecastSekoia(t *testing.T) {
	dir := corpora(t, "sekoia-intake-formats", "mimecast-email-security")
	paths, _ := filepath.Glob(filepath.Join(dir, "*.json"))
	outcomes := map[mail.Outcome]int{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var test struct {
			Input    struct{ Message string }
			Expected map[string]any
		}
		if err := json.Unmarshal(data, &test); err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(path)
		messages, stats := parse(Options{}, Source{ID: "0123456789abcdef", Name: name, ModTime: written}, []byte(test.Input.Message+"\n"))
		if stats.UnrecognisedFailing != 0 {
			t.Errorf("%s: not understood", name)
		}
		act := leaves("", test.Expected)["event.action"]
		if (act == "Rej" || act == "Hld" || act == "Hold") != (len(messages) > 0) {
			t.Errorf("%s: action %q gives %d messages", name, act, len(messages))
		}
		for _, m := range messages {
			outcomes[m.Outcome]++
			compareSekoia(t, name, test.Expected, &m)
		}
	}
	if d := cmp.Diff(map[mail.Outcome]int{mail.Rejected: 2, mail.Held: 2}, outcomes); d != "" {
		t.Errorf("outcomes (-want +got):\n%s", d)
	}
}

func compareSekoia(t *testing.T, name string, expected map[string]any, m *mail.Message) {
	t.Helper()
	for path, want := range leaves("", expected) {
		if have, ok := sekoiaFields[path]; ok {
			if got := have(m); got != want {
				t.Errorf("%s: %s is %q, they expect %q", name, path, got, want)
			}
			continue
		}
		explained := path == "message" // the line itself
		for prefix := range sekoiaDifferences {
			explained = explained || strings.HasPrefix(path, prefix)
		}
		if !explained {
			t.Errorf("%s: they expect %s = %q, which is neither compared nor explained", name, path, want)
		}
	}
}

// leaves returns the values inside of JSON by dotted path; those of a list
// stand under the list's path.
func leaves(path string, v any) map[string]string {
	all := map[string]string{}
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			maps.Copy(all, leaves(strings.TrimPrefix(path+"."+key, "."), inner))
		}
	case []any:
		for _, inner := range v {
			maps.Copy(all, leaves(path, inner))
		}
	default:
		all[path] = fmt.Sprint(v)
	}
	return all
}
