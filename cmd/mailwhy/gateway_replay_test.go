package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const replayPolicy = `version: 1
internal_domains: [example.test]
groups:
  Closed: {members: [sue@example.test]}
blocked_senders:
  - {id: R-1, option: block_sender, from: {type: email_domain, value: vendor.test}, to: {type: internal_addresses}}
  - {id: R-2, option: block_sender, from: {type: email_domain, value: vendor.test}, to: {type: profile_group, value: Closed}}
  - {id: R-3, option: block_sender, from_part: header_from, from: {type: email_domain, value: partner.test}, to: {type: internal_addresses}}
  - {id: R-4, option: block_sender, from_part: both, from: {type: email_domain, value: bulk.test}, to: {type: profile_group, value: Closed}}
  - {id: R-5, option: no_action, from_part: header_from, from: {type: individual_email_address, value: ann@partner.test}, to: {type: internal_addresses}}
`

// TestRealMilterReplay sends generated messages through a real Postfix that
// asks our milter: for each that it refused, the replay of what the mail
// server's log tells names the policy that the milter decided by.
func TestRealMilterReplay(t *testing.T) {
	needPostfix(t)
	s := startSite(t, replayPolicy, "milter: {listen: 'inet:127.0.0.1:@PORT@', mode: enforce, fail: open}\n",
		"smtpd_milters = { inet:127.0.0.1:@PORT@, connect_timeout=2s, command_timeout=5s, default_action=accept }")
	r := rand.New(rand.NewPCG(7, 7))
	s.effective(t, 550, dialogue{from: "probe@vendor.test", to: "pat@example.test"}) // the milter is up
	refused := 1
	for n := range 200 {
		d := dialogue{from: fmt.Sprintf("u%d@%s", n, pick(r, "vendor.test", "bulk.test", "esp.test")), to: pick(r, "pat@example.test", "sue@example.test"),
			from822: pick(r, "ann@partner.test", "Boss <boss@partner.test>", "x@bulk.test", `"Two, Words" <y@other.test>`)}
		if reply := s.send(t, d); reply.Code == 550 {
			refused++
		} else if reply.Code != 250 {
			t.Fatalf("%+v: %d %s\n%s", d, reply.Code, reply.Text, s.tail())
		}
	}
	decided := map[string]string{} // policy by sender
	log, err := os.ReadFile(filepath.Join(s.home, "data", "decisions.jsonl"))
	must(t, err)
	for line := range bytes.Lines(log) {
		var d struct {
			Policy string
			From   string `json:"envelope_from"`
		}
		must(t, json.Unmarshal(line, &d))
		decided[d.From] = d.Policy
	}
	if len(decided) != refused || refused < 60 {
		t.Fatalf("%d refusals, %d decisions\n%s", refused, len(decided), s.tail())
	}
	type row struct {
		ID   string
		From string `json:"envelope_from"`
	}
	rows := map[string]string{} // id by sender
	eventually(t, 60*time.Second, "the index has every refusal", func() bool {
		out, _ := s.ask(t, "search", "--json", "--limit", "500", "--", "is:rejected")
		for line := range bytes.Lines([]byte(out)) {
			var found row
			if json.Unmarshal(line, &found) == nil && found.ID != "" {
				rows[found.From] = found.ID
			}
		}
		return len(rows) >= refused
	})
	for from, policy := range decided {
		var trace struct {
			Verdict   struct{ Policy, Certainty string }
			Agreement struct{ Result string }
		}
		must(t, json.Unmarshal([]byte(s.do(t, "why", rows[from], "--json")), &trace))
		if trace.Verdict.Policy != policy || trace.Agreement.Result != "agrees" {
			t.Errorf("%s: the milter decided by %s, the replay says %+v", from, policy, trace)
		}
	}
}
