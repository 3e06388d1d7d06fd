package tui

import (
	"fmt"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"mailwhy/engine"
	"mailwhy/engine/mail"
	"mailwhy/engine/reply"
)

// mostVerdicts bounds what is remembered of rows that went by.
const mostVerdicts = 5000

// verdicts holds what the rows say under WHY. Only rows on the screen are
// replayed.
type verdicts struct {
	known map[string]rowVerdict
	gen   int  // of the policies
	busy  bool // a replay of rows is under way
}

// verdictsMsg brings the words for some rows.
type verdictsMsg struct {
	routed
	gen  int
	rows map[string]rowVerdict
}

// outdate marks everything as replayed with former policies; the words stay on
// the screen until the new ones come.
func (v *verdicts) outdate() {
	v.gen++
	for id, r := range v.known {
		r.last = time.Time{}
		v.known[id] = r
	}
}

func (v *verdicts) take(msg verdictsMsg) {
	v.busy = false
	if msg.gen != v.gen {
		return
	}
	if len(v.known) > mostVerdicts {
		clear(v.known)
	}
	for id, r := range msg.rows {
		v.known[id] = r
	}
}

// age tells whether a message changed since its row was replayed. It is never
// the zero time, which stands for not replayed.
func age(m mail.Message) time.Time {
	if m.Last.IsZero() {
		return time.Unix(1, 0)
	}
	return m.Last
}

// explain replays the rows on the screen whose words are missing or old.
func (m *messages) explain() tea.Cmd {
	if m.verdicts.busy || !m.s.ready {
		return nil
	}
	var rows []mail.Message
	for _, row := range m.table.Visible() {
		if known, ok := m.verdicts.known[row.ID]; !ok || !known.last.Equal(age(row)) {
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	m.verdicts.busy = true
	id, gen, explainer, explain := m.id, m.verdicts.gen, m.s.svc.Explainer, m.s.explain
	return func() tea.Msg {
		out := verdictsMsg{routed{id}, gen, map[string]rowVerdict{}}
		for _, row := range rows {
			verdict, agreement := explainer.Verdict(row)
			policy, _ := explainer.Policy(verdict.Policy)
			out.rows[row.ID] = rowVerdict{rowWhy(row, verdict, agreement, policy.Description, cause(row, explain)), age(row)}
		}
		return out
	}
}

// rowWhy is the cause of a row in a few words: the policy where the replay and
// the log tell of one, the log's own cause where it is no policy.
func rowWhy(m mail.Message, v engine.Verdict, a engine.Agreement, name, logged string) string {
	policy := v.Policy
	if name != "" {
		policy += " " + name
	}
	stopped := v.Outcome != nil && *v.Outcome != mail.Accepted && v.Policy != ""
	switch {
	case a.Result == engine.NotPolicy:
		return logged + epilogue(m)
	case stopped && a.Result == engine.Unexplained:
		return policy + "; the log differs: " + logged
	case stopped && a.Result == engine.PolicyChanged:
		return policy + " (changed since)"
	case stopped && v.Certainty == engine.Likely:
		return policy + " (likely)"
	case stopped:
		return policy
	case a.Result == engine.PolicyChanged:
		return "policy changed since: " + logged
	case a.Result == engine.Agrees && v.Outcome == nil:
		return "undetermined: " + logged
	}
	return logged + " (reported)" + epilogue(m)
}

// cause is the cause in the log's words or, where it gives only a reply, in
// those of the knowledge base.
func cause(m mail.Message, explain func(string) reply.Explanation) string {
	switch {
	case m.Reported.Type != "" && m.Reported.Rule != "":
		return m.Reported.Type + ": " + m.Reported.Rule
	case m.Reported.Type == "host said" && m.Reply.Text != "":
		return m.Reply.Text
	case m.Reported.Detail != "" && onlyWhere(m.Reported.Type):
		return m.Reported.Detail
	case m.Reported.Type != "":
		return m.Reported.Type
	}
	explained := explain(replyLine(m.Reply))
	switch {
	case explained.Known && explained.Cause != "":
		return explained.Cause
	case m.Reply.Text != "":
		return m.Reply.Text
	case m.Reported.Detail != "":
		return m.Reported.Detail
	}
	return string(m.Outcome)
}

// onlyWhere reports whether a type says only which part of the dialogue was
// refused, as Postfix's do: the reason stands in the detail.
func onlyWhere(reported string) bool {
	return strings.HasSuffix(reported, " rejected")
}

// letInLater reports whether a message that failed for a while was let in at last.
func letInLater(m mail.Message) bool { return m.Outcome.LetIn() && m.Last.After(m.Time) }

// epilogue says what became of a message that failed for a while.
func epilogue(m mail.Message) string {
	if letInLater(m) {
		return ", " + string(m.Outcome) + " after " + span(m.Last.Sub(m.Time))
	}
	return ""
}

// replyLine is an SMTP reply as one line, its absent parts left out.
func replyLine(r mail.Reply) string {
	text := replyCodes(r)
	if r.Text == "" {
		return text
	}
	if text != "" {
		text += " "
	}
	return text + r.Text
}

func replyCodes(r mail.Reply) string {
	switch {
	case r.Code == 0:
		return r.Enhanced
	case r.Enhanced == "":
		return fmt.Sprint(r.Code)
	}
	return fmt.Sprintf("%d %s", r.Code, r.Enhanced)
}

// span writes a duration as a person says it, in its greatest unit.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
