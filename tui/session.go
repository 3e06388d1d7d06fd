package tui

import (
	"context"
	"io"
	"time"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"mailwhy/engine/exception"
	"mailwhy/engine/reply"
)

// session is what every screen of one terminal shares. Only Update touches it.
type session struct {
	ctx    context.Context
	now    func() time.Time
	loc    *time.Location
	user   exception.Actor
	tenant string
	look   look
	out    io.Writer // for the clipboard's escape sequence alone
	wrap   wrapper   // how a multiplexer wants it

	// after makes a command that gives msg when d is over, await one that gives
	// it when the channel is closed and nothing when ctx ends.
	after func(d time.Duration, msg tea.Msg) tea.Cmd
	await func(ctx context.Context, closed <-chan struct{}, msg tea.Msg) tea.Cmd

	// explain is the knowledge base's word on a reply.
	explain func(text string) reply.Explanation

	svc   Services
	ready bool // svc is there

	made  []int // exceptions made and not undone in this session, newest last
	ids   int
	wants []func(*Root) tea.Cmd
}

// operator reports whether the user may make exceptions at all.
func (s *session) operator() bool { return s.user.Role != exception.Viewer }

func afterTick(d time.Duration, msg tea.Msg) tea.Cmd {
	return tea.Tick(d, func(time.Time) tea.Msg { return msg })
}

func awaitClosed(ctx context.Context, closed <-chan struct{}, msg tea.Msg) tea.Cmd {
	return func() tea.Msg {
		select {
		case <-closed:
			return msg
		case <-ctx.Done():
			return nil
		}
	}
}

// nextID gives a screen the identity its results are routed by.
func (s *session) nextID() int { s.ids++; return s.ids }

// ask leaves something for the root to do once the screen's update is over:
// open a screen, go back, say something.
func (s *session) ask(f func(*Root) tea.Cmd) { s.wants = append(s.wants, f) }

// say puts a sentence on the status line.
func (s *session) say(text string) { s.ask(func(r *Root) tea.Cmd { return r.say(text) }) }

// complain puts an error's sentence there, where it stays until a key.
func (s *session) complain(text string) {
	s.ask(func(r *Root) tea.Cmd { r.status.complain(text); return nil })
}

// open puts a screen on top.
func (s *session) open(top screen) { s.ask(func(r *Root) tea.Cmd { return r.push(top) }) }

// close takes the top screen away.
func (s *session) close() { s.ask(func(r *Root) tea.Cmd { r.pop(); return nil }) }

// screen is one view with its state: a pointer that the root routes to.
type screen interface {
	// ident is what results meant for it carry.
	ident() int
	// crumb is its name in the line that says where one is.
	crumb() string
	// start returns what is to be done when it is put on top, and again when
	// the services have come.
	start() tea.Cmd
	// update takes keys when it is on top, its results and ticks always.
	update(msg tea.Msg) tea.Cmd
	resize(w, h int)
	// view is exactly h lines of w cells, as resized.
	view() string
	// keys are the bindings of its present state.
	keys() []key.Binding
	// note stands at the right end of the last line.
	note() string
	// modal reports that it takes every key but ctrl+c and esc: a dialog, or a
	// text input in use.
	modal() bool
	// back uses esc up for something of its own; false lets it be closed.
	back() bool
	// stop cancels what is under way.
	stop()
}

// routed is embedded in the results of commands: the screen they are for.
type routed struct{ id int }

func (r routed) to() int { return r.id }

// tickMsg comes every second.
type tickMsg struct{}

// policyMsg says that the policies or the exceptions changed.
type policyMsg struct{}

// task is a cancellable piece of work of which only the newest counts.
type task struct {
	gen     int
	ctx     context.Context // nil before the first
	cancel  context.CancelFunc
	waiting bool // renewed, but nothing was started yet
}

// renew cancels what is under way and begins anew; results of another
// generation are to be dropped.
func (t *task) renew(parent context.Context) (context.Context, int) {
	t.stop()
	t.gen++
	ctx, cancel := context.WithCancel(parent)
	t.ctx, t.cancel = ctx, cancel
	return ctx, t.gen
}

// stop cancels what is under way.
func (t *task) stop() {
	if t.cancel != nil {
		t.cancel()
		t.cancel = nil
	}
}
