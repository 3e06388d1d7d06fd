package tui

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"mailwhy/engine/reply"
)

// The smallest terminal that is drawn on, in cells.
const (
	leastWidth  = 50
	leastHeight = 14
)

// splitWidth is the width from which a message stands beside the list.
const splitWidth = 120

// Root is the only tea.Model: it routes messages to screens, lays them out and
// knows nothing of what they show.
type Root struct {
	s      *session
	cancel context.CancelFunc
	open   func(ctx context.Context) (Services, error)
	failed string // why the services did not come
	clock  string // layout of the time in the first line

	keys    globalKeys
	tabs    []screen
	tab     int
	list    *messages // tabs[0]
	stack   []screen  // over the tab
	status  status
	command *commandLine // nil when not in use

	sources       []SourceStatus
	backlog       Backlog
	width, height int
}

// openedMsg brings the services, or why there are none.
type openedMsg struct {
	services Services
	err      error
}

// policyWatchMsg brings the channel that is closed at the next change of the
// policies.
type policyWatchMsg struct{ changed <-chan struct{} }

// NewRoot makes the model of one terminal. The clipboard's sequence goes to
// out, which must be what the program draws on. ctx ends what is under way.
func NewRoot(ctx context.Context, o Options, out io.Writer) *Root {
	ctx, cancel := context.WithCancel(ctx)
	s := &session{
		ctx: ctx, now: o.Now, loc: o.Location, user: o.User, tenant: o.Tenant,
		look: newLook(out, o), out: out, wrap: newWrapper(environ(o.Environ)),
		after: afterTick, await: awaitClosed, explain: o.Explain,
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.loc == nil {
		s.loc = time.UTC
	}
	if s.explain == nil {
		s.explain = reply.Explain
	}
	r := &Root{s: s, cancel: cancel, open: o.Open, keys: newGlobalKeys(), clock: "15:04:05 MST"}
	if o.remote { // seconds would be traffic for nothing
		r.clock = "15:04 MST"
	}
	r.list = newMessages(s, o.Query)
	r.tabs = []screen{r.list, newExceptions(s), newSources(s), newPolicies(s), newCauses(s, r.list)}
	return r
}

// Init opens the services in a command: the frame is drawn meanwhile.
func (r *Root) Init() tea.Cmd {
	ctx, open := r.s.ctx, r.open
	return tea.Batch(r.tick(), func() tea.Msg {
		services, err := open(ctx)
		return openedMsg{services, err}
	})
}

func (r *Root) tick() tea.Cmd { return r.s.after(time.Second, tickMsg{}) }

// Update routes: size to everyone, results to the screen they are for, keys to
// the dialog, the text input, the screen and the whole program in this order.
func (r *Root) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var cmd tea.Cmd
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		r.width, r.height = msg.Width, msg.Height
		r.layout()
	case tea.KeyMsg:
		cmd = r.typed(msg)
	case openedMsg:
		cmd = r.opened(msg)
	case sourcesMsg:
		r.sources, r.backlog = msg.sources, msg.backlog
		cmd = r.everyone(msg)
	case tickMsg:
		cmd = tea.Batch(r.tick(), r.everyone(msg), r.readSources())
	case policyWatchMsg:
		cmd = tea.Batch(r.s.await(r.s.ctx, msg.changed, policyMsg{}), r.everyone(policyMsg{}))
	case policyMsg:
		cmd = r.watchPolicy()
	case undoneMsg:
		cmd = r.undone(msg)
	case madeMsg:
		cmd = r.madeOne(msg)
	case fadeMsg:
		r.status.fade(msg)
	case interface{ to() int }:
		cmd = r.route(msg.to(), msg)
	default:
		cmd = r.top().update(msg)
	}
	return r, tea.Batch(cmd, r.grant())
}

// grant does what screens asked for, and what that leads to.
func (r *Root) grant() tea.Cmd {
	var cmds []tea.Cmd
	for len(r.s.wants) > 0 {
		wants := r.s.wants
		r.s.wants = nil
		for _, want := range wants {
			cmds = append(cmds, want(r))
		}
	}
	return tea.Batch(cmds...)
}

func (r *Root) opened(msg openedMsg) tea.Cmd {
	if msg.err != nil {
		r.failed = "The index cannot be opened: " + msg.err.Error() + "."
		return nil
	}
	r.s.svc, r.s.ready = msg.services, true
	cmds := []tea.Cmd{r.watchPolicy(), r.readSources()}
	for i, t := range r.tabs {
		if _, late := t.(interface{ late() }); late && i != r.tab {
			continue
		}
		cmds = append(cmds, t.start())
	}
	return tea.Batch(cmds...)
}

// watchPolicy asks for the channel of the next change first; only then do the
// screens replay, so that no change falls between.
func (r *Root) watchPolicy() tea.Cmd {
	explainer := r.s.svc.Explainer
	return func() tea.Msg { return policyWatchMsg{explainer.PolicyChanged()} }
}

func (r *Root) readSources() tea.Cmd {
	if !r.s.ready || r.s.svc.Sources == nil {
		return nil
	}
	lister := r.s.svc.Sources
	return func() tea.Msg { return sourcesMsg{lister.Sources(), lister.Backlog()} }
}

// top is the screen that takes the keys.
func (r *Root) top() screen {
	if n := len(r.stack); n > 0 {
		return r.stack[n-1]
	}
	return r.tabs[r.tab]
}

func (r *Root) everyone(msg tea.Msg) tea.Cmd {
	var cmds []tea.Cmd
	for _, s := range r.screens() {
		cmds = append(cmds, s.update(msg))
	}
	return tea.Batch(cmds...)
}

func (r *Root) screens() []screen {
	return append(append([]screen(nil), r.tabs...), r.stack...)
}

func (r *Root) route(id int, msg tea.Msg) tea.Cmd {
	for _, s := range r.screens() {
		if s.ident() == id {
			return s.update(msg)
		}
	}
	return nil
}

func (r *Root) push(s screen) tea.Cmd {
	r.stack = append(r.stack, s)
	r.layout()
	return s.start()
}

func (r *Root) pop() {
	if n := len(r.stack); n > 0 {
		r.stack[n-1].stop()
		r.stack = r.stack[:n-1]
		r.layout()
	}
}

// show goes to a tab, closing what stands over the present one.
func (r *Root) show(tab int) tea.Cmd {
	for len(r.stack) > 0 {
		r.pop()
	}
	r.tab = tab
	r.layout()
	return r.tabs[tab].start()
}

func (r *Root) quit() tea.Cmd {
	r.cancel()
	return tea.Quit
}

// typed takes keys one by one: what is typed fast, or comes over a slow line,
// arrives as one message of many. Pasted text is for text inputs alone.
func (r *Root) typed(msg tea.KeyMsg) tea.Cmd {
	if msg.Paste && r.command == nil && !r.top().modal() {
		return nil
	}
	if msg.Type != tea.KeyRunes || msg.Paste || len(msg.Runes) < 2 {
		return r.key(msg)
	}
	var cmds []tea.Cmd
	for _, c := range msg.Runes {
		cmds = append(cmds, r.key(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{c}, Alt: msg.Alt}), r.grant())
	}
	return tea.Batch(cmds...)
}

func (r *Root) key(msg tea.KeyMsg) tea.Cmd {
	r.status.key()
	top := r.top()
	switch {
	case key.Matches(msg, r.keys.kill):
		return r.quit()
	case r.command != nil:
		return r.commandKey(msg)
	case key.Matches(msg, r.keys.back):
		return r.back()
	case top.modal():
		return top.update(msg)
	case key.Matches(msg, r.keys.quit):
		if len(r.stack) == 0 {
			return r.quit()
		}
		return r.back()
	case key.Matches(msg, r.keys.help):
		if _, ok := top.(*help); ok {
			return r.back()
		}
		return r.push(newHelp(r.s, top, r.keys))
	case key.Matches(msg, r.keys.command):
		r.command = newCommandLine()
		return nil
	case key.Matches(msg, r.keys.messages):
		return r.show(0)
	case key.Matches(msg, r.keys.exceptions):
		return r.show(1)
	case key.Matches(msg, r.keys.sources):
		return r.show(2)
	case key.Matches(msg, r.keys.policies):
		return r.show(3)
	case key.Matches(msg, r.keys.causes):
		return r.show(4)
	case key.Matches(msg, r.keys.next):
		return r.show((r.tab + 1) % len(r.tabs))
	}
	return top.update(msg)
}

// back goes back one level and never quits.
func (r *Root) back() tea.Cmd {
	if !r.top().back() {
		r.pop()
	}
	return nil
}

// split reports whether a message stands beside the list.
func (r *Root) split() bool { return r.width >= splitWidth && r.tab == 0 }

func (r *Root) leftWidth() int { return r.width * 2 / 5 }

func (r *Root) layout() {
	body := max(r.height-2, 0)
	for _, t := range r.tabs {
		t.resize(r.width, body)
	}
	right := r.width
	if r.split() && len(r.stack) > 0 {
		r.list.resize(r.leftWidth(), body)
		right = r.width - r.leftWidth() - 1
	}
	for _, s := range r.stack {
		s.resize(right, body)
	}
}

// View draws the line that says where one is, the screen, and the line that
// says what can be done now.
func (r *Root) View() string {
	if r.width == 0 || r.height == 0 {
		return ""
	}
	l := r.s.look
	if r.width < leastWidth || r.height < leastHeight {
		return l.line(r.width, seg{fmt.Sprintf("mailwhy needs %d x %d cells, has %d x %d", leastWidth, leastHeight, r.width, r.height), l.plain})
	}
	return r.head() + "\n" + r.body() + "\n" + r.foot()
}

func (r *Root) head() string {
	l := r.s.look
	crumbs := r.tabs[r.tab].crumb()
	for _, s := range r.stack {
		crumbs += " " + l.crumb + " " + s.crumb()
	}
	left := []seg{{" mailwhy ", l.title}, {" " + crumbs, l.plain}}
	if r.s.tenant != "" {
		left[0].text += r.s.tenant + " "
	}
	health, style := sourcesHealth(r.sources, r.backlog, r.s.ready), l.dim
	if health.bad {
		style = l.bad
	}
	clock := r.s.now().In(r.s.loc).Format(r.clock) + " "
	return l.ends(r.width, left, []seg{{health.text, style}, {"   " + clock, l.dim}})
}

func (r *Root) body() string {
	if r.failed != "" {
		lines := []string{"", r.s.look.line(r.width, seg{" " + r.failed, r.s.look.bad})}
		lines[0] = strings.Repeat(" ", r.width)
		return fill(lines, r.width, r.height-2)
	}
	if !r.split() || len(r.stack) == 0 {
		return r.top().view()
	}
	left := strings.Split(r.list.view(), "\n")
	right := strings.Split(r.top().view(), "\n")
	wall := r.s.look.dim.Render(r.s.look.wall)
	for i := range left {
		left[i] += wall + right[i]
	}
	return strings.Join(left, "\n")
}

func (r *Root) foot() string {
	l := r.s.look
	switch {
	case r.command != nil:
		return r.command.view(r.width, l)
	case r.status.text != "" && r.status.bad:
		return l.line(r.width, seg{" " + r.status.text, l.bad})
	case r.status.text != "":
		return l.line(r.width, seg{" " + r.status.text, l.good})
	}
	top := r.top()
	var right []seg
	if note := top.note(); note != "" {
		right = []seg{{note + " ", l.warn}}
	}
	bindings := acting(enabled(top.keys()))
	if !top.modal() {
		bindings = append(bindings, r.keys.next, r.keys.help)
		if len(r.stack) > 0 {
			bindings[len(bindings)-2] = r.keys.back
		}
	}
	return l.ends(r.width, l.short(bindings, r.width-18), right)
}

// short is as much of the key map as fits, most used first, help last.
func (l look) short(bindings []key.Binding, room int) []seg {
	var segs []seg
	for i, b := range bindings {
		need := len(b.Help().Key) + len(b.Help().Desc) + 2
		last := i == len(bindings)-1
		if room-need < 8 && !last {
			continue
		}
		room -= need + 1
		segs = append(segs, seg{" " + b.Help().Key, l.key}, seg{" " + b.Help().Desc + " ", l.plain})
	}
	return segs
}
