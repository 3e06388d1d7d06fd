package tui

import (
	"fmt"
	"slices"
	"strings"

	"github.com/charmbracelet/lipgloss"

	"mailwhy/engine"
	"mailwhy/tui/cell"
)

// sheetWidth is the most cells a sheet takes.
const sheetWidth = 84

func (sh *sheet) title() string {
	switch engine.Kind(sh.value(partAction)) {
	case engine.KindBypass:
		return "Bypass: Take No Action"
	case engine.KindPermit:
		return "Permit: Permitted Senders"
	case engine.KindRelay:
		return "Relay"
	}
	return "Managed sender"
}

func (sh *sheet) view() string {
	l := sh.s.look
	w := min(sh.width, sheetWidth)
	inner := w - 4
	var body []string
	for i, f := range sh.fields {
		if f.isButton() || f.part == partAction && len(f.choices) == 1 {
			continue
		}
		body = append(body, sh.fieldLine(f, i == sh.at, inner))
	}
	var told []string
	for _, s := range sh.told() {
		for i, line := range cell.Wrap(cell.Clean(s.text), inner-13) {
			name := s.name
			if i > 0 {
				name = ""
			}
			told = append(told, l.line(inner, seg{cell.Fit(name, 13, ""), l.dim}, seg{line, s.style}))
		}
	}
	room := sh.height - 2 - len(body) - 1 // borders, fields, buttons
	if len(told)+2 <= room {
		told = append(append([]string{l.line(inner)}, told...), l.line(inner))
	}
	if len(told) > room {
		told = told[:max(room, 0)]
	}
	body = append(append(body, told...), sh.buttons(inner))
	return l.box(sh.title(), body, w, sh.width, sh.height)
}

// box draws a frame with a title around lines of w-4 cells, at the left of an
// area of width by height.
func (l look) box(title string, body []string, w, width, height int) string {
	rule := strings.Repeat(l.rule, max(w-5-cell.Width(title), 0))
	lines := []string{l.line(width, seg{l.corners[0] + " ", l.dim}, seg{title, l.title}, seg{" " + rule + l.rule + l.corners[1], l.dim})}
	right := strings.Repeat(" ", max(width-w, 0))
	for _, line := range body {
		lines = append(lines, l.dim.Render(l.wall)+" "+line+" "+l.dim.Render(l.wall)+right)
	}
	lines = append(lines, l.line(width, seg{l.corners[2] + strings.Repeat(l.rule, max(w-2, 0)) + l.corners[3], l.dim}))
	return fill(lines, width, height)
}

func (sh *sheet) fieldLine(f *field, active bool, w int) string {
	l := sh.s.look
	pointer, style := "  ", l.plain
	if active {
		pointer, style = l.pointer+" ", l.title
	}
	segs := []seg{{cell.Fit(string(f.part), 9, ""), l.dim}, {pointer, l.title}}
	if f.isText() {
		segs = append(segs, inputSegs(f.input, w-12, active, l)...)
		if f.part == partTicket && f.value() == "" {
			segs = append(segs, seg{"  (required)", l.dim})
		}
		return l.line(w, segs...)
	}
	c := f.choices[f.picked]
	segs = append(segs, seg{c.shown, style})
	if c.hint != "" {
		segs = append(segs, seg{"  (" + c.hint + ")", l.dim})
	}
	var more []seg
	if active && len(f.choices) > 1 {
		more = []seg{{fmt.Sprintf("left/right: %d of %d", f.picked+1, len(f.choices)), l.key}}
	}
	return l.ends(w, segs, more)
}

// namedText is a line below the fields.
type namedText struct {
	name  string
	text  string
	style lipgloss.Style
}

// told is what is known of the exception: what it would do, whom it would have
// let in, what the guards say.
func (sh *sheet) told() []namedText {
	l := sh.s.look
	var all []namedText
	if sh.problem != "" {
		all = append(all, namedText{"", sh.problem, l.bad})
	}
	all = append(all, sh.guards()...)
	if r, ok := sh.remedy(); ok {
		all = append(all, sh.after(r))
		for _, risk := range r.Risks {
			all = append(all, namedText{"Risk", risk, l.warn})
		}
	}
	if sh.impact != nil {
		text := fmt.Sprintf("%s, of %s known", strings.Replace(impactWords(*sh.impact), "lets in", "would have let in", 1), number(sh.impact.Examined))
		if bars := l.spark(byDay(*sh.impact)); strings.TrimSpace(bars) != "" {
			text += "  " + bars
		}
		all = append(all, namedText{"Impact", text, l.plain})
	} else if sh.asking || sh.draft != nil {
		all = append(all, namedText{"Impact", "counting", l.dim})
	}
	if sh.draft != nil && sh.problem == "" {
		e := sh.draft.Exception
		text := fmt.Sprintf("exceptions.jsonl #%d", e.ID)
		if len(e.Steps) > 0 {
			text += fmt.Sprintf("; then %d %s by hand in the gateway's console", len(e.Steps), plural(len(e.Steps), "step", "steps"))
		}
		all = append(all, namedText{"Writes", text, l.dim})
	}
	return all
}

func (sh *sheet) after(r engine.Remedy) namedText {
	l := sh.s.look
	switch {
	case r.Works == nil:
		return namedText{"After this", "not known" + because(r), l.warn}
	case !*r.Works:
		return namedText{"After this", "no effect: " + r.Because, l.bad}
	case r.VerdictAfter != nil:
		return namedText{"After this", strings.TrimSuffix(verdictWords(*r.VerdictAfter)+because(r), ", "), l.good}
	}
	return namedText{"After this", "it works", l.good}
}

// guards are the sentences of those that do not say ok; an empty ticket is
// asked for by its field.
func (sh *sheet) guards() []namedText {
	if sh.draft == nil {
		return nil
	}
	var all []namedText
	for _, g := range sh.draft.Guards {
		if g.Answer == "ok" || g.Name == "ticket" && sh.value(partTicket) == "" {
			continue
		}
		all = append(all, namedText{"Refused", stop(upper(g.Sentence)), sh.s.look.bad})
	}
	return all
}

// byDay is the impact of the days on which there was any, in their order.
func byDay(r engine.ImpactReport) []int {
	var days []string
	for day := range r.ByDay {
		days = append(days, day)
	}
	slices.Sort(days)
	values := make([]int, len(days))
	for i, day := range days {
		values[i] = r.ByDay[day]
	}
	return values
}

func (sh *sheet) buttons(w int) string {
	l := sh.s.look
	if sh.making {
		return l.line(w, seg{"writing", l.dim})
	}
	button := func(p part) seg {
		if sh.fields[sh.at].part == p {
			return seg{l.pointer + "[ " + string(p) + " ]", l.selected}
		}
		return seg{"  " + string(p) + "   ", l.plain}
	}
	return l.line(w, seg{strings.Repeat(" ", 11), l.plain}, button(partCancel), seg{"   ", l.plain}, button(partCreate))
}
