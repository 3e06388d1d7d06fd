package tui

import (
	"errors"
	"time"

	"github.com/charmbracelet/bubbles/key"
	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"

	"mailwhy/engine"
	"mailwhy/engine/mail"
	"mailwhy/index"
	"mailwhy/tui/table"
)

const (
	pageSize      = 100                    // rows fetched at once
	debounce      = 80 * time.Millisecond  // after the last key of a query; whoever types fast waits less between two
	refreshPause  = 100 * time.Millisecond // between two looks at what is new
	slowSearch    = 150 * time.Millisecond // from here on a search says that it runs
	histogramBars = 28
	defaultQuery  = "since:7d"
)

// messages is the list: a query line, what it found, and the rows.
type messages struct {
	s      *session
	id     int
	km     listKeys
	prompt promptKeys

	input   textinput.Model
	editing bool
	before  string // the query when editing began
	past    []string
	pastAt  int

	started bool // the services are there and the list watches them
	query   index.Query
	text    string // of query
	problem string // of the query being typed, or of the last search
	task    task
	busy    bool // a search is under way
	slow    bool // and has been for a while
	took    time.Duration
	next    index.Cursor
	more    bool // a further page is under way

	table   *table.Table[mail.Message]
	seen    string // id of the newest row when the user last stood at the top
	total   index.Total
	counted bool
	recount bool // the total is out of date
	bars    []index.Bucket

	live     live
	verdicts verdicts
	early    []tea.KeyMsg // typed before the rows they are meant for are there

	width, height int
}

// rowVerdict is what a row says under WHY.
type rowVerdict struct {
	why  string
	last time.Time // of the message it was made for
}

func newMessages(s *session, query string) *messages {
	if query == "" {
		query = defaultQuery
	}
	m := &messages{s: s, id: s.nextID(), km: newListKeys(s.operator()), prompt: newPromptKeys(), text: query}
	m.input = newInput(query)
	m.input.Blur()
	m.verdicts.known = map[string]rowVerdict{}
	m.table = table.New(func(v mail.Message) string { return v.ID }, m.columns())
	m.table.Follow = true
	return m
}

func (m *messages) ident() int    { return m.id }
func (m *messages) crumb() string { return "Messages" }
func (m *messages) modal() bool   { return m.editing }
func (m *messages) stop()         { m.task.stop() }

func (m *messages) keys() []key.Binding {
	if m.editing {
		return m.prompt.all()
	}
	return m.km.all()
}

func (m *messages) start() tea.Cmd {
	if !m.s.ready || m.started {
		return m.explain()
	}
	m.started = true
	return tea.Batch(m.search(), m.subscribe())
}

func (m *messages) back() bool {
	m.early = nil
	if m.editing {
		m.leave(m.before)
		if m.before != m.text {
			m.s.ask(func(*Root) tea.Cmd { return m.submit(m.before) })
		}
		m.problem = ""
		return true
	}
	if m.text != defaultQuery {
		m.input.SetValue(defaultQuery)
		m.s.ask(func(*Root) tea.Cmd { return m.submit(defaultQuery) })
		return true
	}
	return false
}

func (m *messages) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.KeyMsg:
		if m.editing {
			return m.edit(msg)
		}
		return m.key(msg)
	case tickMsg:
		if m.recount && !m.busy {
			m.recount = false
			return m.count()
		}
	case policyMsg:
		m.verdicts.outdate()
		return m.explain()
	case verdictsMsg:
		m.verdicts.take(msg)
		return m.explain()
	case debounceMsg, slowMsg, pageMsg, moreMsg, totalMsg, barsMsg:
		return m.searched(msg)
	case subscribedMsg, changedMsg, refreshMsg, refreshedMsg:
		return m.liven(msg)
	default:
		if m.editing {
			var cmd tea.Cmd
			m.input, cmd = m.input.Update(msg)
			return cmd
		}
	}
	return nil
}

func (m *messages) key(msg tea.KeyMsg) tea.Cmd {
	k := m.km
	selected, ok := m.table.Selected()
	if m.busy && !key.Matches(msg, k.search, k.widen, k.follow, k.unseen, k.act.undo) {
		m.early = append(m.early, msg)
		return nil
	}
	switch {
	case key.Matches(msg, k.search):
		m.enter()
		return nil
	case key.Matches(msg, k.widen):
		return m.submit(widen(m.text))
	case key.Matches(msg, k.unseen):
		m.s.open(newUnseen(m.s, m))
		return nil
	case key.Matches(msg, k.follow):
		m.table.Follow = !m.table.Follow
		m.s.say(map[bool]string{true: "The newest stay in sight.", false: "The rows stand still; new ones are counted."}[m.table.Follow])
		return nil
	case key.Matches(msg, k.act.undo):
		return undo(m.s)
	case !ok:
		return nil
	case key.Matches(msg, k.open):
		m.s.open(newDetail(m.s, m, selected))
		return nil
	case key.Matches(msg, k.act.copy):
		m.s.open(newCopyMenu(m.s, selected, engine.Trace{}))
		return nil
	}
	if kind, ok := k.act.kind(msg); ok {
		// The sheet stands over the message's own screen, which shows what came of it.
		d := newDetail(m.s, m, selected)
		m.s.open(d)
		m.s.open(newSheet(m.s, d, kind, "", msg.String()))
		return nil
	}
	return m.move(msg)
}

// kind tells which sheet a key opens.
func (k actKeys) kind(msg tea.KeyMsg) (engine.Kind, bool) {
	switch {
	case key.Matches(msg, k.bypass):
		return engine.KindBypass, true
	case key.Matches(msg, k.permit):
		return engine.KindPermit, true
	case key.Matches(msg, k.managed):
		return engine.KindManagedPermit, true
	case key.Matches(msg, k.relay):
		return engine.KindRelay, true
	}
	return "", false
}

func (m *messages) move(msg tea.KeyMsg) tea.Cmd {
	if !moveTable(m.table, m.km.move, msg) {
		return nil
	}
	m.table.Follow = key.Matches(msg, m.km.move.top)
	m.acknowledge()
	return tea.Batch(m.fetchMore(), m.explain())
}

// step moves the selection for the message's screen and returns the row.
func (m *messages) step(n int) (mail.Message, tea.Cmd) {
	m.table.Move(n)
	m.table.Follow = false
	m.acknowledge()
	row, _ := m.table.Selected()
	return row, tea.Batch(m.fetchMore(), m.explain())
}

// moveTable moves a table's selection by the keys all tables share.
func moveTable[V any](t *table.Table[V], k moveKeys, msg tea.KeyMsg) bool {
	switch {
	case key.Matches(msg, k.up):
		t.Move(-1)
	case key.Matches(msg, k.down):
		t.Move(1)
	case key.Matches(msg, k.pageUp):
		t.MovePage(-1)
	case key.Matches(msg, k.pageDown):
		t.MovePage(1)
	case key.Matches(msg, k.halfUp):
		t.MoveHalf(-1)
	case key.Matches(msg, k.halfDown):
		t.MoveHalf(1)
	case key.Matches(msg, k.top):
		t.Top()
	case key.Matches(msg, k.bottom):
		t.Bottom()
	default:
		return false
	}
	return true
}

// acknowledge forgets the badge once the user stands at the top.
func (m *messages) acknowledge() {
	if rows := m.table.Rows(); m.table.Offset() == 0 && len(rows) > 0 {
		m.seen = rows[0].ID
	}
}

// fresh counts the rows that came since the user last stood at the top. Ids
// sort as times do.
func (m *messages) fresh() int {
	n := 0
	for _, row := range m.table.Rows() {
		if row.ID <= m.seen {
			break
		}
		n++
	}
	return n
}

// sentence is an error as the status line shows it.
func sentence(err error) string {
	var q *index.QueryError
	if errors.As(err, &q) {
		return q.Error()
	}
	text := err.Error()
	if text == "" {
		return "It did not work."
	}
	return text
}
