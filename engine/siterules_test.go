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
      - {key: slow.test, action: defer_if_permit, origin: "senders:4"}
      - {key: "<>", action: discard, origin: "senders:5"}
      - {key: "spam@", action: hold, origin: "senders:6"}
  - {list: smtpd_sender_restrictions, check: sender, name: check_sender_access hash:more, entries: [{key: friend.test, action: reject, origin: "more:1"}, {key: .up.test, action: reject, origin: "more:2"}]}
  - {list: smtpd_relay_restrictions, check: destination, name: reject_unauth_destination, domains: [example.test, .relay.test]}
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
		{"a@any.test", "x@up.relay.test", "", mail.Accepted},
		{"a@any.test", "x@relay.test", "reject_unauth_destination", mail.Rejected},
		{"a@any.test", "x@sub.example.test", "reject_unauth_destination", mail.Rejected},
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

// TestSiteRulesThatWait: what holds or defers if permitted decides only when
// nothing behind it refuses; a table of patterns is asked for the
// whole address; a line that cannot be modelled makes no verdict certain.
func TestSiteRulesThatWait(t *testing.T) {
	set, err := Load("policy.yaml", []byte(`version: 1
internal_domains: [example.test]
defaults: {external_to_external: false, relay: false, blocked_senders: false, anti_spoofing: false}
access:
  - list: smtpd_sender_restrictions
    check: sender
    name: check_sender_access hash:senders
    delimiters: +
    entries:
      - {key: hold.test, action: hold, origin: "senders:1"}
      - {key: drop.test, action: discard, origin: "senders:2"}
      - {key: later.test, action: defer_if_permit, origin: "senders:3"}
      - {key: soft.test, action: defer_if_reject, origin: "senders:4"}
      - {key: now.test, action: defer, origin: "senders:5"}
      - {key: ann@plus.test, action: reject, origin: "senders:6"}
      - {key: "news@", action: reject, origin: "senders:7"}
      - {key: odd.test, action: unknown, origin: "senders:8"}
  - list: smtpd_sender_restrictions
    check: sender
    name: check_sender_access pcre:bulk
    patterns: true
    entries:
      - {key: "^bulk[0-9]", action: reject, origin: "bulk:1"}
      - {action: unknown, origin: "bulk:2"}
      - {key: "(?i)@drop\\.test$", action: reject, origin: "bulk:3"}
      - {key: "test$", not: true, action: hold, origin: "bulk:4"}
  - {list: smtpd_recipient_restrictions, check: recipient, name: check_recipient_access hash:rcpt, entries: [{key: closed@example.test, action: reject, origin: "rcpt:1"}]}
  - list: header_checks
    check: header
    name: header_checks regexp:headers
    entries:
      - {key: "(?i)^Subject:.*pills", action: reject, origin: "headers:1"}
`))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		from, to, subject, policy string
		outcome                   mail.Outcome
		certainty                 Certainty
	}{
		{"a@hold.test", "pat@example.test", "", "senders:1", mail.Held, Likely},
		{"a@hold.test", "closed@example.test", "", "rcpt:1", mail.Rejected, Likely},
		{"a@drop.test", "pat@example.test", "", "senders:2", mail.Discarded, Certain},    // before bulk:3
		{"a@drop.test", "closed@example.test", "", "senders:2", mail.Discarded, Certain}, // a discard ends everything
		{"a@later.test", "pat@example.test", "", "senders:3", mail.Deferred, Likely},
		{"a@soft.test", "closed@example.test", "", "senders:4", mail.Deferred, Likely},
		{"a@soft.test", "pat@example.test", "x", "", mail.Accepted, Likely},
		{"a@now.test", "closed@example.test", "", "senders:5", mail.Deferred, Certain},
		{"ann+list@plus.test", "pat@example.test", "", "senders:6", mail.Rejected, Certain},
		{"News+1@any.test", "pat@example.test", "", "senders:7", mail.Rejected, Certain},
		{"Bulk1@any.test", "pat@example.test", "", "bulk:1", mail.Rejected, Certain},
		{"a@odd.test", "pat@example.test", "", "", mail.Accepted, Likely},
		{"a@any.example", "pat@example.test", "", "bulk:4", mail.Held, Likely},
		{"a@any.test", "pat@example.test", "Cheap PILLS", "headers:1", mail.Rejected, Likely},
	} {
		m := mail.Message{EnvelopeFrom: mail.Path(c.from), Recipient: mail.Path(c.to), Client: mail.Client{IP: "198.51.100.7"}, Subject: c.subject}
		if v := Decide(set, &m, at); v.Outcome == nil || *v.Outcome != c.outcome || v.Policy != c.policy || v.Certainty != c.certainty {
			t.Errorf("%s -> %s: %+v (%s), want %s by %q, %s", c.from, c.to, v, *v.Outcome, c.outcome, c.policy, c.certainty)
		}
	}
}
