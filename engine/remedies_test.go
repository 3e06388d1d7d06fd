package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailwhy/engine/mail"
)

var remedyNoon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func remedySet(t *testing.T, text string) *Set {
	t.Helper()
	set, err := Load("policy.yaml", []byte("version: 1\ninternal_domains: [corp.example]\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// listed writes remedies one a line: whether it works, what it is.
func listed(remedies []Remedy) string {
	var lines []string
	for _, r := range remedies {
		works := "perhaps"
		if r.Works != nil {
			works = map[bool]string{true: "works", false: "useless"}[*r.Works]
		}
		line := fmt.Sprintf("%s %s %s", works, r.Kind, r.Scope)
		if works == "useless" {
			line += ": " + r.Because
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// TestRemediesInOrder has the candidates of each kind of refusal, the narrowest
// that works first and the tempting useless ones last, with their reason.
func TestRemediesInOrder(t *testing.T) {
	f := func(name, policy string, m mail.Message, want string) {
		t.Helper()
		got := listed(Remedies(remedySet(t, policy), &m, remedyNoon))
		if diff := cmp.Diff(strings.TrimSpace(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	bob := mail.Path("bob@corp.example")
	group := "groups: {Blocked Senders: {members: [bad.example]}, Sales: {members: [bob@corp.example]}, Board: {members: [ceo@corp.example]}}\n"

	f("the domain stands in a group", group, mail.Message{EnvelopeFrom: "a@bad.example", HeaderFrom: "a@bad.example", Recipient: bob, Client: mail.Client{IP: "203.0.113.7"}}, `
works bypass sender>recipient
works bypass sender>recipient,ip
works bypass sender>group:Sales
works bypass sender>all
works bypass domain>recipient
works group_remove bad.example from group Blocked Senders
useless permit sender>recipient: permit has no effect: Blocked Senders default-blocked-senders is decided first
useless managed_permit sender>recipient: the recipient's own permit has no effect: Blocked Senders default-blocked-senders is a policy and beats it`)

	f("refused by the envelope, another header", group, mail.Message{EnvelopeFrom: "a@bad.example", HeaderFrom: "a@good.example", Recipient: "sue@corp.example"}, `
works bypass sender>recipient
works bypass sender>all
works bypass domain>recipient
works group_remove bad.example from group Blocked Senders
useless permit sender>recipient: permit has no effect: Blocked Senders default-blocked-senders is decided first
useless managed_permit sender>recipient: the recipient's own permit has no effect: Blocked Senders default-blocked-senders is a policy and beats it
useless bypass sender>recipient,header: Blocked Senders default-blocked-senders refuses at RCPT by the envelope, before any header is seen
useless bypass sender>all,header: Blocked Senders default-blocked-senders refuses at RCPT by the envelope, before any header is seen
useless bypass domain>recipient,header: Blocked Senders default-blocked-senders refuses at RCPT by the envelope, before any header is seen`)

	header := "blocked_senders:\n  - {id: H-1, option: block_sender, from_part: header_from, from: {type: email_domain, value: bad.example}, to: {type: internal_addresses}}\n"
	f("refused by the header", header, mail.Message{EnvelopeFrom: "bounce+123@esp.example", HeaderFrom: "a@bad.example", Recipient: bob}, `
works bypass sender>recipient,header
works bypass sender>recipient,both
works bypass sender>all,header
works bypass sender>all,both
works bypass domain>recipient
works bypass domain>recipient,header
works bypass domain>recipient,both
works bypass sender>recipient
works bypass sender>all
useless permit sender>recipient: permit has no effect: Blocked Senders H-1 is decided first
useless managed_permit sender>recipient: the recipient's own permit has no effect: Blocked Senders H-1 is a policy and beats it`)

	own := "managed_senders: [{recipient: bob@corp.example, sender: shop.example, action: block}]\n"
	f("the recipient's own list, by envelope", own, mail.Message{EnvelopeFrom: "a@shop.example", HeaderFrom: "a@shop.example", Recipient: bob}, `
works managed_permit sender>recipient
works managed_delete domain>recipient
useless permit sender>recipient: permit has no effect: a block by header in the recipient's own list stands against a Permitted Senders policy
useless bypass sender>recipient: bypass has no effect: it decides Blocked Senders alone, and the block stands in the recipient's own list`)

	f("from outside to outside", "", mail.Message{EnvelopeFrom: "a@other.example", HeaderFrom: "a@other.example", Recipient: "leaver@home.example"}, `
works bypass sender>recipient
works relay sender>recipient`)

	f("anti-spoofing", "", mail.Message{EnvelopeFrom: "ceo@corp.example", HeaderFrom: "ceo@corp.example", Recipient: bob, Client: mail.Client{IP: "203.0.113.7"}}, `
useless bypass sender>recipient: only an Anti-Spoofing policy lifts this: a bypass or permit of the sender is decided after it
useless permit sender>recipient: only an Anti-Spoofing policy lifts this: a bypass or permit of the sender is decided after it`)

	f("a virus", group, mail.Message{EnvelopeFrom: "a@bad.example", Recipient: bob, Reported: mail.Reported{Type: "Virus Signature Detection"}}, ``)
	f("let in now", "", mail.Message{EnvelopeFrom: "a@good.example", Recipient: bob}, ``)
}

func TestRemediesAmongOthers(t *testing.T) {
	set := remedySet(t, "groups: {Blocked Senders: {members: [bad.example]}}\n")
	m := mail.Message{EnvelopeFrom: "a@bad.example", HeaderFrom: "a@bad.example", Recipient: "bob@corp.example"}
	h := History{Others: []mail.Message{
		{ID: "1", EnvelopeFrom: "a@bad.example", HeaderFrom: "a@bad.example", Recipient: "bob@corp.example"},
		{ID: "2", EnvelopeFrom: "a@bad.example", HeaderFrom: "a@bad.example", Recipient: "sue@corp.example"},
		{ID: "3", EnvelopeFrom: "a@good.example", HeaderFrom: "a@good.example", Recipient: "sue@corp.example"}, // let in anyway
		{ID: "4", EnvelopeFrom: "a@bad.example", Recipient: "sue@corp.example", Reported: mail.Reported{Type: "Virus Signature Detection"}},
	}}
	got := map[string]Others{}
	for _, r := range RemediesAmong(set, &m, remedyNoon, h) {
		if r.Others != nil {
			got[r.Scope] = *r.Others
		}
		if r.Works != nil && *r.Works && !strings.Contains(r.Risks[0], "malicious content was seen from this sender (virus, message 4)") {
			t.Errorf("%s: the first risk is %q", r.Scope, r.Risks[0])
		}
	}
	want := map[string]Others{
		"sender>recipient":                       {Examined: 4, Stopped: 3, Freed: 1},
		"sender>all":                             {Examined: 4, Stopped: 3, Freed: 3},
		"domain>recipient":                       {Examined: 4, Stopped: 3, Freed: 1},
		"bad.example from group Blocked Senders": {Examined: 4, Stopped: 3, Freed: 3},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("others (-want +got):\n%s", diff)
	}
}

// TestRisks has what a remedy's first line does not say.
func TestRisks(t *testing.T) {
	set := remedySet(t, `groups: {Blocked Senders: {members: [bad.example, sendgrid.net, gmail.com, c0rp.example, xn--crp-tlc.example]}}
blocked_senders: [{id: H, option: block_sender, from_part: header_from, from: {type: email_domain, value: shop.example}, to: {type: internal_addresses}}]
`)
	f := func(m mail.Message, scope string, want ...string) {
		t.Helper()
		m.Recipient = "bob@corp.example"
		for _, r := range RemediesAmong(set, &m, remedyNoon, History{Frequent: []string{"partner.example"}}) {
			if r.Scope != scope {
				continue
			}
			all := strings.Join(r.Risks, "\n")
			for _, w := range want {
				if !strings.Contains(all, w) {
					t.Errorf("%s: risks are\n%s\nwant %s", scope, all, w)
				}
			}
			if len(want) == 0 && len(r.Risks) > 0 {
				t.Errorf("%s: risks are\n%s\nwant none", scope, all)
			}
			return
		}
		t.Errorf("no remedy has the scope %s", scope)
	}
	f(mail.Message{EnvelopeFrom: "a@bad.example"}, "sender>recipient")
	f(mail.Message{EnvelopeFrom: "a@bad.example", Auth: mail.Auth{SPF: "softfail", DKIM: "fail"}}, "sender>recipient", "failed SPF (softfail)", "failed DKIM")
	f(mail.Message{EnvelopeFrom: "a@SendGrid.net"}, "sender>recipient", "sendgrid.net is a mailing service")
	f(mail.Message{EnvelopeFrom: "a@gmail.com"}, "domain>recipient", "anybody gets a mailbox at gmail.com")
	f(mail.Message{EnvelopeFrom: "a@c0rp.example"}, "sender>recipient", "looks the same as our own corp.example")
	f(mail.Message{EnvelopeFrom: "bounce+77-bob=corp.example@bad.example"}, "sender>recipient", "made for this one message (VERP)", "its domain")
	f(mail.Message{EnvelopeFrom: "prvs=0123456789=alice@bad.example"}, "sender>recipient", "BATV", "alice@bad.example")
	f(mail.Message{EnvelopeFrom: "x@esp.example", HeaderFrom: "a@shop.example"}, "sender>recipient,header", "no DMARC pass is logged")
	f(mail.Message{EnvelopeFrom: "x@esp.example", HeaderFrom: "a@shop.example", Auth: mail.Auth{DMARC: "pass"}}, "sender>recipient,header")
}

func TestStableSender(t *testing.T) {
	f := func(p mail.Path, kind string, stable mail.Path) {
		t.Helper()
		if k, s := StableSender(p); k != kind || s != stable {
			t.Errorf("StableSender(%q) = %q, %q; want %q, %q", p, k, s, kind, stable)
		}
	}
	f("alice@acme.example", "", "")
	f("<>", "", "")
	f("", "", "")
	f("prvs=1234abcd=Alice@acme.example", "BATV", "alice@acme.example")
	f("btv1==aa0==alice@acme.example", "BATV", "alice@acme.example")
	f("SRS0=HHH=TT=acme.example=alice@forward.example", "SRS", "alice@acme.example")
	f("SRS1=HHH=other.example==HHH=TT=acme.example=alice@forward.example", "SRS", "")
	f("bounce+17.4-bob=corp.example@esp.example", "VERP", "")
	f("prvs=@acme.example", "BATV", "")
}
