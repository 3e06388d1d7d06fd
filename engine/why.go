package engine

import (
	"time"

	"mailwhy/engine/mail"
)

// Why is the whole answer: the replay as of at with its agreement with the
// log, the verdict as of now where that is another instant, and the remedies,
// replayed at now. A zero at means the message's own time, or now where it has
// none.
func Why(set *Set, m *mail.Message, at, now time.Time) Trace {
	return WhyAmong(set, m, at, now, History{})
}

// WhyAmong is Why with remedies that are held against the sender's other
// messages too.
func WhyAmong(set *Set, m *mail.Message, at, now time.Time, h History) Trace {
	return WhyBetween(set, set, m, at, now, h)
}

// WhyBetween is WhyAmong with the set in force at the earlier instant and the
// one in force now: the replay and its agreement are those of then, what would
// help is judged by now.
func WhyBetween(then, present *Set, m *mail.Message, at, now time.Time, h History) Trace {
	if at.IsZero() {
		at = m.Time
	}
	if at.IsZero() {
		at = now
	}
	t := Replay(then, m, at)
	if as := t.PolicySet.AsOf; !as.IsZero() && !now.Before(as) {
		t.PolicySet.Age = now.Sub(as).String()
	}
	t.Agreement = Agree(then, m, at, now, t.Verdict)
	if !at.Equal(now) {
		v := Replay(present, m, now).Verdict
		t.VerdictNow = &v
	}
	t.Remedies = RemediesAmong(present, m, now, h)
	return t
}
