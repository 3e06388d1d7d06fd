package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// gatewaySite is a running `mailwhy serve` beside a private Postfix.
type gatewaySite struct {
	*mailServer
	config string
	home   string
}

// startSite writes policy and configuration and serves until the test ends.
// In configuration and main.cf @DIR@ is Postfix's folder and @PORT@ a free port.
func startSite(t *testing.T, policy, configuration string, mainCF ...string) *gatewaySite {
	t.Helper()
	port := strings.NewReplacer("@PORT@", freePort(t))
	for i := range mainCF {
		mainCF[i] = port.Replace(mainCF[i])
	}
	return startSiteAt(t, startPostfix(t, mainCF...), policy, port.Replace(configuration))
}

// startSiteAt is startSite beside a mail server that runs already.
func startSiteAt(t *testing.T, server *mailServer, policy, configuration string) *gatewaySite {
	t.Helper()
	home, err := os.MkdirTemp("", "mailwhy-site")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(home) })
	s := &gatewaySite{mailServer: server, config: filepath.Join(home, "config.yaml"), home: home}
	must(t, os.WriteFile(filepath.Join(home, "policy.yaml"), []byte(policy), 0o600))
	text := fmt.Sprintf("sources: [%s]\npolicy: %s/policy.yaml\ndata: %s/data\n", s.log, home, home) + configuration
	must(t, os.WriteFile(s.config, []byte(strings.ReplaceAll(text, "@DIR@", s.dir)), 0o600))
	s.serve(t)
	return s
}

// serve runs `mailwhy serve` until the returned function is called, or the test
// ends, and returns once it answers.
func (s *gatewaySite) serve(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	var complaint bytes.Buffer
	go func() {
		defer close(ended)
		run(ctx, []string{"serve", "--config", s.config}, strings.NewReader(""), &complaint, &complaint)
	}()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	socket := filepath.Join(s.home, "data", "mailwhy.sock")
	eventually(t, 20*time.Second, "serve answers", func() bool {
		select {
		case <-ended:
			t.Fatalf("serve ended: %s", complaint.String())
		default:
		}
		_, err := os.Stat(socket)
		return err == nil
	})
	return stop
}

// eventually looks at a condition again and again, and fails when it does not come
// true in time.
func eventually(t *testing.T, patience time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come true in %s: %s", patience, what)
		}
		<-tick.C
	}
}

// ask runs a command of mailwhy and returns what it prints, its error output
// too.
func (s *gatewaySite) ask(t *testing.T, args ...string) (out string, status int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status = run(t.Context(), append([]string{"--config", s.config}, args...), strings.NewReader(""), &stdout, &stderr)
	return stdout.String() + stderr.String(), status
}

// do is ask that has to succeed.
func (s *gatewaySite) do(t *testing.T, args ...string) string {
	t.Helper()
	out, status := s.ask(t, args...)
	if status != exitFound {
		t.Fatalf("mailwhy %v: status %d\n%s", args, status, out)
	}
	return out
}

// refusalID waits for the newest refusal of a sender and returns its id.
func (s *gatewaySite) refusalID(t *testing.T, query string) string {
	t.Helper()
	var m struct{ ID string }
	eventually(t, 20*time.Second, "the index holds "+query, func() bool {
		out, status := s.ask(t, "search", "--json", "--limit", "1", "--", query)
		return status == exitFound && json.Unmarshal([]byte(strings.SplitN(out, "\n", 2)[0]), &m) == nil && m.ID != ""
	})
	return m.ID
}

// expect sends a message and fails on another reply code.
func (s *gatewaySite) expect(t *testing.T, code int, d dialogue) (text string) {
	t.Helper()
	reply := s.send(t, d)
	if s.drops { // a client whose look-up met the lock comes again
		eventually(t, 20*time.Second, "the table is not locked", func() bool {
			reply = s.send(t, d)
			return reply.Code != 0 && reply.Code != 451
		})
	}
	if reply.Code != code {
		t.Fatalf("%s -> %s: got %d %s %s, want %d\n%s", d.from, d.to, reply.Code, reply.Enhanced, reply.Text, code, s.tail())
	}
	return reply.Text
}

func (s *gatewaySite) tail() string {
	log, _ := os.ReadFile(s.log)
	return string(log[max(0, len(log)-3000):])
}

// effective gives a command, sends until the reply has the code, and tells how
// long the two took together. Without a command it only sends.
func (s *gatewaySite) effective(t *testing.T, code int, d dialogue, args ...string) time.Duration {
	t.Helper()
	begin := time.Now()
	if len(args) > 0 {
		s.do(t, args...)
	}
	eventually(t, 30*time.Second, fmt.Sprintf("%s -> %s gets %d", d.from, d.to, code), func() bool { return s.send(t, d).Code == code })
	return time.Since(begin)
}

// exception is a line of `exception list --json`.
func (s *gatewaySite) exception(t *testing.T, id int) (e struct {
	ID        int
	State     string
	Published []struct{ Gateway, State, Why string }
}) {
	t.Helper()
	must(t, json.Unmarshal([]byte(s.do(t, "exception", "show", fmt.Sprint(id), "--json")), &e))
	return e
}

const sitePolicy = `version: 1
internal_domains: [example.test]
blocked_senders:
  - {id: P-007, description: Vendor block, option: block_sender, from: {type: email_domain, value: vendor.test}, to: {type: internal_addresses}}
  - {id: P-014, description: Boss block, option: block_sender, from_part: header_from, from: {type: individual_email_address, value: boss@partner.test}, to: {type: internal_addresses}}
`

func needPostfix(t *testing.T) {
	t.Helper()
	if !*withPostfix {
		t.Skip("needs -postfix: a private Postfix inside a network namespace")
	}
}

// TestRealMilter is the loop of a helpdesk person against a real Postfix that
// asks our milter: refused, one key, accepted, taken back, refused.
func TestRealMilter(t *testing.T) {
	needPostfix(t)
	s := startSite(t, sitePolicy, "milter: {listen: 'inet:127.0.0.1:@PORT@', mode: enforce, fail: open}\n",
		"smtpd_milters = { inet:127.0.0.1:@PORT@, connect_timeout=2s, command_timeout=5s, default_action=accept }")
	s.effective(t, 550, dialogue{from: "probe@vendor.test", to: "pat@example.test"}) // the milter is up
	t.Run("envelope", func(t *testing.T) {
		d := dialogue{from: "alice@vendor.test", to: "pat@example.test"}
		if text := s.expect(t, 550, d); !strings.HasPrefix(text, "Policy level block list in force [") {
			t.Errorf("reply %q", text)
		}
		id := s.refusalID(t, "from:alice@vendor.test")
		if out := s.do(t, "why", id, "--json"); !strings.Contains(out, `"policy":"P-007"`) || !strings.Contains(out, `"result":"agrees"`) {
			t.Errorf("why: %s", out)
		}
		t.Logf("key to effective: %s", s.effective(t, 250, d, "bypass", id, "--ticket", "T-1"))
		s.expect(t, 550, dialogue{from: "alice@vendor.test", to: "sue@example.test"})
		eventually(t, 20*time.Second, "the exception is live", func() bool { return s.exception(t, 1).State == "live" })
		s.do(t, "exception", "revoke", "1", "--reason", "enough")
		t.Logf("revoke to effective: %s", s.effective(t, 550, d))
	})
	t.Run("header from", func(t *testing.T) {
		command(t, "ip", "addr", "replace", "203.0.113.10/32", "dev", "lo") // a guard takes no address of our own for proof
		d := dialogue{from: "news@esp.test", to: "pat@example.test", from822: "The Boss <boss@partner.test>", client: "203.0.113.10"}
		s.expect(t, 550, d)
		id := s.refusalID(t, "from:news@esp.test")
		if out := s.do(t, "why", id, "--json"); !strings.Contains(out, `"policy":"P-014"`) || !strings.Contains(out, `"certainty":"certain"`) || !strings.Contains(out, `"result":"agrees"`) {
			t.Errorf("why: %s", out)
		}
		s.do(t, "bypass", id, "--ticket", "T-2", "--scope", "sender>recipient,header,ip")
		t.Logf("key to effective: %s", s.effective(t, 250, d))
		s.do(t, "exception", "revoke", "2", "--reason", "enough")
		s.effective(t, 550, d)
	})
	t.Run("expiry", func(t *testing.T) {
		d := dialogue{from: "carol@vendor.test", to: "pat@example.test"}
		s.expect(t, 550, d)
		s.do(t, "bypass", s.refusalID(t, "from:carol@vendor.test"), "--ticket", "T-3", "--expires", time.Now().Add(8*time.Second).UTC().Format(time.RFC3339Nano))
		s.effective(t, 250, d)
		s.effective(t, 550, d)
	})
}

// TestRealPostfixMap is the same loop through an lmdb map of Postfix's own.
func TestRealPostfixMap(t *testing.T) {
	needPostfix(t)
	for _, kind := range []string{"lmdb", "hash", "texthash"} {
		t.Run(kind, func(t *testing.T) { realPostfixMap(t, kind) })
	}
}

func realPostfixMap(t *testing.T, kind string) {
	s := startSite(t, "version: 1\ninternal_domains: [example.test]\n",
		"publish:\n  - {name: mx1, kind: postfix-"+kind+", path: '@DIR@/etc/blocks', config_dir: '@DIR@/etc'}\n",
		"smtpd_sender_restrictions = check_sender_access "+kind+":@DIR@/etc/blocks")
	must(t, os.WriteFile(filepath.Join(s.dir, "etc", "blocks"), []byte("vendor.test 550 5.7.1 Policy level block list in force\nbad.test REJECT\n"), 0o644))
	if kind != "texthash" {
		command(t, "postmap", "-c", filepath.Join(s.dir, "etc"), kind+":"+filepath.Join(s.dir, "etc", "blocks"))
	}
	command(t, "postfix", "-c", filepath.Join(s.dir, "etc"), "reload") // who looked before the map was there
	d := dialogue{from: "alice@vendor.test", to: "pat@example.test"}
	s.effective(t, 550, d)
	id := s.refusalID(t, "from:alice@vendor.test")
	t.Logf("key to effective: %s", s.effective(t, 250, d, "bypass", id, "--ticket", "T-1", "--scope", "sender>all"))
	s.expect(t, 550, dialogue{from: "bob@vendor.test", to: "pat@example.test"})
	eventually(t, 20*time.Second, "the exception is live", func() bool { return s.exception(t, 1).State == "live" })
	s.do(t, "exception", "revoke", "1", "--reason", "enough")
	t.Logf("revoke to effective: %s", s.effective(t, 550, d))
	eventually(t, 20*time.Second, "it is withdrawn", func() bool { return s.exception(t, 1).Published[0].State == "withdrawn" })
	for _, state := range []string{"live", "withdrawn"} {
		if list := s.do(t, "audit", "list", "--json"); !strings.Contains(list, `"event":"publish"`) || !strings.Contains(list, `"reason":"mx1: `+state+`"`) {
			t.Errorf("the audit does not tell that it was %s:\n%s", state, list)
		}
	}
	got, err := os.ReadFile(filepath.Join(s.dir, "etc", "blocks"))
	must(t, err)
	if string(got) != "vendor.test 550 5.7.1 Policy level block list in force\nbad.test REJECT\n" {
		t.Errorf("what is not ours did not stay as it was:\n%s", got)
	}
	t.Run("a pair is not carried", func(t *testing.T) {
		s.do(t, "bypass", id, "--ticket", "T-2")
		eventually(t, 20*time.Second, "it is unfit", func() bool { p := s.exception(t, 2).Published; return len(p) == 1 && p[0].State == "unfit" })
	})
	t.Run("foreign edit", func(t *testing.T) {
		s.do(t, "bypass", id, "--ticket", "T-3", "--scope", "domain>all", "--expires", "1d")
		eventually(t, 20*time.Second, "exception 3 is live", func() bool { return s.exception(t, 3).State == "live" })
		path := filepath.Join(s.dir, "etc", "blocks")
		text, err := os.ReadFile(path)
		must(t, err)
		must(t, os.WriteFile(path, bytes.Replace(text, []byte("vendor.test DUNNO"), []byte("vendor.test OK"), 1), 0o644))
		s.do(t, "exception", "revoke", "3", "--reason", "enough")
		eventually(t, 20*time.Second, "the edit is reported", func() bool {
			p := s.exception(t, 3).Published
			return len(p) == 1 && p[0].State == "failed" && strings.Contains(p[0].Why, "edited by somebody else")
		})
		if now, _ := os.ReadFile(path); !bytes.Contains(now, []byte("vendor.test OK")) {
			t.Errorf("the foreign edit was overwritten:\n%s", now)
		}
	})
}
