package main

import (
	"bytes"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// loop is the helpdesk person's loop at one gateway: refused, one key,
// accepted, taken back, refused, and an exception that ends by itself.
func (s *gatewaySite) loop(t *testing.T, scope string) {
	t.Helper()
	d := dialogue{from: "alice@vendor.test", to: "pat@example.test"}
	s.effective(t, 550, d)
	id := s.refusalID(t, "from:alice@vendor.test")
	t.Logf("key to effective: %s", s.effective(t, 250, d, "bypass", id, "--ticket", "T-1", "--scope", scope))
	s.expect(t, 550, dialogue{from: "bob@vendor.test", to: "pat@example.test"})
	eventually(t, 20*time.Second, "the exception is live", func() bool { return s.exception(t, 1).State == "live" })
	t.Logf("revoke to effective: %s", s.effective(t, 550, d, "exception", "revoke", "1", "--reason", "enough"))
	d.from = "carol@vendor.test"
	s.expect(t, 550, d)
	s.do(t, "bypass", s.refusalID(t, "from:carol@vendor.test"), "--ticket", "T-2", "--scope", scope, "--expires", time.Now().Add(10*time.Second).UTC().Format(time.RFC3339Nano))
	s.effective(t, 250, d)
	s.effective(t, 550, d)
}

// TestRealPostfixPolicyService is the loop through policy delegation.
func TestRealPostfixPolicyService(t *testing.T) {
	needPostfix(t)
	s := startSite(t, sitePolicy, "policy_service: {listen: 'inet:127.0.0.1:@PORT@', mode: enforce, fail: open}\n",
		"smtpd_recipient_restrictions = check_policy_service { inet:127.0.0.1:@PORT@, timeout=5s, default_action=DUNNO }")
	s.loop(t, "sender>recipient")
}

// TestRealPostfixSQLite is the loop through a database that Postfix asks: our
// table before the site's own.
func TestRealPostfixSQLite(t *testing.T) {
	needPostfix(t)
	s := startSite(t, "version: 1\ninternal_domains: [example.test]\n",
		"publish:\n  - {name: mx1, kind: postfix-sqlite, path: '@DIR@/etc/access.db', config: '@DIR@/etc/access.cf', config_dir: '@DIR@/etc'}\n",
		"smtpd_sender_restrictions = check_sender_access sqlite:@DIR@/etc/access.cf")
	database := filepath.Join(s.dir, "etc", "access.db")
	must(t, os.WriteFile(filepath.Join(s.dir, "etc", "access.cf"), []byte("dbpath = "+database+"\n"+
		"query = SELECT action FROM mailwhy_access WHERE sender='%s' UNION ALL SELECT action FROM blocks WHERE sender='%s' LIMIT 1\n"), 0o644))
	command(t, "sqlite3", database, "CREATE TABLE mailwhy_access (sender TEXT PRIMARY KEY, action TEXT NOT NULL); CREATE TABLE blocks (sender TEXT, action TEXT);"+
		"INSERT INTO blocks VALUES ('vendor.test', '550 5.7.1 Policy level block list in force');")
	must(t, os.Chmod(database, 0o644))
	s.drops = true // a session that looks up while the table is written
	s.loop(t, "sender>all")
}

// TestRealMilterOutage kills, stalls and stops mailwhy in the middle of an SMTP
// session. Killed or stalled, what Postfix was told to do then is what becomes
// of the message; stopped, mailwhy may still answer what is under way. Nobody is
// refused for good for it, and what was accepted is delivered.
func TestRealMilterOutage(t *testing.T) {
	needPostfix(t)
	for _, c := range []struct {
		fail, action string
		code         int
	}{{"open", "accept", 250}, {"closed", "tempfail", 451}} {
		t.Run(c.fail, func(t *testing.T) {
			port := freePort(t)
			server := startPostfix(t, "smtpd_milters = { inet:127.0.0.1:"+port+", connect_timeout=2s, command_timeout=3s, content_timeout=3s, default_action="+c.action+" }")
			s := layOutageSite(t, server, "milter: {listen: 'inet:127.0.0.1:"+port+"', mode: enforce, fail: "+c.fail+"}\n")
			accepted := 0
			for _, blow := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGTERM} {
				mailwhy := s.start(t, port)
				s.effective(t, 550, dialogue{from: "alice@vendor.test", to: "pat@example.test"})
				talk := s.converse(t)
				talk.say(t, 250, "MAIL FROM:<ann@customer.test>")
				must(t, mailwhy.Process.Signal(blow))
				code := talk.send(t, "pat@example.test")
				if code != c.code && (blow != syscall.SIGTERM || code != 250) {
					t.Errorf("%s in the middle of a session: %d, want %d\n%s", blow, code, c.code, s.tail())
				}
				if code == 250 {
					accepted++
				}
				must(t, mailwhy.Process.Kill())
				_ = mailwhy.Wait() // killed
			}
			eventually(t, 30*time.Second, "what was accepted is delivered", func() bool {
				log, err := os.ReadFile(s.log)
				must(t, err)
				return bytes.Count(log, []byte("status=sent")) == accepted
			})
		})
	}
}

// send sends a message to a recipient and returns the code of the answer that
// decided: that to RCPT when it was not 250, else that to the message.
func (c conversation) send(t *testing.T, to string) int {
	t.Helper()
	if code := c.ask(t, "RCPT TO:<"+to+">"); code != 250 {
		return code
	}
	c.say(t, 354, "DATA")
	return c.ask(t, "Subject: hello\r\n\r\nhello\r\n.")
}

// layOutageSite is a site whose mailwhy is a process of its own.
func layOutageSite(t *testing.T, server *mailServer, configuration string) *gatewaySite {
	t.Helper()
	home, err := os.MkdirTemp("", "mailwhy-site")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(home) })
	s := &gatewaySite{mailServer: server, config: filepath.Join(home, "config.yaml"), home: home}
	must(t, os.WriteFile(filepath.Join(home, "policy.yaml"), []byte(sitePolicy), 0o600))
	must(t, os.WriteFile(s.config, []byte(fmt.Sprintf("sources: [%s]\npolicy: %s/policy.yaml\ndata: %s/data\n", s.log, home, home)+configuration), 0o600))
	return s
}

// start runs mailwhy and returns once its milter listens.
func (s *gatewaySite) start(t *testing.T, port string) *exec.Cmd {
	t.Helper()
	c := exec.Command("mailwhy", "serve", "--config", s.config)
	var complaint bytes.Buffer
	c.Stderr = &complaint
	must(t, c.Start())
	t.Cleanup(func() { _ = c.Process.Kill() })
	eventually(t, 30*time.Second, "the milter listens", func() bool {
		conn, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second)
		return err == nil && conn.Close() == nil
	})
	return c
}

// conversation is an SMTP session, line by line.
type conversation struct{ *textproto.Conn }

func (s *mailServer) converse(t *testing.T) conversation {
	t.Helper()
	conn, err := net.DialTimeout("tcp", s.addr, 10*time.Second)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	c := conversation{textproto.NewConn(conn)}
	_, _, err = c.ReadResponse(220)
	must(t, err)
	c.say(t, 250, "HELO mail.customer.test")
	return c
}

func (c conversation) ask(t *testing.T, line string) int {
	t.Helper()
	must(t, c.PrintfLine("%s", line))
	code, _, err := c.ReadResponse(0)
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return code
}

func (c conversation) say(t *testing.T, want int, line string) {
	t.Helper()
	if code := c.ask(t, line); code != want {
		t.Fatalf("%s: %d, want %d", strings.SplitN(line, "\r", 2)[0], code, want)
	}
}
