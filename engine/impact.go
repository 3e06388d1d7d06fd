package engine

import (
	"context"
	"iter"
	"strings"
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
// examined by a look at their addresses. It ends with the context's error when
// cancelled.
func Impact(ctx context.Context, set *Set, change Change, now time.Time, messages iter.Seq[mail.Message]) (ImpactReport, error) {
	after, reach := set.Apply(settled(change)), set.Reach(change)
	report := ImpactReport{ByDay: map[string]int{}}
	senders, recipients := map[mail.Path]bool{}, map[mail.Path]bool{}
	worst := newWorst(5)
	for m := range messages {
		if report.Examined++; report.Examined%256 == 0 && ctx.Err() != nil {
			return report, ctx.Err()
		}
		if !reach.Touches(&m) || !Flips(set, after, &m, now) {
			continue
		}
		report.Messages++
		senders[sender(&m)] = true
		recipients[m.Recipient.Fold()] = true
		report.ByDay[m.Time.UTC().Format(time.DateOnly)]++
		badness := 0
		if strings.EqualFold(m.Auth.SPF, "fail") || strings.EqualFold(m.Auth.DMARC, "fail") {
			report.FailedAuth++
			badness += 2
		}
		if spamOrVirus(&m) {
			report.SpamOrVirus++
			badness += 4
		}
		if beforeData(&m) {
			report.NeverScanned++
			badness++
		}
		worst.add(m.ID, badness)
	}
	report.Senders, report.Recipients, report.Worst = len(senders), len(recipients), worst.ids
	return report, ctx.Err()
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

// worstOf keeps the ids of the few worst messages, worst first.
type worstOf struct {
	most  int
	ids   []string
	marks []int
}

func newWorst(most int) *worstOf { return &worstOf{most: most} }

func (w *worstOf) add(id string, mark int) {
	at := len(w.marks)
	for at > 0 && w.marks[at-1] < mark {
		at--
	}
	if at == w.most {
		return
	}
	w.ids = append(w.ids[:at], append([]string{id}, w.ids[at:]...)...)
	w.marks = append(w.marks[:at], append([]int{mark}, w.marks[at:]...)...)
	if len(w.ids) > w.most {
		w.ids, w.marks = w.ids[:w.most], w.marks[:w.most]
	}
}
