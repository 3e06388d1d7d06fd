package tui

import (
	"context"
	"errors"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"mailwhy/index"
)

type (
	// debounceMsg says that nothing was typed for a while.
	debounceMsg struct {
		routed
		gen int
	}
	// slowMsg says that a search has been under way for a while.
	slowMsg struct {
		routed
		gen int
	}
	// pageMsg brings the first rows of a query.
	pageMsg struct {
		routed
		gen  int
		page index.Page
		took time.Duration
		err  error
	}
	// moreMsg brings the rows after a cursor.
	moreMsg struct {
		routed
		gen   int
		after index.Cursor
		page  index.Page
		err   error
	}
	// totalMsg brings how many there are.
	totalMsg struct {
		routed
		gen   int
		total index.Total
		err   error
	}
	// barsMsg brings the histogram.
	barsMsg struct {
		routed
		gen  int
		bars []index.Bucket
		err  error
	}
)

// typed waits for the next key before it searches; what runs for the old text
// is cancelled at once.
func (m *messages) typed() tea.Cmd {
	_, gen := m.task.renew(m.s.ctx)
	m.task.waiting = true
	m.busy, m.slow, m.more = false, false, false
	return m.s.after(debounce, debounceMsg{routed{m.id}, gen})
}

// submit searches for text now.
func (m *messages) submit(text string) tea.Cmd {
	m.text = text
	if !m.editing {
		m.input.SetValue(text)
	}
	return m.search()
}

// search asks for the first page; the total and the histogram come after it.
func (m *messages) search() tea.Cmd {
	ctx, gen := m.task.renew(m.s.ctx)
	m.task.waiting, m.early = false, nil
	if !m.s.ready {
		return nil
	}
	q, err := index.ParseQuery(m.text, m.s.now(), m.s.loc)
	if err != nil {
		m.problem = sentence(err)
		m.busy = false
		return nil
	}
	m.problem = ""
	m.query, m.busy, m.slow, m.more = q, true, false, false
	id, searcher, now := m.id, m.s.svc.Searcher, m.s.now
	return tea.Batch(
		func() tea.Msg {
			begun := now()
			page, err := searcher.Page(ctx, q, "", pageSize)
			return pageMsg{routed{id}, gen, page, now().Sub(begun), err}
		},
		m.s.after(slowSearch, slowMsg{routed{id}, gen}),
	)
}

// current reports whether a result belongs to the query in force; errors of
// cancelled searches never do.
func (m *messages) current(gen int, err error) bool {
	return gen == m.task.gen && !errors.Is(err, context.Canceled)
}

func (m *messages) searched(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case debounceMsg:
		if m.current(msg.gen, nil) && m.task.waiting {
			return m.submit(strings.TrimSpace(m.input.Value()))
		}
	case slowMsg:
		m.slow = m.slow || m.current(msg.gen, nil) && m.busy
	case pageMsg:
		if m.current(msg.gen, msg.err) {
			return m.first(msg)
		}
	case moreMsg:
		if m.current(msg.gen, msg.err) {
			return m.further(msg)
		}
	case totalMsg:
		if m.current(msg.gen, msg.err) {
			m.total, m.counted = msg.total, msg.err == nil
			m.fault(msg.err)
		}
	case barsMsg:
		if m.current(msg.gen, msg.err) {
			m.bars = msg.bars
			m.fault(msg.err)
		}
	}
	return nil
}

func (m *messages) fault(err error) {
	if err != nil {
		m.s.complain("The search did not work: " + sentence(err))
	}
}

func (m *messages) first(msg pageMsg) tea.Cmd {
	m.busy, m.slow = false, false
	if msg.err != nil {
		m.early = nil
		m.fault(msg.err)
		return nil
	}
	m.catchUp()
	m.took, m.next = msg.took, msg.page.Next
	m.table.SetRows(msg.page.Rows)
	m.table.Top()
	m.table.Follow = true
	m.seen = ""
	m.acknowledge()
	m.counted = false
	cmds := []tea.Cmd{m.count(), m.explain(), m.fetchMore()}
	if m.live.again {
		cmds = append(cmds, m.refresh())
	}
	return tea.Batch(cmds...)
}

// catchUp acts on the keys that were typed while the search ran: enter and b
// are meant for the rows asked for, never for those that stood there before.
// They are dropped when another screen stands here by now.
func (m *messages) catchUp() {
	early := m.early
	m.early = nil
	if len(early) == 0 {
		return
	}
	m.s.ask(func(r *Root) tea.Cmd {
		var cmds []tea.Cmd
		if r.top() != m || m.editing {
			return nil
		}
		for _, msg := range early {
			cmds = append(cmds, r.key(msg), r.grant())
		}
		return tea.Batch(cmds...)
	})
}

// count asks for the total and the histogram of the query in force.
func (m *messages) count() tea.Cmd {
	if m.task.ctx == nil || m.task.waiting {
		return nil
	}
	ctx, gen, q, id, searcher := m.task.ctx, m.task.gen, m.query, m.id, m.s.svc.Searcher
	if asked, err := index.ParseQuery(m.text, m.s.now(), m.s.loc); err == nil {
		q = asked // what arrived since the search is counted, too
	}
	return tea.Batch(
		func() tea.Msg {
			total, err := searcher.Count(ctx, q)
			return totalMsg{routed{id}, gen, total, err}
		},
		func() tea.Msg {
			bars, err := searcher.Histogram(ctx, q, histogramBars)
			return barsMsg{routed{id}, gen, bars, err}
		},
	)
}

// fetchMore asks for the next page when the selection comes within a screen of
// the last row held.
func (m *messages) fetchMore() tea.Cmd {
	if m.more || m.busy || m.next == "" || m.task.waiting || m.table.Cursor()+2*m.height < len(m.table.Rows()) {
		return nil
	}
	m.more = true
	ctx, gen, q, id, after, searcher := m.task.ctx, m.task.gen, m.query, m.id, m.next, m.s.svc.Searcher
	return func() tea.Msg {
		page, err := searcher.Page(ctx, q, after, pageSize)
		return moreMsg{routed{id}, gen, after, page, err}
	}
}

func (m *messages) further(msg moreMsg) tea.Cmd {
	m.more = false
	if msg.err != nil {
		m.fault(msg.err)
		return nil
	}
	if msg.after != m.next {
		return nil
	}
	m.next = msg.page.Next
	rows := m.table.Rows()
	m.table.SetRows(append(rows[:len(rows):len(rows)], msg.page.Rows...))
	return tea.Batch(m.explain(), m.fetchMore())
}
