package tui

import (
	"fmt"
	"io"
	"strings"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"mailwhy/engine"
	"mailwhy/engine/mail"
	"mailwhy/tui/cell"
)

// wrapper says how a terminal multiplexer wants a sequence that is meant for
// the terminal behind it.
type wrapper int

const (
	noWrapper wrapper = iota
	tmuxWrapper
	screenWrapper
)

func newWrapper(e environ) wrapper {
	switch {
	case e.Getenv("TMUX") != "":
		return tmuxWrapper
	case e.Getenv("STY") != "":
		return screenWrapper
	}
	return noWrapper
}

// clipboard is the sequence that puts text on the clipboard of the terminal,
// however far away it is: OSC 52. The clipboard is never read.
func (w wrapper) clipboard(text string) string {
	sequence := ansi.SetSystemClipboard(text)
	switch w {
	case tmuxWrapper:
		return ansi.TmuxPassthrough(sequence)
	case screenWrapper:
		return ansi.ScreenPassthrough(sequence, 76)
	}
	return sequence
}

// mostCopied is how many bytes terminals can be expected to take at once: their
// limits begin at 74,994 bytes of base64.
const mostCopied = 50_000

// copyMenu asks what is to be copied of a message.
type copyMenu struct {
	s             *session
	id            int
	km            copyKeys
	m             mail.Message
	trace         engine.Trace
	width, height int
}

// copiedMsg says that text was sent to the terminal.
type copiedMsg struct {
	routed
	what string
	n    int
	err  error
}

// ticketMsg brings the text for the ticket, which needs a replay.
type ticketMsg struct {
	routed
	text string
}

func newCopyMenu(s *session, m mail.Message, t engine.Trace) *copyMenu {
	return &copyMenu{s: s, id: s.nextID(), km: newCopyKeys(), m: m, trace: t}
}

func (c *copyMenu) ident() int          { return c.id }
func (c *copyMenu) crumb() string       { return "copy" }
func (c *copyMenu) start() tea.Cmd      { return nil }
func (c *copyMenu) resize(w, h int)     { c.width, c.height = w, h }
func (c *copyMenu) keys() []key.Binding { return c.km.all() }
func (c *copyMenu) note() string        { return "" }
func (c *copyMenu) modal() bool         { return true }
func (c *copyMenu) back() bool          { return false }
func (c *copyMenu) stop()               {}

func (c *copyMenu) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.KeyMsg:
		return c.key(msg)
	case ticketMsg:
		return c.copy("the text for the ticket", msg.text)
	case copiedMsg:
		c.s.close()
		if msg.err != nil {
			c.s.complain("Not copied: " + sentence(msg.err))
		} else {
			c.s.say(fmt.Sprintf("Copied %s, %s characters.", msg.what, number(msg.n)))
		}
	}
	return nil
}

func (c *copyMenu) key(msg tea.KeyMsg) tea.Cmd {
	switch {
	case key.Matches(msg, c.km.ticket):
		return c.ticket()
	case key.Matches(msg, c.km.sender):
		return c.copy("the sender", sender(c.m))
	case key.Matches(msg, c.km.recipient):
		return c.copy("the recipient", recipient(c.m))
	case key.Matches(msg, c.km.reply):
		return c.copy("the reply", replyLine(c.m.Reply))
	case key.Matches(msg, c.km.id):
		return c.copy("the message id", firstOf(c.m.MessageID, c.m.ID))
	case key.Matches(msg, c.km.steps):
		return c.copy("the console's steps", c.recipe(func(change engine.Change) string { return strings.Join(engine.ConsoleSteps(change), "\n") }))
	case key.Matches(msg, c.km.api):
		return c.copy("the API request", c.recipe(requests))
	case key.Matches(msg, c.km.log):
		return c.copy("the log lines", logLines(c.m))
	case key.Matches(msg, c.km.cancel):
		c.s.close()
	}
	return nil
}

// copy cleans text and sends it. What nobody logged cannot be copied.
func (c *copyMenu) copy(what, text string) tea.Cmd {
	if len(text) > mostCopied {
		text = strings.ToValidUTF8(text[:mostCopied], "")
		what = "the beginning of " + what
	}
	text = cell.CleanLines(text)
	if text == "" || text == "-" {
		c.s.complain(upper(what) + " is not logged.")
		return nil
	}
	id, out, sequence, n := c.id, c.s.out, c.s.wrap.clipboard(text), len([]rune(text))
	return func() tea.Msg {
		_, err := io.WriteString(out, sequence)
		return copiedMsg{routed{id}, what, n, err}
	}
}

// ticket makes the text for the ticket; from the list the message was not
// replayed in full yet.
func (c *copyMenu) ticket() tea.Cmd {
	id, m, t, svc, ctx, s := c.id, c.m, c.trace, c.s.svc, c.s.ctx, c.s
	explain, loc := s.explain, s.loc
	return func() tea.Msg {
		if len(t.Steps) == 0 {
			if whole, err := svc.Searcher.Get(ctx, m.ID); err == nil {
				m = whole
			}
			t = svc.Explainer.Why(m)
		}
		present := t.Verdict
		if t.VerdictNow != nil {
			present = *t.VerdictNow
		}
		return ticketMsg{routed{id}, TicketText(m, t, explain(replyLine(m.Reply)), svc.Excepter.Advice(m, present, loc), loc)}
	}
}

func (s *session) stampLong(m mail.Message) string {
	return m.Time.In(s.loc).Format("Mon 02 Jan 2006 15:04:05 MST")
}

func logLines(m mail.Message) string {
	var lines []string
	for _, e := range m.Evidence {
		lines = append(lines, cell.Clean(e.Text))
	}
	return strings.Join(lines, "\n")
}

func (c *copyMenu) view() string {
	l := c.s.look
	w := min(c.width, 60)
	var body []string
	for _, b := range c.km.all() {
		body = append(body, l.line(w-4, seg{cell.Fit(b.Help().Key, 6, ""), l.key}, seg{b.Help().Desc, l.plain}))
	}
	return l.box("Copy", body, w, c.width, c.height)
}
