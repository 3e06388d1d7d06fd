package tui

import (
	"fmt"
	"slices"
	"strings"

	"github.com/charmbracelet/lipgloss"

	"mailwhy/engine"
	"mailwhy/engine/exception"
	"mailwhy/engine/mail"
	"mailwhy/tui/cell"
)

// margin is the room of a section's name before its lines.
const margin = 11

// paper collects the lines of a message; every line is cleaned by look.
type paper struct {
	look
	w       int
	lines   []string
	targets []target
	at      []int // line of each target
	cursor  int   // target that is selected
	section string
}

func (p *paper) blank()                { p.lines = append(p.lines, p.line(p.w)) }
func (p *paper) put(segs ...seg)       { p.lines = append(p.lines, p.line(p.w, segs...)) }
func (p *paper) begin(name string)     { p.section = name }
func (p *paper) row(segs ...seg)       { p.put(append([]seg{p.head()}, segs...)...) }
func (p *paper) wrap(s string, in seg) { p.wrapAt(s, margin, in) }

// head is the section's name on its first line, else blanks.
func (p *paper) head() seg {
	name := p.section
	p.section = ""
	return seg{cell.Fit(" "+name, margin, ""), p.key}
}

// wrapAt writes text over as many lines as it takes, indented.
func (p *paper) wrapAt(s string, indent int, as seg) {
	for _, line := range cell.Wrap(cell.Clean(s), max(p.w-indent-1, 8)) {
		p.put(seg{strings.Repeat(" ", indent), p.plain}, seg{line, as.style})
	}
}

// act begins a line that enter acts on.
func (p *paper) act(t target, segs ...seg) {
	pointer := seg{"  ", p.plain}
	if len(p.targets) == p.cursor {
		pointer = seg{p.pointer + " ", p.title}
		for i := range segs {
			segs[i].style = segs[i].style.Bold(true)
		}
	}
	p.targets = append(p.targets, t)
	p.at = append(p.at, len(p.lines))
	head := p.head()
	head.text = head.text[:max(len(head.text)-2, 0)]
	p.put(append([]seg{head, pointer}, segs...)...)
}

// draw lays the whole message out; view shows a window of it.
func (d *detail) draw() {
	p := &paper{look: d.s.look, w: d.width, cursor: d.at}
	d.drawHead(p)
	if !d.traced {
		p.blank()
		p.put(seg{" replaying the policies", p.dim})
	} else {
		d.drawChange(p)
		d.drawRemedies(p)
		d.drawLifts(p)
		d.drawSteps(p)
		d.drawLadder(p)
		d.drawFacts(p)
		d.drawJourney(p)
	}
	d.drawEvidence(p)
	d.drawReply(p)
	d.lines, d.targets, d.places = p.lines, p.targets, p.at
	d.at = max(min(d.at, len(d.targets)-1), 0)
	d.scroll = max(min(d.scroll, len(d.lines)-d.height), 0)
}

func (d *detail) drawHead(p *paper) {
	m := d.m
	text := "  " + m.Time.In(d.s.loc).Format("Mon 02 Jan 2006 15:04:05 MST")
	if m.Phase != "" && m.Phase != mail.PhaseUnknown {
		text += ", at " + phase(m.Phase)
	}
	if m.Gateway != "" {
		text += ", by " + m.Gateway
	}
	if m.Attempts > 1 {
		text += fmt.Sprintf(", %d attempts until %s", m.Attempts, d.s.stamp(m.Last, 9))
	}
	var right []seg
	if d.list.counted {
		right = []seg{{number(d.list.table.Cursor()+1) + " of " + number(d.list.total.Count) + " ", p.dim}}
	}
	p.lines = append(p.lines, p.ends(p.w, []seg{{" " + strings.ToUpper(string(m.Outcome)), p.outcome(m.Outcome).Bold(true)}, {text, p.plain}}, right))
	if line := replyLine(m.Reply); line != "" {
		p.put(seg{" " + line, p.dim})
	}
	if d.traced {
		p.blank()
		p.wrapAt(story(d.then, m, d.explained), 1, seg{"", p.title})
		if d.group != nil {
			p.blank()
			p.wrapAt(d.group.words(d.then.Remedies, p.arrow), 1, seg{"", p.warn})
		}
	}
}

// drawChange says what changed between the message and now, and what an
// exception made here did.
func (d *detail) drawChange(p *paper) {
	now := d.verdictNow()
	switch {
	case d.before != nil && now != nil:
		p.blank()
		p.begin("BEFORE")
		p.row(seg{verdictWords(*d.before), p.plain})
		p.begin("AFTER")
		p.row(seg{verdictWords(*now) + d.permitter(), p.verdict(*now).Bold(true)})
	case now != nil && (d.asOfNow || verdictWords(*now) != verdictWords(d.then.Verdict)):
		p.blank()
		p.begin("THEN")
		p.row(seg{verdictWords(d.then.Verdict), p.plain})
		p.begin("NOW")
		p.row(seg{verdictWords(*now) + d.permitter() + ", if it were sent again", p.verdict(*now).Bold(true)})
	}
}

// permitter names what won where the message was stopped before.
func (d *detail) permitter() string {
	for _, step := range d.now.Steps {
		if step.Stage == d.then.Verdict.Stage && step.Winner != nil && step.Outcome == engine.StepPass {
			return ": " + *step.Winner + " wins in " + words(string(step.Stage))
		}
	}
	return ""
}

func (l look) verdict(v engine.Verdict) lipgloss.Style {
	if v.Outcome == nil {
		return l.warn
	}
	return l.outcome(*v.Outcome)
}

func (d *detail) drawRemedies(p *paper) {
	p.blank()
	p.begin("DO")
	given := map[string]bool{}
	for i, r := range d.then.Remedies {
		d.drawRemedy(p, i, r, given)
		if len(r.Risks) > 0 { // the gravest; the sheet has all
			p.wrapAt("risk: "+r.Risks[0], margin+3, seg{"", p.warn})
		}
	}
	now := d.verdictNow()
	switch {
	case letInLater(d.m):
		p.row(seg{"nothing: it was " + string(d.m.Outcome) + " after " + span(d.m.Last.Sub(d.m.Time)), p.good})
	case now != nil && accepted(*now) && !accepted(d.then.Verdict):
		p.row(seg{"nothing more here: sent again now, no policy would stop it", p.good})
	case d.then.Agreement.Result == engine.NotPolicy || len(d.then.Remedies) == 0:
		for _, s := range d.explained.Steps {
			p.bulleted(s)
		}
		if len(d.then.Remedies) == 0 && len(d.explained.Steps) == 0 {
			p.row(seg{"no change of a policy would help", p.plain})
		}
	}
	if d.m.Outcome == mail.Rejected && d.m.Reply.Permanent() && worksAny(d.then.Remedies) {
		p.wrap("then, once it is live: ask the sender to resend; a refused message cannot be released", seg{"", p.dim})
	}
}

func (p *paper) bulleted(s string) {
	for i, line := range cell.Wrap(cell.Clean(s), max(p.w-margin-3, 8)) {
		mark := p.bullet + " "
		if i > 0 {
			mark = "  "
		}
		p.row(seg{mark + line, p.plain})
	}
}

func accepted(v engine.Verdict) bool { return v.Outcome != nil && *v.Outcome == mail.Accepted }

func worksAny(all []engine.Remedy) bool {
	return slices.ContainsFunc(all, func(r engine.Remedy) bool { return r.Works != nil && *r.Works })
}

func (d *detail) drawRemedy(p *paper, i int, r engine.Remedy, given map[string]bool) {
	t := target{onRemedy, i}
	what := kindWords(r.Kind) + " " + scopeWords(r.Scope, d.m, p.arrow)
	switch {
	case r.Works != nil && !*r.Works:
		p.act(t, seg{p.skip + "  ", p.dim}, seg{what + plainNo(r), p.dim})
		p.because(r)
		return
	case r.Works == nil:
		p.act(t, seg{p.unknown + "  ", p.warn}, seg{what + ": may help", p.plain})
		p.because(r)
		return
	}
	k := keyOf(r.Kind)
	if given[k] || !d.s.operator() {
		k = " "
	}
	given[k] = true
	tail := ""
	report, known := d.impacts[remedyKey(r)]
	if r.Impact != nil {
		report, known = *r.Impact, true
	}
	if known {
		tail = "  " + impactWords(report)
	}
	if tail != "" && margin+3+cell.Width(cell.Clean(what+tail)) >= p.w {
		p.act(t, seg{cell.Fit(k, 3, ""), p.key}, seg{what, p.plain})
		p.wrapAt(tail, margin+3, seg{"", p.dim})
		return
	}
	p.act(t, seg{cell.Fit(k, 3, ""), p.key}, seg{what, p.plain}, seg{tail, p.dim})
}

// because writes why a remedy may help or does not below it.
func (p *paper) because(r engine.Remedy) {
	if r.Because != "" {
		p.wrapAt(r.Because, margin+3, seg{"", p.dim})
	}
}

// plainNo says that a remedy is useless where its reason does not.
func plainNo(r engine.Remedy) string {
	if r.Because == "" || !strings.Contains(r.Because, "no effect") {
		return ": no effect"
	}
	return ""
}

func because(r engine.Remedy) string {
	if r.Because == "" {
		return ""
	}
	return ", " + r.Because
}

// keyOf is the key that opens the sheet of a kind.
func keyOf(k engine.Kind) string {
	switch k {
	case engine.KindBypass:
		return "b"
	case engine.KindPermit:
		return "p"
	case engine.KindManagedPermit, engine.KindManagedDelete, engine.KindManagedBlock:
		return "m"
	case engine.KindRelay:
		return "r"
	}
	return " "
}

// drawLifts says what the gateways could do about the refusal: an exception is
// of no use where none of them made it.
func (d *detail) drawLifts(p *paper) {
	if len(d.lifts) == 0 {
		return
	}
	p.blank()
	p.begin("GATEWAYS")
	p.row(seg{"what an exception there could do about this refusal", p.dim})
	for _, l := range d.lifts {
		p.wrapAt(l[0]+" "+l[1], margin, seg{"", p.plain})
	}
}

// drawSteps lists what is still to be done by hand for the exception made here.
func (d *detail) drawSteps(p *paper) {
	if d.made == nil || len(d.made.Steps) == 0 {
		return
	}
	p.blank()
	p.begin("BY HAND")
	state := d.made.State(d.s.now())
	p.row(seg{fmt.Sprintf("exception %d is %s; in the gateway's console:", d.made.ID, state), stateStyle(p.look, state)})
	for i, s := range d.made.Steps {
		p.wrapAt(fmt.Sprintf("%d. %s", i+1, s), margin, seg{"", p.plain})
	}
}

func stateStyle(l look, s exception.State) lipgloss.Style {
	switch s {
	case exception.Live:
		return l.good
	case exception.Pending:
		return l.warn
	case exception.Failed:
		return l.bad
	}
	return l.dim
}

func (d *detail) drawFacts(p *paper) {
	p.blank()
	p.begin("FACTS")
	facts := d.facts()
	t := target{onFacts, 0}
	for i, f := range facts {
		if i == 0 {
			p.act(t, seg{cell.Fit(f[0], 14, ""), p.dim}, seg{f[1], p.plain})
			continue
		}
		if i >= 5 && !d.expanded[t] {
			p.row(seg{fmt.Sprintf("and %d more (enter)", len(facts)-i), p.dim})
			break
		}
		p.row(seg{cell.Fit(f[0], 14, ""), p.dim}, seg{f[1], p.plain})
	}
}

func (d *detail) facts() [][2]string {
	m := d.m
	from := string(m.HeaderFrom)
	if m.HeaderFromName != "" {
		from = m.HeaderFromName + " <" + from + ">"
	}
	score := ""
	if m.SpamScore != nil {
		score = fmt.Sprintf("%.1f", *m.SpamScore)
	}
	size := ""
	if m.Size > 0 {
		size = number(int(m.Size)) + " bytes"
	}
	all := [][2]string{
		{"envelope from", firstOf(string(m.EnvelopeFrom), "not logged")},
		{"header from", firstOf(from, "not logged")},
		{"recipient", firstOf(string(m.Recipient), "not logged")},
		{"written to", differing(string(m.OriginalRecipient), string(m.Recipient))},
		{"client", client(m.Client)},
		{"subject", m.Subject},
		{"message id", m.MessageID},
		{"queue id", m.QueueID},
		{"direction", differing(string(m.Direction), string(mail.DirectionUnknown))},
		{"checks", checks(m.Auth)},
		{"spam score", score},
		{"size", size},
		{"reported", strings.TrimSpace(m.Reported.Type + "  " + m.Reported.Rule + "  " + m.Reported.Detail)},
		{"format", m.Format},
	}
	return slices.DeleteFunc(all, func(f [2]string) bool { return f[1] == "" })
}

func differing(s, from string) string {
	if s == from {
		return ""
	}
	return s
}

func client(c mail.Client) string {
	text := strings.TrimSpace(c.IP + " " + c.Name)
	if c.Helo != "" && c.Helo != c.Name {
		text += ", says it is " + c.Helo
	}
	return text
}

func checks(a mail.Auth) string {
	var parts []string
	for _, pair := range [][2]string{{"SPF", a.SPF}, {"DKIM", a.DKIM}, {"DMARC", a.DMARC}} {
		if pair[1] != "" {
			parts = append(parts, pair[0]+" "+pair[1])
		}
	}
	return strings.Join(parts, "  ")
}

func (d *detail) drawJourney(p *paper) {
	m := d.m
	p.blank()
	p.begin("JOURNEY")
	dash := p.rule + p.rule
	where := firstOf(phase(m.Phase), "?")
	segs := []seg{{firstOf(client(m.Client), "client not logged"), p.plain}}
	gateway := firstOf(m.Gateway, "gateway")
	if m.Phase == mail.PhaseDelivery || m.Phase == mail.PhaseQueue || m.Remote.Name != "" {
		segs = append(segs, seg{" " + dash + p.arrow + " " + gateway + " ", p.plain})
		gateway = firstOf(strings.TrimSpace(m.Remote.Name+" "+m.Remote.IP), "next hop")
	} else {
		segs = append(segs, seg{" ", p.plain})
	}
	segs = append(segs, seg{dash + where + dash, p.plain}, seg{p.mark(m.Outcome), p.outcome(m.Outcome)}, seg{" " + gateway, p.plain})
	p.row(segs...)
	for _, h := range m.Hops { // what other gateways tell of it
		who := strings.Join(strings.Fields(h.Gateway+" "+h.Format+" "+h.QueueID), " ")
		p.row(seg{h.Time.In(d.s.loc).Format("15:04:05") + " ", p.dim}, seg{p.mark(h.Outcome) + " " + string(h.Outcome) + " ", p.outcome(h.Outcome)}, seg{who, p.plain})
	}
}

func (l look) mark(o mail.Outcome) string {
	if o.Failing() {
		return l.stop
	}
	return l.arrow
}

func (d *detail) drawEvidence(p *paper) {
	p.blank()
	p.begin("EVIDENCE")
	if len(d.m.Evidence) == 0 {
		p.row(seg{"the log's lines are not at hand", p.dim})
	}
	for i, e := range d.m.Evidence {
		t := target{onEvidence, i}
		where := fmt.Sprintf("%s +%d  ", e.File, e.Offset)
		if !d.expanded[t] {
			p.act(t, seg{where, p.dim}, seg{e.Text, p.plain})
			continue
		}
		p.act(t, seg{where, p.dim})
		p.wrapAt(e.Text, margin, seg{"", p.plain})
	}
}

func (d *detail) drawReply(p *paper) {
	if replyLine(d.m.Reply) == "" {
		return
	}
	p.blank()
	p.begin("REPLY")
	p.act(target{onReply, 0}, seg{replyLine(d.m.Reply), p.plain})
	if d.expanded[target{onReply, 0}] {
		p.wrapAt(replyLine(d.m.Reply), margin, seg{"", p.plain})
	}
	for _, text := range []string{d.explained.Meaning, d.explained.Cause, side(d.explained.Side)} {
		if text != "" {
			p.wrapAt(stop(upper(text)), margin, seg{"", p.dim})
		}
	}
}

func side(s string) string {
	switch s {
	case "us":
		return "To be solved on our side"
	case "them":
		return "To be solved by the sender's side"
	case "next_hop":
		return "To be solved at the next hop"
	case "dns":
		return "To be solved in the DNS"
	}
	return ""
}

func (d *detail) view() string {
	end := min(d.scroll+d.height, len(d.lines))
	return fill(slices.Clone(d.lines[min(d.scroll, end):end]), d.width, d.height)
}

// goTo selects a target and scrolls as little as shows it.
func (d *detail) goTo(at int) {
	if len(d.targets) == 0 {
		return
	}
	d.at = max(min(at, len(d.targets)-1), 0)
	d.draw()
	switch line := d.places[d.at]; {
	case d.at == 0:
		d.scroll = 0
	case d.at == len(d.targets)-1:
		d.scroll = max(len(d.lines)-d.height, 0)
	case line < d.scroll+1:
		d.scroll = max(line-1, 0)
	case line > d.scroll+d.height-2:
		d.scroll = line - d.height + 2
	}
}

// scrollBy moves the window and selects what is then in it.
func (d *detail) scrollBy(n int) {
	d.scroll = max(min(d.scroll+n, len(d.lines)-d.height), 0)
	for i := range d.targets {
		if line := d.places[i]; line >= d.scroll && line < d.scroll+d.height {
			d.at = i
			break
		}
	}
	d.draw()
}
