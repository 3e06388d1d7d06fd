package main

import (
	"context"
	"flag"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var eximProgram = flag.String("exim", "", "run a private Exim on loopback: the path of its program (root; see .ci/run)")

// TestRealExim is the helpdesk person's loop against a real Exim whose ACLs ask
// our list: by envelope, for one recipient alone, and by header from.
func TestRealExim(t *testing.T) {
	if *eximProgram == "" {
		t.Skip("needs -exim: a private Exim inside a network namespace")
	}
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

func startExim(t *testing.T) *postfix {
	t.Helper()
	dir, err := os.MkdirTemp("", "mailwhy-exim")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, sub := range []string{"etc", "spool", "log"} {
		must(t, os.MkdirAll(filepath.Join(dir, sub), 0o755))
	}
	must(t, os.Chmod(dir, 0o755))
	command(t, "chown", "mail:mail", filepath.Join(dir, "spool"), filepath.Join(dir, "log"))
	text, err := os.ReadFile(filepath.Join("testdata", "exim", "exim.conf"))
	must(t, err)
	config := filepath.Join(dir, "etc", "exim.conf")
	for name, content := range map[string]string{
		config:                               strings.NewReplacer("@DIR@", dir, "@SINK@", sink(t, "250 2.1.5 Ok")).Replace(string(text)),
		filepath.Join(dir, "etc", "mailwhy"): "",
		filepath.Join(dir, "etc", "block"):   "*@vendor.test:\n",
		filepath.Join(dir, "etc", "hblock"):  "boss@partner.test:\n",
	} {
		must(t, os.WriteFile(name, []byte(content), 0o644))
	}
	p := &postfix{dir: dir, addr: "127.0.0.1:" + freePort(t), log: filepath.Join(dir, "log", "mainlog")}
	must(t, os.WriteFile(p.log, nil, 0o644))
	command(t, "chown", "mail:mail", p.log)
	port := strings.TrimPrefix(p.addr, "127.0.0.1:")
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	c := exec.CommandContext(ctx, *eximProgram, "-C", config, "-bdf", "-q30s", "-oX", "127.0.0.1."+port)
	must(t, c.Start())
	t.Cleanup(func() { cancel(); _ = c.Wait() })
	eventually(t, 20*time.Second, "Exim answers", func() bool {
		conn, err := net.DialTimeout("tcp", p.addr, time.Second)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	return p
}
