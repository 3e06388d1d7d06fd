package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/exception"
	"mailwhy/engine/mail"
)

// Why is the whole answer for a message of the index: as of at (zero = its own
// time) with the policies of that time, and as of now, with what changed
// between the two.
func (a *App) Why(ctx context.Context, m *mail.Message, at, now time.Time) engine.Trace {
	if at.IsZero() {
		at = m.Time
	}
	if at.IsZero() {
		at = now
	}
	then := a.SetAt(at)
	t := engine.WhyBetween(then, a.Set(), m, at, now, a.History(ctx, m))
	t.Between = a.between(m, at, now, t)
	return t
}

// between names the edits and exceptions from one instant to another that
// matter to a message: those that decide it differently.
func (a *App) between(m *mail.Message, at, now time.Time, t engine.Trace) []string {
	if t.VerdictNow == nil {
		return nil
	}
	var all []string
	for _, e := range a.Exceptions.PolicyEdits() {
		if e.Time.After(at) && !e.Time.After(now) {
			all = append(all, editSentences(e, t)...)
		}
	}
	exceptions := a.Exceptions.List()
	slices.Reverse(exceptions)
	for _, e := range exceptions {
		with, without, _ := a.sets(e.ID)
		switch until := e.Until(); {
		case e.Created.After(at) && !e.Created.After(now) && engine.Flips(without, with, m, now):
			all = append(all, fmt.Sprintf("exception %d (%s, %s) was created at %s by %s", e.ID, e.Kind, e.Ticket, stamp(e.Created, at), e.Actor.Name))
		case until.After(at) && !until.After(now) && !e.Created.After(at) && engine.Flips(without, with, m, at):
			all = append(all, endSentence(e, at))
		}
	}
	return all
}

func endSentence(e exception.Exception, at time.Time) string {
	if e.Revoked.IsZero() {
		return fmt.Sprintf("exception %d (%s, %s) expired at %s", e.ID, e.Kind, e.Ticket, stamp(e.Expires, at))
	}
	return fmt.Sprintf("exception %d (%s, %s) was revoked at %s by %s", e.ID, e.Kind, e.Ticket, stamp(e.Revoked, at), e.RevokedBy)
}

// editSentences are what an edit of the policy file changed in the policies
// that decide the message then or now; where the verdict changed and none of
// these was touched, all of it.
func editSentences(e exception.PolicyEdit, t engine.Trace) []string {
	then, present := t.Verdict, *t.VerdictNow
	same := then.Policy == present.Policy && (then.Outcome == nil) == (present.Outcome == nil) && (then.Outcome == nil || *then.Outcome == *present.Outcome)
	var near, rest []string
	for _, d := range e.Difference {
		text := fmt.Sprintf("%s at %s by %s", d, stamp(e.Time, t.AsOf), e.Owner)
		if names(d, then.Policy) || names(d, present.Policy) {
			near = append(near, text)
		} else {
			rest = append(rest, text)
		}
	}
	if len(near) > 0 || same {
		return near
	}
	return rest
}

// names reports whether a difference speaks of a policy.
func names(difference, policy string) bool {
	return policy != "" && strings.HasPrefix(difference, "policy "+policy+" ")
}

// stamp writes a time, its day too where that is another than the message's.
func stamp(t, at time.Time) string {
	t, at = t.UTC(), at.UTC()
	if t.Format(time.DateOnly) == at.Format(time.DateOnly) {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}
