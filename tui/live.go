package tui

import (
	"context"
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"mailwhy/engine/mail"
	"mailwhy/index"
)

// live is how the list learns of messages that arrive while one looks.
type live struct {
	running bool // a look at what is new is under way or due
	again   bool // something changed meanwhile
}

type (
	// subscribedMsg brings the channel that is closed at the next change.
	subscribedMsg struct {
		routed
		changed <-chan struct{}
	}
	// changedMsg says that messages were added or changed.
	changedMsg struct{ routed }
	// refreshMsg ends the pause between two looks.
	refreshMsg struct{ routed }
	// refreshedMsg brings what now stands in two stretches of the list: its top
	// and what is on the screen.
	refreshedMsg struct {
		routed
		gen     int
		top     stretch
		visible stretch
		err     error
	}
)

// stretch is what the index now holds after a cursor.
type stretch struct {
	read  bool // false: nothing is known
	after index.Cursor
	page  index.Page
}

// subscribe asks for the channel before anything is read, so that no change
// falls between.
func (m *messages) subscribe() tea.Cmd {
	id, searcher := m.id, m.s.svc.Searcher
	return func() tea.Msg { return subscribedMsg{routed{id}, searcher.Changed()} }
}

func (m *messages) liven(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case subscribedMsg:
		return tea.Batch(m.s.await(m.s.ctx, msg.changed, changedMsg{routed{m.id}}), m.refresh())
	case changedMsg:
		return m.subscribe()
	case refreshMsg:
		m.live.running = false
		if m.live.again {
			return m.refresh()
		}
	case refreshedMsg:
		return m.refreshed(msg)
	}
	return nil
}

// refresh looks at once, and then not again before the pause is over.
func (m *messages) refresh() tea.Cmd {
	if m.live.running || m.busy || m.task.waiting || m.task.ctx == nil {
		m.live.again = true
		return nil
	}
	m.live.running, m.live.again = true, false
	ctx, gen, q, id, searcher := m.task.ctx, m.task.gen, m.query, m.id, m.s.svc.Searcher
	newest, above, screen := m.landmarks()
	return func() tea.Msg {
		out := refreshedMsg{routed: routed{id}, gen: gen}
		out.top, out.err = topStretch(ctx, searcher, q, newest)
		if out.err == nil && above != "" {
			out.visible.read, out.visible.after = true, above
			out.visible.page, out.err = searcher.Page(ctx, q, above, screen)
		}
		return out
	}
}

// landmarks are the newest row held, the row above the screen, and the rows a
// screen has.
func (m *messages) landmarks() (newest string, above index.Cursor, screen int) {
	rows := m.table.Rows()
	if len(rows) > 0 {
		newest = rows[0].ID
	}
	if at := m.table.Offset(); at > pageSize/2 && at <= len(rows) {
		above = index.Cursor(rows[at-1].ID)
	}
	return newest, above, max(m.height, 1)
}

// topStretch reads from the newest down to the newest row held, and no more
// than ten pages: past that the list begins anew.
func topStretch(ctx context.Context, searcher Searcher, q index.Query, newest string) (stretch, error) {
	all := stretch{read: true}
	for after, pages := index.Cursor(""), 0; pages < 10; pages++ {
		page, err := searcher.Page(ctx, q, after, pageSize)
		if err != nil {
			return all, err
		}
		all.page.Rows = append(all.page.Rows, page.Rows...)
		all.page.Next = page.Next
		if page.Next == "" || newest == "" || all.page.Rows[len(all.page.Rows)-1].ID <= newest {
			break
		}
		after = page.Next
	}
	return all, nil
}

func (m *messages) refreshed(msg refreshedMsg) tea.Cmd {
	pause := m.s.after(refreshPause, refreshMsg{routed{m.id}})
	if !m.current(msg.gen, msg.err) {
		return pause
	}
	if msg.err != nil {
		m.fault(msg.err)
		return pause
	}
	selected, _ := m.table.Selected()
	held := m.table.Rows()
	rows := merge(held, msg.top, selected.ID)
	if n := len(msg.top.page.Rows); n > 0 && len(held) > 0 && msg.top.page.Next != "" && msg.top.page.Rows[n-1].ID > held[0].ID {
		rows, m.next = msg.top.page.Rows, msg.top.page.Next // too many to join
	}
	if len(held) == 0 {
		m.next = msg.top.page.Next
	}
	rows = merge(rows, msg.visible, selected.ID)
	m.table.SetRows(rows)
	if len(held) == 0 {
		m.acknowledge()
	}
	m.recount = true
	return tea.Batch(pause, m.explain())
}

// merge replaces a stretch of rows, newest first, by what the index now holds
// there. A row that no longer matches goes, unless it is the one to keep.
func merge(held []mail.Message, s stretch, keep string) []mail.Message {
	if !s.read {
		return held
	}
	last := "" // of the stretch; nothing below it is known
	if n := len(s.page.Rows); s.page.Next != "" && n > 0 {
		last = s.page.Rows[n-1].ID
	}
	inside := func(id string) bool { return (s.after == "" || id < string(s.after)) && id >= last }
	rows := make([]mail.Message, 0, len(held)+len(s.page.Rows))
	fresh := s.page.Rows
	for _, row := range held {
		for len(fresh) > 0 && fresh[0].ID > row.ID {
			rows, fresh = append(rows, fresh[0]), fresh[1:]
		}
		switch {
		case len(fresh) > 0 && fresh[0].ID == row.ID:
			rows, fresh = append(rows, fresh[0]), fresh[1:]
		case !inside(row.ID) || row.ID == keep:
			rows = append(rows, row)
		}
	}
	return slices.Clone(append(rows, fresh...)) // without the room for rows that were replaced
}
