package engine

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"mailwhy/engine/mail"
)

var (
	testDomains = []string{"a.example", "b.example", "sub.a.example", "gmail.com", "corp.example", "corp.test"}
	testLocals  = []string{"x", "y"}
	testNow     = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
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

// testUniverse holds an address of every kind that random files can tell apart.
func testUniverse() []mail.Path {
	all := testAddresses()
	for _, d := range append([]string{"nowhere.test", "new.a.example", "new.example"}, testDomains...) {
		all = append(all, mail.Path("fresh@"+d))
	}
	return all
}

// one picks one of the choices.
func one[T any](r *rand.Rand, choices ...T) T { return choices[r.IntN(len(choices))] }

func randomSpec(r *rand.Rand, from bool, part FromPart) Spec {
	switch r.IntN(9) {
	case 0:
		return Spec{Type: Everyone}
	case 1:
		return Spec{Type: InternalAddresses}
	case 2:
		return Spec{Type: ExternalAddresses}
	case 3:
		return Spec{Type: FreeMailDomains}
	case 4:
		return Spec{Type: EmailDomain, Value: one(r, append([]string{"*.a.example", "*.example"}, testDomains...)...)}
	case 5:
		return Spec{Type: ProfileGroup, Value: one(r, "G1", groupRelay, groupBlockedSenders)}
	case 6:
		return Spec{Type: AddressAttributeValue, Value: one(r, "sales", "department=sales")}
	case 7:
		if from && part == HeaderFrom {
			return Spec{Type: HeaderDisplayName, Value: one(r, "Boss", "Bank")}
		}
	}
	return Spec{Type: IndividualAddress, Value: string(one(r, testAddresses()...))}
}

func randomPolicy(r *rand.Rand, section Section, n int) Policy {
	part := one(r, EnvelopeFrom, EnvelopeFrom, HeaderFrom, BothFrom)
	p := Policy{Section: section, ID: fmt.Sprintf("%s-%d", section[:4], n), FromPart: part, From: randomSpec(r, true, part), To: randomSpec(r, false, part),
		Override: r.IntN(4) == 0, Bidirectional: r.IntN(5) == 0, Disabled: r.IntN(8) == 0}
	switch section {
	case SectionBlockedSenders:
		p.Option = one(r, OptionBlockSender, OptionNoAction)
	case SectionPermittedSenders:
		p.Option = one(r, OptionPermitSender, OptionNoAction)
	case SectionAntiSpoofingSPF:
		p.Option, p.SPFBypass.Domains = OptionNoAction, []string{"esp.example"}
	case SectionDNSAuthentication:
		p.Option, p.DNS = OptionApply, DNSChecks{SPF: one(r, DNSNone, DNSReject), DKIM: one(r, DNSNone, DNSReject), DMARC: one(r, DNSNone, DNSReject, DNSHonour)}
	case SectionContentExamination:
		p.Option = one(r, "hold", contentNone)
	default:
		p.Option = one(r, OptionApply, OptionNoAction)
	}
	if section != SectionBlockedSenders && section != SectionAntiSpoofing && r.IntN(2) == 0 { // else they seldom meet a message
		p.From, p.To, p.Disabled = Spec{Type: Everyone}, Spec{Type: InternalAddresses}, false
	}
	if r.IntN(4) == 0 {
		p.SourceIPs = one(r, []netip.Prefix{netip.MustParsePrefix("198.51.100.0/28")}, []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")})
	}
	switch r.IntN(12) {
	case 0:
		p.Since = testNow
	case 1:
		p.Since = testNow.Add(time.Second)
	case 2:
		p.Until = testNow
	case 3:
		p.Until = testNow.Add(time.Nanosecond)
	}
	return p
}

// randomFile makes a small policy file in which everything overlaps.
func randomFile(r *rand.Rand) *file {
	f := newFile()
	f.internal["corp.example"], f.internal["corp.test"] = true, true
	f.freeMail["gmail.com"] = true
	f.outbound = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	f.defaults.antiSpoofing = r.IntN(2) == 0
	f.engine.Propagation = 0
	addresses := testAddresses()
	names := slices.Clone(testDomains)
	for _, a := range addresses {
		names = append(names, string(a), string(a))
	}
	for _, g := range []string{"G1", groupBlockedSenders, groupRelay} {
		f.groups[g] = []string{one(r, names...), one(r, names...)}
	}
	f.attributes = []attribute{{string(one(r, addresses...)), "department", "sales"}}
	add := func(section Section, most int) {
		for i := range r.IntN(most + 1) {
			f.policies[section] = append(f.policies[section], randomPolicy(r, section, i))
		}
	}
	add(SectionBlockedSenders, 6)
	add(SectionPermittedSenders, 2)
	add(SectionAntiSpoofing, 1)
	for _, section := range []Section{SectionAntiSpoofingSPF, SectionReputation, SectionGreylisting, SectionDNSAuthentication, SectionContentExamination} {
		if r.IntN(4) == 0 {
			add(section, 2)
		}
	}
	for range r.IntN(4) {
		e := ManagedEntry{Recipient: string(addresses[8+r.IntN(4)]), Sender: one(r, names...), Action: one(r, "permit", "block")}
		if !slices.ContainsFunc(f.managed, func(o ManagedEntry) bool { return o.Recipient == e.Recipient && o.Sender == e.Sender }) {
			f.managed = append(f.managed, e)
		}
	}
	if r.IntN(3) == 0 {
		f.autoAllow = []autoAllow{{string(addresses[8+r.IntN(4)]), string(one(r, addresses...)), testNow.Add(-time.Duration(r.IntN(125)) * 24 * time.Hour)}}
	}
	if r.IntN(8) == 0 {
		f.known.partial[one(r, "groups", "managed_senders", string(SectionBlockedSenders), string(SectionAntiSpoofing))] = true
	}
	return f
}

// randomMessage leaves facts out at random.
func randomMessage(r *rand.Rand) mail.Message { return messageFor(r, false) }

// messageFor is randomMessage. A whole one has both addresses of the sender: with
// a section known in part the reference tries every subset of what may be in
// it, which takes long beside every sender.
func messageFor(r *rand.Rand, whole bool) mail.Message {
	addresses := testAddresses()
	m := mail.Message{Recipient: one(r, addresses...), EnvelopeFrom: one(r, addresses...), Time: testNow}
	if r.IntN(3) == 0 {
		m.Recipient = one(r, addresses[8:]...) // internal
	}
	if r.IntN(10) == 0 {
		m.EnvelopeFrom = mail.NullPath
	}
	if whole || r.IntN(3) > 0 {
		m.HeaderFrom = one(r, addresses...)
		m.HeaderFromName = one(r, "", "Boss", "Someone")
		if r.IntN(12) == 0 && !whole {
			m.EnvelopeFrom = ""
		}
	}
	m.Client.IP = one(r, "", "198.51.100.3", "198.51.100.130", "203.0.113.9", "192.0.2.7")
	m.Auth = mail.Auth{SPF: one(r, "", "pass", "fail"), DKIM: one(r, "", "pass", "none", "fail"), DMARC: one(r, "", "pass", "fail")}
	if r.IntN(3) == 0 {
		m.Reported.Type = "Attempt Greylisted" // as of its own time: the first attempt
	}
	return m
}
