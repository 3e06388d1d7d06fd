package tui

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"

	"mailwhy/engine"
	"mailwhy/engine/exception"
	"mailwhy/tui/cell"
	"mailwhy/tui/table"
)

// renewal is by how much one key extends an exception.
const renewal = 30 * 24 * time.Hour

// exceptions lists what people made, newest first.
type exceptions struct {
	s             *session
	id            int
	km            exceptionKeys
	table         *table.Table[exception.Exception]
	loaded        bool
	opened        bool // the selected one is shown whole
	health        map[int]exception.Health
	width, height int
}

// exceptionsMsg brings the list.
type exceptionsMsg struct {
	routed
	all []exception.Exception
}

// healthMsg brings how the listed exceptions live, by id.
type healthMsg struct {
	routed
	health map[int]exception.Health
	err    error
}

// amendedMsg says what became of an exception, or why nothing did.
type amendedMsg struct {
	routed
	said string // the sentence about it
	err  error
}

func newExceptions(s *session) *exceptions {
	x := &exceptions{s: s, id: s.nextID(), km: newExceptionKeys(s.operator(), s.user.Role == exception.Admin)}
	x.table = table.New(func(e exception.Exception) string { return strconv.Itoa(e.ID) }, x.columns())
	return x
}

func (x *exceptions) columns() []table.Column[exception.Exception] {
	type row = exception.Exception
	l := x.s.look
	return []table.Column[row]{
		{Title: "ID", Min: 4, Max: 5, Right: true, Text: func(e row, _ int) string { return strconv.Itoa(e.ID) }},
		{Title: "STATE", Min: 7, Max: 9, Text: func(e row, _ int) string { return x.stateWord(e) },
			Style: func(e row) lipgloss.Style { return x.stateStyle(e) }},
		{Title: "KIND", Min: 6, Max: 14, Drop: 2, Text: func(e row, _ int) string { return words(string(e.Kind)) }},
		{Title: "UNTIL", Min: 9, Max: 9, Text: func(e row, _ int) string { return x.until(e) }},
		{Title: "HITS", Min: 4, Max: 5, Right: true, Drop: 4, Text: func(e row, _ int) string { return x.hits(e) }},
		{Title: "LAST HIT", Min: 9, Max: 9, Wide: 90, Drop: 3, Text: func(e row, _ int) string { return x.lastHit(e) }},
		{Title: "TICKET", Min: 8, Max: 14, Drop: 1, Text: func(e row, _ int) string { return e.Ticket }},
		{Title: "BY", Min: 8, Max: 14, Wide: 90, Drop: 3, Text: func(e row, _ int) string { return e.Actor.Name }},
		{Title: "FROM " + l.arrow + " TO", Min: 16, Text: func(e row, _ int) string {
			return specWords(e.From) + " " + l.arrow + " " + specWords(e.To)
		}},
	}
}

func (x *exceptions) until(e exception.Exception) string {
	switch {
	case !e.Revoked.IsZero():
		return x.s.day(e.Revoked)
	case e.Expires.IsZero():
		return "never"
	}
	return x.s.day(e.Expires)
}

// day writes a date in nine cells.
func (s *session) day(t time.Time) string { return t.In(s.loc).Format("02 Jan 06") }

// specWords is one side of a policy in words.
func specWords(s engine.Spec) string {
	if s.Value != "" {
		return s.Value
	}
	return firstOf(words(string(s.Type)), "-")
}

func (x *exceptions) ident() int          { return x.id }
func (x *exceptions) crumb() string       { return "Exceptions" }
func (x *exceptions) keys() []key.Binding { return x.km.all() }
func (x *exceptions) note() string        { return number(len(x.table.Rows())) }
func (x *exceptions) modal() bool         { return false }
func (x *exceptions) stop()               {}

func (x *exceptions) back() bool {
	opened := x.opened
	x.opened = false
	x.resize(x.width, x.height)
	return opened
}

func (x *exceptions) start() tea.Cmd {
	if !x.s.ready {
		return nil
	}
	id, excepter := x.id, x.s.svc.Excepter
	return func() tea.Msg { return exceptionsMsg{routed{id}, excepter.List()} }
}

func (x *exceptions) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.KeyMsg:
		return x.key(msg)
	case policyMsg, undoneMsg, madeMsg:
		return x.start()
	case exceptionsMsg:
		x.loaded = true
		x.table.SetRows(msg.all)
		return x.examine(msg.all)
	case healthMsg:
		if msg.err != nil {
			x.s.complain("Hits could not be counted: " + sentence(msg.err))
			return nil
		}
		x.health = msg.health
	case amendedMsg:
		if msg.err != nil {
			x.s.complain("Nothing was changed: " + sentence(msg.err))
			return nil
		}
		x.s.say(msg.said)
		return x.start()
	}
	return nil
}

func (x *exceptions) key(msg tea.KeyMsg) tea.Cmd {
	if moveTable(x.table, x.km.move, msg) {
		return nil
	}
	e, ok := x.table.Selected()
	if !ok {
		return nil
	}
	over := e.State(x.s.now()) == exception.Revoked || e.State(x.s.now()) == exception.Expired
	switch {
	case key.Matches(msg, x.km.open):
		x.opened = !x.opened
		x.resize(x.width, x.height)
	case key.Matches(msg, x.km.done, x.km.revoke, x.km.extend) && over:
		x.s.complain(fmt.Sprintf("Exception %d is %s already.", e.ID, e.State(x.s.now())))
	case key.Matches(msg, x.km.approve):
		x.approval(e)
	case key.Matches(msg, x.km.done) && e.State(x.s.now()) != exception.Pending:
		x.s.complain(fmt.Sprintf("Exception %d is %s: nothing is left to do by hand.", e.ID, e.State(x.s.now())))
	case key.Matches(msg, x.km.done):
		text := fmt.Sprintf("You did the steps of exception %d in the gateway's console (enter shows them), and it lets the next message through. From now on it is shown as live.", e.ID)
		x.s.open(newConfirm(x.s, "Steps done", text, "Done", func() tea.Cmd { return x.done(e.ID) }))
	case key.Matches(msg, x.km.revoke):
		text := fmt.Sprintf("Exception %d (%s %s %s %s, ticket %s) ends now: the next such message is judged without it. What was let in stays in.",
			e.ID, words(string(e.Kind)), specWords(e.From), x.s.look.arrow, specWords(e.To), e.Ticket)
		x.s.open(newConfirm(x.s, "Revoke", text, "Revoke", func() tea.Cmd { return revoke(x.s, e.ID, "revoked on the Exceptions screen") }))
	case key.Matches(msg, x.km.extend):
		until := x.s.now().Add(renewal)
		text := fmt.Sprintf("Exception %d would live until %s instead of %s.", e.ID, x.s.day(until), x.until(e))
		x.s.open(newConfirm(x.s, "Extend", text, "Extend", func() tea.Cmd { return x.extend(e.ID, until) }))
	}
	return nil
}

func (x *exceptions) extend(exceptionID int, until time.Time) tea.Cmd {
	id, ctx, excepter := x.id, x.s.ctx, x.s.svc.Excepter
	return func() tea.Msg {
		e, err := excepter.Extend(ctx, exceptionID, until, "extended on the Exceptions screen")
		return amendedMsg{routed{id}, fmt.Sprintf("Exception %d lives until %s.", e.ID, x.s.day(e.Expires)), err}
	}
}

// approval asks before a proposal is put into force.
func (x *exceptions) approval(e exception.Exception) {
	if state := e.State(x.s.now()); state != exception.Proposed {
		x.s.complain(fmt.Sprintf("Exception %d is %s: only a proposal is approved.", e.ID, state))
		return
	}
	text := fmt.Sprintf("%s proposes exception %d: %s %s %s %s until %s, ticket %s. It %s. From your approval on it lets mail in.",
		e.Actor.Name, e.ID, words(string(e.Kind)), specWords(e.From), x.s.look.arrow, specWords(e.To), x.until(e), e.Ticket, e.Awaiting)
	id, ctx, excepter := x.id, x.s.ctx, x.s.svc.Excepter
	x.s.open(newConfirm(x.s, "Approve", text, "Approve", func() tea.Cmd {
		return func() tea.Msg {
			e, err := excepter.Approve(ctx, e.ID)
			return amendedMsg{routed{id}, fmt.Sprintf("Exception %d is approved, and %s.", e.ID, e.State(x.s.now())), err}
		}
	}))
}

// done says that a person has done an exception's steps.
func (x *exceptions) done(exceptionID int) tea.Cmd {
	id, ctx, excepter := x.id, x.s.ctx, x.s.svc.Excepter
	return func() tea.Msg {
		e, err := excepter.Confirm(ctx, exceptionID)
		return amendedMsg{routed{id}, fmt.Sprintf("Exception %d is live: the sender can be asked to resend.", e.ID), err}
	}
}

func (x *exceptions) resize(w, h int) {
	x.width, x.height = w, h
	if x.opened {
		x.table.Resize(w, max(h/3, 4))
		return
	}
	x.table.Resize(w, h)
}

func (x *exceptions) view() string {
	l := x.s.look
	e, ok := x.table.Selected()
	if !ok {
		text := " Nobody made an exception yet: b on a message does."
		if !x.loaded {
			text = " reading the exceptions"
		}
		return fill([]string{l.line(x.width), l.line(x.width, seg{text, l.plain})}, x.width, x.height)
	}
	lines := strings.Split(x.table.View(l.table()), "\n")
	if x.opened {
		lines = append(lines, l.line(x.width, seg{strings.Repeat(l.rule, x.width), l.dim}))
		lines = append(lines, x.whole(e)...)
	}
	return fill(slices.Clone(lines), x.width, x.height)
}

// whole is everything an exception says, its console steps last.
func (x *exceptions) whole(e exception.Exception) []string {
	l := x.s.look
	when := func(t time.Time) string { return t.In(x.s.loc).Format("02 Jan 2006 15:04 MST") }
	facts := [][2]string{
		{"narrative", e.Narrative},
		{"made", when(e.Created) + " by " + e.Actor.Name + " (" + string(e.Actor.Role) + ")"},
		{"ticket", e.Ticket},
		{"reason", e.Reason},
		{"waits", e.Awaiting},
		{"approved by", e.ApprovedBy},
		{"scope", e.Scope + ", " + words(string(e.FromPart))},
		{"clients", strings.Join(e.SourceIPs, ", ")},
		{"for message", e.MessageID},
		{"gateways", e.PublishNote()},
	}
	if !e.Revoked.IsZero() {
		facts = append(facts, [2]string{"revoked", when(e.Revoked) + " by " + e.RevokedBy})
	}
	facts = append(facts, x.lived(e)...)
	var lines []string
	for _, f := range facts {
		if f[1] != "" {
			lines = append(lines, l.line(x.width, seg{cell.Fit("  "+f[0], 15, ""), l.dim}, seg{f[1], l.plain}))
		}
	}
	if len(e.Steps) > 0 {
		lines = append(lines, l.line(x.width, seg{"  In the gateway's console", l.key}))
	}
	for i, s := range e.Steps {
		for _, line := range cell.Wrap(cell.Clean(fmt.Sprintf("%d. %s", i+1, s)), x.width-5) {
			lines = append(lines, l.line(x.width, seg{"    " + line, l.plain}))
		}
	}
	return lines
}
