package index

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"mailwhy/engine/mail"
)

// veiledShelf is an index with one message of everybody, some of them sealed.
func veiledShelf(t *testing.T) *Index {
	x, err := Open(t.TempDir(), Options{Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	var list []mail.Message
	for i, m := range []mail.Message{
		{EnvelopeFrom: "alice.smith@acme.example", Recipient: "bob@corp.example", Subject: "the merger", Reply: mail.Reply{Code: 550, Text: "blocked here"}, Reported: mail.Reported{Rule: "list of alice.smith"}},
		{EnvelopeFrom: "carol@acme.example", Recipient: "legal@corp.example", Subject: "a lawsuit", Reply: mail.Reply{Code: 550, Text: "blocked here"}},
		{EnvelopeFrom: "dora@example.net", Recipient: "paralegal@corp.example", Reply: mail.Reply{Code: 550, Text: "blocked here"}},
		{EnvelopeFrom: "legal@corp.example", Recipient: "eve@example.org", Reply: mail.Reply{Code: 451, Text: "try later"}},
	} {
		if i == 3 {
			m.Reported.Detail = "mailbox (eve): full"
		}
		m.Time = noon.Add(-time.Duration(i+1) * time.Hour)
		m.ID, m.Last, m.Outcome = fmt.Sprintf("%013d-%016x-%012d-000", m.Time.UnixMilli(), 7, i), m.Time, mail.Rejected
		list = append(list, m)
	}
	if err := x.Put(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *Index) veiledCount(t *testing.T, line string, v Veil) (int, error) {
	t.Helper()
	q, err := ParseQuery(line, noon, time.UTC)
	if err == nil {
		q, err = q.Veiled(v)
	}
	if err != nil {
		return 0, err
	}
	page, err := x.Page(t.Context(), q, "", 50)
	if err != nil {
		t.Fatal(err)
	}
	total, err := x.Count(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if total.Count != len(page.Rows) {
		t.Errorf("%q: %d rows, %d counted", line, len(page.Rows), total.Count)
	}
	return len(page.Rows), nil
}

// Who sees no local parts finds an address by the whole of it or by its domain,
// and learns nothing from fragments, by what is found or by what is not.
func TestNoFragmentOfAMaskedAddressIsFound(t *testing.T) {
	x := veiledShelf(t)
	for line, want := range map[string]int{
		"": 4, "from:alice.smith@acme.example": 1, "from:acme.example": 2, "from:@acme.example": 2, "alice.smith@acme.example": 1, "@acme.example": 2,
		"to:corp.example": 3, "-from:acme.example": 2, "blocked": 3, "is:rejected": 4, "code:451": 1,
		"alice": 0, "smith": 0, "alice.smith": 0, "smith@acme.example": 0, "from:smith@acme.example": 0, "h@acme.example": 0, "from:h@acme.example": 0,
		"-alice": 4, "eve": 0, "-eve": 4, "reason:eve": 0, "full": 1, "-from:smith@acme.example": 4, "-smith@acme.example": 4, "rule:alice": 0, "rule:smith": 0, "-rule:smith": 4, `rule:"list of alice.smith"`: 1, `"alice.smith@acme"`: 0, "acme.example": 0,
	} {
		if got, err := x.veiledCount(t, line, Veil{LocalParts: true}); got != want || err != nil {
			t.Errorf("%q: %d found (%v), want %d", line, got, err, want)
		}
	}
	for _, line := range []string{"from:alice", "to:bob", "-from:alice", "subject:merger", "reason:bob@corp", "from:smith"} {
		var wrong *QueryError
		if _, err := x.veiledCount(t, line, Veil{LocalParts: true}); !errors.As(err, &wrong) || !strings.Contains(wrong.Sentence, "your role") {
			t.Errorf("%q: %v, want a refusal", line, err)
		}
	}
}

func TestMaskedSubjectsAreNotSearched(t *testing.T) {
	x := veiledShelf(t)
	for line, want := range map[string]int{"merger": 0, "-merger": 4, "smith": 1, "blocked": 3} {
		if got, err := x.veiledCount(t, line, Veil{Subject: true}); got != want || err != nil {
			t.Errorf("%q: %d found (%v), want %d", line, got, err, want)
		}
	}
	if _, err := x.veiledCount(t, "subject:merger", Veil{Subject: true}); err == nil {
		t.Error("subject: was searched")
	}
}

// A hidden mailbox is not there, on neither side; one that only looks like it is.
func TestHiddenMailboxesAreNotThere(t *testing.T) {
	x := veiledShelf(t)
	v := Veil{Hidden: []string{"Legal@corp.example"}}
	for line, want := range map[string]int{"": 2, "legal": 1, "to:legal@corp.example": 1, "from:carol": 0, "lawsuit": 0, "blocked": 2} {
		if got, err := x.veiledCount(t, line, v); got != want || err != nil {
			t.Errorf("%q: %d found (%v), want %d", line, got, err, want)
		}
	}
	if got, _ := x.veiledCount(t, "", Veil{Hidden: []string{"acme.example"}}); got != 2 {
		t.Errorf("a hidden domain leaves %d", got)
	}
}
