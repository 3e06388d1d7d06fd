package engine

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// History is what an index knows of a message's sender. Its zero value is an
// index that knows nothing.
type History struct {
	// Others are other messages of the sender that were refused of late.
	Others []mail.Message
	// Frequent are folded domains that write to us often: a domain that could be
	// taken for one of them is a risk.
	Frequent []string
}

// Remedies replays the candidate changes at now: those that work before those
// that may and those that do not, the narrowest first. Nothing is proposed for
// a message no modelled stage stops, nor ever a bypass for a virus or malicious
// content.
func Remedies(set *Set, m *mail.Message, now time.Time) []Remedy {
	return RemediesAmong(set, m, now, History{})
}

// RemediesAmong is Remedies with each one replayed on the sender's other
// messages too, and with the risks that they tell of.
func RemediesAmong(set *Set, m *mail.Message, now time.Time, h History) []Remedy {
	set = set.orEmpty()
	remedies := []Remedy{}
	before := Decide(set, m, now)
	if set.unread {
		before = reportedVerdict(m)
	}
	if before.Outcome == nil || *before.Outcome == mail.Accepted || malicious(m) {
		return remedies
	}
	stopped := stoppedOf(set, h.Others, now)
	for _, a := range candidates(set, m, before) {
		r := try(set, m, now, before, a)
		if r.Works == nil || *r.Works {
			r.Others = othersFreed(set.Apply(r.Change), stopped, len(h.Others), now)
			r.Risks = risksOf(set, m, r, h)
		}
		remedies = append(remedies, r)
	}
	slices.SortStableFunc(remedies, func(a, b Remedy) int {
		return cmp.Or(cmp.Compare(usefulness(a), usefulness(b)), cmp.Compare(width(a, m), width(b, m)))
	})
	return remedies
}

// reportedVerdict takes the log's word where no policies are loaded. Whether a
// remedy works cannot be said then, but what a person would try can.
func reportedVerdict(m *mail.Message) Verdict {
	rejected := mail.Rejected
	for _, c := range claimsOf(m) {
		if c.stage == StageBlockedSenders || c.stage == StageAntiSpoofing {
			return Verdict{Outcome: &rejected, Stage: c.stage, Moment: c.moment}
		}
	}
	return Verdict{}
}

func usefulness(r Remedy) int {
	switch {
	case r.Works == nil:
		return 1
	case *r.Works:
		return 0
	}
	return 2
}

// width orders remedies by how much they could let in: one pair of addresses
// first, everything a group entry stands for last. An address made for one
// message lets nothing in later, so it stands behind what would.
func width(r Remedy, m *mail.Message) int {
	scope, err := ParseScope(r.Scope)
	if r.Kind == KindGroupRemove || err != nil {
		if strings.Contains(r.Scope, "@") {
			return 70
		}
		return 90
	}
	w := map[string]int{"recipient": 0, "all": 40}[scope.To]
	if strings.HasPrefix(scope.To, "group:") {
		w = 20
	}
	if scope.From == "domain" {
		w += 50
	}
	if r.Kind == KindRelay {
		w += 30 // whoever writes
	}
	switch scope.FromPart {
	case HeaderFrom:
		w += 2
	case BothFrom:
		w += 4
	case EnvelopeFrom:
		if scope.From == "sender" && m.EnvelopeFrom.Known() && oneOff(m.EnvelopeFrom) {
			w += 60
		}
	}
	if scope.IP {
		w++
	}
	return w
}

// stoppedOf are the messages that a policy stops at now.
func stoppedOf(set *Set, others []mail.Message, now time.Time) []mail.Message {
	var stopped []mail.Message
	for i := range others {
		if stop, known := stops(set, &others[i], now); known && stop {
			stopped = append(stopped, others[i])
		}
	}
	return stopped
}

// Others tells what a remedy does to the sender's other messages.
type Others struct {
	Examined int `json:"examined"` // messages of the sender that were looked at, this one not among them
	Stopped  int `json:"stopped"`  // of which a policy stops now
	Freed    int `json:"freed"`    // of which the remedy lets in
}

func othersFreed(after *Set, stopped []mail.Message, examined int, now time.Time) *Others {
	if examined == 0 {
		return nil
	}
	o := Others{Examined: examined, Stopped: len(stopped)}
	for i := range stopped {
		if stop, known := stops(after, &stopped[i], now); known && !stop {
			o.Freed++
		}
	}
	return &o
}

// Try replays a message at now with a change somebody drafted, and says what it
// does as Remedies would. scope is in the grammar of ParseScope.
func Try(set *Set, m *mail.Message, now time.Time, c Change, scope string, h History) Remedy {
	set = set.orEmpty()
	before := Decide(set, m, now)
	a := attempt{kind: c.Kind, scope: scope}
	r := Remedy{Kind: c.Kind, Scope: scope, Change: settled(c)}
	if before.Outcome != nil && *before.Outcome == mail.Accepted {
		no := false
		r.Works, r.VerdictAfter, r.Because = &no, &before, "no loaded policy stops this message now, so there is nothing for it to lift"
	} else {
		r = judge(set, m, now, before, a, r)
	}
	r.Others = othersFreed(set.Apply(r.Change), stoppedOf(set, h.Others, now), len(h.Others), now)
	r.Risks = risksOf(set, m, r, h)
	return r
}

// settled is a change as if it had long reached the gateway and never ended.
func settled(c Change) Change {
	c.Since, c.Until = time.Time{}, time.Time{}
	c.Policies = slices.Clone(c.Policies)
	for i := range c.Policies {
		p := &c.Policies[i]
		p.Since, p.Until, p.Changed = time.Time{}, time.Time{}, time.Time{}
	}
	return c
}

// try drafts one candidate and replays the message with it at now.
func try(set *Set, m *mail.Message, now time.Time, before Verdict, a attempt) Remedy {
	r := Remedy{Kind: a.kind, Scope: a.scope}
	var err error
	switch a.kind {
	case KindGroupRemove:
		r.Change = Change{Kind: a.kind, GroupRemove: []GroupEntry{a.group}}
	case KindManagedDelete:
		r.Change = Change{Kind: a.kind, ManagedDelete: []ManagedEntry{a.entry}}
	default:
		var scope Scope
		if scope, err = ParseScope(a.scope); err == nil {
			r.Change, err = Draft(set, a.kind, scope, m, "candidate", "", now, time.Time{})
		}
	}
	if err != nil {
		no := false
		r.Works, r.Because = &no, err.Error()
		return r
	}
	r.Change = settled(r.Change)
	return judge(set, m, now, before, a, r)
}

// judge replays the message with a remedy's change and fills in what follows.
func judge(set *Set, m *mail.Message, now time.Time, before Verdict, a attempt, r Remedy) Remedy {
	set = set.Apply(r.Change)
	after := Decide(set, m, now)
	r.VerdictAfter = &after
	switch {
	case set.unread:
		r.Because = "no policies are loaded: whether this helps cannot be said"
	case after.Outcome == nil:
		r.Because = "what the log lacks decides whether this helps: " + strings.Join(after.Missing, ", ")
	case *after.Outcome == mail.Accepted:
		yes := true
		r.Works = &yes
		r.Because = whyWorks(a, r.Change)
		if restsOnContest(set, m, now) {
			if after.Certainty == Certain {
				after.Certainty = Likely
			}
			after.Assumes = append(slices.Clip(after.Assumes), "which policies take part in the contest at data")
		}
	case after.Certainty != Certain:
		r.Because = whyUseless(a, before, after) + ", unless what the log lacks is otherwise: " + strings.Join(after.Missing, ", ")
	default:
		no := false
		r.Works, r.Because = &no, whyUseless(a, before, after)
	}
	return r
}

// restsOnContest reports whether a message that is let in would be stopped were
// the other policies than assumed those that take part in the contest at data:
// a remedy is sure only if both agree.
func restsOnContest(set *Set, m *mail.Message, now time.Time) bool {
	file := *set.file
	file.engine.HeaderOnly = !file.engine.HeaderOnly
	other := *set
	other.file = &file
	v := Decide(&other, m, now)
	return v.Outcome == nil || *v.Outcome != mail.Accepted
}
