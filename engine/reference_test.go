package engine

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"mailwhy/engine/mail"
)

// reference evaluates a policy file the slow and obvious way: every policy in
// turn, straight from the rules, every completion of what is missing by trying
// all addresses anybody names.
type reference struct {
	f            *file
	envelopeOnly bool
}

type ending struct {
	outcome mail.Outcome
	stage   Stage
	policy  string
}

type given struct {
	envelope, header, recipient mail.Path
	name, ip                    string
}

func (r reference) matches(s Spec, a mail.Path, name string, header bool) bool {
	internal := r.f.internal[a.Domain()]
	switch s.Type {
	case Everyone:
		return true
	case ExternalAddresses:
		return !internal
	case HeaderDisplayName:
		return header && strings.EqualFold(name, s.Value)
	}
	if a.Null() {
		return false
	}
	switch s.Type {
	case InternalAddresses:
		return internal
	case FreeMailDomains:
		return r.f.freeMail[a.Domain()]
	case EmailDomain:
		if parent, ok := strings.CutPrefix(s.Value, "*."); ok {
			label, rest, _ := strings.Cut(a.Domain(), ".")
			return label != "" && rest == parent
		}
		return a.Domain() == s.Value
	case ProfileGroup:
		return slices.Contains(r.f.groups[s.Value], string(a.Fold())) || slices.Contains(r.f.groups[s.Value], a.Domain())
	case IndividualAddress:
		return string(a.Fold()) == s.Value
	}
	return false
}

// rank of a policy for one message at one moment; ok is false when it takes no part.
func (r reference) rank(p Policy, g given, data, headerOnly bool) (best Rank, ok bool) {
	if p.Disabled {
		return best, false
	}
	if len(p.SourceIPs) > 0 && (g.ip == "" || !p.SourceIPs[0].Contains(netip.MustParseAddr(g.ip))) {
		return best, false
	}
	try := func(a mail.Path, header bool) bool {
		found := false
		for _, d := range [][2]Spec{{p.From, p.To}, {p.To, p.From}} {
			if r.matches(d[0], a, g.name, header) && r.matches(d[1], g.recipient, "", false) {
				if rank := rankOf(&p, d[0], d[1], &r.f.engine); !found || slices.Compare(rank[:], best[:]) > 0 {
					best, found = rank, true
				}
			}
			if !p.Bidirectional {
				break
			}
		}
		return found
	}
	if data && p.FromPart != EnvelopeFrom && try(g.header, true) {
		return best, true
	}
	if p.FromPart != HeaderFrom && !(data && headerOnly) {
		ok = try(g.envelope, false)
	}
	return best, ok
}

func (r reference) winner(policies []Policy, g given, data, headerOnly bool, cautious string) *Policy {
	var won *Policy
	var top Rank
	for i, p := range policies {
		rank, ok := r.rank(p, g, data, headerOnly)
		if !ok {
			continue
		}
		order := 1
		if won != nil {
			order = slices.Compare(rank[:], top[:])
		}
		if order > 0 || order == 0 && compareTied(&policies[i], won, cautious) < 0 {
			won, top = &policies[i], rank
		}
	}
	return won
}

func (r reference) managed(g given, sender mail.Path) string {
	for _, want := range []string{string(sender.Fold()), sender.Domain()} {
		for _, e := range r.f.managed {
			if e.Recipient == string(g.recipient.Fold()) && e.Sender == want && !sender.Null() {
				if e.Action == "block" {
					return managedID(e)
				}
				return ""
			}
		}
	}
	return ""
}

func (r reference) run(g given) ending {
	toInternal := r.f.internal[g.recipient.Domain()]
	outbound := g.ip != "" && len(r.f.outbound) > 0 && r.f.outbound[0].Contains(netip.MustParseAddr(g.ip))
	for _, data := range []bool{false, true} {
		if data && r.envelopeOnly {
			break
		}
		sender := g.envelope
		if data {
			sender = g.header
		}
		if p := r.winner(r.f.policies[SectionAntiSpoofing], g, data, true, OptionApply); toInternal && p != nil && p.Option == OptionApply && !outbound {
			return ending{mail.Rejected, StageAntiSpoofing, p.ID}
		}
		if p := r.winner(r.f.policies[SectionBlockedSenders], g, data, false, OptionBlockSender); p != nil && p.Option == OptionBlockSender {
			return ending{mail.Rejected, StageBlockedSenders, p.ID}
		}
		if id := r.managed(g, sender); toInternal && id != "" {
			permit := r.winner(r.f.policies[SectionPermittedSenders], g, false, true, OptionNoAction)
			if data || permit == nil || permit.Option != OptionPermitSender {
				return ending{mail.Rejected, StageManagedSenders, id}
			}
		}
	}
	return ending{outcome: mail.Accepted}
}

// verdict tries every completion of the facts the message lacks.
func (r reference) verdict(m mail.Message, universe []mail.Path) (ending, Certainty) {
	one := func(p mail.Path, more ...mail.Path) []mail.Path {
		if p != "" {
			return []mail.Path{p}
		}
		return append(slices.Clone(universe), more...)
	}
	names, ips := []string{m.HeaderFromName}, []string{m.Client.IP}
	if m.HeaderFromName == "" {
		names = []string{"", "Boss", "Bank"}
	}
	if m.Client.IP == "" {
		ips = []string{"", "198.51.100.1", "192.0.2.1"}
	}
	seen := map[ending]bool{}
	for _, e := range one(m.EnvelopeFrom, mail.NullPath) {
		for _, h := range one(m.HeaderFrom) {
			for _, n := range names {
				for _, ip := range ips {
					seen[r.run(given{e, h, m.Recipient, n, ip})] = true
				}
			}
		}
	}
	plain := given{m.EnvelopeFrom, m.HeaderFrom, m.Recipient, m.HeaderFromName, m.Client.IP}
	if plain.header == "" {
		plain.header = plain.envelope
	}
	if plain.envelope == "" {
		plain.envelope = plain.header
	}
	switch {
	case len(seen) == 1:
		for e := range seen {
			return e, Certain
		}
	case m.EnvelopeFrom.Null() && m.HeaderFrom == "" && r.needsHeader(plain):
		return ending{}, Undetermined
	}
	return r.run(plain), Likely
}

// needsHeader reports whether the plain reading comes to a policy or a list
// that looks at the header from.
func (r reference) needsHeader(g given) bool {
	atRcpt := r
	atRcpt.envelopeOnly = true
	if atRcpt.run(g).outcome != mail.Accepted {
		return false
	}
	toInternal := r.f.internal[g.recipient.Domain()]
	for _, section := range []Section{SectionAntiSpoofing, SectionBlockedSenders} {
		for _, p := range r.f.policies[section] {
			forUs := r.matches(p.To, g.recipient, "", false) || p.Bidirectional && r.matches(p.From, g.recipient, "", false)
			if p.FromPart != EnvelopeFrom && !p.Disabled && forUs && (section == SectionBlockedSenders || toInternal) {
				return true
			}
		}
	}
	return slices.ContainsFunc(r.f.managed, func(e ManagedEntry) bool { return toInternal && e.Recipient == string(g.recipient.Fold()) })
}

var (
	testDomains = []string{"a.example", "b.example", "sub.a.example", "gmail.com", "corp.example", "corp.test"}
	testLocals  = []string{"x", "y"}
)

func testAddresses() []mail.Path {
	var all []mail.Path
	for _, d := range testDomains {
		for _, l := range testLocals {
			all = append(all, mail.Path(l+"@"+d))
		}
	}
	return all
}

// randomFile makes a small policy file in which everything overlaps.
func randomFile(r *rand.Rand) *file {
	f := newFile()
	f.internal["corp.example"], f.internal["corp.test"] = true, true
	f.freeMail["gmail.com"] = true
	f.outbound = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	f.defaults.antiSpoofing = r.IntN(2) == 0
	addresses := testAddresses()
	for _, g := range []string{"G1", groupBlockedSenders, groupRelay} {
		for range 2 {
			if m := r.IntN(len(addresses) + 4); m < len(addresses) {
				f.groups[g] = append(f.groups[g], string(addresses[m]))
			} else {
				f.groups[g] = append(f.groups[g], testDomains[m-len(addresses)])
			}
		}
	}
	spec := func(from bool, part FromPart) Spec {
		switch r.IntN(8) {
		case 0:
			return Spec{Type: Everyone}
		case 1:
			return Spec{Type: InternalAddresses}
		case 2:
			return Spec{Type: ExternalAddresses}
		case 3:
			return Spec{Type: FreeMailDomains}
		case 4:
			return Spec{Type: EmailDomain, Value: append([]string{"*.a.example", "*.example"}, testDomains...)[r.IntN(2+len(testDomains))]}
		case 5:
			return Spec{Type: ProfileGroup, Value: []string{"G1", groupRelay, groupBlockedSenders}[r.IntN(3)]}
		case 6:
			if from && part == HeaderFrom {
				return Spec{Type: HeaderDisplayName, Value: []string{"Boss", "Bank"}[r.IntN(2)]}
			}
		}
		return Spec{Type: IndividualAddress, Value: string(addresses[r.IntN(len(addresses))])}
	}
	add := func(section Section, n int, options ...string) {
		for i := range n {
			part := []FromPart{EnvelopeFrom, EnvelopeFrom, HeaderFrom, BothFrom}[r.IntN(4)]
			p := Policy{Section: section, ID: fmt.Sprintf("%s-%d", section[:4], i), Option: options[r.IntN(2)], FromPart: part, From: spec(true, part), To: spec(false, part),
				Override: r.IntN(4) == 0, Bidirectional: r.IntN(5) == 0, Disabled: r.IntN(8) == 0}
			if r.IntN(4) == 0 {
				p.SourceIPs = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/28")}
			}
			f.policies[section] = append(f.policies[section], p)
		}
	}
	add(SectionBlockedSenders, r.IntN(7), OptionBlockSender, OptionNoAction)
	add(SectionPermittedSenders, r.IntN(3), OptionPermitSender, OptionNoAction)
	add(SectionAntiSpoofing, r.IntN(2), OptionApply, OptionNoAction)
	for range r.IntN(4) {
		sender := string(addresses[r.IntN(len(addresses))])
		if r.IntN(3) == 0 {
			sender = testDomains[r.IntN(len(testDomains))]
		}
		e := ManagedEntry{Recipient: string(addresses[8+r.IntN(4)]), Sender: sender, Action: []string{"permit", "block"}[r.IntN(2)]}
		if !slices.ContainsFunc(f.managed, func(o ManagedEntry) bool { return o.Recipient == e.Recipient && o.Sender == e.Sender }) {
			f.managed = append(f.managed, e)
		}
	}
	return f
}

func randomMessage(r *rand.Rand) mail.Message {
	addresses := testAddresses()
	m := mail.Message{Recipient: addresses[r.IntN(len(addresses))], EnvelopeFrom: addresses[r.IntN(len(addresses))]}
	if r.IntN(10) == 0 {
		m.EnvelopeFrom = mail.NullPath
	}
	if r.IntN(3) > 0 {
		m.HeaderFrom = addresses[r.IntN(len(addresses))]
		m.HeaderFromName = []string{"", "Boss", "Someone"}[r.IntN(3)]
		if r.IntN(12) == 0 {
			m.EnvelopeFrom = ""
		}
	}
	m.Client.IP = []string{"", "198.51.100.3", "203.0.113.9", "192.0.2.7"}[r.IntN(4)]
	return m
}

// TestCompiledEqualsReference compares verdict and certainty on random policy
// files and messages, with facts left out at random.
func TestCompiledEqualsReference(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 23))
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	universe := append(testAddresses(), "fresh@nowhere.test", "fresh@a.example", "fresh@b.example", "fresh@sub.a.example", "fresh@gmail.com", "fresh@corp.example", "fresh@corp.test", "fresh@new.a.example", "fresh@new.example")
	for n := range 400 {
		f := randomFile(r)
		set := compile(f)
		for range 25 {
			m := randomMessage(r)
			want, certainty := (reference{f: f}).verdict(m, universe)
			got := Decide(set, &m, at)
			e := ending{stage: got.Stage, policy: got.Policy}
			if got.Outcome != nil {
				e.outcome = *got.Outcome
			}
			if e != want || got.Certainty != certainty {
				t.Fatalf("file %d: %+v\n got %+v %s missing %v\nwant %+v %s\npolicies %+v\nmanaged %+v groups %v", n, m, e, got.Certainty, got.Missing, want, certainty, f.policies, f.managed, f.groups)
			}
			if trace := Replay(set, &m, at); trace.Verdict.Certainty != got.Certainty || trace.Verdict.Policy != got.Policy {
				t.Fatalf("file %d: Replay says %+v, Decide %+v", n, trace.Verdict, got)
			}
		}
	}
}

// TestMetamorphic holds what must not change a verdict, or may change it in
// one direction only.
func TestMetamorphic(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 9))
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for range 400 {
		f := randomFile(r)
		m := randomMessage(r)
		set := compile(f)
		before := Decide(set, &m, at)
		disabled := set.Apply(Change{Policies: []Policy{{Section: SectionBlockedSenders, ID: "X", Option: OptionBlockSender, FromPart: EnvelopeFrom, From: Spec{Type: Everyone}, To: Spec{Type: Everyone}, Override: true, Disabled: true}}})
		if after := Decide(disabled, &m, at); !sameVerdict(before, after) {
			t.Fatalf("a disabled policy changed %+v to %+v", before, after)
		}
		if before.Certainty == Certain {
			hidden := m
			hidden.Client.IP, hidden.HeaderFrom, hidden.HeaderFromName = "", "", ""
			if m.EnvelopeFrom != "" {
				if after := Decide(set, &hidden, at); after.Certainty == Certain && !sameVerdict(before, after) {
					t.Fatalf("with facts hidden a certain %+v became a certain %+v", before, after)
				}
			}
		}
	}
}

func sameVerdict(a, b Verdict) bool {
	if (a.Outcome == nil) != (b.Outcome == nil) || a.Stage != b.Stage || a.Policy != b.Policy {
		return false
	}
	return a.Outcome == nil || *a.Outcome == *b.Outcome
}
