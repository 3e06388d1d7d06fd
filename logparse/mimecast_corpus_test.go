package logparse

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mailwhy/engine/mail"

	"github.com/google/go-cmp/cmp"
)

// mimecastCorpora is where real logs lie, beside the repository; they are not part of it.
const mimecastCorpora = "../../shared/corpora"

func needCorpus(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(mimecastCorpora, name)
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the corpora are not beside the repository")
	}
	return dir
}

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
	dir := needCorpus(t, "JoshuaSmeda-mimecast_log_collector")
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

// sekoiaDifferences are the fields in which another parser's expectation is
// not ours, and why.
var sekoiaDifferences = map[string]string{
	"email.message_id": "they cut the angle brackets; ours is the Message-ID as logged",
	"email.direction":  "they keep the case of the log; ours are the words of mail.Direction",
	"email.from":       "they list header and envelope address as one; ours are two facts",
}

// TestMimecastSekoia compares each failing event of a set with expectations
// with what another parser makes of it: 2 refused, 2 held of 23.
func TestMimecastSekoia(t *testing.T) {
	dir := needCorpus(t, "sekoia-intake-formats/mimecast-email-security")
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
		if act, _ := lookUp(test.Expected, "event.action").(string); (act == "Rej" || act == "Hld" || act == "Hold") != (len(messages) > 0) {
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
	got := map[string]any{
		"@timestamp":                      m.Time.Format("2006-01-02T15:04:05.000000Z"),
		"email.subject":                   m.Subject,
		"email.message_id":                strings.Trim(m.MessageID, "<>"),
		"email.direction":                 string(m.Direction),
		"email.to.address":                string(m.Recipient),
		"email.from.address":              string(m.EnvelopeFrom),
		"organization.id":                 m.Gateway,
		"source.ip":                       m.Client.IP,
		"mimecast.siem.aggregate_id":      m.QueueID,
		"mimecast.siem.rejection.type":    m.Reported.Type,
		"mimecast.siem.rejection.code":    float64(m.Reply.Code),
		"mimecast.siem.rejection.info":    m.Reported.Detail,
		"mimecast.siem.hold_reason":       m.Reported.Type,
		"mimecast.siem.spam.score":        0.0,
		"mimecast.siem.spam.spf.allow":    m.Auth.SPF,
		"event.action":                    nil,
		"source.user.domain":              m.EnvelopeFrom.Domain(),
		"destination.user.domain":         m.Recipient.Domain(),
		"mimecast.siem.spam.dmarc.result": m.Auth.DMARC,
	}
	for field, have := range got {
		want := lookUp(expected, field)
		if list, ok := want.([]any); ok && len(list) == 1 {
			want = list[0]
		}
		if want == nil || have == nil || have == want {
			continue
		}
		if _, known := sekoiaDifferences[field]; known && strings.EqualFold(want.(string), have.(string)) {
			continue
		}
		t.Errorf("%s: %s is %q, they expect %q", name, field, have, want)
	}
	if lookUp(expected, "mimecast.siem.spam.processing_detail.spf.info") == "ALLOW" && m.Auth.SPF != "pass" {
		t.Errorf("%s: spf is %q, want pass", name, m.Auth.SPF)
	}
}

// lookUp follows a dotted path into JSON.
func lookUp(v any, path string) any {
	for _, key := range strings.Split(path, ".") {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = object[key]
	}
	return v
}
