package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"

	"mailwhy/tui/cell"
	"mailwhy/tui/table"
)

// sources tells how each log is read.
type sources struct {
	s             *session
	id            int
	km            sourceKeys
	table         *table.Table[SourceStatus]
	opened        bool // the lines not understood are shown
	scroll        int
	backlog       Backlog
	width, height int
}

// sourcesMsg brings the health of the logs, once a second.
type sourcesMsg struct {
	sources []SourceStatus
	backlog Backlog
}

func newSources(s *session) *sources {
	x := &sources{s: s, id: s.nextID(), km: newSourceKeys()}
	x.table = table.New(func(v SourceStatus) string { return v.Path }, x.columns())
	return x
}

func (x *sources) columns() []table.Column[SourceStatus] {
	l := x.s.look
	return []table.Column[SourceStatus]{
		{Title: "STATE", Min: 8, Max: 8, Text: func(v SourceStatus, _ int) string { return health(v) },
			Style: func(v SourceStatus) lipgloss.Style {
				return map[string]lipgloss.Style{"problem": l.bad, "behind": l.warn}[health(v)]
			}},
		{Title: "FORMAT", Min: 8, Max: 18, Text: func(v SourceStatus, _ int) string { return firstOf(v.Format, "not known") }},
		{Title: "LINES", Min: 9, Max: 11, Right: true, Text: func(v SourceStatus, _ int) string { return number(int(v.Lines)) }},
		{Title: "BEHIND", Min: 8, Max: 8, Right: true, Text: func(v SourceStatus, _ int) string { return bytesWords(v.Behind) }},
		{Title: "LAG", Min: 7, Max: 7, Right: true, Drop: 2, Text: func(v SourceStatus, _ int) string { return span(v.Lag) }},
		{Title: "UNREAD", Min: 6, Max: 7, Right: true, Text: func(v SourceStatus, _ int) string { return number(int(v.Unrecognised)) }},
		{Title: "LAST", Min: 8, Max: 9, Drop: 1, Text: func(v SourceStatus, w int) string { return x.s.stamp(v.LastLine, w) }},
		{Title: "ROTATED", Min: 8, Max: 9, Wide: 100, Drop: 3, Text: func(v SourceStatus, w int) string { return x.s.stamp(v.Rotated, w) }},
		{Title: "FILE", Min: 10, Drop: 4, Text: func(v SourceStatus, w int) string { return cell.TruncateLeft(cell.Clean(v.Path), w, l.tail) }},
	}
}

func health(v SourceStatus) string {
	switch {
	case v.Problem != "":
		return "problem"
	case v.Behind > 0 && v.Lag > 2*time.Second:
		return "behind"
	}
	return "live"
}

func bytesWords(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1_000_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

// healthText is the line at the top right of every screen.
type healthText struct {
	text string
	bad  bool
}

func sourcesHealth(all []SourceStatus, b Backlog, ready bool) healthText {
	if !ready {
		return healthText{text: "opening"}
	}
	if b.Reading() {
		return healthText{text: fmt.Sprintf("reading the logs %d%%", b.Percent())}
	}
	live, lag := 0, time.Duration(0)
	for _, v := range all {
		if v.Problem == "" {
			live++
		}
		lag = max(lag, v.Lag)
	}
	h := healthText{text: fmt.Sprintf("%d %s live   lag %s", live, plural(live, "source", "sources"), span(lag))}
	if down := len(all) - live; down > 0 {
		h = healthText{fmt.Sprintf("%d of %d sources down", down, len(all)), true}
	}
	return h
}

func (x *sources) ident() int          { return x.id }
func (x *sources) crumb() string       { return "Sources" }
func (x *sources) start() tea.Cmd      { return nil }
func (x *sources) keys() []key.Binding { return x.km.all() }
func (x *sources) note() string        { return "" }
func (x *sources) modal() bool         { return false }
func (x *sources) stop()               {}

func (x *sources) back() bool {
	opened := x.opened
	x.opened, x.scroll = false, 0
	return opened
}

func (x *sources) resize(w, h int) {
	x.width, x.height = w, h
	x.table.Resize(w, max(h-2, 2))
}

func (x *sources) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case sourcesMsg:
		all := slices.Clone(msg.sources)
		slices.SortStableFunc(all, func(a, b SourceStatus) int { return strings.Compare(a.Path, b.Path) })
		x.table.SetRows(all)
		x.backlog = msg.backlog
	case tea.KeyMsg:
		switch {
		case key.Matches(msg, x.km.open):
			x.opened, x.scroll = !x.opened, 0
		case x.opened && key.Matches(msg, x.km.move.down):
			x.scroll++
		case x.opened && key.Matches(msg, x.km.move.up):
			x.scroll = max(x.scroll-1, 0)
		case !x.opened:
			moveTable(x.table, x.km.move, msg)
		}
	}
	return nil
}

func (x *sources) view() string {
	l := x.s.look
	v, ok := x.table.Selected()
	if !ok {
		return fill([]string{l.line(x.width), l.line(x.width, seg{" No log is read: name some in the configuration.", l.plain})}, x.width, x.height)
	}
	if x.opened {
		return x.samples(v)
	}
	lines := strings.Split(x.table.View(l.table()), "\n")
	told := seg{" " + v.Path, l.dim}
	if v.LetGo > 0 {
		told.text += fmt.Sprintf(" - of all sources %s unfinished: too many at once, or not heard of for two weeks",
			plural(int(v.LetGo), "1 message was let go", number(int(v.LetGo))+" messages were let go"))
	}
	if v.Note != "" {
		told.text += " - " + v.Note
	}
	if v.Problem != "" {
		told = seg{" " + v.Problem, l.bad}
	}
	return fill(append(lines, l.line(x.width, seg{backlogText(x.backlog), l.plain}), l.line(x.width, told)), x.width, x.height)
}

// backlogText is " 120.0 MB of 480.0 MB read, 50.2 MB a second, 7s left"; "" when
// everything is read. Whoever quits meanwhile loses nothing: the next start goes
// on from there.
func backlogText(b Backlog) string {
	if !b.Reading() {
		return ""
	}
	text := fmt.Sprintf(" %s of %s read, %s a second", bytesWords(b.Read), bytesWords(b.Total), bytesWords(int64(b.Rate)))
	if b.Left > 0 {
		text += fmt.Sprintf(", %s left", span(b.Left))
	}
	return text
}

// samples are the newest lines that look like failures and were not
// understood.
func (x *sources) samples(v SourceStatus) string {
	l := x.s.look
	text := fmt.Sprintf(" %s: %s %s like a failure and %s not understood.", v.Path, number(int(v.Unrecognised)),
		plural(int(v.Unrecognised), "line looks", "lines look"), plural(int(v.Unrecognised), "was", "were"))
	lines := []string{l.line(x.width, seg{text, l.plain}), l.line(x.width)}
	x.scroll = max(min(x.scroll, len(v.Samples)-1), 0)
	for _, e := range v.Samples[min(x.scroll, len(v.Samples)):] {
		lines = append(lines, l.line(x.width, seg{fmt.Sprintf(" +%d  ", e.Offset), l.dim}, seg{e.Text, l.plain}))
		if len(lines) >= x.height {
			break
		}
	}
	return fill(lines, x.width, x.height)
}
