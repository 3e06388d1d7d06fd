package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailwhy/engine/mail"
)

func TestImpact(t *testing.T) {
	set := remedySet(t, "groups: {Blocked Senders: {members: [bad.example]}}\n")
	score := 40.0
	day := func(n int) time.Time { return remedyNoon.AddDate(0, 0, -n) }
	messages := []mail.Message{
		{ID: "plain", Time: day(1), EnvelopeFrom: "a@bad.example", Recipient: "bob@corp.example", Phase: mail.PhaseData},
		{ID: "refused before its content", Time: day(1), EnvelopeFrom: "a@bad.example", Recipient: "bob@corp.example", Phase: mail.PhaseRcpt},
		{ID: "spam that failed SPF", Time: day(2), EnvelopeFrom: "A@bad.example", Recipient: "bob@corp.example", Phase: mail.PhaseEndOfData, SpamScore: &score, Auth: mail.Auth{SPF: "Fail"}},
		{ID: "somebody else of the domain", Time: day(2), EnvelopeFrom: "b@bad.example", Recipient: "bob@corp.example"},
		{ID: "let in anyway", Time: day(2), EnvelopeFrom: "a@good.example", Recipient: "bob@corp.example"},
		{ID: "to sue", Time: day(3), EnvelopeFrom: "a@bad.example", Recipient: "sue@corp.example"},
	}
	f := func(scope string, want ImpactReport) {
		t.Helper()
		parsed, err := ParseScope(scope)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Draft(set, KindBypass, parsed, &messages[0], "E-1", "", remedyNoon, remedyNoon.AddDate(0, 1, 0))
		if err != nil {
			t.Fatal(err)
		}
		got, err := Impact(context.Background(), set, c, remedyNoon, slices.Values(messages))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", scope, err, diff)
		}
	}
	f("sender>recipient", ImpactReport{Messages: 3, Senders: 1, Recipients: 1, FailedAuth: 1, SpamOrVirus: 1, NeverScanned: 1, Examined: 6,
		ByDay: map[string]int{"2026-11-22": 2, "2026-11-21": 1}, Worst: []string{"spam that failed SPF", "refused before its content", "plain"}})
	f("sender>all", ImpactReport{Messages: 4, Senders: 1, Recipients: 2, FailedAuth: 1, SpamOrVirus: 1, NeverScanned: 1, Examined: 6,
		ByDay: map[string]int{"2026-11-22": 2, "2026-11-21": 1, "2026-11-20": 1}, Worst: []string{"spam that failed SPF", "refused before its content", "to sue", "plain"}})
	f("domain>recipient", ImpactReport{Messages: 4, Senders: 2, Recipients: 1, FailedAuth: 1, SpamOrVirus: 1, NeverScanned: 1, Examined: 6,
		ByDay: map[string]int{"2026-11-22": 2, "2026-11-21": 2}, Worst: []string{"spam that failed SPF", "refused before its content", "somebody else of the domain", "plain"}})
}

// However the messages are shared out, the report is the same.
func TestImpactInParts(t *testing.T) {
	set := remedySet(t, "groups: {Blocked Senders: {members: [d7.example]}}\n")
	c := Change{Kind: KindGroupRemove, GroupRemove: []GroupEntry{{Group: "Blocked Senders", Member: "d7.example"}}}
	var all []mail.Message
	for m := range history(20_000) {
		m.ID, m.Time = fmt.Sprintf("%06d", len(all)), remedyNoon.Add(-time.Duration(len(all))*time.Minute)
		all = append(all, m)
	}
	want, err := Impact(t.Context(), set, c, remedyNoon, slices.Values(all))
	if err != nil || want.Messages != 400 || want.Examined != len(all) || len(want.ByDay) < 10 {
		t.Fatalf("%+v %v", want, err)
	}
	r := rand.New(rand.NewPCG(3, 3))
	for range 5 {
		shares := make([][]mail.Message, 1+r.IntN(6))
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, m := range all {
			i := r.IntN(len(shares))
			shares[i] = append(shares[i], m)
		}
		var parts []iter.Seq[mail.Message]
		for _, share := range shares {
			parts = append(parts, slices.Values(share))
		}
		got, err := Impact(t.Context(), set, c, remedyNoon, parts...)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("in %d parts: %v (-want +got):\n%s", len(parts), err, diff)
		}
	}
}

func TestImpactIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	examined := 0
	endless := func(yield func(mail.Message) bool) {
		for ; yield(mail.Message{EnvelopeFrom: "a@bad.example", Recipient: "bob@corp.example"}); examined++ {
			if examined == 1000 {
				cancel()
			}
		}
	}
	if _, err := Impact(ctx, remedySet(t, ""), Change{}, remedyNoon, endless); !errors.Is(err, context.Canceled) || examined > 2000 {
		t.Errorf("%v after %d messages", err, examined)
	}
}

// TestReachHoldsWhatFlips: what a change alters is within its reach, whatever
// the policies and the message.
func TestReachHoldsWhatFlips(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 8))
	flipped := 0
	for range 300 {
		set, m := compile(randomFile(r)), randomMessage(r)
		for _, remedy := range Remedies(set, &m, remedyNoon) {
			after, reach := set.Apply(remedy.Change), set.Reach(remedy.Change)
			for range 20 {
				other := randomMessage(r)
				if r.IntN(3) == 0 {
					other.Recipient = m.Recipient
				}
				if r.IntN(3) == 0 {
					other.EnvelopeFrom, other.HeaderFrom = m.HeaderFrom, m.EnvelopeFrom
				}
				if other.HeaderFrom == "" && r.IntN(2) == 0 {
					other.Reply.Text = "Rejected by header based Blocked Senders: " + string(m.EnvelopeFrom)
				}
				if !Flips(set, after, &other, remedyNoon) {
					continue
				}
				if flipped++; !reach.Touches(&other) {
					t.Fatalf("%s %s alters %+v, which is out of reach %+v", remedy.Kind, remedy.Scope, other, reach)
				}
			}
		}
	}
	if flipped < 500 {
		t.Errorf("only %d messages flipped: the test shows little", flipped)
	}
}

// history yields n messages of 20,000 senders.
func history(n int) iter.Seq[mail.Message] {
	var senders []mail.Path
	for i := range 20_000 {
		senders = append(senders, mail.Path(fmt.Sprintf("user%d@d%d.example", i, i%50)))
	}
	return func(yield func(mail.Message) bool) {
		m := mail.Message{Time: remedyNoon, Recipient: "bob@corp.example", Phase: mail.PhaseRcpt, Client: mail.Client{IP: "203.0.113.7"}}
		for i := range n {
			m.EnvelopeFrom = senders[i%len(senders)]
			if !yield(m) {
				return
			}
		}
	}
}

// BenchmarkImpact replays a million messages, of which a fiftieth is within
// reach: go test ./engine -run xxx -bench Impact -benchtime 1x
func BenchmarkImpact(b *testing.B) {
	set := overlapping(1000)
	c := Change{Kind: KindBypass, Policies: []Policy{{Section: SectionBlockedSenders, ID: "E-1", Option: OptionNoAction, FromPart: EnvelopeFrom, Override: true,
		From: Spec{Type: EmailDomain, Value: "d7.example"}, To: Spec{Type: IndividualAddress, Value: "bob@corp.example"}}}}
	for b.Loop() {
		report, err := Impact(b.Context(), set, c, remedyNoon, history(1_000_000))
		if err != nil || report.Examined != 1_000_000 {
			b.Fatalf("%+v %v", report, err)
		}
	}
}

func TestUsage(t *testing.T) {
	set := remedySet(t, `groups: {Blocked Senders: {members: [bad.example]}}
blocked_senders: [{id: TNA, option: no_action, from: {type: individual_email_address, value: a@bad.example}, to: {type: internal_addresses}}]
`)
	at := func(days int) time.Time { return remedyNoon.AddDate(0, 0, -days) }
	messages := []mail.Message{
		{Time: at(0), EnvelopeFrom: "a@bad.example", Recipient: "bob@corp.example"},
		{Time: at(1), EnvelopeFrom: "x@bad.example", Recipient: "bob@corp.example"},
		{Time: at(1), EnvelopeFrom: "x@bad.example", Recipient: "sue@corp.example"},
		{Time: at(2), EnvelopeFrom: "x@mail.bad.example", Recipient: "sue@corp.example"},
		{Time: at(9), EnvelopeFrom: "x@bad.example", Recipient: "bob@corp.example"},
	}
	got, err := UsageOf(t.Context(), set, at(3), remedyNoon, 100, slices.Values(messages))
	want := Usage{Since: at(3), Messages: 4, Domains: map[string]int{"bad.example": 3, "mail.bad.example": 1}, Policies: map[string]PolicyUse{
		"TNA":                     {Hits: 1, Last: at(0), ByDay: []int{0, 0, 0, 1}, Newest: messages[:1]},
		"default-blocked-senders": {Hits: 2, Last: at(1), ByDay: []int{0, 0, 2, 0}, Newest: messages[1:3]},
	}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if got, _ := UsageOf(t.Context(), set, at(3), remedyNoon, 2, slices.Values(messages)); !got.Cut || got.Messages != 2 {
		t.Errorf("cut: %+v", got)
	}
}
