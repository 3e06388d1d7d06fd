package tui

import (
	"context"
	"errors"
	"strings"
	"testing"

	"mailwhy/engine"
	"mailwhy/engine/exception"
	"mailwhy/engine/mail"
	"mailwhy/index"
)

// Enter on a cause shows its messages and no others; the causes are then still
// those of the query before.
func TestACauseIsOpened(t *testing.T) {
	p := newProgram(t, newWorld(samples(30)...), 100, 30)
	p.keys("5")
	p.shows("30 messages in 3 causes")
	p.shows("greylisting")
	p.keys("G", "enter")
	p.shows("Messages")
	p.shows(`cause:"`)
	p.shows("10 of 30")
	p.keys("5")
	p.shows("30 messages in 3 causes")
	p.keys("1", "/", "ctrl+u", "alice", "enter", "5")
	p.shows("10 messages in 1 cause")
	p.shows("P-007 Vendor block")
	if n := p.w.stray.Load(); n != 0 {
		t.Errorf("%d calls of a service outside a command", n)
	}
}

// A bypass for all of a cause is as wide as the cause and no wider, and nothing
// is drafted before the trace was shown.
func TestABypassForACause(t *testing.T) {
	p := newProgram(t, newWorld(manyOfOneCause()...), 100, 40)
	p.keys("5", "b")
	if _, ok := p.root.top().(*detail); !ok {
		t.Fatalf("b opens %T", p.root.top())
	}
	p.shows(`Blocked by policy P-007 "Vendor block"`)
	p.shows("Newest of 13 of this cause (2 senders, 1 recipient).")
	p.shows("all of acme.example → bob@corp.example")
	p.keys("b")
	sh, ok := p.root.top().(*sheet)
	if !ok || sh.scopeText() != "domain>recipient" {
		t.Fatalf("b opens %T", p.root.top())
	}
	p.keys("T-42", "enter", "enter", "right", "enter")
	p.shows("Exception 1 is made")
	if e := p.w.made[0]; e.From.Value != "acme.example" {
		t.Errorf("made for %+v", e.From)
	}
}

// The keys may be typed ahead of the trace: the second b waits for it.
func TestNoSheetBeforeTheTrace(t *testing.T) {
	p := newProgram(t, newWorld(manyOfOneCause()...), 100, 40)
	p.keys("5")
	cmds := p.hold("b")
	d := newDetail(p.root.s, p.root.list, p.w.rows[0])
	d.group = &group{rows: p.w.rows, count: 13, senders: 2, recipients: 1}
	p.root.push(d)
	p.hold("b")
	if p.root.top() != d {
		t.Errorf("a sheet stands over a message that was not replayed")
	}
	p.root.pop()
	for _, cmd := range cmds {
		p.run(cmd)
	}
	p.keys("b")
	p.shows("Bypass: Take No Action")
}

func TestACauseThatNoBypassHelps(t *testing.T) {
	p := newProgram(t, newWorld(samples(4)[:1]...), 100, 40)
	p.keys("5", "b")
	p.shows("No bypass helps it.")
}

func TestViewersBypassNoCause(t *testing.T) {
	p := newProgram(t, newWorld(samples(4)...), 80, 24, func(o *Options) { o.User.Role = exception.Viewer })
	p.keys("5", "b")
	p.lacks("bypass")
	p.shows("Causes")
}

func TestCausesThatCannotBeCounted(t *testing.T) {
	p := newProgram(t, newWorld(samples(4)...), 80, 24)
	p.root.list.text = "since:nonsense"
	p.keys("5")
	p.shows("position 1")
	if cmd := p.root.tabs[4].update(causesMsg{routed: routed{p.root.tabs[4].ident()}, gen: p.root.tabs[4].(*causes).task.gen, err: errors.New("disk gone")}); cmd != nil {
		t.Error("what failed is counted again at once")
	}
	p.send(tickMsg{})
	p.shows("The causes could not be counted: disk gone")
}

// What arrives while one looks is counted; the selected row stays selected.
func TestCausesCountWhatArrives(t *testing.T) {
	p := newProgram(t, newWorld(samples(4)...), 100, 30)
	p.keys("5", "G")
	p.shows("4 messages in 3 causes")
	table := p.root.tabs[4].(*causes).table
	before, _ := table.Selected()
	for i := range 9 {
		p.w.arrive(sample(100+i, "new@other.example", "bob@corp.example"))
	}
	for range recountAfter {
		p.shows("4 messages in 3 causes")
		p.send(tickMsg{})
	}
	p.shows("13 messages in 4 causes")
	if after, _ := table.Selected(); after.Domain != before.Domain {
		t.Errorf("%q was selected, now %q", before.Domain, after.Domain)
	}
	p.keys("1")
	p.w.arrive(sample(200, "new@other.example", "bob@corp.example"))
	for range 2 * recountAfter {
		p.send(tickMsg{})
	}
	if got := p.root.tabs[4].(*causes).messages; got != 13 {
		t.Errorf("%d are counted while nobody looks", got)
	}
}

// The query of a cause is taken by the index as it is.
func TestCausesForReal(t *testing.T) {
	rows := samples(30)
	for i := range rows {
		rows[i].Source = "0123456789abcdef"
		if rows[i].EnvelopeFrom == "alice@acme.example" {
			rows[i].Reply.Text = `say "no|yes"` + "\x1b[2J"
		}
	}
	r := newReal(t, rows...)
	p := newProgram(t, newWorld(), 100, 40, func(o *Options) {
		o.Open = func(context.Context) (Services, error) { return Services{Searcher: r, Explainer: r, Excepter: r}, nil }
	})
	p.keys("5")
	p.shows("30 messages in 3 causes")
	table := p.root.tabs[4].(*causes).table
	for i, c := range table.Rows() {
		if c.Domain == "acme.example" {
			table.Move(i)
		}
	}
	p.keys("enter")
	p.shows("10 of 30")
	p.shows("P-007 Vendor block")
	p.keys("/", "enter", "enter")
	p.shows(`Blocked by policy P-007 "Vendor block"`)
}

func TestGroupScope(t *testing.T) {
	c := index.Cause{Rule: "P-007", Domain: "acme.example"}
	for text, want := range map[string]string{"since:7d": "since:7d", "since:7d " + c.Term(): "since:7d", c.Term() + " acme": "acme", "-" + c.Term(): "", "": ""} {
		if got := withoutCause(text); got != want {
			t.Errorf("%q without its cause is %q, want %q", text, got, want)
		}
	}
	rows := samples(4)[:1]
	f := func(g group, narrow, want string) {
		t.Helper()
		g.rows = rows
		all := remedies(engine.Verdict{Outcome: outcome(mail.Rejected), Policy: "P-007"})
		all[0].Scope = narrow
		if got := g.scope(all); got != want {
			t.Errorf("%+v, narrowest %s: %q, want %q", g, narrow, got, want)
		}
	}
	f(group{senders: 1, headers: 1, recipients: 1}, "sender>recipient", "sender>recipient")
	f(group{senders: 1, headers: 9, recipients: 2}, "sender>recipient", "sender>all")
	f(group{senders: 9, headers: 1, recipients: 1}, "sender>recipient,header", "sender>recipient,header")
	f(group{senders: 9, headers: 1, recipients: 3}, "sender>recipient,both,ip", "domain>all,both")
	if strings.Contains((&group{rows: rows, count: 1, senders: 1, recipients: 1}).words(nil, ">"), "drafts") {
		t.Error("a bypass is offered where none helps")
	}
}
