package engine

import (
	"testing"
	"time"

	"mailwhy/engine/mail"
)

const siteFile = `version: 1
internal_domains: [example.test]
defaults: {external_to_external: false, relay: false, blocked_senders: false, anti_spoofing: false}
access:
  - {list: smtpd_client_restrictions, check: client, name: permit_mynetworks, entries: [{key: 192.0.2.0/24, action: permit, origin: permit_mynetworks}]}
  - list: smtpd_sender_restrictions
    check: sender
    name: check_sender_access hash:senders
    subdomains: true
    exceptions: true
    entries:
      - {key: vendor.test, action: reject, origin: "senders:1"}
      - {key: ok@vendor.test, action: dunno, origin: "senders:2"}
      - {key: friend.test, action: permit, origin: "senders:3"}
      - {key: slow.test, action: defer, origin: "senders:4"}
      - {key: "<>", action: discard, origin: "senders:5"}
      - {key: "spam@", action: hold, origin: "senders:6"}
  - {list: smtpd_sender_restrictions, check: sender, name: check_sender_access hash:more, entries: [{key: friend.test, action: reject, origin: "more:1"}, {key: .up.test, action: reject, origin: "more:2"}]}
  - {list: smtpd_relay_restrictions, check: destination, name: reject_unauth_destination, domains: [example.test]}
  - {list: smtpd_recipient_restrictions, check: recipient, name: check_recipient_access hash:rcpt, entries: [{key: closed@example.test, action: reject, origin: "rcpt:1"}]}
`

func TestSiteRulesInTheirOrder(t *testing.T) {
	set, err := Load("policy.yaml", []byte(siteFile))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		from, to, policy string
		outcome          mail.Outcome
	}{
		{"a@vendor.test", "pat@example.test", "senders:1", mail.Rejected},
		{"a@mail.vendor.test", "pat@example.test", "senders:1", mail.Rejected},
		{"ok@vendor.test", "pat@example.test", "", mail.Accepted},
		{"a@friend.test", "pat@example.test", "", mail.Accepted}, // the permit ends its list before the second map
		{"a@friend.test", "closed@example.test", "rcpt:1", mail.Rejected},
		{"a@slow.test", "pat@example.test", "senders:4", mail.Deferred},
		{"a@slow.test", "closed@example.test", "rcpt:1", mail.Rejected}, // a refusal for good goes before a deferral
		{"<>", "pat@example.test", "senders:5", mail.Discarded},
		{"spam@any.test", "pat@example.test", "senders:6", mail.Held},
		{"a@up.test", "pat@example.test", "", mail.Accepted},
		{"a@one.up.test", "pat@example.test", "more:2", mail.Rejected},
		{"a@any.test", "x@elsewhere.test", "reject_unauth_destination", mail.Rejected},
	} {
		m := mail.Message{EnvelopeFrom: mail.Path(c.from), Recipient: mail.Path(c.to), Client: mail.Client{IP: "198.51.100.7"}}
		trace := Replay(set, &m, at)
		v := trace.Verdict
		if v.Outcome == nil || *v.Outcome != c.outcome || v.Policy != c.policy {
			t.Errorf("%s -> %s: %+v, want %s by %q", c.from, c.to, v, c.outcome, c.policy)
		}
		if c.policy != "" && (len(trace.Steps) == 0 || trace.Steps[0].Winner == nil || *trace.Steps[0].Winner != c.policy) {
			t.Errorf("%s -> %s: steps %+v", c.from, c.to, trace.Steps)
		}
		if gated, stopped := Enforce(set, &m, at, MomentRcpt); stopped {
			t.Errorf("%s -> %s: a gate refused what is the mail server's to refuse: %+v", c.from, c.to, gated)
		}
	}
}

func TestSiteRulesYieldToExceptions(t *testing.T) {
	set, err := Load("policy.yaml", []byte(siteFile))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	m := mail.Message{EnvelopeFrom: "a@vendor.test", Recipient: "pat@example.test", Client: mail.Client{IP: "198.51.100.7"}}
	for scope, want := range map[string]mail.Outcome{"sender>all": mail.Accepted, "domain>all": mail.Accepted, "sender>recipient": mail.Rejected, "sender>all,ip": mail.Rejected} {
		parsed, err := ParseScope(scope)
		if err != nil {
			t.Fatal(err)
		}
		change, err := Draft(set, KindBypass, parsed, &m, "E-1", "T-1", at, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if v := Decide(set.Apply(change), &m, at); v.Outcome == nil || *v.Outcome != want {
			t.Errorf("%s: %+v, want %s", scope, v, want)
		}
	}
}
