package exception

import (
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/mail"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// guardedSet has one internal domain, one client that relays for us, and groups.
var guardedSet = sync.OnceValue(func() *engine.Set {
	set, err := engine.Load("policy.yaml", []byte(`
version: 1
internal_domains: [corp.example, very-long-name.example]
authorised_outbound: [198.51.100.128/25]
free_mail_domains: [freebies.example]
groups:
  Sales: {members: [bob@corp.example, sue@corp.example]}
  Everybody here: {members: [corp.example]}
  Board: {members: [ceo@corp.example]}
  Relay: {members: [leaver@home.example, bob@corp.example]}
  Blocked Senders: {members: [acme.example, alice@acme.example]}
blocked_senders:
  - {id: P-1, option: block_sender, from: {type: email_domain, value: vendor.example}, to: {type: email_domain, value: corp.example}}
`))
	if err != nil {
		panic(err)
	}
	return set
})

func person(name string, r Role) Actor { return Actor{Name: name, Role: r} }

func address(a string) engine.Spec {
	return engine.Spec{Type: engine.IndividualAddress, Value: a}
}

func domain(d string) engine.Spec { return engine.Spec{Type: engine.EmailDomain, Value: d} }

// ask is a question every guard says ok to, as an operator would put it.
func ask(changes ...func(*question)) question {
	q := question{
		set:   guardedSet(),
		actor: person("olga", Operator),
		proposal: Proposal{
			Kind: engine.KindBypass, Ticket: "T-1",
			Message: mail.Message{ID: "m1", EnvelopeFrom: "alice@acme.example", HeaderFrom: "alice@acme.example", Recipient: "bob@corp.example"},
		},
		now: noon,
	}
	q.exception = Exception{ID: 1, Expires: noon.Add(DefaultLife)}
	q.change = engine.Change{Policies: []engine.Policy{{FromPart: engine.EnvelopeFrom, From: address("alice@acme.example"), To: address("bob@corp.example")}}}
	for _, change := range changes {
		change(&q)
	}
	q.exception.Kind, q.exception.Ticket, q.exception.Actor = q.proposal.Kind, q.proposal.Ticket, q.actor
	describe(&q.exception, q.change)
	return q
}

func by(a Actor) func(*question)          { return func(q *question) { q.actor = a } }
func kind(k engine.Kind) func(*question)  { return func(q *question) { q.proposal.Kind = k } }
func from(s engine.Spec) func(*question)  { return func(q *question) { q.change.Policies[0].From = s } }
func to(s engine.Spec) func(*question)    { return func(q *question) { q.change.Policies[0].To = s } }
func ticket(t string) func(*question)     { return func(q *question) { q.proposal.Ticket = t } }
func reason(r string) func(*question)     { return func(q *question) { q.proposal.Reason = r } }
func expires(t time.Time) func(*question) { return func(q *question) { q.exception.Expires = t } }
func never(q *question)                   { q.proposal.Never, q.exception.Expires = true, time.Time{} }
func part(p engine.FromPart) func(*question) {
	return func(q *question) { q.change.Policies[0].FromPart = p }
}
func ips(networks ...string) func(*question) {
	return func(q *question) {
		for _, n := range networks {
			q.change.Policies[0].SourceIPs = append(q.change.Policies[0].SourceIPs, netip.MustParsePrefix(n))
		}
	}
}
func evidence(change func(*mail.Message)) func(*question) {
	return func(q *question) { change(&q.proposal.Message) }
}
func managed(sender, recipient string) func(*question) {
	return func(q *question) {
		q.change = engine.Change{ManagedPut: []engine.ManagedEntry{{Recipient: recipient, Sender: sender, Action: "permit"}}}
	}
}
func ungroup(member string) func(*question) {
	return func(q *question) {
		q.change = engine.Change{GroupRemove: []engine.GroupEntry{{Group: "Blocked Senders", Member: member}}}
	}
}
func live(n int, sender engine.Spec) func(*question) {
	return func(q *question) {
		for range n {
			q.live = append(q.live, Exception{ID: len(q.live) + 1, Kind: engine.KindPermit, From: sender, Ticket: "T-0"})
		}
	}
}

func TestGuards(t *testing.T) {
	admin, operator := by(person("ann", Admin)), by(person("olga", Operator))
	everyone := engine.Spec{Type: engine.Everyone}
	internal := engine.Spec{Type: engine.InternalAddresses}
	group := engine.Spec{Type: engine.ProfileGroup, Value: "Sales"}

	f := func(guard, answer, sentence string, changes ...func(*question)) {
		t.Helper()
		for _, g := range ask(changes...).answers() {
			switch {
			case g.Name != guard:
			case g.Answer != answer || !strings.Contains(g.Sentence, sentence):
				t.Errorf("%s answers %s %q, want %s %q", guard, g.Answer, g.Sentence, answer, sentence)
			case g.Answer != OK && g.Sentence == "":
				t.Errorf("%s answers %s without a sentence", guard, g.Answer)
			}
		}
	}

	// role
	f("role", OK, "", operator)
	f("role", OK, "", admin)
	f("role", Refused, "vic has the role viewer", by(person("vic", Viewer)))
	f("role", Refused, "without a known role", by(person("eve", "root")))
	f("role", Refused, "without a known role", by(person("eve", "")))
	f("role", Refused, "no usable name", by(person("", Admin)))
	f("role", Refused, "no usable name", by(person("ann\x1b[2K", Admin)))

	// ticket
	f("ticket", OK, "", ticket("INC0012345"))
	f("ticket", OK, "", ticket(" Über-7 "))
	f("ticket", Refused, "required", ticket(""))
	f("ticket", Refused, "required", ticket(" \t "))
	f("ticket", Refused, "no letter", ticket("---"))
	f("ticket", Refused, "control", ticket("T-1\nactor: ann"))
	f("ticket", Refused, "control", ticket("T-1\x1b]52;c;AAAA\a"))
	f("ticket", Refused, "direction", ticket("T-\u202e1"))
	f("ticket", Refused, "invisible", ticket("T-\u200b1"))
	f("ticket", Refused, "control", ticket("T-1\xff"))
	f("ticket", Refused, "longer", ticket(strings.Repeat("9", 65)))
	f("reason", Refused, "control", reason("because\r\nX: y"))
	f("reason", Refused, "longer", reason(strings.Repeat("ab ", 200)))

	// address: the log chose it, the gateway would read it
	f("address", OK, "", from(address("prvs=1234abcd=alice+x_y@acme.example")))
	f("address", OK, "", from(address("jürgen@bücher.example")))
	f("address", Refused, "pattern", from(address("*@acme.example")))
	f("address", Refused, "pattern", from(address("multi:a@acme.example")))
	f("address", Refused, "pattern", from(address("a b@acme.example")))
	f("address", Refused, "pattern", from(address("a@b@acme.example")))
	f("address", Refused, "control", from(address("a\x1b[31m@acme.example")))
	f("address", Refused, "no address", from(address("<>")))
	f("address", Refused, "no plain domain", from(address("a@[192.0.2.1]")))
	f("address", Refused, "no plain domain", from(domain("acme..example")))
	f("address", Refused, "no plain domain", from(domain("")))
	f("address", Refused, "no plain domain", from(domain("*.acme.example"))) // a log may name one
	f("address", Refused, "no plain domain", from(domain("acme.example..")))
	f("address", Refused, "longer than", from(address(strings.Repeat("a", 400)+"@acme.example")))
	f("address", Refused, "control", to(engine.Spec{Type: engine.ProfileGroup, Value: "Sales\n"}))
	f("address", Refused, "touches nobody", func(q *question) { q.change = engine.Change{} })

	// malicious: whoever asks
	reported := func(typ, text string) func(*question) {
		return evidence(func(m *mail.Message) { m.Reported.Type, m.Reply.Text = typ, text })
	}
	f("malicious", OK, "", reported("Envelope Rejected", "Administrative prohibition - envelope blocked"))
	f("malicious", OK, "", reported("", "550 Rejected by header based Blocked Senders: virus-news@acme.example"))
	f("malicious", Refused, "virus", admin, reported("Virus Signature Detection", ""))
	f("malicious", Refused, "malicious", admin, reported("Malicious QRCode Detection", ""))
	f("malicious", Refused, "phish", admin, reported("", "blocked using dbl; listed as phish domain"))
	f("malicious", Refused, "antivirus", admin, reported("", "Dropped by antivirus"))
	f("malicious", NeedsApprover, "virus or for too much spam", reported("", "Email rejected due to security policies"))
	f("malicious", OK, "", kind(engine.KindManagedBlock), reported("Virus Signature Detection", ""))

	// expiry
	f("expiry", OK, "", expires(noon.AddDate(1, 0, 0)))
	f("expiry", Refused, "not in the future", expires(noon))
	f("expiry", Refused, "not in the future", admin, expires(noon.AddDate(0, 0, -1)))
	f("expiry", Refused, "only an admin", never, reason("because"))
	f("expiry", Refused, "needs a reason", admin, never)
	f("expiry", Refused, "needs a reason", admin, never, reason(" .. "))
	f("expiry", OK, "", admin, never, reason("contract until further notice"))
	f("expiry", Refused, "only an admin", expires(noon.AddDate(1, 0, 1)), reason("because"))
	f("expiry", Refused, "only an admin", expires(time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)), reason("because"))
	f("expiry", Refused, "needs a reason", admin, expires(noon.AddDate(8, 0, 0)))
	f("expiry", Refused, "within a year", admin, kind(engine.KindRelay), never, reason("because"))
	f("expiry", Refused, "at once", admin, reason("x"), func(q *question) { q.proposal.Never, q.proposal.Expires = true, noon.AddDate(0, 1, 0) })

	// duplicate
	twin := Exception{ID: 7, Ticket: "T-0", Kind: engine.KindBypass, FromPart: engine.EnvelopeFrom, From: address("Alice@ACME.example"), To: address("bob@corp.example")}
	alive := func(e Exception) func(*question) { return func(q *question) { q.live = append(q.live, e) } }
	f("duplicate", Refused, "exception 7 (T-0)", alive(twin))
	f("duplicate", OK, "", alive(twin), kind(engine.KindPermit))
	f("duplicate", OK, "", alive(twin), ips("192.0.2.1/32"))
	f("duplicate", OK, "", alive(twin), to(address("sue@corp.example")))

	// everyone
	f("everyone", OK, "", from(address("a@acme.example")), to(everyone))
	f("everyone", Refused, "open to anybody", from(everyone), to(everyone))
	f("everyone", Refused, "open to anybody", from(everyone), to(everyone), ips("192.0.2.0/24"))
	f("everyone", Refused, "source addresses", admin, from(everyone), to(everyone))
	f("everyone", Refused, "source addresses", admin, from(everyone), to(everyone), ips("192.0.2.0/23"))
	f("everyone", Refused, "source addresses", admin, from(everyone), to(everyone), ips("192.0.2.0/24", "0.0.0.0/0"))
	f("everyone", Refused, "source addresses", admin, from(everyone), to(everyone), ips("2001:db8::/32"))
	f("everyone", OK, "", admin, from(everyone), to(everyone), ips("192.0.2.0/24", "2001:db8::/64"))
	f("everyone", Refused, "all external", admin, from(engine.Spec{Type: engine.ExternalAddresses}), to(address("bob@corp.example")))
	f("everyone", Refused, "free-mail", admin, from(engine.Spec{Type: engine.FreeMailDomains}), to(internal))
	f("everyone", Refused, "source addresses", admin, from(engine.Spec{Type: engine.HeaderDisplayName, Value: "The Boss"}))

	// public suffix
	f("public_suffix", Refused, "public suffix", admin, from(domain("co.uk")))
	f("public_suffix", Refused, "public suffix", from(domain("CO.UK.")))
	f("public_suffix", Refused, "public suffix", from(domain("*.com")))
	f("public_suffix", Refused, "public suffix", from(domain("github.io")))
	f("public_suffix", Refused, "public suffix", from(domain("公司.cn")))
	f("public_suffix", OK, "", from(domain("acme.co.uk")))
	f("public_suffix", OK, "", from(address("clerk@gov.uk")))

	// free mail and shared senders
	f("shared_domain", Refused, "free-mail service gmail.com", admin, from(domain("gmail.com")))
	f("shared_domain", Refused, "free-mail", admin, from(domain("Yahoo.co.uk")))
	f("shared_domain", Refused, "mailing service amazonses.com", admin, from(domain("eu-west-1.amazonses.com")))
	f("shared_domain", Refused, "mailing service sendgrid.net", from(domain("u123.wl.sendgrid.net")))
	f("shared_domain", Refused, "gmail.com", admin, from(domain("GMail.com.")))
	f("shared_domain", Refused, "gmail.com", admin, from(domain("ｇｍａｉｌ．com"))) // full width, as IDNA maps it
	f("shared_domain", Refused, "free-mail domain", admin, from(domain("Freebies.example")))
	f("shared_domain", Refused, "amazonses.com", admin, from(domain("AmazonSES.COM")))
	f("shared_domain", OK, "", from(domain("notgmail.com")))
	f("shared_domain", OK, "", from(address("carol@gmail.com")))
	f("shared_domain", Refused, "gmail.com", admin, kind(engine.KindManagedPermit), managed("gmail.com", "bob@corp.example"))

	// Width of an operator, after the two recipes of the vendor's article: one
	// address, whoever the recipients inside are, or one domain for one recipient.
	f("width", OK, "", from(address("a@acme.example")), to(internal))
	f("width", OK, "", from(address("a@acme.example")), to(group))
	f("width", OK, "", from(address("a@acme.example")), to(engine.Spec{Type: engine.Everyone}))
	f("width", OK, "", from(domain("acme.example")), to(address("bob@corp.example")))
	f("width", Refused, "ask an admin", from(domain("acme.example")), to(internal))
	f("width", Refused, "ask an admin", from(domain("acme.example")), to(group))
	f("width", Refused, "ask an admin", from(domain("*.acme.example")))
	f("width", Refused, "ask an admin", from(group))
	f("width", OK, "", admin, from(domain("acme.example")), to(internal))
	f("width", Refused, "ask an admin", kind(engine.KindGroupRemove), ungroup("acme.example"))
	f("width", OK, "", kind(engine.KindGroupRemove), ungroup("alice@acme.example"))

	// relay
	relay := kind(engine.KindRelay)
	outside := to(address("leaver@home.example"))
	f("relay", Refused, "only an admin", relay, outside)
	f("relay", OK, "", admin, relay, outside, from(engine.Spec{Type: engine.ExternalAddresses}))
	f("everyone", OK, "", admin, relay, outside, from(engine.Spec{Type: engine.ExternalAddresses}))
	f("relay", Refused, "one recipient", admin, relay, to(domain("home.example")))
	f("relay", Refused, "one recipient", admin, relay, to(engine.Spec{Type: engine.ExternalAddresses}))
	f("relay", Refused, "internal", admin, relay, to(address("bob@corp.example")))

	f("relay", Refused, "both outside", outside) // a bypass that would do the same
	f("relay", Refused, "both outside", kind(engine.KindPermit), outside)
	f("relay", Refused, "both outside", to(group), evidence(func(m *mail.Message) { m.Recipient = "leaver@home.example" }))
	f("relay", OK, "", admin, outside)
	f("relay", OK, "", outside, from(address("bob@corp.example"))) // outbound
	f("relay", OK, "", kind(engine.KindManagedBlock), managed("alice@acme.example", "bob@corp.example"))

	f("relay", OK, "", to(group), from(address("x@acme.example")))
	f("relay", Refused, "both outside", to(engine.Spec{Type: engine.ProfileGroup, Value: "Relay"})) // an outside member beside bob
	f("relay", Refused, "to more", admin, to(engine.Spec{Type: engine.ProfileGroup, Value: "Relay"}))
	f("expiry", Refused, "within a year", admin, outside, never, reason("because")) // a bypass that relays

	// group: known by exactly this name, with the recipient in it
	f("group", OK, "", to(group))
	f("group", OK, "", to(engine.Spec{Type: engine.ProfileGroup, Value: "Everybody here"}))
	f("group", Refused, "no group is named", to(engine.Spec{Type: engine.ProfileGroup, Value: "sales"}))
	f("group", Refused, "no group is named", admin, to(engine.Spec{Type: engine.ProfileGroup, Value: "Nobody"}))
	f("group", Refused, "bob@corp.example is not in the group Board", to(engine.Spec{Type: engine.ProfileGroup, Value: "Board"}))
	f("group", OK, "", kind(engine.KindGroupRemove), ungroup("alice@acme.example"))
	f("group", Refused, "not in the group", admin, kind(engine.KindGroupRemove), ungroup("other.example"))

	// managed senders
	f("managed", OK, "", kind(engine.KindManagedPermit), managed("alice@acme.example", "bob@corp.example"))
	f("managed", Refused, "no internal address", kind(engine.KindManagedPermit), managed("alice@acme.example", "x@home.example"))

	f("managed", Refused, "one entry", kind(engine.KindManagedPermit), managed("alice@acme.example", "bob@corp.example"), func(q *question) {
		q.change.ManagedPut = append(q.change.ManagedPut, q.change.ManagedPut...)
	})

	// own domain
	f("own_domain", Refused, "ours", from(address("ceo@corp.example")))
	f("own_domain", Refused, "ours", from(domain("corp.example")))
	f("own_domain", Refused, "ours", from(internal))
	f("own_domain", Refused, "ours", from(address("ceo@mail.CORP.example."))) // a host below it
	f("own_domain", OK, "", from(address("ceo@notcorp.example")))
	f("own_domain", OK, "", admin, from(address("ceo@corp.example")))
	f("own_domain", Refused, "ours", kind(engine.KindManagedPermit), managed("ceo@corp.example", "bob@corp.example"))

	// header
	dmarc := func(word string) func(*question) {
		return evidence(func(m *mail.Message) { m.Auth.DMARC = word })
	}
	for _, p := range []engine.FromPart{engine.HeaderFrom, engine.BothFrom} {
		f("header", NeedsApprover, "not logged", part(p))
		f("header", NeedsApprover, "fail", part(p), dmarc("fail"))
		f("header", NeedsApprover, "forged", admin, part(p), evidence(func(m *mail.Message) { m.Auth.SPF, m.Auth.DKIM = "pass", "pass" }))
		f("header", OK, "", part(p), dmarc("pass"))
		f("header", OK, "", part(p), ips("198.51.100.7/32"))
		f("header", NeedsApprover, "forged", part(p), ips("0.0.0.0/0"))
		f("header", NeedsApprover, "evil.example", part(p), dmarc("pass"), evidence(func(m *mail.Message) { m.HeaderFrom = "x@evil.example" }))
		f("header", NeedsApprover, "authenticated is not logged", part(p), dmarc("pass"), evidence(func(m *mail.Message) { m.HeaderFrom = "" }))
	}
	f("header", OK, "", part(engine.EnvelopeFrom))
	for _, own := range []string{"127.0.0.1/32", "::1/128", "10.1.2.3/32", "198.51.100.200/32", "fe80::1/128", "::ffff:10.1.2.3/128", "0.0.0.0/32"} {
		f("header", NeedsApprover, "our own hosts", admin, part(engine.HeaderFrom), ips(own))
	}
	f("header", NeedsApprover, "before its header came (rcpt)", part(engine.HeaderFrom), dmarc("pass"), evidence(func(m *mail.Message) { m.Phase = mail.PhaseRcpt }))
	f("header", OK, "", part(engine.HeaderFrom), dmarc("PASS"), evidence(func(m *mail.Message) { m.Phase = mail.PhaseData }))
	scoped := func(q *question) { q.proposal.Scope.FromPart = engine.HeaderFrom }
	f("header", NeedsApprover, "forged", kind(engine.KindManagedPermit), scoped, managed("alice@acme.example", "bob@corp.example"))
	f("header", OK, "", kind(engine.KindManagedPermit), managed("alice@acme.example", "bob@corp.example"))

	// lookalike
	f("lookalike", OK, "", from(address("a@acme.example")))
	f("lookalike", NeedsApprover, "looks the same as our own corp.example", from(address("a@c0rp.example")))
	f("lookalike", NeedsApprover, "looks the same", from(address("a@с\u043erp.example")))
	f("lookalike", NeedsApprover, "looks the same", from(domain(mail.FoldDomain("cörp.example"))))
	f("lookalike", NeedsApprover, "one or two letters", from(address("a@corpp.example")))
	f("lookalike", NeedsApprover, "one or two letters", from(address("a@cpro.example")))
	f("lookalike", NeedsApprover, "one or two letters", from(address("a@mail.cprp.example")))
	f("lookalike", NeedsApprover, "carries the name of our own corp.example", from(address("a@corp.example.evil.test")))
	f("lookalike", NeedsApprover, "carries the name of", from(address("a@mail-corp-example.test")))
	f("lookalike", NeedsApprover, "very-long-name.example", from(address("a@very-1ong-name.example"))) // a domain that no policy names
	f("lookalike", OK, "", from(address("a@corp.example")))
	f("lookalike", OK, "", from(address("a@x.corp.example")))
	f("lookalike", OK, "", from(address("a@vendors.example"))) // resembles a domain that is not ours

	// first seen
	saw := func(answer bool) func(*question) {
		return func(q *question) { q.seen = func(string) bool { return answer } }
	}
	f("first_seen", OK, "")
	f("first_seen", OK, "", saw(true))
	f("first_seen", NeedsApprover, "no mail from acme.example", saw(false))

	// count
	f("count", OK, "", live(4, address("x@acme.example")))
	f("count", NeedsApprover, "5 exceptions for acme.example", live(5, address("x@ACME.example")))
	f("count", NeedsApprover, "5 exceptions", admin, live(5, domain("acme.example")))
	f("count", OK, "", live(9, address("x@other.example")))
	f("count", NeedsApprover, "5 exceptions", live(5, address("x+tag@acme.example")))
	f("count", NeedsApprover, "5 exceptions", live(5, address("x@Acme.Example.")))
	f("count", NeedsApprover, "5 exceptions", live(2, address("x@a.acme.example")), live(3, domain("b.acme.example"))) // its hosts
	f("count", NeedsApprover, "5 exceptions", live(5, address("x@acme.example")), kind(engine.KindManagedPermit), managed("y@acme.example", "bob@corp.example"))
	f("count", NeedsApprover, "5 exceptions", live(5, address("x@acme.example")), kind(engine.KindGroupRemove), ungroup("alice@acme.example"))
	f("count", NeedsApprover, "5 exceptions", admin, live(5, address("x@acme.example")), relay, outside, from(engine.Spec{Type: engine.ExternalAddresses}),
		func(q *question) { q.exception.ForDomain = "acme.example" })

	// what ended and is made anew is a renewal
	ended := func(n int, days int) func(*question) {
		return func(q *question) {
			for range n {
				q.ended = append(q.ended, Exception{Kind: engine.KindBypass, FromPart: engine.EnvelopeFrom, From: address("alice@acme.example"), To: address("bob@corp.example"),
					Created: noon.AddDate(0, -6, 0), Revoked: noon.AddDate(0, -6, days)})
			}
		}
	}
	f("renewal", OK, "", ended(3, 30))
	f("renewal", NeedsApprover, "4 times already", admin, ended(4, 30))
	f("renewal", OK, "", ended(9, 0)) // taken back at once
	f("renewal", OK, "", ended(9, 30), to(address("sue@corp.example")))
}

func TestGuardsNames(t *testing.T) {
	seen := map[string]bool{}
	for _, g := range ask().answers() {
		if g.Answer != OK {
			t.Errorf("%s answers %s to a plain request: %s", g.Name, g.Answer, g.Sentence)
		}
		if seen[g.Name] {
			t.Errorf("two guards are named %s", g.Name)
		}
		seen[g.Name] = true
	}
}

func TestExtendGuards(t *testing.T) {
	e := Exception{ID: 3, Kind: engine.KindBypass, From: address("a@acme.example"), To: address("bob@corp.example"),
		Actor: person("olga", Operator), Created: noon, Expires: noon.Add(DefaultLife)}
	with := func(change func(*Exception)) Exception { c := e; change(&c); return c }
	month := noon.AddDate(0, 2, 0)

	f := func(e Exception, role Role, until time.Time, reason, want string) {
		t.Helper()
		got := ""
		if err := refusal(extendGuards(e, person("p", role), until, reason, noon.AddDate(0, 0, 20))); err != nil {
			got = err.Error()
		}
		if got != want && (want == "" || !strings.Contains(got, want)) {
			t.Errorf("extend to %v: %q, want %q", until, got, want)
		}
	}

	f(e, Operator, month, "", "")
	f(e, Viewer, month, "", "viewer")
	f(e, Operator, noon, "", "not in the future")
	f(e, Operator, time.Time{}, "because", "only an admin")
	f(e, Operator, noon.AddDate(3, 0, 0), "because", "only an admin")
	f(e, Operator, noon.AddDate(1, 0, 1), "", "needs an approver: exception 3 would live for more than a year")
	f(e, Admin, time.Time{}, "because", "more than a year in all")
	f(e, Operator, month, "a\nb", "control")
	f(with(func(e *Exception) { e.Extensions = 3 }), Admin, month, "", "needs an approver: exception 3 was extended 3 times")
	f(with(func(e *Exception) { e.Extensions = 9 }), Operator, noon.AddDate(0, 0, 25), "", "") // shorter is free
	f(with(func(e *Exception) {
		e.From = domain("acme.example")
		e.To = engine.Spec{Type: engine.InternalAddresses}
	}), Operator, month, "", "wider than")
	f(with(func(e *Exception) { e.Kind = engine.KindRelay }), Operator, month, "", "relay")
	f(with(func(e *Exception) { e.Actor.Role = Admin }), Operator, month, "", "made by an admin")
}

func TestRefusedError(t *testing.T) {
	err := refusal([]Guard{ok("a"), needsApprover("b", "look twice"), refused("c", "no")})
	if err == nil || err.Error() != "no" {
		t.Errorf("got %v, want the plain refusal first", err)
	}
	err = refusal([]Guard{needsApprover("b", "look twice")})
	if err == nil || err.Error() != "needs an approver: look twice" {
		t.Errorf("got %v", err)
	}
	if err := refusal([]Guard{ok("a")}); err != nil {
		t.Errorf("got %v, want nil", err)
	}
}
