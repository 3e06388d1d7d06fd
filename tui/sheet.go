package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/bubbles/key"
	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"

	"mailwhy/engine"
	"mailwhy/engine/exception"
	"mailwhy/engine/mail"
)

// grace is how long the key that opened a sheet is not taken as text: a key
// held down must not end up in the ticket.
const grace = 300 * time.Millisecond

// sheet asks for one exception, filled in from a message.
type sheet struct {
	s       *session
	id      int
	km      sheetKeys
	detail  *detail
	m       mail.Message
	opened  time.Time
	opener  string // key
	kind    engine.Kind
	touched bool // a choice was turned: what comes later must not turn it back

	fields []*field
	at     int

	task    task
	draft   *exception.Draft
	reach   task
	reached string // what the impact was asked for
	impact  *engine.ImpactReport
	problem string // why nothing can be drafted, or was not made
	asking  bool   // a draft is under way
	making  bool   // the exception is being written

	width, height int
}

// part names a field of a sheet.
type part string

const (
	partAction  part = "Action"
	partFrom    part = "From"
	partTo      part = "To"
	partAddress part = "Address"
	partClient  part = "Client"
	partUntil   part = "Until"
	partTicket  part = "Ticket"
	partReason  part = "Reason"
	partCancel  part = "Cancel"
	partCreate  part = "Create"
)

// field is a choice, a text or a button.
type field struct {
	part    part
	choices []choice // of a choice
	picked  int
	input   textinput.Model // of a text
}

// choice is one of the values a field can have.
type choice struct {
	value string // as a proposal has it
	shown string
	hint  string
}

func (f *field) isText() bool   { return f.part == partTicket || f.part == partReason }
func (f *field) isButton() bool { return f.part == partCancel || f.part == partCreate }
func (f *field) value() string {
	if f.isText() {
		return strings.TrimSpace(f.input.Value())
	}
	if len(f.choices) == 0 {
		return ""
	}
	return f.choices[f.picked].value
}

type (
	// proposeMsg ends the pause after the last change of a field.
	proposeMsg struct {
		routed
		gen int
	}
	// draftMsg brings the exception as it would be journalled, with the guards'
	// answers.
	draftMsg struct {
		routed
		gen   int
		draft exception.Draft
		err   error
	}
	// reachMsg brings what it would have let in.
	reachMsg struct {
		routed
		gen    int
		report engine.ImpactReport
		err    error
	}
	// createdMsg brings the exception, or why there is none.
	createdMsg struct {
		routed
		exception exception.Exception
		before    *engine.Verdict
		err       error
	}
)

// newSheet fills a sheet in for a message; scope "" is the narrowest remedy of
// the kind that works. opener is the key that opened it.
func newSheet(s *session, d *detail, kind engine.Kind, scope, opener string) *sheet {
	sh := &sheet{s: s, id: s.nextID(), km: newSheetKeys(), detail: d, m: d.m, opened: s.now(), opener: opener, kind: kind}
	sh.lay(scope)
	sh.focus(sh.index(partTicket))
	sh.touched = scope != ""
	return sh
}

// lay makes the fields and fills them in.
func (sh *sheet) lay(scope string) {
	kind := sh.kind
	if scope == "" {
		kind, scope = narrowest(sh.detail.then.Remedies, kind)
	}
	sh.fields = sh.newFields(kind, sh.detail.then.Remedies)
	sh.fillIn(kind, scope)
}

// learn fills the sheet in again when the replay ends after the sheet was
// opened; what was typed and turned stays.
func (sh *sheet) learn() tea.Cmd {
	if sh.touched || sh.making {
		return nil
	}
	at, old := sh.fields[sh.at].part, sh.fields
	sh.m = sh.detail.m
	sh.lay("")
	for _, f := range old {
		if f.isText() {
			sh.fields[sh.index(f.part)].input = f.input
		}
	}
	sh.focus(sh.index(at))
	return sh.propose()
}

// narrowest is the first remedy of a kind that works; remedies come narrowest
// first. The three ways to change a recipient's own list are one sheet.
func narrowest(all []engine.Remedy, kind engine.Kind) (engine.Kind, string) {
	for _, r := range all {
		if keyOf(r.Kind) == keyOf(kind) && r.Works != nil && *r.Works {
			return r.Kind, r.Scope
		}
	}
	return kind, ""
}

func (sh *sheet) ident() int          { return sh.id }
func (sh *sheet) crumb() string       { return strings.ToLower(sh.title()) }
func (sh *sheet) modal() bool         { return true }
func (sh *sheet) keys() []key.Binding { return sh.km.all() }
func (sh *sheet) note() string        { return "" }
func (sh *sheet) stop()               { sh.task.stop(); sh.reach.stop() }
func (sh *sheet) resize(w, h int)     { sh.width, sh.height = w, h }

// back lets the sheet go, unless its exception is being written: then its end
// has to be seen.
func (sh *sheet) back() bool { return sh.making }

func (sh *sheet) start() tea.Cmd { return sh.propose() }

func (sh *sheet) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.KeyMsg:
		return sh.key(msg)
	case policyMsg:
		sh.reached = ""
		return sh.propose()
	case proposeMsg:
		if msg.gen == sh.task.gen {
			return sh.propose()
		}
	case draftMsg:
		return sh.drafted(msg)
	case reachMsg:
		if msg.gen == sh.reach.gen && msg.err == nil {
			sh.impact = &msg.report
		}
	case createdMsg:
		return sh.created(msg)
	}
	return nil
}

func (sh *sheet) key(msg tea.KeyMsg) tea.Cmd {
	if sh.making {
		return nil
	}
	f := sh.fields[sh.at]
	if msg.String() == sh.opener && sh.opener != "enter" && f.isText() && f.value() == "" && sh.s.now().Sub(sh.opened) < grace {
		return nil
	}
	switch {
	case key.Matches(msg, sh.km.next):
		sh.focus(sh.at + 1)
	case key.Matches(msg, sh.km.previous):
		sh.focus(sh.at - 1)
	case key.Matches(msg, sh.km.enter):
		return sh.press(f)
	case f.isText():
		old := f.input.Value()
		var cmd tea.Cmd
		f.input, cmd = f.input.Update(msg)
		if f.input.Value() != old {
			return tea.Batch(cmd, sh.changed())
		}
		return cmd
	case key.Matches(msg, sh.km.left):
		return sh.pick(f, -1)
	case key.Matches(msg, sh.km.right):
		return sh.pick(f, 1)
	}
	return nil
}

// pick turns a choice, or goes to the other button.
func (sh *sheet) pick(f *field, n int) tea.Cmd {
	if f.isButton() {
		sh.focus(sh.at + n)
		return nil
	}
	f.picked = (f.picked + n + len(f.choices)) % len(f.choices)
	sh.touched = true
	return sh.changed()
}

func (sh *sheet) press(f *field) tea.Cmd {
	switch f.part {
	case partCancel:
		sh.s.close()
		return nil
	case partCreate:
		return sh.create()
	}
	sh.focus(sh.at + 1)
	return nil
}

func (sh *sheet) focus(at int) {
	sh.at = max(min(at, len(sh.fields)-1), 0)
	for i, f := range sh.fields {
		if f.isText() && i == sh.at {
			f.input.Focus()
		} else if f.isText() {
			f.input.Blur()
		}
	}
}

func (sh *sheet) index(p part) int {
	return slices.IndexFunc(sh.fields, func(f *field) bool { return f.part == p })
}

func (sh *sheet) value(p part) string {
	if i := sh.index(p); i >= 0 {
		return sh.fields[i].value()
	}
	return ""
}

// changed proposes anew once the user pauses.
func (sh *sheet) changed() tea.Cmd {
	sh.problem = ""
	_, gen := sh.task.renew(sh.s.ctx)
	sh.asking = true
	return sh.s.after(debounce, proposeMsg{routed{sh.id}, gen})
}

// proposal is what the fields say.
func (sh *sheet) proposal() exception.Proposal {
	p := exception.Proposal{
		Kind: engine.Kind(sh.value(partAction)),
		Scope: engine.Scope{
			From: sh.value(partFrom), To: sh.value(partTo),
			FromPart: engine.FromPart(sh.value(partAddress)), IP: sh.value(partClient) == "ip",
		},
		Message: sh.m, Ticket: sh.value(partTicket), Reason: sh.value(partReason),
	}
	if p.Scope.FromPart == "" {
		p.Scope.FromPart = engine.EnvelopeFrom
	}
	switch days := sh.value(partUntil); days {
	case "never":
		p.Never = true
	default:
		var n int
		if _, err := fmt.Sscan(days, &n); err == nil {
			p.Expires = sh.s.now().AddDate(0, 0, n)
		}
	}
	return p
}

func (sh *sheet) propose() tea.Cmd {
	ctx, gen := sh.task.renew(sh.s.ctx)
	sh.asking = true
	id, p, excepter := sh.id, sh.proposal(), sh.s.svc.Excepter
	return func() tea.Msg {
		d, err := excepter.Propose(ctx, p)
		return draftMsg{routed{id}, gen, d, err}
	}
}

func (sh *sheet) drafted(msg draftMsg) tea.Cmd {
	if msg.gen != sh.task.gen || errors.Is(msg.err, context.Canceled) {
		return nil
	}
	sh.asking = false
	if msg.err != nil {
		sh.draft, sh.impact, sh.reached, sh.problem = nil, nil, "", stop(upper(sentence(msg.err)))
		return nil
	}
	sh.draft = &msg.draft
	return sh.reachOf(msg.draft)
}

// reachOf asks what the exception would have let in. The texts have no part in
// that: typing a ticket does not count history again.
func (sh *sheet) reachOf(d exception.Draft) tea.Cmd {
	about := fmt.Sprint(sh.value(partAction), sh.scopeText(), d.Change.Until, d.Exception.Override)
	if about == sh.reached {
		return nil
	}
	sh.reached, sh.impact = about, nil
	ctx, gen := sh.reach.renew(sh.s.ctx)
	id, change, searcher := sh.id, d.Change, sh.s.svc.Searcher
	return func() tea.Msg {
		report, err := searcher.Impact(ctx, change)
		return reachMsg{routed{id}, gen, report, err}
	}
}

// create writes the exception, once the ticket is there.
func (sh *sheet) create() tea.Cmd {
	if sh.value(partTicket) == "" {
		sh.problem = "A ticket is required."
		sh.focus(sh.index(partTicket))
		return nil
	}
	sh.stop()
	sh.making, sh.problem = true, ""
	// Writing is not tied to the sheet: once asked for it runs to its end.
	// What was before it is what the screen knows now: the new set may be there
	// before the answer is.
	id, ctx, p, excepter, before := sh.id, sh.s.ctx, sh.proposal(), sh.s.svc.Excepter, sh.detail.verdictNow()
	return func() tea.Msg {
		e, err := excepter.Create(ctx, p)
		return createdMsg{routed{id}, e, before, err}
	}
}

func (sh *sheet) created(msg createdMsg) tea.Cmd {
	sh.making = false
	if msg.err != nil {
		sh.problem = "Not made: " + stop(sentence(msg.err))
		sh.focus(sh.index(partCancel))
		return nil
	}
	sh.s.close()
	made := madeMsg{msg.exception, sh.m.ID, msg.before}
	sh.s.ask(func(r *Root) tea.Cmd { return r.madeOne(made) })
	return nil
}
