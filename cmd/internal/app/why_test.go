package app

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailwhy/cmd/internal/config"
	"mailwhy/engine"
	"mailwhy/engine/exception"
	"mailwhy/engine/mail"
)

// edit replaces the policy file of an app, as an editor would have at an
// instant, and has it taken in.
func (a *App) edit(t *testing.T, text string, at time.Time) {
	t.Helper()
	if err := os.WriteFile(a.Config.Policy, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(a.Config.Policy, at, at); err != nil {
		t.Fatal(err)
	}
	a.look()
}

// TestWhyNamesWhatChanged: a message of before an edit is replayed with the
// policies of before, and the answer names the edit and the exception since.
func TestWhyNamesWhatChanged(t *testing.T) {
	dir := t.TempDir()
	a := &App{}
	c := config.Config{Data: dir + "/data", Policy: dir + "/policy.yaml"}
	start := time.Now().UTC().Add(-2 * time.Hour).Truncate(time.Millisecond)
	vendor := "blocked_senders:\n  - {id: P-007, description: %, option: block_sender, from: {type: email_domain, value: bad.example}, to: {type: internal_addresses}}\n"
	head := "version: 1\ninternal_domains: [corp.example]\n"
	if err := os.WriteFile(c.Policy, []byte(head), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(c.Policy, start, start); err != nil {
		t.Fatal(err)
	}
	var err error
	if a, err = Open(c); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}()
	m := mail.Message{Time: start.Add(time.Hour), EnvelopeFrom: "a@bad.example", Recipient: "bob@corp.example", Outcome: mail.Rejected}
	m.ID = id(m.Time, 1)
	if err := a.Index.Put(t.Context(), []mail.Message{m}); err != nil {
		t.Fatal(err)
	}
	f := func(then, present string, between ...string) {
		t.Helper()
		trace := a.Why(t.Context(), &m, time.Time{}, a.Now())
		word := func(v engine.Verdict) string { return strings.TrimSpace(string(*v.Outcome) + " " + v.Policy) }
		if word(trace.Verdict) != then || word(*trace.VerdictNow) != present {
			t.Errorf("%s, now %s; want %s, now %s", word(trace.Verdict), word(*trace.VerdictNow), then, present)
		}
		var got []string
		for _, s := range trace.Between {
			what, _, _ := strings.Cut(s, " at ")
			got = append(got, what)
		}
		if diff := cmp.Diff(between, got); diff != "" {
			t.Errorf("between (-want +got):\n%s", diff)
		}
	}
	f("accepted", "accepted")

	a.edit(t, head+strings.Replace(vendor, "%", "Vendor block", 1), start.Add(90*time.Minute))
	f("accepted", "rejected P-007", "policy P-007 was added")

	a.edit(t, head+strings.Replace(vendor, "%", "Vendor block T-1", 1), start.Add(100*time.Minute))
	f("accepted", "rejected P-007", "policy P-007 was added", "policy P-007 was edited")

	// the same content again is no edit
	a.edit(t, head+strings.Replace(vendor, "%", "Vendor block T-1", 1), start.Add(105*time.Minute))
	if edits := a.Exceptions.PolicyEdits(); len(edits) != 2 || edits[0].Owner == "" || !edits[0].Time.Equal(start.Add(90*time.Minute)) {
		t.Errorf("journalled %+v", edits)
	}

	e, err := a.Create(t.Context(), exception.Actor{Name: "ann", Role: exception.Admin}, exception.Proposal{Kind: engine.KindBypass, Message: m, Ticket: "T-9"})
	if err != nil {
		t.Fatal(err)
	}
	f("accepted", "accepted", "exception 1 (bypass, T-9) was created")

	// a restart knows the same
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if a, err = Open(c); err != nil {
		t.Fatal(err)
	}
	f("accepted", "accepted", "exception 1 (bypass, T-9) was created")
	if _, err := a.Revoke(t.Context(), exception.Actor{Name: "ann", Role: exception.Admin}, e.ID, ""); err != nil {
		t.Fatal(err)
	}
	f("accepted", "rejected P-007", "policy P-007 was added", "policy P-007 was edited")
}
