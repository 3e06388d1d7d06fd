package engine

import (
	"context"
	"iter"
	"sync"
	"time"

	"mailwhy/engine/mail"
)

// ImpactReport is the blast radius of a change over indexed history.
type ImpactReport struct {
	Messages     int            `json:"messages"` // would change verdict
	Senders      int            `json:"senders"`
	Recipients   int            `json:"recipients"`
	FailedAuth   int            `json:"failed_auth"`
	SpamOrVirus  int            `json:"spam_or_virus"`
	NeverScanned int            `json:"never_scanned"` // refused before DATA
	ByDay        map[string]int `json:"by_day,omitempty"`
	Worst        []string       `json:"worst,omitempty"` // ids, at most five
	Examined     int            `json:"examined"`
}

// Impact replays every message with and without the change at now and counts
// those whose outcome it changes. Messages out of the change's reach are
// examined by a look at their addresses. They come in one part or in several,
// which are read and replayed at once; how they are shared out and in which
// order they come makes no difference. It ends with the context's error when
// cancelled.
func Impact(ctx context.Context, set *Set, change Change, now time.Time, parts ...iter.Seq[mail.Message]) (ImpactReport, error) {
	r := replayer{before: set, after: set.Apply(settled(change)), reach: set.Reach(change), now: now}
	tallies := make([]*impactTally, len(parts))
	var replaying sync.WaitGroup
	for i, messages := range parts {
		tallies[i] = newImpactTally()
		replaying.Go(func() { r.count(ctx, messages, tallies[i]) })
	}
	replaying.Wait()
	sum := newImpactTally()
	for _, t := range tallies {
		sum.addAll(t)
	}
	return sum.whole(), ctx.Err()
}

// replayer holds what a message is replayed with.
type replayer struct {
	before, after *Set
	reach         Reach
	now           time.Time
}

func (r *replayer) count(ctx context.Context, messages iter.Seq[mail.Message], t *impactTally) {
	for m := range messages {
		if t.report.Examined++; t.report.Examined%256 == 0 && ctx.Err() != nil {
			return
		}
		if r.reach.Touches(&m) && Flips(r.before, r.after, &m, r.now) {
			t.add(&m)
		}
	}
}

// Flips reports whether a message is let in by one of two sets and stopped by
// the other, at an instant; false where what the log lacks decides it.
func Flips(before, after *Set, m *mail.Message, at time.Time) bool {
	was, known := stops(before, m, at)
	if !known {
		return false
	}
	is, known := stops(after, m, at)
	return known && is != was
}

// stops reports whether a stage stops a message; known is false when what the
// log lacks decides it. It is Decide without the certainty: only where the
// plain completion of missing facts says nothing are the others tried, which
// takes a thousand times as long.
func stops(set *Set, m *mail.Message, now time.Time) (stopped, known bool) {
	f := factsOf(m, now)
	if f.lacks(factHeaderFrom) && (f.envelope.Null() || oneOff(f.envelope)) || f.lacks(factRecipient) {
		v := Decide(set, m, now)
		return v.Outcome != nil && *v.Outcome != mail.Accepted, v.Outcome != nil
	}
	if f.lacks(factHeaderFrom) {
		f.header = f.envelope
	}
	if f.lacks(factEnvelopeFrom) {
		f.envelope = f.header
	}
	if !f.header.Known() {
		return false, false
	}
	return set.orEmpty().run(&f, twist{}, nil).outcome != mail.Accepted, true
}

func sender(m *mail.Message) mail.Path {
	if m.EnvelopeFrom.Known() {
		return m.EnvelopeFrom.Fold()
	}
	return m.HeaderFrom.Fold()
}

func beforeData(m *mail.Message) bool {
	switch m.Phase {
	case mail.PhaseConnect, mail.PhaseHelo, mail.PhaseMail, mail.PhaseRcpt:
		return true
	}
	return false
}

func spamOrVirus(m *mail.Message) bool {
	return malicious(m) || m.SpamScore != nil && *m.SpamScore >= 20
}
