package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var withOpenSSH = flag.Bool("openssh", false, "log in to `mailwhy serve` with the real ssh, in tmux and without a terminal")

// TestRealOpenSSH plays testdata/openssh: what people, and attackers, do with
// the real client. Every script has a server, keys and log of its own, made by
// the commands below from testdata/openssh/site.
func TestRealOpenSSH(t *testing.T) {
	if !*withOpenSSH {
		t.Skip("needs -openssh: OpenSSH's client and tmux")
	}
	testscript.Run(t, testscript.Params{Dir: "testdata/openssh", RequireExplicitExec: true, Setup: sshSite, Cmds: map[string]func(*testscript.TestScript, bool, []string){
		"serve": serveSite, "person": addPerson, "refuse": refuseMessage, "capture": capture, "until": until, "exits": exits,
		"terminal": openTerminal, "type": typeKeys, "shows": showsPattern, "closed": closedTerminal,
	}})
}

// sshSite lays the site's files out with a free port, and makes `ssh` read no
// other configuration than theirs.
func sshSite(e *testscript.Env) error {
	files, err := filepath.Glob("testdata/openssh/site/*")
	if err != nil {
		return err
	}
	port, err := anyPort()
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		text = []byte(strings.ReplaceAll(string(text), "@PORT@", port))
		if err := os.WriteFile(filepath.Join(e.WorkDir, filepath.Base(file)), text, 0o600); err != nil {
			return err
		}
	}
	for _, name := range []string{"keys", "ca.pub", "revoked", "mail.log"} {
		if err := os.WriteFile(filepath.Join(e.WorkDir, name), nil, 0o600); err != nil {
			return err
		}
	}
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		return fmt.Errorf("find the ssh client: %w", err)
	}
	bin := filepath.Join(e.WorkDir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		return err
	}
	e.Setenv("PORT", port)
	e.Setenv("HOME", e.WorkDir)
	e.Setenv("TERM", "xterm-256color")
	e.Setenv("LANG", "C.UTF-8")
	e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
	return os.WriteFile(filepath.Join(bin, "ssh"), []byte("#!/bin/sh\nexec "+ssh+" -F '"+e.WorkDir+"/ssh_config' \"$@\"\n"), 0o700)
}

func anyPort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// serve: starts the server on the site and waits until it listens. What it says
// is in the file said.
func serveSite(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: serve")
	}
	said, err := os.Create(ts.MkAbs("said"))
	ts.Check(err)
	program, err := exec.LookPath("mailwhy")
	ts.Check(err)
	c := exec.Command(program, "serve", "--config", "config.yaml")
	c.Dir, c.Stderr, c.Stdout = ts.MkAbs("."), said, said
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // not to outlive a test that is killed
	c.Env = append(os.Environ(), "HOME="+c.Dir)
	ts.Check(c.Start())
	over := make(chan error, 1)
	go func() { over <- c.Wait() }()
	ts.Defer(func() {
		_ = c.Process.Signal(os.Interrupt) // it may have ended
		select {
		case <-over:
		case <-time.After(20 * time.Second):
			_ = c.Process.Kill()
			ts.Logf("the server did not stop within 20 s")
		}
	})
	awaitScript(ts, "the server listens", func() bool { return strings.Contains(ts.ReadFile("said"), "ssh on") }, func() string { return ts.ReadFile("said") })
	ts.Check(ts.Exec("ssh-keyscan", "-T", "20", "-p", ts.Getenv("PORT"), "127.0.0.1"))
	ts.Check(os.WriteFile(ts.MkAbs("known_hosts"), []byte(ts.ReadFile("stdout")), 0o600))
}

// person NAME...: makes a key in the file of that name, and lets it enter.
func addPerson(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: person name...")
	}
	for _, name := range args {
		ts.Check(ts.Exec("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name))
		appendTo(ts, "keys", fmt.Sprintf("user=%q %s", name, ts.ReadFile(name+".pub")))
	}
}

// refuse FROM TO [REASON]: the gateway refuses a message now.
func refuseMessage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: refuse from to [reason]")
	}
	reason := "Administrative prohibition - envelope blocked"
	if len(args) == 3 {
		var err error
		reason, err = strconv.Unquote(`"` + args[2] + `"`)
		ts.Check(err)
	}
	n := strings.Count(ts.ReadFile("mail.log"), "\n")
	appendTo(ts, "mail.log", fmt.Sprintf("datetime=%s|aCode=a%d|acc=C0A0|IP=203.0.113.10|RejType=Envelope Rejected|RejCode=550|Dir=Inbound|headerFrom=|Sender=%s|Rcpt=%s|Act=Rej|RejInfo=%s\n",
		time.Now().UTC().Format("2006-01-02T15:04:05-0700"), n, args[0], args[1], reason))
}

func appendTo(ts *testscript.TestScript, name, text string) {
	f, err := os.OpenFile(ts.MkAbs(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	ts.Check(err)
	_, err = f.WriteString(text)
	ts.Check(errors.Join(err, f.Close()))
}

// capture NAME PATTERN: keeps what the group of a pattern matches in stdout.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture name pattern")
	}
	found := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) != 2 {
		ts.Fatalf("no %s in %s", args[1], ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], found[1])
}

// exits STATUS COMMAND...: runs a command that ends with that status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits status command...")
	}
	status := 0
	var exit *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &exit):
		status = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(status) != args[0] {
		ts.Fatalf("%v ended with status %d, want %s", args[1:], status, args[0])
	}
}

// terminal NAME COMMAND...: runs a command in a terminal of 80 by 24 cells.
func openTerminal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: terminal name command...")
	}
	socket := ts.MkAbs("tmux")
	ts.Check(ts.Exec("tmux", append([]string{"-S", socket, "-f", "/dev/null", "new-session", "-d", "-s", args[0], "-x", "80", "-y", "24"}, args[1:]...)...))
	ts.Defer(func() { _ = exec.Command("tmux", "-S", socket, "kill-session", "-t", args[0]).Run() }) // it may have ended
}

// type NAME KEY...: types into a terminal, with tmux's names of keys.
func typeKeys(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: type name key...")
	}
	ts.Check(ts.Exec("tmux", append([]string{"-S", ts.MkAbs("tmux"), "send-keys", "-t", args[0]}, args[1:]...)...))
}

// [!] shows NAME PATTERN: waits until a terminal shows it; ! that it does not now.
func showsPattern(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: [!] shows name pattern")
	}
	pattern := regexp.MustCompile("(?m)" + args[1])
	screen := func() string {
		text, _ := exec.Command("tmux", "-S", ts.MkAbs("tmux"), "capture-pane", "-p", "-t", args[0]).Output() // one that is gone shows nothing
		return string(text)
	}
	if !neg {
		awaitScript(ts, args[0]+" shows "+args[1], func() bool { return pattern.MatchString(screen()) }, screen)
	} else if text := screen(); pattern.MatchString(text) {
		ts.Fatalf("%s shows %s:\n%s", args[0], args[1], text)
	}
}

// closed NAME: waits until a terminal's command has ended.
func closedTerminal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: closed name")
	}
	there := func() bool {
		return exec.Command("tmux", "-S", ts.MkAbs("tmux"), "has-session", "-t", args[0]).Run() == nil
	}
	awaitScript(ts, args[0]+" has ended", func() bool { return !there() }, func() string { return "it goes on" })
}

func awaitScript(ts *testscript.TestScript, what string, done func() bool, last func() string) {
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("this did not come: %s; last:\n%s", what, last())
		}
	}
}
