package index

import (
	"fmt"
	"testing"
	"time"

	"mailwhy/engine/mail"
)

// TestTermOfACauseFindsItsGroup: whatever a log says as rule or reason, the
// word of a group in a query line finds the group and nothing else, while it
// is being written and when it is sealed.
func TestTermOfACauseFindsItsGroup(t *testing.T) {
	x, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	var all []mail.Message
	for i, reason := range []string{"envelope blocked", `say "no|yes" 100% sure`, "\x1b[2J\u202eevil\xff", "Grüße", "", "envelope blocked"} {
		for n := range i + 1 {
			for _, sender := range []mail.Path{"a@Acme.example", "b@mail.acme.example", "<>"} {
				at := noon.Add(-time.Duration(len(all)) * time.Minute)
				all = append(all, mail.Message{ID: fmt.Sprintf("%013d-%016x-%012d-000", at.UnixMilli(), 7, n), Time: at, Last: at, Outcome: mail.Rejected, EnvelopeFrom: sender,
					Recipient: "bob@corp.example", Reply: mail.Reply{Code: 550, Text: reason}, Reported: mail.Reported{Type: []string{"", "RBL"}[i%2]}})
			}
		}
	}
	if err := x.Put(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	f := func() {
		t.Helper()
		causes, err := x.Causes(t.Context(), Query{})
		if err != nil || len(causes) < 12 {
			t.Fatalf("%d causes, %v", len(causes), err)
		}
		for _, c := range causes {
			q, err := ParseQuery("since:all "+c.Term(), noon, time.UTC)
			if err != nil {
				t.Fatalf("%s: %v", c.Term(), err)
			}
			if total, err := x.Count(t.Context(), q); total.Count != c.Count || err != nil {
				t.Errorf("%s finds %d of %d: %v", c.Term(), total.Count, c.Count, err)
			}
		}
	}
	f()
	if err := x.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	f()
}

func TestCauseTermsThatAreNone(t *testing.T) {
	for _, line := range []string{"cause:x", `cause:"a|b"`, `cause:"a|b|c|d"`, `cause:"a|b|%zz"`} {
		if _, err := ParseQuery(line, noon, time.UTC); err == nil {
			t.Errorf("%s is taken", line)
		}
	}
}
