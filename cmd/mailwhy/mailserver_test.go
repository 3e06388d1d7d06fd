package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mailwhy/engine/mail"
)

// mailServer is a real mail server of our own on loopback.
type mailServer struct {
	dir   string // its configuration stands in etc
	addr  string
	log   string
	more  []string // logs beside log
	drops bool     // it may end a session without an answer, or with 451
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
	reported string // reported.type, where it matters
	rule     string // reported.rule
	logged   string // the log's own words, where it has others than the client was told
	later    bool   // the server takes the message and fails it after the dialogue
}

// answer is what a client saw: the first refusal, or the last reply.
type answer struct {
	mail.Reply
	command string // what it was said to: HELO, MAIL, RCPT, DATA or END for the message itself
}

var dialoguesHeld atomic.Int32 // each comes from an address of its own

// check holds a dialogue and compares what the client saw with what `parse`
// reads from the log about it: code, status and text, sender, recipient and
// client, and what the server decided by.
func (s *mailServer) check(t *testing.T, d dialogue) {
	t.Helper()
	if d.client == "" {
		n := dialoguesHeld.Add(1)
		d.client = fmt.Sprintf("127.7.%d.%d", n/200, n%200+1)
	}
	said := s.send(t, d)
	if (d.later || d.outcome == mail.Delivered) == (said.Code >= 400) {
		t.Fatalf("the server answered %s with %d %s", said.command, said.Code, said.Text)
	}
	var found []mail.Message
	wrong := "no message"
	deadline := time.Now().Add(60 * time.Second)
	for size := s.size(t); ; size = s.waitForGrowth(t, size, deadline) {
		if found = s.messagesOf(t, d.client); len(found) > 0 {
			wrong = ""
		}
		for _, m := range found {
			if w := d.differs(said, &m); w != "" {
				wrong = w
			}
		}
		if wrong == "" {
			return
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(s.log)
			t.Fatalf("%s\nparse: %+v\nthe client: %+v\nthe log: %s", wrong, found, said, log[max(0, len(log)-4000):])
		}
	}
}

// differs tells what of a message is not as the dialogue was, "" = nothing.
func (d dialogue) differs(said answer, m *mail.Message) string {
	from, to := mail.Path(d.from), mail.Path(d.to)
	if d.from == "" {
		from = mail.NullPath
	}
	switch said.command { // what the server never heard it cannot log
	case "HELO":
		from, to = "", ""
	case "MAIL":
		to = ""
	}
	client := m.Client.IP == d.client
	switch {
	case m.Outcome != d.outcome || m.Outcome != mail.Delivered && m.Phase != d.phase:
		return fmt.Sprintf("%s at %s, want %s at %s", m.Outcome, m.Phase, d.outcome, d.phase)
	case !client || m.EnvelopeFrom != from || m.Recipient != to:
		return fmt.Sprintf("%s -> %s from %s, want %s -> %s from %s", m.EnvelopeFrom, m.Recipient, m.Client.IP, from, to, d.client)
	case d.reported != "" && m.Reported.Type != d.reported || m.Reported.Rule != d.rule:
		return fmt.Sprintf("reported %q by %q, want %q by %q", m.Reported.Type, m.Reported.Rule, d.reported, d.rule)
	case d.later || d.outcome == mail.Delivered:
		return ""
	case m.Reply.Code != 0 && m.Reply.Code != said.Code || m.Reply.Enhanced != "" && m.Reply.Enhanced != said.Enhanced:
		return fmt.Sprintf("the log gives %+v", m.Reply)
	case d.logged == "" && !strings.Contains(said.Text, m.Reply.Text), d.logged != "" && m.Reply.Text != d.logged, m.Reply.Text == "":
		return fmt.Sprintf("the log gives the text %q", m.Reply.Text)
	}
	return ""
}

// messagesOf reads the logs and returns what they tell of a client's messages.
func (s *mailServer) messagesOf(t *testing.T, client string) (found []mail.Message) {
	t.Helper()
	var out, complaint bytes.Buffer
	run(t.Context(), append([]string{"parse", "--json", "--all", s.log}, s.more...), strings.NewReader(""), &out, &complaint)
	for dec := json.NewDecoder(&out); dec.More(); {
		var m mail.Message
		must(t, dec.Decode(&m))
		if m.Client.IP == client {
			found = append(found, m)
		}
	}
	return found
}

func (s *mailServer) size(t *testing.T) (size int64) {
	t.Helper()
	for _, log := range append([]string{s.log}, s.more...) {
		if info, err := os.Stat(log); err == nil {
			size += info.Size()
		}
	}
	return size
}

// waitForGrowth returns when the logs are longer than they were, or at the
// deadline.
func (s *mailServer) waitForGrowth(t *testing.T, was int64, deadline time.Time) (size int64) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if size = s.size(t); size != was || time.Now().After(deadline) {
			break
		}
	}
	return size
}

// send holds one SMTP dialogue.
func (s *mailServer) send(t *testing.T, d dialogue) answer {
	t.Helper()
	dialer := net.Dialer{Timeout: 20 * time.Second}
	if d.client != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(d.client)}
	}
	conn, err := dialer.DialContext(t.Context(), "tcp", s.addr)
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	text := textproto.NewConn(conn)
	helo := d.helo
	if helo == "" {
		helo = "mail.vendor.test"
	}
	_, _, err = text.ReadResponse(220)
	must(t, err)
	header := ""
	if d.from822 != "" {
		header = "From: " + d.from822 + "\r\n"
	}
	var last answer
	for _, c := range []struct{ name, line string }{
		{"HELO", "HELO " + helo}, {"MAIL", "MAIL FROM:<" + d.from + ">"}, {"RCPT", "RCPT TO:<" + d.to + ">"}, {"DATA", "DATA"},
		{"END", header + "Subject: " + d.subject + "\r\n\r\nhello\r\n."},
	} {
		must(t, text.PrintfLine("%s", c.line))
		code, message, err := text.ReadResponse(0)
		if errors.Is(err, io.EOF) && s.drops {
			return answer{}
		}
		must(t, err)
		last = answer{Reply: mail.Reply{Code: code, Text: message}, command: c.name}
		if class, rest, ok := strings.Cut(message, " "); ok && strings.Count(class, ".") == 2 {
			last.Enhanced, last.Text = class, rest
		}
		if code >= 400 {
			break
		}
	}
	_ = text.PrintfLine("QUIT") // a server that is told so logs no lost connection
	_, _, _ = text.ReadResponse(0)
	return last
}

// waitUntilUp waits until a server takes connections.
func (s *mailServer) waitUntilUp(t *testing.T) {
	t.Helper()
	eventually(t, 60*time.Second, "the mail server answers", func() bool {
		conn, err := net.DialTimeout("tcp", s.addr, time.Second)
		if err != nil {
			return false
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		code, _, err := textproto.NewConn(conn).ReadResponse(220)
		return err == nil && code == 220
	})
}

// nextHops are the ports of next hops that accept, refuse, put off and do not
// listen, by the words that stand for them in a configuration.
func nextHops(t *testing.T) []string {
	t.Helper()
	return []string{"@SINK@", sink(t, "250 2.1.5 Ok"), "@BOUNCE@", sink(t, "550 5.1.1 User unknown"), "@TEMPFAIL@", sink(t, "452 4.2.2 Mailbox full"), "@CLOSED@", freePort(t)}
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
