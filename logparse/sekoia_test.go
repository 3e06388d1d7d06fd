package logparse

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailwhy/engine/mail"
)

// sekoiaExpected is what SEKOIA's intake formats expect of a record.
type sekoiaExpected struct {
	Timestamp string `json:"@timestamp"`
	Email     struct {
		From      struct{ Address []string }
		To        struct{ Address []string }
		MessageID string `json:"message_id"`
		LocalID   string `json:"local_id"`
		Subject   string
	}
	Source      struct{ IP string }
	Destination struct{ IP string }
	Network     struct{ Direction string }
	Event       struct{ Action string }
	Action      struct {
		Outcome    string
		Properties struct {
			SessionID string `json:"session_id"`
			Relay     string `json:"relay"`
		}
	}
}

// sekoiaNoMessage are the records that make no message even where all are asked
// for, and why.
var sekoiaNoMessage = map[string]string{
	"fortimail/encrypt.json":                                       "a read secure message",
	"fortimail/esmtp.json":                                         "a delivery without its log's head: neither a time nor an id nor a format to tell it by",
	"fortimail/event.json":                                         "a from= line: who sent, not what became of it",
	"fortimail/event_smpt_from_1.json":                             "a from= line: who sent, not what became of it",
	"fortimail/event_smtp_STARTTLS.json":                           "about the connection",
	"fortimail/kevent.json":                                        "about the appliance",
	"fortimail/kevent_1.json":                                      "about the appliance",
	"fortimail/smtp_event_STARTTLS_client_local_certificate.json":  "about the connection",
	"fortimail/smtp_event_STARTTLS_server_local_certificate.json":  "about the connection",
	"fortimail/smtp_event_STARTTLS_server_signed_certificate.json": "about the connection",
	"fortimail/spam.json":                                          "what a scanner found: the history log says what came of it",
	"fortimail/spam_antispam_url.json":                             "what a scanner found: the history log says what came of it",
	"fortimail/spam_antivirus.json":                                "what a scanner found: the history log says what came of it",
	"fortimail/spam_webfilter_url.json":                            "what a scanner found: the history log says what came of it",
	"fortimail/spam_webfilter_url_1.json":                          "what a scanner found: the history log says what came of it",
	"fortimail/statistics.json":                                    "disposition Accept: let through, and the delivery has its own line",
	"fortimail/virus.json":                                         "what a scanner found: the history log says what came of it",
	"fortimail/virus_1.json":                                       "what a scanner found: the history log says what came of it",
	"fortimail/virus_2.json":                                       "what a scanner found: the history log says what came of it",
	"proofpoint-pod/test_message.json":                             "disposition continue: let through, and the delivery has its own record",
	"proofpoint-pod/test_message3.json":                            "disposition continue: let through, and the delivery has its own record",
	"proofpoint-pod/test_msgpart_url.json":                         "part of a message",
	"proofpoint-pod/test_msgparts.json":                            "part of a message",
	"proofpoint-pod/test_msgparts_metadata.json":                   "part of a message",
	"cisco-esa/malformated_event.json":                             "cut off before its action",
	"cisco-esa/test_ingest_log8.json":                              "queued: not over yet",
}

// sekoiaReadOtherwise are the fields that are read otherwise, and why.
var sekoiaReadOtherwise = map[string]string{
	"cisco-esa/test_ingest_log3.json: subject":     "the quotes and CEF's escapes are not part of the subject",
	"cisco-esa/test_ingest_log4.json: subject":     "CEF's escapes are not part of the subject",
	"cisco-esa/test_ingest_log9.json: subject":     "CEF's escapes are not part of the subject",
	"proofpoint-pod/test_message2.json: recipient": "theirs is the To header's; this is the envelope's",
	"proofpoint-pod/test_message2.json: subject":   "theirs is the normalised header, redacted otherwise",
	"proofpoint-pod/test_message2.json: queue_id":  "theirs is the guid of the feed; this is the queue id, which the maillog repeats",
}

// TestSekoiaRecords compares FortiMail, Proofpoint and Cisco field by field
// with what SEKOIA's intake formats expect.
func TestSekoiaRecords(t *testing.T) {
	used := map[string]bool{}
	for _, format := range []string{"fortimail", "proofpoint-pod", "cisco-esa"} {
		files, err := filepath.Glob(filepath.Join(corpora(t, "sekoia-intake-formats", format), "*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no expectations: %v", err)
		}
		messages, fields, differences := 0, 0, 0
		for _, path := range files {
			name := format + "/" + filepath.Base(path)
			list, want := sekoiaRecord(t, path, format)
			if reason := sekoiaNoMessage[name]; (reason != "") != (len(list) == 0) {
				t.Errorf("%s makes %d messages; the table says %q", name, len(list), reason)
			}
			for _, m := range list {
				messages++
				for field, pair := range sekoiaPairs(&m, want) {
					if pair[1] == "" && pair[0] == "" {
						continue
					}
					fields++
					if pair[0] == pair[1] {
						continue
					}
					if pair[1] == "" {
						continue // they have no such field
					}
					differences++
					used[name+": "+field] = true
					if sekoiaReadOtherwise[name+": "+field] == "" {
						t.Errorf("%s: %s is %q, they expect %q", name, field, pair[0], pair[1])
					}
				}
			}
		}
		t.Logf("%s: %d records, %d messages, %d fields compared, %d differ as the table explains", format, len(files), messages, fields, differences)
	}
	for entry := range sekoiaReadOtherwise {
		if !used[entry] {
			t.Errorf("the table explains %s, which does not differ", entry)
		}
	}
}

func sekoiaRecord(t *testing.T, path, format string) ([]mail.Message, *sekoiaExpected) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var test struct {
		Input    struct{ Message string }
		Expected sekoiaExpected
	}
	if err := json.Unmarshal(content, &test); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	messages, stats := parse(Options{All: true}, Source{ID: "0", Name: "log"}, []byte(test.Input.Message))
	if stats.UnrecognisedFailing > 0 {
		t.Errorf("%s: a failing line was not recognised", filepath.Base(path))
	}
	if len(messages) > 0 && stats.Format != format {
		t.Errorf("%s is taken for %q", filepath.Base(path), stats.Format)
	}
	return inOrder(messages), &test.Expected
}

// sekoiaPairs are the pairs of what was read and what they expect.
func sekoiaPairs(m *mail.Message, want *sekoiaExpected) map[string][2]string {
	first := func(list []string) string {
		if len(list) == 0 {
			return ""
		}
		return list[0]
	}
	when := ""
	if at, err := time.Parse(time.RFC3339, want.Timestamp); err == nil {
		when = at.UTC().Format("2006-01-02T15:04:05")
	}
	recipient := first(want.Email.To.Address)
	if slices.Contains(want.Email.To.Address, string(m.Recipient)) {
		recipient = string(m.Recipient)
	}
	id := want.Email.LocalID
	if id == "" {
		id, _, _ = strings.Cut(want.Action.Properties.SessionID, "-")
	}
	fields := map[string][2]string{
		"recipient":     {string(m.Recipient), recipient},
		"envelope_from": {string(m.EnvelopeFrom), first(want.Email.From.Address)},
		"message_id":    {strings.Trim(m.MessageID, "<>"), want.Email.MessageID},
		"subject":       {m.Subject, want.Email.Subject},
		"client":        {m.Client.IP, want.Source.IP},
		"queue_id":      {m.QueueID, id},
		"direction":     {strings.Replace(string(m.Direction), "unknown", "", 1), want.Network.Direction},
	}
	if m.Format == "fortimail" {
		fields["remote"] = [2]string{m.Remote.IP, want.Destination.IP}
	}
	if when != "" {
		fields["time"] = [2]string{m.Time.Format("2006-01-02T15:04:05"), when}
	}
	if action := sekoiaOutcome[want.Event.Action]; action != "" {
		fields["outcome"] = [2]string{string(m.Outcome), string(action)}
	}
	return fields
}

var sekoiaOutcome = map[string]mail.Outcome{"delivered": mail.Delivered, "bounced": mail.Bounced, "dq": mail.Held}
