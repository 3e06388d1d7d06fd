package engine

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"mailwhy/engine/mail"
)

// overlapping makes n policies from Everyone down to one address that all
// overlap, over groups of 100,000 members.
func overlapping(n int) *Set {
	f := newFile()
	f.internal["corp.example"] = true
	for g := range 10 {
		var members []string
		for i := range 100_000 {
			members = append(members, fmt.Sprintf("user%d@d%d.example", i, g))
		}
		f.groups[fmt.Sprintf("G%d", g)] = members
	}
	specs := func(i int) Spec {
		switch i % 6 {
		case 0:
			return Spec{Type: Everyone}
		case 1:
			return Spec{Type: ExternalAddresses}
		case 2:
			return Spec{Type: EmailDomain, Value: fmt.Sprintf("d%d.example", i%50)}
		case 3:
			return Spec{Type: EmailDomain, Value: "*.example"}
		case 4:
			return Spec{Type: ProfileGroup, Value: fmt.Sprintf("G%d", i%10)}
		}
		return Spec{Type: IndividualAddress, Value: fmt.Sprintf("user%d@d%d.example", i, i%50)}
	}
	for i := range n {
		option := OptionNoAction
		if i%3 == 0 {
			option = OptionBlockSender
		}
		to := Spec{Type: InternalAddresses}
		if i%2 == 0 {
			to = Spec{Type: IndividualAddress, Value: fmt.Sprintf("bob%d@corp.example", i%100)}
		}
		f.policies[SectionBlockedSenders] = append(f.policies[SectionBlockedSenders], Policy{Section: SectionBlockedSenders, ID: fmt.Sprintf("P-%05d", i), Option: option, FromPart: []FromPart{EnvelopeFrom, BothFrom}[i%2], From: specs(i), To: to, Override: i%7 == 0})
	}
	return compile(f)
}

// benchmarkDecide reports replays per second of processor time beside the time
// that passed: on a machine that others use too, only that says something.
func benchmarkDecide(b *testing.B, policies int, hide func(*mail.Message)) {
	set := overlapping(policies)
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	messages := make([]mail.Message, 1000)
	for i := range messages {
		sender := mail.Path(fmt.Sprintf("user%d@d%d.example", i*37, i%60))
		messages[i] = mail.Message{EnvelopeFrom: sender, HeaderFrom: sender, HeaderFromName: "User", Recipient: mail.Path(fmt.Sprintf("bob%d@corp.example", i%200)), Client: mail.Client{IP: "203.0.113.9"}}
		hide(&messages[i])
	}
	b.ReportAllocs()
	before := processorTime(b)
	for i := 0; b.Loop(); i++ {
		Decide(set, &messages[i%len(messages)], at)
	}
	b.ReportMetric(float64(b.N)/(processorTime(b)-before).Seconds(), "replays/cpu-s")
}

// processorTime is what this process has used so far.
func processorTime(b *testing.B) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

func nothing(*mail.Message)      {}
func headerFrom(m *mail.Message) { m.HeaderFrom, m.HeaderFromName = "", "" }

// The time must not grow with the number of policies: compare the two of each
// kind.
func BenchmarkDecide10Policies(b *testing.B)                  { benchmarkDecide(b, 10, nothing) }
func BenchmarkDecide10000Policies(b *testing.B)               { benchmarkDecide(b, 10_000, nothing) }
func BenchmarkDecideWithoutHeaderFrom10Policies(b *testing.B) { benchmarkDecide(b, 10, headerFrom) }
func BenchmarkDecideWithoutHeaderFrom10000Policies(b *testing.B) {
	benchmarkDecide(b, 10_000, headerFrom)
}

// TestDecideAllocatesNothing holds where every fact is known and where the
// header from is missing, for few policies and for many; only to name ties
// takes memory.
func TestDecideAllocatesNothing(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, policies := range []int{10, 1000} {
		set := overlapping(policies)
		for _, hide := range []func(*mail.Message){nothing, headerFrom} {
			var likely, certain int
			for i := range 60 {
				m := mail.Message{EnvelopeFrom: mail.Path(fmt.Sprintf("user%d@d%d.example", i*37, i)), HeaderFrom: "user2@d2.example", HeaderFromName: "User", Recipient: mail.Path(fmt.Sprintf("bob%d@corp.example", i)), Client: mail.Client{IP: "203.0.113.9"}}
				hide(&m)
				var v Verdict
				if n := testing.AllocsPerRun(20, func() { v = Decide(set, &m, at) }); n != 0 && !v.Ambiguous {
					t.Errorf("%d policies: a decision about %s allocates %v times", policies, m.EnvelopeFrom, n)
				}
				if v.Certainty == Certain {
					certain++
				} else {
					likely++
				}
			}
			t.Logf("%d policies: %d certain, %d likely", policies, certain, likely)
		}
	}
}
