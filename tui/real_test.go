package tui

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/exception"
	"mailwhy/engine/mail"
	"mailwhy/index"
)

const realPolicy = `version: 1
internal_domains: [corp.example]
groups:
  Blocked Senders: {members: [acme.example]}
blocked_senders:
  - id: P-007
    description: Vendor block
    option: block_sender
    from: {type: profile_group, value: Blocked Senders}
    to: {type: internal_addresses}
`

// real wires the screens to the index, the engine and the journal.
type real struct {
	*index.Index
	set     *engine.Set
	service *exception.Service
	actor   exception.Actor

	changed chan struct{}
}

func newReal(t *testing.T, rows ...mail.Message) *real {
	t.Helper()
	dir := t.TempDir()
	x, err := index.Open(filepath.Join(dir, "index"), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	if err := x.Put(context.Background(), rows); err != nil {
		t.Fatal(err)
	}
	set, err := engine.Load("policy.yaml", []byte(realPolicy))
	if err != nil {
		t.Fatal(err)
	}
	s, err := exception.Open(filepath.Join(dir, "exceptions.jsonl"), exception.Options{Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &real{Index: x, set: set, service: s, actor: exception.Actor{Name: "kim", Role: exception.Admin}, changed: make(chan struct{})}
}

func (r *real) now() *engine.Set { return r.set.Apply(r.service.Changes()...) }

func (r *real) Impact(ctx context.Context, c engine.Change) (engine.ImpactReport, error) {
	q, err := index.ParseQuery("since:3650d", noon, time.UTC)
	if err != nil {
		return engine.ImpactReport{}, err
	}
	return engine.Impact(ctx, r.now(), c, noon, func(yield func(mail.Message) bool) {
		for m, err := range r.Messages(ctx, q) {
			if err != nil || !yield(m) {
				return
			}
		}
	})
}

func (r *real) Why(m mail.Message) engine.Trace {
	return engine.Why(r.now(), &m, time.Time{}, noon)
}

func (r *real) Verdict(m mail.Message) (engine.Verdict, engine.Agreement) {
	t := engine.Why(r.now(), &m, time.Time{}, noon)
	return t.Verdict, t.Agreement
}

func (r *real) Policy(id string) (engine.Policy, bool) {
	for _, p := range r.now().Policies() {
		if p.ID == id {
			return p, true
		}
	}
	return engine.Policy{}, false
}

func (r *real) PolicyChanged() <-chan struct{} { return r.changed }

func (r *real) Propose(ctx context.Context, p exception.Proposal) (exception.Draft, error) {
	return r.service.Propose(ctx, r.now(), r.actor, p)
}

func (r *real) Create(ctx context.Context, p exception.Proposal) (exception.Exception, error) {
	return r.service.Create(ctx, r.now(), r.actor, p)
}

func (r *real) Revoke(ctx context.Context, id int, reason string) (exception.Exception, error) {
	return r.service.Revoke(ctx, r.actor, id, reason)
}

func (r *real) Approve(ctx context.Context, id int) (exception.Exception, error) {
	return r.service.Approve(ctx, r.actor, id)
}

func (r *real) Confirm(ctx context.Context, id int) (exception.Exception, error) {
	return r.service.Confirm(ctx, r.actor, id)
}

func (r *real) Extend(ctx context.Context, id int, until time.Time, reason string) (exception.Exception, error) {
	return r.service.Extend(ctx, r.actor, id, until, reason)
}

func (r *real) Advice(mail.Message, engine.Verdict, *time.Location) string {
	return "Nothing was changed yet."
}

func (r *real) Living(context.Context, exception.Exception) (exception.Health, error) {
	return exception.Health{}, nil
}

func (r *real) List() []exception.Exception { return r.service.List() }

// The user's minute once more, over the real index, engine and journal.
func TestTheUsersMinuteForReal(t *testing.T) {
	rows := samples(30)
	for i := range rows {
		rows[i].Source = "0123456789abcdef"
		rows[i].Direction = mail.Inbound
	}
	r := newReal(t, rows...)
	p := newProgram(t, newWorld(), 100, 40, func(o *Options) {
		o.Open = func(context.Context) (Services, error) { return Services{Searcher: r, Explainer: r, Excepter: r}, nil }
	})
	p.shows("30 of 30")
	p.keys("/", "alice", "enter")
	p.shows("10 of 30")
	p.shows("P-007 Vendor block")
	p.keys("enter")
	p.shows(`Blocked by policy P-007 "Vendor block"`)
	p.keys("b", "T-42")
	p.keys("enter", "enter", "right", "enter")
	p.shows("Exception 1 is made")
	p.shows("BEFORE    rejected at RCPT by P-007")
	p.shows("AFTER     accepted")
	p.keys("2", "enter")
	p.shows("T-42")
	p.shows("In the gateway's console")
	p.keys("d")
	p.shows("From now on it is shown as live")
	p.keys("enter")
	p.shows("pending")
	p.keys("d", "right", "enter")
	p.shows("Exception 1 is live: the sender can be asked to resend.")
	p.keys("d")
	p.shows("Exception 1 is live: nothing is left to do by hand.")
	p.keys("1", "enter", "u")
	p.shows("Exception 1 is revoked")
	p.keys("esc", "/", "ctrl+u", "is:nonsense")
	p.shows("position")
}

// What arrives while one looks stands in the bars, too: they end now, not when
// the search was typed.
func TestBarsCountWhatArrives(t *testing.T) {
	r := newReal(t)
	now := noon
	p := newProgram(t, newWorld(), 100, 40, func(o *Options) {
		o.Open = func(context.Context) (Services, error) { return Services{Searcher: r, Explainer: r, Excepter: r}, nil }
		o.Now = func() time.Time { return now }
	})
	p.lacks("rejected 1")
	m := sample(1, "alice@acme.example", "bob@corp.example")
	m.Source, m.Time = "0123456789abcdef", noon.Add(time.Minute)
	m.ID = fmt.Sprintf("%013d-%s-000000000000-000", m.Time.UnixMilli(), m.Source)
	if err := r.Put(t.Context(), []mail.Message{m}); err != nil {
		t.Fatal(err)
	}
	now = noon.Add(2 * time.Minute)
	p.send(changedMsg{routed{p.root.list.id}})
	p.send(tickMsg{})
	p.shows("1 of 1")
	p.shows("rejected 1")
}
