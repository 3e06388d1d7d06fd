package main

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailwhy/engine/mail"
)

var eximProgram = flag.String("exim", "", "run a private Exim on loopback: the path of its program (root; see .ci/run)")

// TestRealExim is the helpdesk person's loop against a real Exim whose ACLs ask
// our list: by envelope, for one recipient alone, and by header from.
func TestRealExim(t *testing.T) {
	needExim(t)
	server := startExim(t)
	s := startSiteAt(t, server, "version: 1\ninternal_domains: [example.test]\n",
		"publish:\n  - {name: mx2, kind: exim, path: '@DIR@/etc/mailwhy', command: '"+*eximProgram+"', config: '@DIR@/etc/exim.conf'}\n")
	t.Run("envelope", func(t *testing.T) {
		d := dialogue{from: "alice@vendor.test", to: "pat@example.test"}
		s.expect(t, 550, d)
		id := s.refusalID(t, "from:alice@vendor.test")
		t.Logf("key to effective: %s", s.effective(t, 250, d, "bypass", id, "--ticket", "T-1"))
		s.expect(t, 550, dialogue{from: "alice@vendor.test", to: "sue@example.test"})
		eventually(t, 20*time.Second, "the exception is live", func() bool { return s.exception(t, 1).State == "live" })
		t.Logf("revoke to effective: %s", s.effective(t, 550, d, "exception", "revoke", "1", "--reason", "enough"))
	})
	t.Run("header from", func(t *testing.T) {
		d := dialogue{from: "news@esp.test", to: "pat@example.test", from822: "Boss <boss@partner.test>"}
		s.expect(t, 550, d)
		id := s.refusalID(t, "from:news@esp.test")
		if out, status := s.ask(t, "bypass", id, "--ticket", "T-2"); status != exitError || !strings.Contains(out, "the log gives no recipient") {
			t.Errorf("status %d: %s", status, out) // Exim names no recipient when it refuses at DATA
		}
	})
}

func needExim(t *testing.T) {
	t.Helper()
	if *eximProgram == "" {
		t.Skip("needs -exim: a private Exim inside a network namespace")
	}
}

// TestRealEximDialogues talks SMTP to a real Exim and compares every dialogue
// with what `parse` reads from its main and its reject log. Exim logs no code;
// log_message stands there in place of what the client is told.
func TestRealEximDialogues(t *testing.T) {
	needExim(t)
	server := startExim(t)
	for _, d := range eximDialogues {
		t.Run(d.name, func(t *testing.T) { server.check(t, d) })
	}
}

var eximDialogues = []dialogue{
	{name: "accepted", from: "ann@customer.test", to: "pat@example.test", outcome: mail.Delivered},
	{name: "sender list", from: "blocked@vendor.test", to: "pat@example.test", outcome: mail.Rejected, phase: mail.PhaseRcpt, reported: "rejected RCPT", logged: "sender in block list"},
	{name: "greylisted", from: "soft@slow.test", to: "pat@example.test", outcome: mail.Deferred, phase: mail.PhaseRcpt, reported: "rejected RCPT"},
	{name: "unknown recipient", from: "ann@customer.test", to: "nobody@example.test", outcome: mail.Rejected, phase: mail.PhaseRcpt, reported: "rejected RCPT"},
	{name: "null sender to unknown", from: "", to: "nobody@example.test", outcome: mail.Rejected, phase: mail.PhaseRcpt, reported: "rejected RCPT"},
	{name: "relay denied", from: "ann@customer.test", to: "someone@external.test", outcome: mail.Rejected, phase: mail.PhaseRcpt, reported: "rejected RCPT"},
	{name: "helo", helo: "bad-helo.test", from: "ann@customer.test", to: "pat@example.test", outcome: mail.Rejected, phase: mail.PhaseHelo, reported: "rejected EHLO or HELO"},
	{name: "sender verification", from: "x@nosuch.test", to: "pat@example.test", outcome: mail.Rejected, phase: mail.PhaseRcpt, reported: "rejected RCPT"},
	{name: "subject", from: "ann@customer.test", to: "pat@example.test", subject: "cheap pills now", outcome: mail.Rejected, phase: mail.PhaseEndOfData, reported: "rejected after DATA"},
	{name: "header from", from: "ann@customer.test", to: "pat@example.test", from822: "Boss <boss@partner.test>", outcome: mail.Rejected, phase: mail.PhaseEndOfData, reported: "rejected after DATA"},
	{name: "next hop refuses connection", from: "ann@customer.test", to: "u@refused.test", outcome: mail.Deferred, phase: mail.PhaseDelivery, later: true, rule: "all"},
	{name: "next hop refuses recipient", from: "ann@customer.test", to: "gone@bounce.test", outcome: mail.Bounced, phase: mail.PhaseDelivery, later: true},
	{name: "next hop says try later", from: "ann@customer.test", to: "full@tempfail.test", outcome: mail.Deferred, phase: mail.PhaseDelivery, later: true},
}

func startExim(t *testing.T) *mailServer {
	t.Helper()
	dir, err := os.MkdirTemp("", "mailwhy-exim")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, sub := range []string{"etc", "spool", "log"} {
		must(t, os.MkdirAll(filepath.Join(dir, sub), 0o755))
	}
	must(t, os.Chmod(dir, 0o755))
	command(t, "chown", "Debian-exim:Debian-exim", filepath.Join(dir, "spool"), filepath.Join(dir, "log"))
	text, err := os.ReadFile(filepath.Join("testdata", "exim", "exim.conf"))
	must(t, err)
	config := filepath.Join(dir, "etc", "exim.conf")
	for name, content := range map[string]string{
		config:                               strings.NewReplacer(append(nextHops(t), "@DIR@", dir, "@EXIM@", *eximProgram)...).Replace(string(text)),
		filepath.Join(dir, "etc", "mailwhy"): "",
		filepath.Join(dir, "etc", "block"):   "*@vendor.test:\n",
		filepath.Join(dir, "etc", "defer"):   "soft@slow.test:\n",
		filepath.Join(dir, "etc", "hblock"):  "boss@partner.test:\n",
	} {
		must(t, os.WriteFile(name, []byte(content), 0o644))
	}
	p := &mailServer{dir: dir, addr: "127.0.0.1:" + freePort(t), log: filepath.Join(dir, "log", "mainlog"), more: []string{filepath.Join(dir, "log", "rejectlog")}}
	for _, log := range append([]string{p.log}, p.more...) {
		must(t, os.WriteFile(log, nil, 0o644))
		command(t, "chown", "Debian-exim:Debian-exim", log)
	}
	port := strings.TrimPrefix(p.addr, "127.0.0.1:")
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	c := exec.CommandContext(ctx, *eximProgram, "-C", config, "-bdf", "-q30s", "-oX", "127.0.0.1."+port)
	must(t, c.Start())
	t.Cleanup(func() { cancel(); _ = c.Wait() })
	p.waitUntilUp(t)
	return p
}
