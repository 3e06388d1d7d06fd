package engine

import (
	"fmt"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// Agree compares a verdict as of at with what the log reports.
func Agree(set *Set, m *mail.Message, at, now time.Time, v Verdict) Agreement {
	a := Agreement{Logged: logged(m)}
	if m.Outcome == "" && m.Reply == (mail.Reply{}) && m.Reported == (mail.Reported{}) {
		a.Result, a.Detail = NotLogged, "no log tells what became of this message"
		return a
	}
	if m.Phase == mail.PhaseDelivery || m.Phase == mail.PhaseQueue {
		a.Result, a.Detail = NotPolicy, "it was refused or delayed on the way to the next hop, after the policies had let it in"
		return a
	}
	a = agreeOn(set, m, at, now, v, a)
	if m.Outcome.LetIn() && !m.Time.IsZero() && m.Last.After(m.Time) {
		a.Detail += "; " + deliveredAfter(m)
	}
	return a
}

func agreeOn(set *Set, m *mail.Message, at, now time.Time, v Verdict, a Agreement) Agreement {
	claims := claimsOf(m)
	refused := v.Outcome != nil && *v.Outcome != mail.Accepted
	if refused && m.Reported.Rule != "" && m.Reported.Rule == v.Policy {
		a.Result, a.Detail = Agrees, fmt.Sprintf("the gateway itself names policy %s", v.Policy)
		return a
	}
	for _, c := range claims {
		if refused && c.stage == v.Stage && (c.moment == "" || c.moment == v.Moment) && entryFits(c, v) {
			a.Result, a.Detail = Agrees, fmt.Sprintf("the log's words are those of %s, and %s of it stops the message", v.Stage, v.Policy)
			return a
		}
	}
	return disagree(set, m, at, now, v, claims, a)
}

func disagree(set *Set, m *mail.Message, at, now time.Time, v Verdict, claims []claim, a Agreement) Agreement {
	if !set.Loaded() {
		return unloaded(claims, a)
	}
	refused := v.Outcome != nil && *v.Outcome != mail.Accepted
	for _, c := range claims {
		if c.who != "" || refused {
			continue
		}
		if p := endedSince(set, m, at, c.stage); p != nil {
			a.Result, a.Detail = PolicyChanged, fmt.Sprintf("policy %s would have stopped it and was not in force", p.ID)
			return a
		}
		if current := Decide(set, m, now); current.Outcome != nil && *current.Outcome != mail.Accepted && current.Stage == c.stage && !now.Equal(at) {
			a.Result, a.Detail = PolicyChanged, fmt.Sprintf("as of the message no policy of %s stops it, as of now %s does: the policies changed between", c.stage, current.Policy)
			return a
		}
	}
	for _, c := range claims {
		if c.who != "" && !refused {
			a.Result, a.Detail = NotPolicy, c.who+" refused it, which no sender policy decides"
			return a
		}
	}
	if len(claims) == 0 && m.Outcome.LetIn() && !refused {
		a.Result, a.Detail = Agrees, "the message was let in"
		return a
	}
	for _, c := range claims {
		if c.who != "" {
			continue
		}
		a.Result, a.Detail = Unexplained, fmt.Sprintf("the log names %s, but no loaded policy of it stops the message", c.stage)
		return a
	}
	switch {
	case len(claims) > 0:
		a.Result, a.Detail = Unexplained, fmt.Sprintf("the log says %s refused it, the replay says %s %s", claims[0].who, v.Stage, v.Policy)
	case refused:
		a.Result, a.Detail = Unexplained, fmt.Sprintf("the replay is stopped by %s %s, the log's words name no policy", v.Stage, v.Policy)
	default:
		a.Result, a.Detail = NotPolicy, "the log's words name no policy, and none of the loaded ones stops the message"
	}
	return a
}

// unloaded is all that can be said where no policies are loaded.
func unloaded(claims []claim, a Agreement) Agreement {
	a.Result, a.Detail = NotPolicy, "the log's words name no policy"
	for _, c := range claims {
		if c.who == "" {
			a.Result, a.Detail = Unexplained, fmt.Sprintf("the log names %s; which policy of it cannot be said, because no policies are loaded", c.stage)
			return a
		}
		a.Detail = c.who + " refused it, which no sender policy decides"
	}
	return a
}

// endedSince finds a blocking policy whose sides match and that is disabled or
// out of its dates.
func endedSince(set *Set, m *mail.Message, at time.Time, stage Stage) *Policy {
	set = set.orEmpty()
	f := factsOf(m, at)
	w := &walk{}
	w.start(set, &f, twist{}, nil)
	for _, p := range set.Policies() {
		if stageOf(p.Section) != stage || p.active(at) || p.Section == SectionAntiSpoofingSPF || p.Option != cautiousOption(p.Section) {
			continue
		}
		for _, moment := range []Moment{MomentRcpt, MomentData} {
			if is, _, _ := w.stands(&p, moment); is == yes {
				return &p
			}
		}
	}
	return nil
}

func entryFits(c claim, v Verdict) bool {
	if c.entry == "" {
		return true
	}
	isAddress := strings.Contains(managedOf(v.Policy).Sender, "@")
	return isAddress == (c.entry == "address")
}

// logged gives the log's words in one line.
func logged(m *mail.Message) string {
	var parts []string
	if m.Reply.Code != 0 {
		parts = append(parts, fmt.Sprint(m.Reply.Code))
	}
	if m.Reply.Enhanced != "" {
		parts = append(parts, m.Reply.Enhanced)
	}
	for _, text := range []string{m.Reply.Text, m.Reported.Type} {
		if text != "" {
			parts = append(parts, text)
			break
		}
	}
	if len(parts) == 0 {
		return string(m.Outcome)
	}
	return strings.Join(parts, " ")
}
