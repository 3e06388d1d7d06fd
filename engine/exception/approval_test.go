package exception

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailwhy/engine"
)

// office is a journal in a place with approvers, and its clock.
type office struct {
	*Service
	t     *testing.T
	now   time.Time
	rules Rules
}

func openOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, now: noon, rules: Rules{Approvers: true, Hourly: 3}}
	var err error
	o.Service, err = Open(filepath.Join(t.TempDir(), "exceptions.jsonl"), Options{Now: func() time.Time { return o.now }, Rules: func() Rules { return o.rules }})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

var adam = person("adam", Admin)

// wide asks for a sender to everybody's domain, more than an operator may.
func wide(sender string) Proposal {
	p := want(sender)
	p.Scope = engine.Scope{From: "domain", To: "all", FromPart: engine.EnvelopeFrom}
	return p
}

func (o *office) propose(sender string) Exception {
	o.t.Helper()
	e, err := o.Create(o.t.Context(), guardedSet(), olga, wide(sender))
	if err != nil || e.State(o.now) != Proposed {
		o.t.Fatalf("%s: %v, %v", sender, e.State(o.now), err)
	}
	return e
}

func (o *office) refuses(err error, says string) {
	o.t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		o.t.Errorf("got %v, want an error with %q", err, says)
	}
}

func TestFourEyes(t *testing.T) {
	o := openOffice(t)
	e := o.propose("alice@partner.example")
	if c := o.Changes()[0]; len(c.Policies) > 0 || !strings.Contains(e.Awaiting, "wider than one address") {
		t.Fatalf("a proposal does something already, or does not say why it waits: %+v %q", c, e.Awaiting)
	}
	_, err := o.Approve(t.Context(), Actor{Name: "Olga", Role: Admin}, e.ID) // her second key, as an admin even
	o.refuses(err, "is your own")
	_, err = o.Approve(t.Context(), Actor{Name: "otto", Role: Operator}, e.ID)
	o.refuses(err, "an admin approves")
	_, err = o.Create(t.Context(), guardedSet(), Actor{Name: "otto", Role: Operator}, wide("alice@partner.example"))
	o.refuses(err, "exception 1 (T-1) says the same and is proposed")

	o.now = noon.Add(time.Hour)
	approved, err := o.Approve(t.Context(), adam, e.ID)
	if err != nil || approved.ApprovedBy != "adam" || !approved.InForce(o.now) {
		t.Fatalf("approved: %+v, %v", approved, err)
	}
	if c := o.Changes()[0]; len(c.Policies) != 1 || !c.Policies[0].Since.Equal(o.now) {
		t.Errorf("it counts from %v on, not from its approval", c.Since)
	}
	_, err = o.Approve(t.Context(), adam, e.ID)
	o.refuses(err, "only a proposal is approved")
	if n, err := Verify(o.path); n != 2 || err != nil {
		t.Errorf("verify: %d, %v", n, err)
	}
}

func TestProposalsEnd(t *testing.T) {
	o := openOffice(t)
	lapses, declined := o.propose("alice@partner.example"), o.propose("alice@supplier.example")
	if e, err := o.Revoke(t.Context(), adam, declined.ID, "too wide"); err != nil || e.State(o.now) != Revoked {
		t.Errorf("declined: %v, %v", e.State(o.now), err)
	}
	_, err := o.Approve(t.Context(), adam, declined.ID)
	o.refuses(err, "is revoked")
	o.now = noon.Add(ProposalLife)
	_, err = o.Approve(t.Context(), adam, lapses.ID)
	o.refuses(err, "is expired")
}

// What no approver can lift is refused at once, and without approvers all is.
func TestProposalOnlyWhereItCanBeApproved(t *testing.T) {
	o := openOffice(t)
	p := wide("alice@partner.example")
	p.Ticket = ""
	_, err := o.Create(t.Context(), guardedSet(), olga, p)
	var refused *RefusedError
	if !errors.As(err, &refused) {
		t.Errorf("without a ticket: %v", err)
	}
	o.rules.Approvers = false
	_, err = o.Create(t.Context(), guardedSet(), olga, wide("alice@partner.example"))
	o.refuses(err, "ask an admin")
}

func TestRate(t *testing.T) {
	o := openOffice(t)
	for _, sender := range []string{"a@one.example", "b@two.example", "c@three.example"} {
		if _, err := o.Create(t.Context(), guardedSet(), olga, want(sender)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := o.Create(t.Context(), guardedSet(), olga, want("d@four.example"))
	o.refuses(err, "the next one from 13:00 UTC on")
	if _, err := o.Create(t.Context(), guardedSet(), adam, want("d@four.example")); err != nil {
		t.Errorf("an admin: %v", err)
	}
	o.now = noon.Add(time.Hour)
	if _, err := o.Create(t.Context(), guardedSet(), olga, want("e@five.example")); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}

func TestReadOnlyAndFreeze(t *testing.T) {
	o := openOffice(t)
	e, err := o.Create(t.Context(), guardedSet(), olga, want("a@one.example"))
	if err != nil {
		t.Fatal(err)
	}
	o.rules.Freeze = "the gateway is moved until Monday"
	_, err = o.Create(t.Context(), guardedSet(), adam, want("b@two.example"))
	o.refuses(err, "moved until Monday")
	_, err = o.Extend(t.Context(), adam, e.ID, noon.Add(40*24*time.Hour), "")
	o.refuses(err, "moved until Monday")
	o.rules.ReadOnly = true
	_, err = o.Revoke(t.Context(), adam, e.ID, "")
	o.refuses(err, "read-only")
	o.rules.ReadOnly = false
	if _, err := o.Revoke(t.Context(), adam, e.ID, ""); err != nil {
		t.Errorf("closing the gate during a freeze: %v", err)
	}
}
