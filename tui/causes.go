package tui

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"mailwhy/index"
	"mailwhy/tui/table"
)

// causes groups what the query of the list finds by what the log names as the
// rule, the sender's domain and the template of the reason.
type causes struct {
	s             *session
	id            int
	km            causeKeys
	list          *messages // whose query is grouped
	text          string    // the query that was grouped
	table         *table.Table[index.Cause]
	task          task
	counting      bool
	known         bool // text was grouped
	problem       string
	messages      int               // of all groups
	rules         map[string]string // what the newest message of a group says under WHY, by causeID
	ruling        bool              // rules are under way
	drafting      bool              // a group's messages are read for its bypass
	seconds       int               // since they were counted
	width, height int
}

type (
	// causesMsg brings the groups of a query.
	causesMsg struct {
		routed
		gen  int
		list []index.Cause
		err  error
	}
	// rulesMsg brings what the newest messages of some groups say under WHY.
	rulesMsg struct {
		routed
		gen   int
		rules map[string]string
	}
	// groupMsg brings a group's newest messages, of which a bypass is to be
	// drafted.
	groupMsg struct {
		routed
		gen   int
		text  string // the query of the group
		group group
		err   error
	}
)

func newCauses(s *session, list *messages) *causes {
	x := &causes{s: s, id: s.nextID(), km: newCauseKeys(s.operator()), list: list, rules: map[string]string{}}
	x.table = table.New(causeID, x.columns())
	return x
}

// causeID tells groups apart.
func causeID(c index.Cause) string { return c.Term() }

func (x *causes) columns() []table.Column[index.Cause] {
	l := x.s.look
	return []table.Column[index.Cause]{
		{Title: "COUNT", Min: 6, Max: 9, Right: true, Text: func(c index.Cause, _ int) string { return number(c.Count) }},
		{Title: "TREND", Min: index.TrendBars, Max: index.TrendBars, Drop: 3, Text: func(c index.Cause, _ int) string { return l.spark(c.Trend[:]) }},
		{Title: "FIRST", Min: 9, Max: 9, Wide: 100, Drop: 4, Text: func(c index.Cause, w int) string { return x.s.stamp(c.First, w) }},
		{Title: "LAST", Min: 9, Max: 9, Drop: 2, Text: func(c index.Cause, w int) string { return x.s.stamp(c.Last, w) }},
		{Title: "RULE", Min: 14, Max: 34, Text: func(c index.Cause, _ int) string {
			return firstOf(x.rules[causeID(c)], c.Rule, "-")
		}},
		{Title: "SENDER DOMAIN", Min: 13, Max: 30, Text: func(c index.Cause, _ int) string { return firstOf(c.Domain, "-") }},
		{Title: "REASON", Min: 12, Drop: 1, Text: func(c index.Cause, _ int) string { return firstOf(c.Reason, "-") }},
	}
}

func (x *causes) ident() int          { return x.id }
func (x *causes) crumb() string       { return "Causes" }
func (x *causes) keys() []key.Binding { return x.km.all() }
func (x *causes) modal() bool         { return false }
func (x *causes) back() bool          { return false }
func (x *causes) stop()               { x.task.stop() }

func (x *causes) note() string {
	if x.counting || x.drafting {
		return "counting"
	}
	return ""
}

// late: it counts when it is shown, not while the program starts.
func (x *causes) late() {}

// start groups what the list shows now; a group that was looked into before is
// put back among the others.
func (x *causes) start() tea.Cmd {
	if text := withoutCause(x.list.text); text != x.text || !x.known {
		x.text, x.known = text, false
		x.table.SetRows(nil)
	}
	return x.count()
}

// causeTerm is the term of a group in a query line.
var causeTerm = regexp.MustCompile(`\s*-?cause:"[^"]*"`)

func withoutCause(text string) string {
	return strings.TrimSpace(causeTerm.ReplaceAllString(text, ""))
}

func (x *causes) count() tea.Cmd {
	if !x.s.ready {
		return nil
	}
	q, err := index.ParseQuery(x.text, x.s.now(), x.s.loc)
	if err != nil {
		x.problem = sentence(err)
		return nil
	}
	ctx, gen := x.task.renew(x.s.ctx)
	x.problem, x.counting, x.ruling, x.drafting, x.seconds = "", true, false, false, 0
	id, searcher := x.id, x.s.svc.Searcher
	return func() tea.Msg {
		list, err := searcher.Causes(ctx, q)
		return causesMsg{routed{id}, gen, list, err}
	}
}

func (x *causes) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case policyMsg:
		clear(x.rules)
		if x.known {
			return x.rule()
		}
	case tickMsg:
		x.tick()
	case causesMsg:
		return x.counted(msg)
	case rulesMsg:
		if msg.gen == x.task.gen {
			x.ruling = false
			for id, text := range msg.rules {
				x.rules[id] = text
			}
			return x.rule()
		}
	case groupMsg:
		return x.drafted(msg)
	case tea.KeyMsg:
		return x.key(msg)
	}
	return nil
}

// recountAfter is how many seconds pass between two counts while one looks.
const recountAfter = 5

// tick counts again what arrived meanwhile, while the screen is looked at.
func (x *causes) tick() {
	if x.seconds++; x.seconds < recountAfter || x.counting || x.drafting {
		return
	}
	x.s.ask(func(r *Root) tea.Cmd {
		if r.top() != x {
			return nil
		}
		return x.count()
	})
}

func (x *causes) key(msg tea.KeyMsg) tea.Cmd {
	selected, ok := x.table.Selected()
	switch {
	case key.Matches(msg, x.km.refresh):
		return x.count()
	case !ok:
	case key.Matches(msg, x.km.open):
		x.s.ask(func(r *Root) tea.Cmd { return tea.Batch(r.show(0), r.list.submit(x.queryOf(selected))) })
	case key.Matches(msg, x.km.bypass):
		return x.draft(selected)
	case moveTable(x.table, x.km.move, msg):
		return x.rule()
	}
	return nil
}

// queryOf is the query that finds a group's messages.
func (x *causes) queryOf(c index.Cause) string { return strings.TrimSpace(x.text + " " + c.Term()) }

func (x *causes) counted(msg causesMsg) tea.Cmd {
	if msg.gen != x.task.gen || errors.Is(msg.err, context.Canceled) {
		return nil
	}
	x.counting = false
	if msg.err != nil {
		x.s.complain("The causes could not be counted: " + sentence(msg.err))
		return nil
	}
	x.known, x.messages = true, 0
	for _, c := range msg.list {
		x.messages += c.Count
	}
	x.table.SetRows(msg.list)
	return x.rule()
}

// rule replays the newest message of the groups on the screen, to name the
// policy where the log does not.
func (x *causes) rule() tea.Cmd {
	if x.ruling || !x.s.ready {
		return nil
	}
	var rows []index.Cause
	for _, c := range x.table.Visible() {
		if _, known := x.rules[causeID(c)]; !known {
			rows = append(rows, c)
		}
	}
	if len(rows) == 0 || x.task.ctx == nil {
		return nil
	}
	x.ruling = true
	ctx, gen, id, svc, explain, now, loc := x.task.ctx, x.task.gen, x.id, x.s.svc, x.s.explain, x.s.now(), x.s.loc
	var queries []string
	for _, c := range rows {
		queries = append(queries, x.queryOf(c))
	}
	return func() tea.Msg {
		out := rulesMsg{routed{id}, gen, map[string]string{}}
		for i, c := range rows {
			out.rules[causeID(c)] = ""
			q, err := index.ParseQuery(queries[i], now, loc)
			if err != nil {
				continue
			}
			page, err := svc.Searcher.Page(ctx, q, "", 1)
			if err != nil || len(page.Rows) == 0 {
				continue
			}
			newest := page.Rows[0]
			verdict, agreement := svc.Explainer.Verdict(newest)
			policy, _ := svc.Explainer.Policy(verdict.Policy)
			newest.Last = newest.Time // what became of one message is not the group's
			out.rules[causeID(c)] = rowWhy(newest, verdict, agreement, policy.Description, cause(newest, explain))
		}
		return out
	}
}

// draft reads a group's newest messages: whose they are says how wide a bypass
// for all of it would have to be.
func (x *causes) draft(c index.Cause) tea.Cmd {
	text := x.queryOf(c)
	q, err := index.ParseQuery(text, x.s.now(), x.s.loc)
	if err != nil || x.task.ctx == nil || x.drafting {
		return nil
	}
	x.drafting = true
	ctx, gen, id, searcher, count := x.task.ctx, x.task.gen, x.id, x.s.svc.Searcher, c.Count
	return func() tea.Msg {
		page, err := searcher.Page(ctx, q, "", mostOfGroup)
		return groupMsg{routed{id}, gen, text, newGroup(page.Rows, count), err}
	}
}

// drafted shows why the newest message of a group was stopped; from there the
// bypass for the whole group is one key away.
func (x *causes) drafted(msg groupMsg) tea.Cmd {
	if msg.gen != x.task.gen || errors.Is(msg.err, context.Canceled) {
		return nil
	}
	x.drafting = false
	switch {
	case msg.err != nil:
		x.s.complain("The messages of this cause could not be read: " + sentence(msg.err))
		return nil
	case len(msg.group.rows) == 0:
		x.s.complain("No message of this cause is there any more.")
		return nil
	}
	x.s.ask(func(r *Root) tea.Cmd {
		d := newDetail(r.s, r.list, msg.group.rows[0])
		d.group = &msg.group
		return tea.Batch(r.show(0), r.list.submit(msg.text), r.push(d))
	})
	return nil
}

func (x *causes) resize(w, h int) {
	x.width, x.height = w, h
	x.table.Resize(w, max(h-1, 2))
	if x.known {
		x.s.ask(func(*Root) tea.Cmd { return x.rule() })
	}
}

func (x *causes) view() string {
	l := x.s.look
	var right []seg
	if x.known {
		n := len(x.table.Rows())
		right = []seg{{fmt.Sprintf("%s %s in %s %s ", number(x.messages), plural(x.messages, "message", "messages"), number(n), plural(n, "cause", "causes")), l.dim}}
	}
	lines := []string{l.ends(x.width, []seg{{" / ", l.key}, {x.text, l.plain}}, right)}
	if len(x.table.Rows()) > 0 {
		return fill(append(lines, strings.Split(x.table.View(l.table()), "\n")...), x.width, x.height)
	}
	told := seg{" counting", l.plain}
	switch {
	case x.problem != "":
		told = seg{" " + x.problem, l.bad}
	case x.known && !x.counting:
		told.text = " Nothing to group: change the query on the Messages screen, 1."
	}
	return fill(append(lines, l.line(x.width), l.line(x.width, told)), x.width, x.height)
}
