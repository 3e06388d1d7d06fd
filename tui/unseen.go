package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/bubbles/key"
	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"

	"mailwhy/engine/mail"
	"mailwhy/index"
	"mailwhy/tui/cell"
)

// unseen answers "we never saw it": what came of a sender and a recipient, and
// whether their message would have been seen at all.
type unseen struct {
	s        *session
	id       int
	km       unseenKeys
	list     *messages
	within   index.Query // whose time is looked at
	time     string      // the words of the query for that time
	from, to textinput.Model

	task          task
	asked         [2]string // that answer is about
	answer        *Unseen
	asking        bool
	problem       string
	scroll        int
	width, height int
}

// unseenMsg brings the answer.
type unseenMsg struct {
	routed
	gen    int
	answer Unseen
	err    error
}

// newUnseen takes the two addresses and the time from the query of the list.
func newUnseen(s *session, list *messages) *unseen {
	x := &unseen{s: s, id: s.nextID(), km: newUnseenKeys(), list: list}
	q, err := index.ParseQuery(list.text, s.now(), s.loc)
	if err != nil {
		q, _ = index.ParseQuery(defaultQuery, s.now(), s.loc)
	}
	x.within, x.time = q, timeWords(list.text)
	x.within.Terms = nil
	from, to := pairOf(q)
	x.from, x.to = newInput(from), newInput(to)
	x.to.Blur()
	if from != "" && to == "" {
		x.other()
	}
	return x
}

// pairOf reads a sender and a recipient out of a query: from: and to:, else
// the bare words in this order.
func pairOf(q index.Query) (from, to string) {
	for _, t := range q.Terms {
		switch {
		case t.Not:
		case t.Field == "from":
			from = t.Value
		case t.Field == "to":
			to = t.Value
		}
	}
	for _, t := range q.Terms {
		switch {
		case t.Not || t.Field != "":
		case from == "":
			from = t.Value
		case to == "":
			to = t.Value
		}
	}
	return from, to
}

// timeWords are the words of a query that say which time is meant.
func timeWords(text string) string {
	var words []string
	for _, w := range strings.Fields(text) {
		for _, field := range []string{"since:", "until:", "at:"} {
			if strings.HasPrefix(strings.ToLower(w), field) {
				words = append(words, w)
			}
		}
	}
	return firstOf(strings.Join(words, " "), defaultQuery)
}

func (x *unseen) ident() int          { return x.id }
func (x *unseen) crumb() string       { return "Never seen?" }
func (x *unseen) keys() []key.Binding { return x.km.all() }
func (x *unseen) modal() bool         { return true }
func (x *unseen) back() bool          { return false }
func (x *unseen) stop()               { x.task.stop() }
func (x *unseen) resize(w, h int)     { x.width, x.height = w, h }

func (x *unseen) note() string {
	if x.asking {
		return "looking"
	}
	return ""
}

// start asks at once where the query names whom it is about.
func (x *unseen) start() tea.Cmd {
	if x.pair() == [2]string{} {
		return nil
	}
	return x.ask()
}

func (x *unseen) pair() [2]string {
	return [2]string{strings.TrimSpace(x.from.Value()), strings.TrimSpace(x.to.Value())}
}

func (x *unseen) ask() tea.Cmd {
	unseer := x.s.svc.Unseer
	switch {
	case !x.s.ready:
		return nil
	case unseer == nil:
		x.problem = "This terminal has nobody to ask."
		return nil
	case x.pair() == [2]string{}:
		x.problem = "Give the sender's address, the recipient's, or a part of one."
		return nil
	}
	ctx, gen := x.task.renew(x.s.ctx)
	x.asked, x.answer, x.asking, x.problem, x.scroll = x.pair(), nil, true, "", 0
	id, from, to, within := x.id, mail.Path(x.asked[0]), mail.Path(x.asked[1]), x.within
	return func() tea.Msg {
		answer, err := unseer.Unseen(ctx, from, to, within)
		return unseenMsg{routed{id}, gen, answer, err}
	}
}

func (x *unseen) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case unseenMsg:
		if msg.gen != x.task.gen || errors.Is(msg.err, context.Canceled) {
			return nil
		}
		x.asking = false
		if msg.err != nil {
			x.problem = stop(upper(sentence(msg.err)))
			return nil
		}
		x.answer = &msg.answer
	case tea.KeyMsg:
		return x.key(msg)
	}
	return nil
}

func (x *unseen) key(msg tea.KeyMsg) tea.Cmd {
	switch {
	case key.Matches(msg, x.km.other):
		x.other()
	case key.Matches(msg, x.km.up):
		x.scroll = max(x.scroll-1, 0)
	case key.Matches(msg, x.km.down):
		x.scroll++
	case key.Matches(msg, x.km.ask):
		if x.answer != nil && x.answer.Found > 0 && x.pair() == x.asked {
			x.show()
			return nil
		}
		return x.ask()
	default:
		in := &x.from
		if x.to.Focused() {
			in = &x.to
		}
		var cmd tea.Cmd
		*in, cmd = in.Update(msg)
		return cmd
	}
	return nil
}

func (x *unseen) other() {
	if x.from.Focused() {
		x.from.Blur()
		x.to.Focus()
		return
	}
	x.to.Blur()
	x.from.Focus()
}

// show goes to the messages that were found after all.
func (x *unseen) show() {
	words := []string{}
	for i, field := range []string{"from:", "to:"} {
		if value := strings.ReplaceAll(x.asked[i], `"`, ""); value != "" {
			words = append(words, field+`"`+value+`"`)
		}
	}
	text := strings.Join(append(words, x.time), " ")
	x.s.ask(func(r *Root) tea.Cmd { return tea.Batch(r.show(0), x.list.submit(text)) })
}

func (x *unseen) view() string {
	l := x.s.look
	field := func(name string, in textinput.Model) string {
		pointer := " "
		if in.Focused() {
			pointer = l.pointer
		}
		segs := append([]seg{{" " + name, l.key}, {pointer + " ", l.title}}, inputSegs(in, x.width-24, in.Focused(), l)...)
		if name == "From " {
			return l.ends(x.width, segs, []seg{{x.time + " ", l.dim}})
		}
		return l.line(x.width, segs...)
	}
	head := []string{field("From ", x.from), field("To   ", x.to), l.line(x.width)}
	body := x.body()
	room := max(x.height-len(head), 0)
	x.scroll = max(min(x.scroll, len(body)-room), 0)
	return fill(append(head, body[min(x.scroll, len(body)):]...), x.width, x.height)
}

// body is the answer, what proves it, and what to ask next.
func (x *unseen) body() []string {
	l := x.s.look
	p := &paper{look: l, w: x.width}
	switch {
	case x.problem != "":
		p.wrapAt(x.problem, 1, seg{"", l.bad})
		return p.lines
	case x.asking:
		p.put(seg{" looking", l.dim})
		return p.lines
	case x.answer == nil:
		p.wrapAt("Who wrote to whom? Whole addresses tell most; a domain, or one of the two, tells something.", 1, seg{"", l.plain})
		return p.lines
	}
	list := func(name string, texts []string, style seg) {
		if len(texts) == 0 {
			return
		}
		p.blank()
		p.begin(name)
		for _, text := range texts {
			for i, line := range cell.Wrap(cell.Clean(text), max(p.w-margin-3, 8)) {
				bullet := l.bullet
				if i > 0 {
					bullet = " "
				}
				p.row(seg{bullet + " ", l.dim}, seg{line, style.style})
			}
		}
	}
	a := x.answer
	if len(a.Says) > 0 {
		p.wrapAt(upper(stop(a.Says[0])), 1, seg{"", l.title})
		list("KNOWN", sentences(a.Says[1:]), seg{"", l.plain})
	}
	list("ASK", sentences(a.Ask), seg{"", l.plain})
	list("GATEWAYS", x.gateways(), seg{"", l.plain})
	list("LOGS", x.logs(), seg{"", l.plain})
	return p.lines
}

func sentences(texts []string) []string {
	var list []string
	for _, text := range texts {
		list = append(list, upper(stop(text)))
	}
	return list
}

// gateways says of each gateway how long it was silent in that time.
func (x *unseen) gateways() []string {
	var texts []string
	for _, g := range x.answer.Gateways {
		text := fmt.Sprintf("%s: %s %s", g.Name, number(g.Messages), plural(g.Messages, "message", "messages"))
		silent := time.Duration(0)
		for _, gap := range g.Gaps {
			silent += gap[1].Sub(gap[0])
		}
		if silent > 0 {
			text += fmt.Sprintf(", silent for %s in %s %s", span(silent), number(len(g.Gaps)), plural(len(g.Gaps), "gap", "gaps"))
		}
		texts = append(texts, text)
	}
	return texts
}

// logs says of each log that is followed whether it is read to its end.
func (x *unseen) logs() []string {
	var texts []string
	for _, v := range x.answer.Sources {
		text := v.Path + ": " + health(v)
		switch {
		case v.Problem != "":
			text += ", " + v.Problem
		case v.Behind > 0:
			text += fmt.Sprintf(", %s before its end", bytesWords(v.Behind))
		case !v.LastLine.IsZero():
			text += ", newest line " + v.LastLine.In(x.s.loc).Format("02 Jan 15:04:05")
		}
		texts = append(texts, text)
	}
	return texts
}
