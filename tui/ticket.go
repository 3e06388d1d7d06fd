package tui

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/mail"
	"mailwhy/engine/reply"
	"mailwhy/tui/cell"
)

// TicketText is an answer that can be pasted into a ticket: the facts that a
// support desk asks for (to, from, time, date, subject, address, reply), which
// rule did it and why, what helps, and what the sender can be told.
func TicketText(m mail.Message, t engine.Trace, explained reply.Explanation, advice string, loc *time.Location) string {
	var b strings.Builder
	say := func(name, text string) {
		if text = strings.TrimSpace(text); text != "" && text != "-" {
			fmt.Fprintf(&b, "%-14s %s\n", name+":", cell.Clean(text))
		}
	}
	fmt.Fprintf(&b, "%s: %s to %s\n", upper(string(m.Outcome)), cell.Clean(sender(m)), cell.Clean(recipient(m)))
	say("TO", recipient(m))
	say("FROM", string(m.EnvelopeFrom))
	say("HEADER FROM", strings.TrimSpace(m.HeaderFromName+" "+string(m.HeaderFrom)))
	if !m.Time.IsZero() {
		say("TIME", m.Time.In(loc).Format("15:04:05 MST"))
		say("DATE", m.Time.In(loc).Format("Mon 2 Jan 2006"))
	}
	say("SUBJECT", m.Subject)
	say("IP", strings.TrimSpace(m.Client.IP+" "+m.Client.Name))
	say("GATEWAY", m.Gateway)
	say("MESSAGE ID", m.MessageID)
	say("REPLY", replyLine(m.Reply))
	say("RULE", ruleText(t))
	say("WHY", story(t, m, explained))
	for _, change := range t.Between {
		say("SINCE THEN", change)
	}
	if r, ok := firstThatWorks(t.Remedies); ok {
		say("WHAT HELPS", kindWords(r.Kind)+" "+scopeWords(r.Scope, m, "->"))
		for _, risk := range r.Risks {
			say("RISK", risk)
		}
	}
	say("TELL SENDER", advice)
	say("MAILWHY", m.ID)
	return strings.TrimSpace(b.String())
}

// ruleText names the policy that decides, and where it stands.
func ruleText(t engine.Trace) string {
	if t.Verdict.Policy == "" {
		return ""
	}
	for _, step := range t.Steps {
		for _, p := range step.Policies {
			if p.ID == t.Verdict.Policy {
				return strings.TrimSpace(fmt.Sprintf("%s %s %s", p.ID, p.Description, p.Origin))
			}
		}
	}
	return t.Verdict.Policy
}

func firstThatWorks(all []engine.Remedy) (engine.Remedy, bool) {
	for _, r := range all {
		if r.Works != nil && *r.Works {
			return r, true
		}
	}
	return engine.Remedy{}, false
}

// recipe writes the change of the first remedy that works; "" without one.
func (c *copyMenu) recipe(write func(engine.Change) string) string {
	r, ok := firstThatWorks(c.trace.Remedies)
	if !ok {
		return ""
	}
	change := r.Change
	change.Policies = append([]engine.Policy(nil), change.Policies...)
	for i := range change.Policies {
		change.Policies[i].Description = fmt.Sprintf("%s: %s", upper(kindWords(r.Kind)), scopeWords(r.Scope, c.m, ">"))
	}
	return write(change)
}

// requests are those to the vendor's API, a method, path and body each.
func requests(change engine.Change) string {
	var lines []string
	for _, call := range engine.APICalls(change) {
		body, err := json.MarshalIndent(call.Body, "", "  ")
		if err != nil {
			continue // what has no JSON form is no request
		}
		lines = append(lines, fmt.Sprintf("API %s: %s %s", call.Version, call.Method, call.Path), string(body))
		if call.Note != "" {
			lines = append(lines, "Note: "+call.Note)
		}
	}
	return strings.Join(lines, "\n")
}
