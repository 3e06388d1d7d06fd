package engine

import (
	"flag"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mailwhy/engine/mail"
)

// The properties hold for random policy files and messages. Each run draws
// from the same seed unless told otherwise, so that a failure can be repeated:
//
//	go test ./engine -run Property -engine.cases 10000000 -engine.seed 0
var (
	cases = flag.Int("engine.cases", 100_000, "random messages that each property is tried with")
	seed  = flag.Uint64("engine.seed", 1, "of the random cases; 0 = another one each time")
)

const messagesPerFile = 25

// draw runs a property for random files, and prints how to repeat it.
func draw(t *testing.T, stream uint64, part int, property func(r *rand.Rand, f *file)) {
	t.Helper()
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("%d cases, -engine.seed %d", *cases/part, s)
	r := rand.New(rand.NewPCG(s, stream))
	for range *cases / part / messagesPerFile {
		if property(r, randomFile(r)); t.Failed() {
			return
		}
	}
}

func endingOf(v Verdict) ending {
	e := ending{stage: v.Stage, policy: v.Policy}
	if v.Outcome != nil {
		e.outcome = *v.Outcome
	}
	return e
}

// The compiled engine says what the reference says, verdict and certainty, and
// Replay what Decide says.
func TestPropertyReference(t *testing.T) {
	universe, seen := testUniverse(), map[string]int{}
	draw(t, 1, 1, func(r *rand.Rand, f *file) {
		set := compile(f)
		for range messagesPerFile {
			m := messageFor(r, len(f.known.partial) > 0 && r.IntN(4) > 0)
			want, certainty := reference{f, testNow}.verdict(m, universe)
			got := Decide(set, &m, testNow)
			careful := f.known.partial["groups"] && got.Certainty == Likely && certainty == Certain
			if endingOf(got) != want || got.Certainty != certainty && !careful {
				t.Fatalf("%+v\n got %+v %s missing %v\nwant %+v %s\npolicies %+v\nmanaged %+v groups %v partial %v", m, endingOf(got), got.Certainty, got.Missing, want, certainty, f.policies, f.managed, f.groups, f.known.partial)
			}
			seen[string(certainty)]++
			seen[string(got.Stage)+" "+string(certainty)]++
			if r.IntN(20) == 0 {
				if v := Replay(set, &m, testNow).Verdict; !sameVerdict(v, got) || v.Certainty != got.Certainty || v.DependsOnCompare != got.DependsOnCompare {
					t.Fatalf("%+v: Replay says %+v, Decide %+v", m, v, got)
				}
			}
		}
	})
	for _, stage := range []Stage{"", StageAntiSpoofing, StageBlockedSenders, StageManagedSenders, StageGreylisting, StageDNSAuthentication} {
		for _, certainty := range []Certainty{Certain, Likely} {
			if kind := string(stage) + " " + string(certainty); seen[kind]*20_000 < *cases {
				t.Errorf("%q came up %d times only: the test shows little", kind, seen[kind])
			}
		}
	}
	t.Logf("%v", seen)
	if seen[string(Undetermined)]*1000 < *cases {
		t.Errorf("undetermined came up %d times only", seen[string(Undetermined)])
	}
}

// Hiding facts turns a certain verdict into a less sure one, never into another
// that is certain.
func TestPropertyHiddenFacts(t *testing.T) {
	hide := []func(*mail.Message){
		func(m *mail.Message) { m.Client.IP = "" },
		func(m *mail.Message) { m.HeaderFromName = "" },
		func(m *mail.Message) { m.HeaderFrom, m.HeaderFromName = "", "" },
		func(m *mail.Message) { m.EnvelopeFrom = "" },
		func(m *mail.Message) { m.Auth.SPF = "" },
		func(m *mail.Message) { m.Auth.DKIM = "" },
		func(m *mail.Message) { m.Auth.DMARC = "" },
		func(m *mail.Message) { m.Recipient = "" },
	}
	draw(t, 2, 4, func(r *rand.Rand, f *file) {
		set := compile(f)
		for range messagesPerFile {
			m := randomMessage(r)
			before := Decide(set, &m, testNow)
			hidden := m
			for range 1 + r.IntN(3) {
				one(r, hide...)(&hidden)
			}
			after := Decide(set, &hidden, testNow)
			if before.Certainty == Certain && after.Certainty == Certain && !sameVerdict(before, after) {
				t.Fatalf("%+v: %+v became %+v for %+v", m, before, after, hidden)
			}
			if before.Certainty != Certain && after.Certainty == Certain {
				t.Fatalf("%+v: with less known it became certain: %+v, then %+v", m, before, after)
			}
		}
	})
}

// What a trace calls missing is all that is: with those facts there, and
// nothing else, the verdict is certain.
func TestPropertyMissing(t *testing.T) {
	facts := map[string]func(hidden, whole *mail.Message){
		"client.ip":        func(h, w *mail.Message) { h.Client.IP = w.Client.IP },
		"header_from_name": func(h, w *mail.Message) { h.HeaderFromName = w.HeaderFromName },
		"header_from":      func(h, w *mail.Message) { h.HeaderFrom = w.HeaderFrom },
		"envelope_from":    func(h, w *mail.Message) { h.EnvelopeFrom = w.EnvelopeFrom },
		"auth.spf":         func(h, w *mail.Message) { h.Auth.SPF = w.Auth.SPF },
		"auth.dkim":        func(h, w *mail.Message) { h.Auth.DKIM = w.Auth.DKIM },
		"auth.dmarc":       func(h, w *mail.Message) { h.Auth.DMARC = w.Auth.DMARC },
	}
	names := slices.Sorted(maps.Keys(facts))
	seen := 0
	draw(t, 8, 20, func(r *rand.Rand, f *file) {
		set := compile(f)
		for range messagesPerFile {
			whole := randomMessage(r)
			if Decide(set, &whole, testNow).Certainty != Certain {
				continue
			}
			hidden, empty := whole, mail.Message{}
			for range 1 + r.IntN(4) {
				facts[one(r, names...)](&hidden, &empty)
			}
			v := Replay(set, &hidden, testNow).Verdict
			if v.Certainty == Certain || hidden.EnvelopeFrom == "" && hidden.HeaderFrom == "" {
				continue // without any sender there is nothing to replay
			}
			seen++
			told := hidden
			for _, name := range v.Missing {
				if tell := facts[name]; tell != nil {
					tell(&told, &whole)
				}
			}
			if again := Replay(set, &told, testNow).Verdict; again.Certainty != Certain {
				t.Fatalf("%+v: missing are %v, with them still %v: %+v", hidden, v.Missing, again.Missing, again)
			}
		}
	})
	if seen*2000 < *cases {
		t.Errorf("only %d lacked anything: the test shows little", seen)
	}
}

// What must change nothing changes nothing: a disabled policy, one that has
// ended, the order of the file; and a Take No Action never blocks.
func TestPropertyMetamorphic(t *testing.T) {
	draw(t, 3, 4, func(r *rand.Rand, f *file) {
		shuffled := *f
		shuffled.policies = map[Section][]Policy{}
		for section, policies := range f.policies {
			shuffled.policies[section] = slices.Clone(policies)
			r.Shuffle(len(policies), func(i, j int) {
				list := shuffled.policies[section]
				list[i], list[j] = list[j], list[i]
			})
		}
		shuffled.managed = slices.Clone(f.managed)
		slices.Reverse(shuffled.managed)
		idle := one(r, Policy{Disabled: true}, Policy{Until: testNow}, Policy{Since: testNow.Add(time.Second)})
		idle.Section, idle.ID, idle.Option, idle.FromPart, idle.Override = SectionBlockedSenders, "A", OptionBlockSender, BothFrom, true
		idle.From, idle.To = Spec{Type: Everyone}, Spec{Type: Everyone}
		set, other := compile(f), compile(&shuffled)
		withIdle := set.Apply(Change{Policies: []Policy{idle}})
		for range messagesPerFile {
			m := randomMessage(r)
			before := Decide(set, &m, testNow)
			if after := Decide(other, &m, testNow); !sameVerdict(before, after) || before.Certainty != after.Certainty {
				t.Fatalf("%+v: the order of the file turned %+v into %+v", m, before, after)
			}
			if after := Decide(withIdle, &m, testNow); !sameVerdict(before, after) || before.Certainty != after.Certainty {
				t.Fatalf("%+v: a policy not in force turned %+v into %+v", m, before, after)
			}
			bypass := Policy{Section: SectionBlockedSenders, ID: "N", Option: OptionNoAction, FromPart: one(r, EnvelopeFrom, HeaderFrom, BothFrom), From: randomSpec(r, false, ""), To: randomSpec(r, false, ""), Override: r.IntN(2) == 0}
			after := Decide(set.Apply(Change{Policies: []Policy{bypass}}), &m, testNow)
			if accepted(before) && before.Certainty == Certain && after.Outcome != nil && !accepted(after) {
				t.Fatalf("%+v: Take No Action %+v turned %+v into %+v", m, bypass, before, after)
			}
		}
	})
}

// An exception laid over a set says what the same policy in the file says.
func TestPropertyExceptionIsAnOrdinaryPolicy(t *testing.T) {
	draw(t, 4, 4, func(r *rand.Rand, f *file) {
		written := *f
		written.policies = map[Section][]Policy{}
		for section, policies := range f.policies {
			written.policies[section] = slices.Clone(policies)
		}
		p := randomPolicy(r, one(r, SectionBlockedSenders, SectionPermittedSenders, SectionAntiSpoofing), 99)
		written.policies[p.Section] = append(written.policies[p.Section], p)
		laidOver, inFile := compile(f).Apply(Change{Policies: []Policy{p}}), compile(&written)
		for range messagesPerFile {
			m := randomMessage(r)
			a, b := Decide(laidOver, &m, testNow), Decide(inFile, &m, testNow)
			if !sameVerdict(a, b) || a.Certainty != b.Certainty {
				t.Fatalf("%+v with %+v: as an exception %+v, in the file %+v", m, p, a, b)
			}
		}
	})
}

func accepted(v Verdict) bool { return v.Outcome != nil && *v.Outcome == mail.Accepted }

func sameVerdict(a, b Verdict) bool { return endingOf(a) == endingOf(b) }
