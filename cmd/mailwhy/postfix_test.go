package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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
	for _, d := range dialogues {
		t.Run(d.name, func(t *testing.T) { server.check(t, d) })
	}
}

// dialogue is one message tried over SMTP and what mailwhy must say about it.
type dialogue struct {
	name     string
	helo     string
	from, to string
	subject  string
	from822  string // From header, when there is to be one
	client   string // the address to come from; "" = 127.0.0.1

	outcome  mail.Outcome
	phase    mail.Phase
	reported string // reported.type
	later    bool   // Postfix takes the message and fails it after the dialogue
}

var dialogues = []dialogue{
	{name: "sender access map", from: "blocked@vendor.test", to: "pat@example.test", outcome: mail.Rejected, phase: mail.PhaseRcpt, reported: "Sender address rejected"},
	{name: "sender under review", from: "x@slow.test", to: "pat@example.test", outcome: mail.Deferred, phase: mail.PhaseRcpt, reported: "Sender address rejected"},
	{name: "unknown recipient", from: "ann@vendor.test", to: "nobody@example.test", outcome: mail.Rejected, phase: mail.PhaseRcpt, reported: "Recipient address rejected"},
	{name: "relay denied", from: "ann@vendor.test", to: "someone@external.test", outcome: mail.Rejected, phase: mail.PhaseRcpt, reported: "Relay access denied"},
	{name: "helo access map", helo: "bad-helo.test", from: "ann@vendor.test", to: "pat@example.test", outcome: mail.Rejected, phase: mail.PhaseRcpt, reported: "Helo command rejected"},
	{name: "null sender to unknown", from: "", to: "nobody@example.test", outcome: mail.Rejected, phase: mail.PhaseRcpt, reported: "Recipient address rejected"},
	{name: "header check", from: "ann@vendor.test", to: "pat@example.test", subject: "cheap pills now", outcome: mail.Rejected, phase: mail.PhaseEndOfData},
	{name: "next hop refuses connection", from: "ann@vendor.test", to: "u@refused.test", outcome: mail.Deferred, phase: mail.PhaseDelivery, later: true},
	{name: "next hop refuses recipient", from: "ann@vendor.test", to: "gone@bounce.test", outcome: mail.Bounced, phase: mail.PhaseDelivery, later: true},
	{name: "next hop says try later", from: "ann@vendor.test", to: "full@tempfail.test", outcome: mail.Deferred, phase: mail.PhaseDelivery, later: true},
}

func (p *postfix) check(t *testing.T, d dialogue) {
	from := fmt.Sprintf("%d.%s", time.Now().UnixNano(), d.from) // one of a kind, so the log is searched for it alone
	if d.from == "" || strings.Contains(d.from, "blocked") {
		from = d.from
	}
	reply := p.send(t, d, from)
	if d.later == (reply.Code >= 400) {
		t.Fatalf("postfix answered %+v", reply)
	}
	m := p.waitFor(t, d, from)
	if m.Outcome != d.outcome || m.Phase != d.phase || (d.reported != "" && m.Reported.Type != d.reported) {
		t.Errorf("outcome %s phase %s reported %q, want %s %s %q\n%+v", m.Outcome, m.Phase, m.Reported.Type, d.outcome, d.phase, d.reported, m)
	}
	if !d.later && d.phase == mail.PhaseRcpt && (m.Reply.Code != reply.Code || m.Reply.Enhanced != reply.Enhanced || !strings.Contains(reply.Text, m.Reply.Text)) {
		t.Errorf("the log gives %+v, the dialogue was %+v", m.Reply, reply)
	}
	if m.Client.IP != "127.0.0.1" && m.Client.IP != "" {
		t.Errorf("client %+v", m.Client)
	}
}

// waitFor parses the log until it tells of the dialogue.
func (p *postfix) waitFor(t *testing.T, d dialogue, from string) mail.Message {
	t.Helper()
	want := mail.Path(from)
	if from == "" {
		want = mail.NullPath
	}
	deadline := time.Now().Add(30 * time.Second)
	var out bytes.Buffer
	for time.Now().Before(deadline) {
		out.Reset()
		var errs bytes.Buffer
		run(t.Context(), []string{"parse", "--json", p.log}, strings.NewReader(""), &out, &errs)
		for dec := json.NewDecoder(bytes.NewReader(out.Bytes())); dec.More(); {
			var m mail.Message
			if err := dec.Decode(&m); err != nil {
				t.Fatal(err)
			}
			if m.EnvelopeFrom == want && m.Recipient == mail.Path(d.to) {
				return m
			}
		}
		p.waitForGrowth(t, deadline)
	}
	log, _ := os.ReadFile(p.log)
	t.Fatalf("no message from %s to %s in\n%s\nparse says\n%s", want, d.to, log, out.String())
	return mail.Message{}
}

// waitForGrowth returns when the log is longer than it was, or at the deadline.
func (p *postfix) waitForGrowth(t *testing.T, deadline time.Time) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		info, err := os.Stat(p.log)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() != p.size || time.Now().After(deadline) {
			p.size = info.Size()
			return
		}
	}
}

// send holds one SMTP dialogue and returns the first refusal, or the last reply.
func (p *postfix) send(t *testing.T, d dialogue, from string) mail.Reply {
	t.Helper()
	dialer := net.Dialer{Timeout: 5 * time.Second}
	if d.client != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(d.client)}
	}
	conn, err := dialer.DialContext(t.Context(), "tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	text := textproto.NewConn(conn)
	helo := d.helo
	if helo == "" {
		helo = "mail.vendor.test"
	}
	if _, _, err := text.ReadResponse(220); err != nil {
		t.Fatal(err)
	}
	header := ""
	if d.from822 != "" {
		header = "From: " + d.from822 + "\r\n"
	}
	body := header + "Subject: " + d.subject + "\r\n\r\nhello\r\n."
	var last mail.Reply
	for _, command := range []string{"HELO " + helo, "MAIL FROM:<" + from + ">", "RCPT TO:<" + d.to + ">", "DATA", body} {
		if err := text.PrintfLine("%s", command); err != nil {
			t.Fatal(err)
		}
		code, message, err := text.ReadResponse(0)
		if errors.Is(err, io.EOF) && p.drops {
			return mail.Reply{}
		}
		if err != nil {
			t.Fatal(err)
		}
		last = mail.Reply{Code: code, Text: message}
		if class, rest, ok := strings.Cut(message, " "); ok && strings.Count(class, ".") == 2 {
			last.Enhanced, last.Text = class, rest
		}
		if code >= 400 {
			break
		}
	}
	return last
}

type postfix struct {
	dir       string // its configuration stands in etc
	addr, log string
	size      int64
	drops     bool // it may end a session without an answer
}

// startPostfix runs a Postfix of our own: its configuration, queue and log in a
// temporary folder, every next hop a sink of the test, bound to loopback only.
// Each of more is a line of main.cf; @DIR@ stands for that folder.
func startPostfix(t *testing.T, more ...string) *postfix {
	t.Helper()
	dir, err := os.MkdirTemp("", "mailwhy-postfix")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &postfix{dir: dir, addr: "127.0.0.1:" + freePort(t), log: filepath.Join(dir, "log", "maillog")}
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
	replace := strings.NewReplacer("@DIR@", dir, "@PORT@", port,
		"@BOUNCE@", sink(t, "550 5.1.1 User unknown"), "@TEMPFAIL@", sink(t, "452 4.2.2 Mailbox full"),
		"@CLOSED@", freePort(t), "@SINK@", sink(t, "250 2.1.5 Ok"))
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
	deadline := time.Now().Add(15 * time.Second)
	for {
		conn, err := net.DialTimeout("tcp", p.addr, time.Second)
		if err == nil {
			conn.Close()
			return p
		}
		if time.Now().After(deadline) {
			t.Fatalf("postfix does not answer: %v", err)
		}
		p.waitForGrowth(t, time.Now().Add(100*time.Millisecond))
	}
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

// sink is a next hop that answers RCPT with the given reply; it returns its port.
func sink(t *testing.T, rcpt string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serveSink(conn, rcpt)
		}
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}

func serveSink(conn net.Conn, rcpt string) {
	defer conn.Close()
	say := func(line string) { fmt.Fprintf(conn, "%s\r\n", line) }
	say("220 sink.test ESMTP")
	data := false
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		verb, _, _ := strings.Cut(strings.ToUpper(lines.Text()), " ")
		switch {
		case data:
			if lines.Text() == "." {
				data = false
				say("250 2.0.0 Ok")
			}
		case verb == "RCPT":
			say(rcpt)
		case verb == "DATA":
			data = true
			say("354 go on")
		case verb == "QUIT":
			say("221 2.0.0 Bye")
			return
		default:
			say("250 Ok")
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}

// command runs a command until it ends itself: what it left in the background,
// as `postfix start` leaves its look at the installation, may go on writing.
func command(t *testing.T, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	said, err := os.CreateTemp(t.TempDir(), "said")
	must(t, err)
	defer said.Close()
	c := exec.CommandContext(ctx, name, args...)
	c.Stdout, c.Stderr = said, said
	if err := c.Run(); err != nil {
		out, _ := os.ReadFile(said.Name())
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
