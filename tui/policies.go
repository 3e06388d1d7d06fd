package tui

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"

	"mailwhy/engine"
	"mailwhy/tui/cell"
	"mailwhy/tui/table"
)

// policies lists what the policy file says, how often each policy decided a
// message, and what is to be looked at.
type policies struct {
	s             *session
	id            int
	km            policyKeys
	table         *table.Table[PolicyRow]
	report        *PolicyReport // nil before the first
	counting      bool
	opened        bool // the selected one is shown whole
	width, height int
}

// policiesMsg brings the report.
type policiesMsg struct {
	routed
	report PolicyReport
	err    error
}

func newPolicies(s *session) *policies {
	x := &policies{s: s, id: s.nextID(), km: newPolicyKeys()}
	x.table = table.New(func(p PolicyRow) string { return p.Policy.Origin + " " + p.Policy.ID }, x.columns())
	return x
}

func (x *policies) columns() []table.Column[PolicyRow] {
	l := x.s.look
	return []table.Column[PolicyRow]{
		{Title: "ID", Min: 6, Max: 20, Text: func(p PolicyRow, _ int) string { return p.Policy.ID }},
		{Title: "OPTION", Min: 9, Max: 13, Drop: 2, Text: func(p PolicyRow, _ int) string { return words(p.Policy.Option) },
			Style: func(p PolicyRow) lipgloss.Style {
				if !x.active(p.Policy) {
					return l.dim
				}
				return l.plain
			}},
		{Title: "HITS", Min: 6, Max: 9, Right: true, Text: func(p PolicyRow, _ int) string { return number(p.Use.Hits) }},
		{Title: "30 DAYS", Min: 10, Max: 31, Wide: 90, Drop: 4, Text: func(p PolicyRow, w int) string { return l.spark(squeeze(p.Use.ByDay, w)) }},
		{Title: "LAST HIT", Min: 9, Max: 9, Drop: 3, Text: func(p PolicyRow, _ int) string {
			if p.Use.Last.IsZero() {
				return "-"
			}
			return x.s.day(p.Use.Last)
		}},
		{Title: "FINDINGS", Min: 8, Max: 18, Text: func(p PolicyRow, _ int) string { return findingWords(p.Findings) },
			Style: func(PolicyRow) lipgloss.Style { return l.warn }},
		{Title: "FROM " + l.arrow + " TO", Min: 14, Drop: 1, Text: func(p PolicyRow, _ int) string {
			return specWords(p.Policy.From) + " " + l.arrow + " " + specWords(p.Policy.To)
		}},
	}
}

func (x *policies) active(p engine.Policy) bool {
	now := x.s.now()
	return !p.Disabled && (p.Until.IsZero() || now.Before(p.Until)) && !now.Before(p.Since)
}

// findingWords is the gravest finding, and how many more there are.
func findingWords(all []engine.LintFinding) string {
	switch len(all) {
	case 0:
		return ""
	case 1:
		return words(string(all[0].Rule))
	}
	return fmt.Sprintf("%s +%d", words(string(all[0].Rule)), len(all)-1)
}

// squeeze adds neighbours up until no more than w values are left.
func squeeze(values []int, w int) []int {
	for w > 0 && len(values) > w {
		var half []int
		for i := len(values) % 2; i < len(values); i += 2 { // an odd first one stands alone
			half = append(half, values[i]+values[i+1])
		}
		if len(values)%2 == 1 {
			half = append([]int{values[0]}, half...)
		}
		values = half
	}
	return values
}

func (x *policies) ident() int          { return x.id }
func (x *policies) crumb() string       { return "Policies" }
func (x *policies) keys() []key.Binding { return x.km.all() }
func (x *policies) modal() bool         { return false }
func (x *policies) stop()               {}

func (x *policies) note() string {
	switch {
	case x.counting:
		return "counting"
	case x.report == nil:
		return ""
	case x.report.Usage.Cut:
		return "of the newest " + number(x.report.Usage.Messages) + " messages"
	}
	return "of " + number(x.report.Usage.Messages) + " messages"
}

func (x *policies) back() bool {
	opened := x.opened
	x.opened = false
	x.resize(x.width, x.height)
	return opened
}

// late: it counts when it is shown, not while the program starts.
func (x *policies) late() {}

func (x *policies) start() tea.Cmd {
	if x.report != nil {
		return nil
	}
	return x.count()
}

func (x *policies) count() tea.Cmd {
	if !x.s.ready || x.s.svc.Policies == nil || x.counting {
		return nil
	}
	x.counting = true
	id, ctx, lister := x.id, x.s.ctx, x.s.svc.Policies
	return func() tea.Msg {
		report, err := lister.Policies(ctx)
		return policiesMsg{routed{id}, report, err}
	}
}

func (x *policies) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case policyMsg:
		if x.report != nil {
			return x.count()
		}
	case policiesMsg:
		x.counting = false
		if msg.err != nil {
			x.s.complain("The policies' use could not be counted: " + sentence(msg.err))
			return nil
		}
		x.report = &msg.report
		x.table.SetRows(msg.report.Rows)
	case tea.KeyMsg:
		switch {
		case moveTable(x.table, x.km.move, msg):
		case key.Matches(msg, x.km.open):
			x.opened = !x.opened
			x.resize(x.width, x.height)
		case key.Matches(msg, x.km.refresh):
			return x.count()
		}
	}
	return nil
}

func (x *policies) resize(w, h int) {
	x.width, x.height = w, h
	switch {
	case x.opened:
		x.table.Resize(w, max(h/3, 4))
	case x.report != nil && len(x.report.Lists) > 0:
		x.table.Resize(w, max(h-2, 2))
	default:
		x.table.Resize(w, h)
	}
}

func (x *policies) view() string {
	l := x.s.look
	p, ok := x.table.Selected()
	if !ok {
		text := " reading the policies"
		if x.report != nil || x.s.ready && x.s.svc.Policies == nil {
			text = " No policy is loaded: name a policy file in the configuration."
		}
		return fill([]string{l.line(x.width), l.line(x.width, seg{text, l.plain})}, x.width, x.height)
	}
	lines := strings.Split(x.table.View(l.table()), "\n")
	switch {
	case x.opened:
		lines = append(lines, l.line(x.width, seg{strings.Repeat(l.rule, x.width), l.dim}))
		lines = append(lines, x.whole(p)...)
	case len(x.report.Lists) > 0:
		f := x.report.Lists[0]
		text := fmt.Sprintf(" line %d: %s", f.Line, f.Why)
		if more := len(x.report.Lists) - 1; more > 0 {
			text = fmt.Sprintf(" %s more in lists (mailwhy policy lint); line %d: %s", number(more), f.Line, f.Why)
		}
		lines = append(lines, l.line(x.width), l.line(x.width, seg{text, l.warn}))
	}
	return fill(lines, x.width, x.height)
}

// whole is a policy's findings, its lines in the file and what it decided of
// late.
func (x *policies) whole(p PolicyRow) []string {
	l := x.s.look
	var lines []string
	say := func(text string, style lipgloss.Style) {
		for _, line := range cell.Wrap(cell.Clean(text), max(x.width-4, 8)) {
			lines = append(lines, l.line(x.width, seg{"  " + line, style}))
		}
	}
	for _, f := range p.Findings {
		say(words(string(f.Rule))+": "+f.Why, l.warn)
		say("  "+f.Do, l.plain)
	}
	lines = append(lines, l.line(x.width, seg{"  " + cell.Clean(p.Policy.Origin), l.key}))
	for _, text := range p.Lines {
		lines = append(lines, l.line(x.width, seg{"    " + text, l.plain}))
	}
	if len(p.Use.Newest) > 0 {
		lines = append(lines, l.line(x.width, seg{"  decided last", l.key}))
	}
	for _, m := range p.Use.Newest {
		text := fmt.Sprintf("    %s  %s  %s %s %s", x.s.stampLong(m), m.Outcome, sender(m), l.arrow, recipient(m))
		lines = append(lines, l.line(x.width, seg{text, l.plain}))
	}
	return lines
}
