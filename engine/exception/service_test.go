package exception

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailwhy/engine"
	"mailwhy/engine/mail"
)

// policySet blocks acme.example and keeps corp.example for us.
var policySet = sync.OnceValue(func() *engine.Set {
	set, err := engine.Load("policy.yaml", []byte(`
version: 1
internal_domains: [corp.example, branch.example]
groups:
  Blocked Senders: {members: [acme.example]}
  Sales: {members: [bob@corp.example]}
managed_senders: [{recipient: bob@corp.example, sender: shop.example, action: block}]
`))
	if err != nil {
		panic(err)
	}
	return set
})

// bench is a service on a fresh journal whose clock the test moves.
type bench struct {
	*Service
	path string
	now  time.Time
	t    *testing.T
}

func open(t *testing.T) *bench {
	t.Helper()
	b := &bench{path: filepath.Join(t.TempDir(), "state", "exceptions.jsonl"), now: noon, t: t}
	b.reopen()
	return b
}

func (b *bench) reopen() {
	b.t.Helper()
	s, err := Open(b.path, Options{Now: func() time.Time { return b.now }})
	if err != nil {
		b.t.Fatal(err)
	}
	b.Service = s
}

func want(sender string) Proposal {
	return Proposal{Kind: engine.KindBypass, Ticket: "T-1", Reason: "invoice",
		Message: mail.Message{ID: "m1", Time: noon, EnvelopeFrom: mail.Path(sender), Recipient: "bob@corp.example"}}
}

var (
	olga = Actor{Name: "olga", Role: Operator}
	ann  = Actor{Name: "ann", Role: Admin}
)

func (b *bench) create(sender string) Exception {
	b.t.Helper()
	e, err := b.Create(context.Background(), policySet(), olga, want(sender))
	if err != nil {
		b.t.Fatal(err)
	}
	return e
}

func (b *bench) verify(entries int) {
	b.t.Helper()
	if n, err := Verify(b.path); n != entries || err != nil {
		b.t.Errorf("verify: %d entries, %v; want %d", n, err, entries)
	}
}

func TestLifeOfAnException(t *testing.T) {
	ctx := context.Background()
	b := open(t)
	e := b.create("alice@acme.example")

	if got, want := e.Narrative, "Bypass: alice@acme.example > bob@corp.example (T-1) invoice"; got != want {
		t.Errorf("narrative %q, want %q", got, want)
	}
	if e.ID != 1 || e.Created != noon || e.Expires != noon.Add(DefaultLife) || e.MessageID != "m1" || len(e.Trace) != 64 {
		t.Errorf("created %+v", e)
	}
	c := b.Changes()[0]
	if c.Since != noon || c.Until != e.Expires || c.Origin != "exception 1" || c.Policies[0].ID != "E-1" || c.Policies[0].Until != e.Expires {
		t.Errorf("change %+v", c)
	}

	if e.State(noon) != Pending || len(e.Steps) == 0 || e.Override || e.Scope != "sender>recipient" {
		t.Errorf("%s, override %v, scope %q, steps %q", e.State(noon), e.Override, e.Scope, e.Steps)
	}
	if _, err := b.Confirm(ctx, Actor{"vic", Viewer}, 1); err == nil {
		t.Error("a viewer confirmed")
	}
	if e, err := b.Confirm(ctx, olga, 1); err != nil || e.State(noon) != Live {
		t.Errorf("confirmed: %s, %v", e.State(noon), err)
	}
	if _, err := b.Confirm(ctx, olga, 1); err == nil || !strings.Contains(err.Error(), "nothing is left to confirm") {
		t.Errorf("confirmed twice: %v", err)
	}

	b.now = noon.AddDate(0, 0, 20)
	e, err := b.Extend(ctx, olga, 1, time.Time{}, "still needed")
	if err != nil || e.Expires != b.now.Add(DefaultLife) || e.Extensions != 1 {
		t.Errorf("extended %+v, %v", e, err)
	}
	if _, err := b.Extend(ctx, olga, 1, time.Time{}, ""); err == nil || !strings.Contains(err.Error(), "longer than that already") {
		t.Errorf("renewed twice at once: %v", err)
	}
	b.now = b.now.Add(time.Hour)
	e, err = b.Revoke(ctx, ann, 1, "done")
	if err != nil || e.Revoked != b.now || e.RevokedBy != "ann" || e.RevokeReason != "done" || e.State(b.now) != Revoked {
		t.Errorf("revoked %+v, %v", e, err)
	}
	if got := b.Changes()[0].Until; got != b.now {
		t.Errorf("the change ends %v, want %v", got, b.now)
	}
	if _, err := b.Revoke(ctx, ann, 1, ""); err == nil || !strings.Contains(err.Error(), "revoked already") {
		t.Errorf("second revoke: %v", err)
	}
	if _, err := b.Extend(ctx, ann, 1, b.now.AddDate(0, 1, 0), ""); err == nil || !strings.Contains(err.Error(), "create a new one") {
		t.Errorf("extend revoked: %v", err)
	}
	if _, err := b.Revoke(ctx, ann, 9, ""); !errors.Is(err, ErrNoException) {
		t.Errorf("revoke of nothing: %v", err)
	}
	b.verify(4)

	before := b.List()
	b.reopen()
	if d := cmp.Diff(before, b.List()); d != "" {
		t.Errorf("another process reads something else (-wrote +read):\n%s", d)
	}
}

func TestState(t *testing.T) {
	e := Exception{Created: noon, Expires: noon.Add(time.Hour)}
	f := func(e Exception, at time.Duration, want State) {
		t.Helper()
		if got := e.State(noon.Add(at)); got != want {
			t.Errorf("after %v: %s, want %s", at, got, want)
		}
	}
	f(e, 0, Live)
	f(e, time.Hour-1, Live)
	f(e, time.Hour, Expired)
	e.Steps = []string{"Policies | Gateway Policies"}
	f(e, 0, Pending)
	f(e, time.Hour, Expired)
	e.Confirmed = noon
	f(e, 0, Live)
	e.Revoked = noon.Add(time.Minute)
	f(e, time.Minute-1, Live)
	f(e, time.Minute, Revoked)
	f(e, 2*time.Hour, Revoked)
	f(Exception{Created: noon}, 1e6*time.Hour, Live)

	e = Exception{Created: noon, Expires: noon.Add(DefaultLife)}
	for left, want := range map[time.Duration]bool{ExpiryWarning + 1: false, ExpiryWarning: true, 1: true, 0: false} {
		if got := e.Expiring(e.Expires.Add(-left)); got != want {
			t.Errorf("expiring %v before the end: %v", left, got)
		}
	}
}

func TestCreateRefuses(t *testing.T) {
	b := open(t)
	f := func(actor Actor, change func(*Proposal), want_ string) {
		t.Helper()
		p := want("alice@acme.example")
		change(&p)
		_, err := b.Create(context.Background(), policySet(), actor, p)
		var no *RefusedError
		if !errors.As(err, &no) || !strings.Contains(err.Error(), want_) {
			t.Errorf("got %v, want a refusal about %q", err, want_)
		}
		if d, err := b.Propose(context.Background(), policySet(), actor, p); err != nil || refusal(d.Guards) == nil {
			t.Errorf("the draft does not tell: %v", err)
		}
	}
	f(Actor{"vic", Viewer}, func(*Proposal) {}, "viewer")
	f(olga, func(p *Proposal) { p.Ticket = "" }, "ticket")
	f(olga, func(p *Proposal) { p.Ticket = "T-1\x1b[0m" }, "control")
	f(olga, func(p *Proposal) { p.Never = true; p.Reason = "x" }, "admin")
	f(olga, func(p *Proposal) { p.Expires = noon.Add(-time.Second) }, "future")
	f(ann, func(p *Proposal) { p.Message.Reported.Type = "Virus Signature Detection" }, "virus")
	f(olga, func(p *Proposal) { p.Message.EnvelopeFrom = "a\u202eb@acme.example" }, "invisible")
	b.verify(0)

	p := want("")
	if _, err := b.Create(context.Background(), policySet(), olga, p); err == nil || !strings.Contains(err.Error(), "no envelope sender") {
		t.Errorf("without a sender: %v", err)
	}
	if _, err := b.Create(context.Background(), nil, olga, p); err == nil {
		t.Error("without a set: no error")
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := b.Propose(ended, policySet(), olga, want("alice@acme.example")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestKinds: what each kind and scope becomes, against a real policy set.
func TestKinds(t *testing.T) {
	b := open(t)
	f := func(kind engine.Kind, scope string, change func(*Proposal), want_ string) {
		t.Helper()
		p := want("Alice@Acme.example")
		p.Kind = kind
		p.Message.HeaderFrom, p.Message.Client.IP = "news@acme.example", "198.51.100.7"
		if scope != "" {
			var err error
			if p.Scope, err = engine.ParseScope(scope); err != nil {
				t.Fatal(err)
			}
		}
		if change != nil {
			change(&p)
		}
		got := ""
		d, err := b.Propose(context.Background(), policySet(), ann, p)
		if err == nil {
			e := d.Exception
			got = fmt.Sprintf("%s %s %s>%s %v", e.Scope, e.FromPart, specWord(e.From), specWord(e.To), e.SourceIPs)
			err = refusal(d.Guards)
		}
		if err != nil {
			got += "! " + err.Error()
		}
		if !strings.Contains(got, want_) {
			t.Errorf("%s %s:\n got %s\nwant %s", kind, scope, got, want_)
		}
	}
	f(engine.KindBypass, "", nil, "sender>recipient envelope_from alice@acme.example>bob@corp.example []")
	f(engine.KindBypass, "sender>all", nil, "sender>all envelope_from alice@acme.example>all internal addresses []")
	f(engine.KindBypass, "sender>group:Sales", nil, "alice@acme.example>group Sales")
	f(engine.KindBypass, "domain>recipient,ip", nil, "acme.example>bob@corp.example [198.51.100.7/32]")
	f(engine.KindBypass, "sender>recipient,header", nil, "header_from news@acme.example>bob@corp.example []! needs an approver: the header can be forged")
	f(engine.KindBypass, "sender>recipient,both", func(p *Proposal) { p.Message.Auth.DMARC = "pass" }, "both news@acme.example>bob@corp.example []")
	f(engine.KindBypass, "sender>recipient,header,ip", nil, "header_from news@acme.example>bob@corp.example [198.51.100.7/32]")
	f(engine.KindPermit, "domain>all", nil, "acme.example>all internal addresses")
	f(engine.KindRelay, "", nil, "! bob@corp.example is an internal address")
	f(engine.KindRelay, "", func(p *Proposal) { p.Message.Recipient = "leaver@home.example" }, "sender>recipient envelope_from all external addresses>leaver@home.example []")
	f(engine.KindRelay, "domain>all", nil, "! draft relay: a relay entry is for one recipient")
	f(engine.KindManagedPermit, "domain>recipient", nil, "acme.example>bob@corp.example")
	f(engine.KindManagedPermit, "sender>all", nil, "! draft managed_permit: an entry of a recipient's own list")
	f(engine.KindManagedDelete, "sender>recipient,header", nil, "news@acme.example>bob@corp.example")
	f(engine.KindManagedBlock, "", nil, "alice@acme.example>bob@corp.example")
	f(engine.KindGroupRemove, "", nil, "! draft group_remove: no group entry is named")
	f(engine.KindGroupRemove, "", func(p *Proposal) { p.Group = engine.GroupEntry{Group: "Blocked Senders", Member: "acme.example"} }, "acme.example from group Blocked Senders  acme.example>everyone")
	f(engine.KindPermit, "", func(p *Proposal) { p.Message.EnvelopeFrom = "a@brnach.example" }, "! needs an approver: brnach.example differs by one or two letters from our own branch.example")
	f("grant", "", nil, "! draft grant: kind")
	f(engine.KindBypass, "", func(p *Proposal) { p.Scope = engine.Scope{From: "everyone", To: "all"} }, "! draft bypass: scope")
}

// TestCreatedCounts: an exception is in force in a replay from its creation to
// its end, also in another process, and not a moment longer.
func TestCreatedCounts(t *testing.T) {
	b := open(t)
	p := want("alice@acme.example")
	p.Message.Client.IP = "198.51.100.7"
	p.Message.HeaderFrom = p.Message.EnvelopeFrom
	f := func(at time.Time, want_ mail.Outcome) {
		t.Helper()
		b.reopen()
		v := engine.Replay(policySet().Apply(b.Changes()...), &p.Message, at).Verdict
		if v.Outcome == nil || *v.Outcome != want_ {
			t.Errorf("at %v: %+v, want %s", at, v, want_)
		}
	}
	f(noon, mail.Rejected)
	if _, err := b.Create(context.Background(), policySet(), olga, p); err != nil {
		t.Fatal(err)
	}
	f(noon.Add(-time.Millisecond), mail.Rejected)
	f(noon, mail.Accepted)
	f(noon.Add(DefaultLife-1), mail.Accepted)
	f(noon.Add(DefaultLife), mail.Rejected)
	b.now = noon.Add(time.Hour)
	if _, err := b.Revoke(context.Background(), olga, 1, "undo"); err != nil {
		t.Fatal(err)
	}
	f(noon.Add(time.Hour-1), mail.Accepted)
	f(noon.Add(time.Hour), mail.Rejected)
}

func TestDuplicateAndCount(t *testing.T) {
	b := open(t)
	b.create("a1@acme.example")
	_, err := b.Create(context.Background(), policySet(), olga, want("A1@Acme.Example"))
	if err == nil || !strings.Contains(err.Error(), "exception 1 (T-1)") {
		t.Errorf("duplicate: %v", err)
	}
	for _, sender := range []string{"a2@acme.example", "a3@acme.example", "a4@acme.example", "a5@acme.example"} {
		b.create(sender)
	}
	_, err = b.Create(context.Background(), policySet(), olga, want("a6@acme.example"))
	if err == nil || !strings.HasPrefix(err.Error(), "needs an approver") {
		t.Errorf("the sixth for one domain: %v", err)
	}
	if _, err := b.Revoke(context.Background(), olga, 1, ""); err != nil {
		t.Fatal(err)
	}
	b.create("a6@acme.example") // five again
	b.verify(7)
}

func TestOtherProcessIsSeen(t *testing.T) {
	b := open(t)
	other, err := Open(b.path, Options{Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	b.create("alice@acme.example")
	if n := len(other.List()); n != 0 {
		t.Errorf("%d exceptions before reload", n)
	}
	for _, fresh := range []bool{true, false} {
		if got, err := other.Reload(); got != fresh || err != nil {
			t.Errorf("reload: %v, %v; want %v", got, err, fresh)
		}
	}
	if n := len(other.List()); n != 1 {
		t.Errorf("%d exceptions after reload, want 1", n)
	}
	// A writer reads first: it cannot give the same number twice.
	b.create("sue@acme.example")
	if _, err := other.Revoke(context.Background(), ann, 2, ""); err != nil {
		t.Error(err)
	}
	b.verify(3)
}

func TestPolicyEdits(t *testing.T) {
	b := open(t)
	long := make([]string, 1000)
	long[0] = "+ \x1b[2Jevil"
	long[1] = strings.Repeat("x", 5000)
	if err := b.NotePolicyEdit(context.Background(), PolicyEdit{Path: "policy.yaml", Hash: "ab", Owner: "ro\not", Difference: long}); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	got := b.PolicyEdits()[0]
	if got.Owner != "ro\ufffdot" || got.Time != noon || got.Difference[0] != "+ \ufffd[2Jevil" ||
		len(got.Difference) != 401 || got.Difference[400] != "... 600 more lines" || len(got.Difference[1]) != 404 {
		t.Errorf("kept %q %v, %d lines", got.Owner, got.Time, len(got.Difference))
	}
	b.verify(1)
}

func TestClosed(t *testing.T) {
	b := open(t)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Reload(); err == nil {
		t.Error("reload of a closed service: no error")
	}
	if err := b.NotePolicyEdit(context.Background(), PolicyEdit{}); err == nil {
		t.Error("write to a closed service: no error")
	}
}

func TestJournalIsPrivate(t *testing.T) {
	b := open(t)
	info, err := os.Stat(b.path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}
