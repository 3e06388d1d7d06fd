package exception

import (
	"fmt"
	"slices"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/mail"
)

// Finding is what a person should look at in an exception that is in force.
type Finding string

// The findings.
const (
	Defeated  Finding = "defeated"  // a policy stops what it was made for, although it is in force
	Redundant Finding = "redundant" // without it the same message is let in too
	Expires   Finding = "expiring"  // it ends within ExpiryWarning
	Stale     Finding = "stale"     // nothing it is for was seen for StaleAfter
)

// StaleAfter is how long an exception lives without a hit before it is stale.
const StaleAfter = 30 * 24 * time.Hour

// Health is how an exception lives: what came since it was made.
type Health struct {
	Hits     int       `json:"hits"` // messages since then whose outcome it decides
	LastHit  time.Time `json:"last_hit,omitzero"`
	LetIn    int       `json:"let_in"`  // of the sender's messages since then
	Stopped  int       `json:"stopped"` // of them refused, held or thrown away
	Attempts []Attempt `json:"attempts,omitempty"`
	Findings []Finding `json:"findings,omitempty"` // the gravest first
	Because  []string  `json:"because,omitempty"`  // a sentence for each finding
}

// Attempt is a message that came after an exception was made and that it is
// for.
type Attempt struct {
	Message string       `json:"message"`
	Time    time.Time    `json:"time"`
	Outcome mail.Outcome `json:"outcome"`
	Because string       `json:"because,omitempty"` // what stopped it, in the log's words
}

// mostAttempts is how many attempts are told of.
const mostAttempts = 5

// Examine says how an exception lives. with and without are the set in force
// with it and without it; evidence is the message it was made for, or one like
// it; since are the messages within its reach that came after it, newest first.
func Examine(e Exception, with, without *engine.Set, evidence mail.Message, since []mail.Message, now time.Time) Health {
	var h Health
	for i := range since {
		m := &since[i]
		if !engine.Flips(without, with, m, m.Time) {
			continue
		}
		if h.Hits++; m.Time.After(h.LastHit) {
			h.LastHit = m.Time
		}
		switch m.Outcome {
		case mail.Delivered, mail.Accepted:
			h.LetIn++
		case mail.Deferred:
		default:
			h.Stopped++
		}
		if len(h.Attempts) < mostAttempts {
			h.Attempts = append(h.Attempts, attemptOf(m))
		}
	}
	if e.InForce(now) {
		h.judge(e, with, without, evidence, now)
	}
	return h
}

func attemptOf(m *mail.Message) Attempt {
	a := Attempt{Message: m.ID, Time: m.Time, Outcome: m.Outcome}
	if !m.Outcome.LetIn() {
		for _, text := range []string{m.Reported.Type, m.Reply.Text, m.Reported.Detail} {
			if a.Because == "" {
				a.Because = clean(text)
			}
		}
	}
	return a
}

func (h *Health) judge(e Exception, with, without *engine.Set, evidence mail.Message, now time.Time) {
	find := func(f Finding, format string, args ...any) {
		h.Findings, h.Because = append(h.Findings, f), append(h.Because, fmt.Sprintf(format, args...))
	}
	if opens(e.Kind) && evidence.Recipient.Known() {
		then, otherwise := engine.Decide(with, &evidence, now), engine.Decide(without, &evidence, now)
		switch {
		case stopped(then):
			find(Defeated, "%s %s stops what it was made for all the same", words(then.Stage), then.Policy)
		case !stopped(otherwise) && then.Outcome != nil && otherwise.Outcome != nil:
			find(Redundant, "without it nothing would stop the message either")
		}
	}
	if e.Expiring(now) {
		find(Expires, "it ends on %s", e.Expires.UTC().Format("2 January 2006 15:04 MST"))
	}
	if last := h.last(e); now.Sub(last) > StaleAfter {
		find(Stale, "no message it is for was seen since %s", last.UTC().Format("2 January 2006"))
	}
}

// last is when it was last of use: its newest hit, or its beginning.
func (h *Health) last(e Exception) time.Time {
	if h.LastHit.After(e.Created) {
		return h.LastHit
	}
	return e.Created
}

func stopped(v engine.Verdict) bool { return v.Outcome != nil && *v.Outcome != mail.Accepted }

func words(s engine.Stage) string {
	switch s {
	case engine.StageBlockedSenders:
		return "Blocked Senders"
	case engine.StageManagedSenders:
		return "Managed Senders"
	case engine.StageAntiSpoofing:
		return "Anti-Spoofing"
	}
	return string(s)
}

// Finds reports whether a finding is among those of an exception.
func (h Health) Finds(f Finding) bool { return slices.Contains(h.Findings, f) }

// Like is a message that an exception is for, to replay where its evidence is
// gone; its recipient is not known where the exception names a group or all.
func (e Exception) Like() mail.Message {
	m := mail.Message{Time: e.Created}
	sender := mail.Path(e.From.Value)
	switch e.From.Type {
	case engine.IndividualAddress:
	case engine.EmailDomain:
		sender = mail.Path("postmaster@" + e.From.Value)
	default:
		sender = ""
	}
	m.EnvelopeFrom, m.HeaderFrom = sender, sender
	if e.To.Type == engine.IndividualAddress {
		m.Recipient = mail.Path(e.To.Value)
	}
	return m
}
