package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mailwhy/engine/mail"
)

var withPostfix = flag.Bool("postfix", false, "run a private Postfix on loopback (root; see .ci/run for the network namespace)")

// TestRealPostfix talks SMTP to a real Postfix and compares every dialogue with
// what `parse` reads from the log that Postfix wrote about it.
func TestRealPostfix(t *testing.T) {
	if !*withPostfix {
		t.Skip("needs -postfix: a private Postfix inside a network namespace")
	}
	server := startPostfix(t)
	for _, d := range postfixDialogues {
		t.Run(d.name, func(t *testing.T) { server.check(t, d) })
	}
}

var postfixDialogues = []dialogue{
	{name: "accepted", from: "ann@vendor.test", to: "pat@example.test", outcome: mail.Delivered},
	{name: "sender access map", from: "blocked@vendor.test", to: "pat@example.test", outcome: mail.Rejected, phase: mail.PhaseRcpt, reported: "Sender address rejected"},
	{name: "sender under review", from: "x@slow.test", to: "pat@example.test", outcome: mail.Deferred, phase: mail.PhaseRcpt, reported: "Sender address rejected"},
	{name: "unknown recipient", from: "ann@vendor.test", to: "nobody@example.test", outcome: mail.Rejected, phase: mail.PhaseRcpt, reported: "Recipient address rejected", rule: "virtual mailbox table"},
	{name: "relay denied", from: "ann@vendor.test", to: "someone@external.test", outcome: mail.Rejected, phase: mail.PhaseRcpt, reported: "Relay access denied"},
	{name: "helo access map", helo: "bad-helo.test", from: "ann@vendor.test", to: "pat@example.test", outcome: mail.Rejected, phase: mail.PhaseRcpt, reported: "Helo command rejected"},
	{name: "null sender to unknown", from: "", to: "nobody@example.test", outcome: mail.Rejected, phase: mail.PhaseRcpt, reported: "Recipient address rejected", rule: "virtual mailbox table"},
	{name: "header check", from: "ann@vendor.test", to: "pat@example.test", subject: "cheap pills now", outcome: mail.Rejected, phase: mail.PhaseEndOfData},
	{name: "next hop refuses connection", from: "ann@vendor.test", to: "u@refused.test", outcome: mail.Deferred, phase: mail.PhaseDelivery, later: true},
	{name: "next hop refuses recipient", from: "ann@vendor.test", to: "gone@bounce.test", outcome: mail.Bounced, phase: mail.PhaseDelivery, later: true},
	{name: "next hop says try later", from: "ann@vendor.test", to: "full@tempfail.test", outcome: mail.Deferred, phase: mail.PhaseDelivery, later: true},
}

// startPostfix runs a Postfix of our own: its configuration, queue and log in a
// temporary folder, every next hop a sink of the test, bound to loopback only.
// Each of more is a line of main.cf; @DIR@ stands for that folder.
func startPostfix(t *testing.T, more ...string) *mailServer {
	t.Helper()
	dir, err := os.MkdirTemp("", "mailwhy-postfix")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &mailServer{dir: dir, addr: "127.0.0.1:" + freePort(t), log: filepath.Join(dir, "log", "maillog")}
	for _, sub := range []string{"etc", "spool", "data", "log"} {
		must(t, os.MkdirAll(filepath.Join(dir, sub), 0o755))
	}
	must(t, os.Chmod(dir, 0o755))
	command(t, "chown", "postfix", filepath.Join(dir, "data"))
	for _, name := range []string{"postfix-files", "dynamicmaps.cf"} {
		data, err := os.ReadFile(filepath.Join("/etc/postfix", name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, "etc", name), data, 0o644))
	}
	port := strings.TrimPrefix(p.addr, "127.0.0.1:")
	replace := strings.NewReplacer(append(nextHops(t), "@DIR@", dir, "@PORT@", port)...)
	for _, name := range []string{"main.cf", "master.cf", "sender_access", "helo_access", "header_checks", "recipients", "transport"} {
		data, err := os.ReadFile(filepath.Join("testdata", "postfix", name))
		must(t, err)
		if name == "main.cf" {
			data = mainCF(string(data), more)
		}
		must(t, os.WriteFile(filepath.Join(dir, "etc", name), []byte(replace.Replace(string(data))), 0o644))
	}
	must(t, os.WriteFile(p.log, nil, 0o644))
	config := filepath.Join(dir, "etc")
	command(t, "postfix", "-c", config, "start")
	t.Cleanup(func() { _ = exec.Command("postfix", "-c", config, "stop").Run() })
	p.waitUntilUp(t)
	return p
}

// mainCF puts lines into a main.cf in place of those of the same name: postlogd
// hangs when it has to warn of a name that comes twice.
func mainCF(text string, more []string) []byte {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		name, _, _ := strings.Cut(line, "=")
		if !slices.ContainsFunc(more, func(other string) bool { return strings.HasPrefix(other, strings.TrimSpace(name)+" =") }) {
			kept.WriteString(line)
		}
	}
	return []byte(kept.String() + strings.Join(more, "\n") + "\n")
}
