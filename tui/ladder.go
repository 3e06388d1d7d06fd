package tui

import (
	"fmt"
	"strconv"

	"mailwhy/engine"
	"mailwhy/tui/cell"
)

// drawLadder shows every stage in order, the deciding one with the policies
// that stood against each other there.
func (d *detail) drawLadder(p *paper) {
	t := d.trace()
	p.blank()
	as, other := "as of the message, "+d.s.stamp(d.then.AsOf, 9), "now"
	if d.asOfNow {
		as, other = "as of now", "then"
	}
	p.begin("LADDER")
	p.row(seg{as + "; t turns to " + other, p.dim})
	for i, step := range t.Steps {
		d.drawStep(p, i, step, t.Verdict)
	}
	if len(t.Steps) == 0 {
		p.row(seg{"no stage was replayed", p.dim})
	}
}

func (d *detail) drawStep(p *paper, i int, step engine.Step, v engine.Verdict) {
	at := target{onStep, i}
	deciding := step.Outcome == engine.StepStop && step.Stage == v.Stage && (v.Moment == "" || v.Moment == step.Moment)
	mark, style := p.pass, p.dim
	switch step.Outcome {
	case engine.StepStop:
		mark, style = p.stop, p.bad
	case engine.StepUnknown:
		mark, style = p.unknown, p.warn
	case engine.StepSkip:
		mark = p.skip
	}
	winner := " "
	if deciding {
		winner = p.winner
	}
	name := cell.Fit(string(step.Stage), 19, "") + cell.Fit(moment(step.Moment), 9, "")
	p.act(at, seg{winner + " ", p.bad}, seg{name, p.plain}, seg{mark + "  ", style}, seg{stepWords(step), p.plain})
	shown := 0
	if deciding {
		shown = 3
	}
	if d.expanded[at] {
		shown = len(step.Policies)
	}
	for _, c := range step.Policies[:min(shown, len(step.Policies))] {
		drawConsidered(p, c, step, d.expanded[at])
	}
	if rest := len(step.Policies) - shown; shown > 0 && rest > 0 {
		p.row(seg{"    " + fmt.Sprintf("and %d more (enter)", rest), p.dim})
	}
	if d.expanded[at] {
		if step.Because != "" {
			p.wrapAt(step.Because, margin+4, seg{"", p.dim})
		}
		p.row(seg{"    " + fmt.Sprintf("%s other %s nowhere near a match", number(step.NotMatching), plural(step.NotMatching, "policy is", "policies are")), p.dim})
	}
}

// stepWords is what a stage did in a few words.
func stepWords(step engine.Step) string {
	if step.Winner != nil {
		for _, c := range step.Policies {
			if c.ID == *step.Winner {
				return c.ID + " " + words(c.Option) + quoted(c.Description)
			}
		}
		return *step.Winner
	}
	switch {
	case step.Because != "":
		return step.Because
	case step.Outcome == engine.StepSkip:
		return "not reached"
	case len(step.Policies) == 1:
		return step.Policies[0].ID + ": " + step.Policies[0].Because
	case step.Outcome == engine.StepUnknown:
		return "cannot be said"
	}
	return "nothing matches"
}

func quoted(description string) string {
	if description == "" {
		return ""
	}
	return " " + strconv.Quote(description)
}

func drawConsidered(p *paper, c engine.Considered, step engine.Step, expanded bool) {
	mark, style := p.pass, p.dim
	switch {
	case c.Matched == nil:
		mark, style = p.unknown, p.warn
	case step.Winner != nil && *step.Winner == c.ID:
		mark, style = p.winner, p.plain
	}
	tail := ""
	if c.Matched != nil && *c.Matched {
		tail = "  " + rank(c.Rank)
	}
	p.row(seg{"    " + mark + " ", style}, seg{c.ID + " " + words(c.Option) + "  ", p.plain}, seg{c.Because, p.dim}, seg{tail, p.dim})
	if expanded && c.Origin != "" {
		p.row(seg{"      " + c.Origin, p.dim})
	}
}

// rank writes what decides a contest.
func rank(r engine.Rank) string {
	text := "rank " + strconv.Itoa(r[1]) + "," + strconv.Itoa(r[2])
	if r[0] > 0 {
		text += ", override"
	}
	if r[5] > 0 {
		text += ", source IPs"
	}
	return text
}
