package engine

import (
	"context"
	"iter"
	"time"

	"mailwhy/engine/mail"
)

// Usage is what an index tells of the time before now: which policies decided
// something, and where mail came from.
type Usage struct {
	Since    time.Time            // from when on messages were looked at
	Messages int                  // that were looked at
	Cut      bool                 // there were more: only the newest were looked at
	Policies map[string]PolicyUse // by policy id
	Domains  map[string]int       // by folded sender domain: how many messages came from it
}

// PolicyUse is how often a policy decided a message: stopped it, or let it past
// the others with Take No Action.
type PolicyUse struct {
	Hits  int
	Last  time.Time
	ByDay []int // oldest first; the last is the 24 hours before now

	Newest []mail.Message // at most five, newest first
}

// mostNewest is how many messages a policy's use names.
const mostNewest = 5

// UsageOf replays messages, newest first, each as of its own time, and counts
// which policy decided it; at most most of them, none older than since. It ends
// with the context's error when cancelled.
func UsageOf(ctx context.Context, set *Set, since, now time.Time, most int, messages iter.Seq[mail.Message]) (Usage, error) {
	set = set.orEmpty()
	days := int(now.Sub(since)/(24*time.Hour)) + 1
	u := Usage{Since: since, Policies: map[string]PolicyUse{}, Domains: map[string]int{}}
	for m := range messages {
		if m.Time.Before(since) {
			continue
		}
		if u.Messages == most {
			u.Cut, u.Since = true, m.Time
			break
		}
		if u.Messages++; u.Messages%256 == 0 && ctx.Err() != nil {
			return u, ctx.Err()
		}
		domain := m.EnvelopeFrom.Domain()
		if domain == "" {
			domain = m.HeaderFrom.Domain()
		}
		if domain != "" {
			u.Domains[domain]++
		}
		id := decidedBy(set, &m)
		if id == "" {
			continue
		}
		use := u.Policies[id]
		if use.Hits++; m.Time.After(use.Last) {
			use.Last = m.Time
		}
		if len(use.Newest) < mostNewest {
			use.Newest = append(use.Newest, m)
		}
		if use.ByDay == nil {
			use.ByDay = make([]int, days)
		}
		if day := days - 1 - int(now.Sub(m.Time)/(24*time.Hour)); day >= 0 && day < days {
			use.ByDay[day]++
		}
		u.Policies[id] = use
	}
	return u, ctx.Err()
}

// decidedBy is the policy that stopped a message as of its time, or that won
// the last contest of Blocked Senders; "" for none.
func decidedBy(set *Set, m *mail.Message) string {
	f := factsOf(m, m.Time)
	if f.lacks(factRecipient) {
		return ""
	}
	if f.lacks(factHeaderFrom) {
		f.header = f.envelope
	}
	if f.lacks(factEnvelopeFrom) {
		f.envelope = f.header
	}
	if !f.header.Known() {
		return ""
	}
	d := set.run(&f, twist{}, nil)
	if d.policy == "" && d.contest.winner != nil {
		return d.contest.winner.policy.ID
	}
	return d.policy
}
