package engine

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mailwhy/engine/mail"
)

// tiedByLooking looks at every policy that takes part.
func tiedByLooking(s *Set, m *mail.Message, at time.Time) []string {
	f := factsOf(m, at)
	plain := f.plain()
	d := s.run(&plain, twist{}, nil)
	w := &walk{}
	w.start(s, &plain, twist{}, nil)
	var ids []string
	w.each(d.contest.section, d.contest.byEnvelopes, d.contest.byHeaders, func(e *entry, _ bool) {
		if w.weight(e, false) == w.weight(d.contest.winner, false) && !slices.Contains(ids, e.policy.ID) {
			ids = append(ids, e.policy.ID)
		}
	})
	slices.Sort(ids)
	return ids
}

// A verdict that says it is ambiguous names all that tie, whether a trace is
// kept or not.
func TestPropertyTies(t *testing.T) {
	seen := 0
	draw(t, 7, 4, func(r *rand.Rand, f *file) {
		list := f.policies[SectionBlockedSenders]
		for range 4 { // equals of what is there
			if len(list) > 0 {
				p := one(r, list...)
				p.ID = string(rune('a' + r.IntN(26)))
				p.Option = one(r, OptionBlockSender, OptionNoAction)
				list = append(list, p)
			}
		}
		f.policies[SectionBlockedSenders] = list
		set := compile(f)
		for range messagesPerFile {
			m := randomMessage(r)
			v := Decide(set, &m, testNow)
			if !v.Ambiguous {
				if len(v.Tied) > 0 {
					t.Fatalf("%+v: nothing is ambiguous, and %v tie", m, v.Tied)
				}
				continue
			}
			seen++
			if want := tiedByLooking(set, &m, testNow); !slices.Equal(v.Tied, want) || len(want) < 2 {
				t.Fatalf("%+v: %v tie, want %v", m, v.Tied, want)
			}
			if traced := Replay(set, &m, testNow).Verdict.Tied; !slices.Equal(traced, v.Tied) {
				t.Fatalf("%+v: %v tie in the trace, %v in the verdict", m, traced, v.Tied)
			}
		}
	})
	if seen*1000 < *cases {
		t.Errorf("only %d were ambiguous: the test shows little", seen)
	}
}
