package tui

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"mailwhy/engine"
	"mailwhy/engine/exception"
	"mailwhy/engine/mail"
	"mailwhy/engine/reply"
)

const (
	dwell       = 300 * time.Millisecond // on a message, before history is searched for it
	mostImpacts = 3                      // remedies whose blast radius is shown unasked
)

// detail is one message: what happened, which policy, what would help.
type detail struct {
	s    *session
	id   int
	km   detailKeys
	list *messages

	m         mail.Message
	then, now engine.Trace
	explained reply.Explanation
	lifts     [][2]string
	traced    bool
	asOfNow   bool
	problem   string
	task      task
	impact    task
	impacts   map[string]engine.ImpactReport

	leave  func()   // ends our being seen here; nil before
	others []string // who looks at it too

	group *group // nil unless a bypass for all of a cause is drafted

	before *engine.Verdict      // of a message sent again, before the exception made here
	made   *exception.Exception // the newest made here

	expanded map[target]bool
	targets  []target
	places   []int // line of each target
	at       int   // of the target that enter acts on
	scroll   int
	lines    []string
	width    int
	height   int
}

// target is something enter acts on.
type target struct {
	kind targetKind
	i    int
}

type targetKind int

const (
	onRemedy targetKind = iota
	onStep
	onFacts
	onEvidence
	onReply
)

// detailMsg brings a message with its traces.
type detailMsg struct {
	routed
	gen       int
	m         mail.Message
	then, now engine.Trace
	explained reply.Explanation
	lifts     [][2]string // gateway, and whether it could undo this refusal
	err       error
}

// dwellMsg says that the user stayed on the message.
type dwellMsg struct {
	routed
	gen int
}

// impactMsg brings the blast radius of one remedy.
type impactMsg struct {
	routed
	gen    int
	remedy string
	report engine.ImpactReport
	err    error
}

func newDetail(s *session, list *messages, m mail.Message) *detail {
	d := &detail{s: s, id: s.nextID(), km: newDetailKeys(s.operator()), list: list}
	d.become(m)
	return d
}

// become turns to another message.
func (d *detail) become(m mail.Message) {
	d.stop()
	d.m, d.traced, d.problem, d.asOfNow = m, false, "", false
	d.before, d.made, d.group = nil, nil, nil
	d.impacts, d.expanded = map[string]engine.ImpactReport{}, map[target]bool{}
	d.at, d.scroll = 0, 0
	d.draw()
}

func (d *detail) ident() int          { return d.id }
func (d *detail) modal() bool         { return false }
func (d *detail) keys() []key.Binding { return d.km.all() }
func (d *detail) back() bool          { return false }

func (d *detail) crumb() string {
	return sender(d.m) + " " + d.s.look.arrow + " " + recipient(d.m)
}

func (d *detail) resize(w, h int) {
	d.width, d.height = w, h
	d.draw()
}

func (d *detail) start() tea.Cmd {
	if !d.s.ready {
		return nil
	}
	d.appear()
	ctx, gen := d.task.renew(d.s.ctx)
	id, m, svc, now, explain := d.id, d.m, d.s.svc, d.s.now, d.s.explain
	return func() tea.Msg {
		whole, err := svc.Searcher.Get(ctx, m.ID)
		if err != nil {
			whole = m // what the row knows is enough for a trace
		}
		resent := whole
		resent.Time = now()
		return detailMsg{routed{id}, gen, whole, svc.Explainer.Why(whole), svc.Explainer.Why(resent),
			explain(replyLine(whole.Reply)), svc.lifts(whole), err}
	}
}

func (d *detail) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.KeyMsg:
		return d.key(msg)
	case policyMsg, undoneMsg:
		if m, ok := msg.(undoneMsg); ok && d.made != nil && m.err == nil && m.exception.ID == d.made.ID {
			d.before, d.made = nil, nil
		}
		return d.start()
	case madeMsg:
		if msg.message == d.m.ID {
			d.before, d.made, d.asOfNow = msg.before, &msg.exception, true
		}
		return d.start()
	case detailMsg:
		return d.loaded(msg)
	case tickMsg:
		d.appear()
	case dwellMsg:
		if msg.gen == d.task.gen {
			return d.nextImpact()
		}
	case impactMsg:
		if msg.gen != d.impact.gen || errors.Is(msg.err, context.Canceled) {
			return nil
		}
		if msg.err == nil {
			d.impacts[msg.remedy] = msg.report
			d.draw()
			return d.nextImpact()
		}
	}
	return nil
}

func (d *detail) loaded(msg detailMsg) tea.Cmd {
	if msg.gen != d.task.gen || errors.Is(msg.err, context.Canceled) {
		return nil
	}
	if msg.err != nil {
		d.s.complain("The message cannot be read whole, this is what its row holds: " + sentence(msg.err))
	}
	if msg.then.PolicyVersion != d.then.PolicyVersion {
		d.impacts = map[string]engine.ImpactReport{}
	}
	d.m, d.then, d.now, d.explained, d.lifts, d.traced = msg.m, msg.then, msg.now, msg.explained, msg.lifts, true
	d.draw()
	d.s.ask(func(r *Root) tea.Cmd {
		if sh, ok := r.top().(*sheet); ok && sh.detail == d {
			return sh.learn()
		}
		return nil
	})
	return d.s.after(dwell, dwellMsg{routed{d.id}, d.task.gen})
}

// remedyKey tells remedies apart.
func remedyKey(r engine.Remedy) string { return string(r.Kind) + " " + r.Scope }

// nextImpact asks for the blast radius of the next remedy that works and has
// none yet.
func (d *detail) nextImpact() tea.Cmd {
	tried := 0
	for _, r := range d.then.Remedies {
		if r.Works == nil || !*r.Works || tried == mostImpacts {
			continue
		}
		tried++
		if _, known := d.impacts[remedyKey(r)]; known || r.Impact != nil {
			continue
		}
		ctx, gen := d.impact.renew(d.s.ctx)
		id, remedy, change, searcher := d.id, remedyKey(r), r.Change, d.s.svc.Searcher
		return func() tea.Msg {
			report, err := searcher.Impact(ctx, change)
			return impactMsg{routed{id}, gen, remedy, report, err}
		}
	}
	return nil
}

// verdictNow is that of the message if it were sent again.
func (d *detail) verdictNow() *engine.Verdict {
	if !d.traced {
		return nil
	}
	if d.then.VerdictNow != nil {
		return d.then.VerdictNow
	}
	v := d.now.Verdict
	return &v
}

// trace is the one the ladder shows.
func (d *detail) trace() engine.Trace {
	if d.asOfNow {
		return d.now
	}
	return d.then
}

func (d *detail) key(msg tea.KeyMsg) tea.Cmd {
	k := d.km
	switch {
	case key.Matches(msg, k.expand):
		d.enter()
	case key.Matches(msg, k.asOf):
		d.asOfNow = !d.asOfNow
		d.draw()
	case key.Matches(msg, k.next):
		return d.step(1)
	case key.Matches(msg, k.previous):
		return d.step(-1)
	case key.Matches(msg, k.act.copy):
		d.s.open(newCopyMenu(d.s, d.m, d.then))
	case key.Matches(msg, k.act.undo):
		return undo(d.s)
	default:
		if kind, ok := k.act.kind(msg); ok {
			d.act(kind, msg.String())
			return nil
		}
		d.moved(msg)
	}
	return nil
}

// act opens the sheet of a kind. For a whole cause it waits for the trace: how
// wide the bypass is follows from it.
func (d *detail) act(kind engine.Kind, opener string) {
	scope := ""
	if d.group != nil && kind == engine.KindBypass {
		if !d.traced {
			return
		}
		scope = d.group.scope(d.then.Remedies)
	}
	d.s.open(newSheet(d.s, d, kind, scope, opener))
}

// step turns to the next row of the list.
func (d *detail) step(n int) tea.Cmd {
	row, cmd := d.list.step(n)
	if row.ID == "" || row.ID == d.m.ID {
		return cmd
	}
	d.become(row)
	return tea.Batch(cmd, d.start())
}

func (d *detail) enter() {
	if d.at >= len(d.targets) {
		return
	}
	t := d.targets[d.at]
	if t.kind == onRemedy && t.i < len(d.then.Remedies) {
		r := d.then.Remedies[t.i]
		switch {
		case !d.s.operator():
			d.s.complain("Only operators make exceptions.")
		case r.Works != nil && !*r.Works:
			d.s.complain("This would not help: " + r.Because)
		case r.Kind == engine.KindGroupRemove:
			d.s.complain("A group is changed in the gateway's console: remove " + r.Scope + " there.")
		default:
			d.s.open(newSheet(d.s, d, r.Kind, r.Scope, "enter"))
		}
		return
	}
	d.expanded[t] = !d.expanded[t]
	d.draw()
}

func (d *detail) moved(msg tea.KeyMsg) {
	k := d.km.move
	page := max(d.height-1, 1)
	switch {
	case key.Matches(msg, k.up):
		d.goTo(d.at - 1)
	case key.Matches(msg, k.down):
		d.goTo(d.at + 1)
	case key.Matches(msg, k.top):
		d.goTo(0)
	case key.Matches(msg, k.bottom):
		d.goTo(len(d.targets) - 1)
	case key.Matches(msg, k.pageUp):
		d.scrollBy(-page)
	case key.Matches(msg, k.pageDown):
		d.scrollBy(page)
	case key.Matches(msg, k.halfUp):
		d.scrollBy(-page / 2)
	case key.Matches(msg, k.halfDown):
		d.scrollBy(page / 2)
	}
}

// undo takes back the newest exception of this session.
func undo(s *session) tea.Cmd {
	if len(s.made) == 0 {
		s.complain("Nothing was made in this session that could be taken back; see 2, exceptions.")
		return nil
	}
	return revoke(s, s.made[len(s.made)-1], "undo")
}

// undoneMsg says that an exception was revoked, or why not.
type undoneMsg struct {
	exception exception.Exception
	id        int
	err       error
}

// madeMsg says that an exception was made for a message.
type madeMsg struct {
	exception exception.Exception
	message   string          // id
	before    *engine.Verdict // of the message sent again, before; nil = not known
}

func revoke(s *session, id int, reason string) tea.Cmd {
	ctx, excepter := s.ctx, s.svc.Excepter
	return func() tea.Msg {
		e, err := excepter.Revoke(ctx, id, reason)
		return undoneMsg{e, id, err}
	}
}

// undone keeps the session's memory of what it made and says what happened.
func (r *Root) undone(msg undoneMsg) tea.Cmd {
	if msg.err != nil {
		r.status.complain("Not taken back: " + sentence(msg.err))
		return nil
	}
	var left []int
	for _, id := range r.s.made {
		if id != msg.id {
			left = append(left, id)
		}
	}
	r.s.made = left
	return tea.Batch(r.say(fmt.Sprintf("Exception %d is revoked: the next message is judged without it.", msg.id)), r.everyone(msg))
}

func (r *Root) madeOne(msg madeMsg) tea.Cmd {
	r.s.made = append(r.s.made, msg.exception.ID)
	text := fmt.Sprintf("Exception %d is made; u takes it back.", msg.exception.ID)
	if msg.exception.State(r.s.now()) == exception.Pending {
		text = fmt.Sprintf("Exception %d is made; its steps are still to be done by hand. u takes it back.", msg.exception.ID)
	}
	return tea.Batch(r.say(text), r.everyone(msg))
}
