package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"mailwhy/cmd/internal/app"
	"mailwhy/cmd/internal/config"
)

// liveFiles are the configuration of the private Postfix and the policies that
// it is asked to enforce.
//
//go:embed live
var liveFiles embed.FS

const (
	liveServer = "127.0.0.1:25"
	liveClient = "203.0.113.10"    // where the demo's messages come from
	liveEvery  = 4 * time.Second   // between two of them
	liveStart  = 60 * time.Second  // the longest that Postfix may take to answer
	liveInside = "MAILWHY_LIVE_IN" // set in the process that runs inside
)

// demoLive shows real rejections: a private Postfix that asks our milter, in
// namespaces of its own. It has only a loopback interface, its files are in
// memory, and whatever way this process ends, the kernel takes all of it away.
func (s *session) demoLive(ctx context.Context) error {
	if os.Getenv(liveInside) == "" {
		if err := canLive(); err != nil {
			return err
		}
		return s.inNamespaces(ctx, liveInside)
	}
	dir, err := enterNamespaces(liveClient)
	if err != nil {
		return fmt.Errorf("prepare demo: %w", err)
	}
	c, err := layLive(dir)
	if err != nil {
		return fmt.Errorf("lay demo: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	trouble := make(chan error, 1)
	go func() { trouble <- liveMail(ctx, dir) }()
	if s.onTerminal() {
		err = s.show(ctx, c)
	} else {
		err = s.liveWithoutScreens(ctx, c, trouble)
	}
	cancel()
	return err
}

// liveWithoutScreens runs until it is ended, or Postfix cannot run.
func (s *session) liveWithoutScreens(ctx context.Context, c config.Config, trouble <-chan error) error {
	common, err := s.screenOptions(c)
	if err != nil {
		return err
	}
	a, err := app.OpenSoon(ctx, c)
	if err != nil {
		return err
	}
	defer a.Close()
	fmt.Fprintln(s.stderr, "demo in a namespace of its own; end it with Ctrl-C")
	return own(ctx, a, common, func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		ended := make(chan struct{})
		go func() { defer close(ended); a.WorkBeside(ctx) }()
		var err error
		select {
		case err = <-trouble:
		case <-ctx.Done():
		}
		cancel()
		<-ended
		return err
	})
}

// canLive tells what the demo lacks here, and how to get it.
func canLive() error {
	if os.Geteuid() != 0 {
		return errors.New("demo --live makes a network namespace for its Postfix, which takes root: run it with sudo")
	}
	if _, err := postfixCommand(); err != nil {
		return errors.New("demo --live needs Postfix, which is not installed here: on Debian and Ubuntu `apt-get install --no-install-recommends postfix`, on Fedora and RHEL `dnf install postfix`; it need not run")
	}
	return nil
}

// postfixCommand finds the program, which stands in no user's PATH.
func postfixCommand() (string, error) {
	if found, err := exec.LookPath("postfix"); err == nil {
		return found, nil
	}
	return exec.LookPath("/usr/sbin/postfix")
}

// layLive writes Postfix's folders, the policies and our configuration.
func layLive(dir string) (config.Config, error) {
	c := config.Default(os.Getenv)
	c.Data, c.Policy, c.Sources, c.All = filepath.Join(dir, "mailwhy"), filepath.Join(dir, "policy.yaml"), []string{filepath.Join(dir, "log", "maillog")}, true
	c.Milter = config.Gate{Listen: "unix:" + filepath.Join(dir, "milter.sock"), Mode: "enforce", Fail: "open"}
	for _, folder := range []string{"etc", "spool", "data", "log"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			return c, err
		}
	}
	put := map[string]string{"main.cf": "etc/main.cf", "master.cf": "etc/master.cf", "policy.yaml": "policy.yaml"}
	for name, to := range put {
		text, err := liveFiles.ReadFile("live/" + name)
		if err != nil {
			return c, err
		}
		if err := os.WriteFile(filepath.Join(dir, to), []byte(strings.ReplaceAll(string(text), "@DIR@", dir)), 0o644); err != nil {
			return c, err
		}
	}
	for _, name := range []string{"postfix-files", "dynamicmaps.cf"} {
		text, err := os.ReadFile(filepath.Join("/etc/postfix", name))
		if errors.Is(err, os.ErrNotExist) {
			continue // not every system splits Postfix into packages
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "etc", name), text, 0o644)
		}
		if err != nil {
			return c, err
		}
	}
	return c, os.WriteFile(c.Sources[0], nil, 0o644)
}

// startLive runs Postfix's master beside us. `postfix start` would look every
// file of the installation over first, which takes many seconds; nothing here
// outlives the demo.
func startLive(ctx context.Context, dir string) error {
	owner, err := user.Lookup("postfix")
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return err
	}
	group, err := user.LookupGroup("postdrop")
	if err != nil {
		return err
	}
	drop, err := strconv.Atoi(group.Gid)
	if err != nil {
		return err
	}
	own := map[string]int{filepath.Join(dir, "data"): 0} // the group of each
	for _, queue := range []string{"active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace"} {
		own[filepath.Join(dir, "spool", queue)] = 0
	}
	own[filepath.Join(dir, "spool", "maildrop")], own[filepath.Join(dir, "spool", "public")] = drop, drop
	for folder, gid := range own {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
		if err := errors.Join(os.Chown(folder, uid, gid), os.Chmod(folder, map[bool]os.FileMode{true: 0o730, false: 0o700}[gid == drop])); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "spool", "pid"), 0o755); err != nil {
		return err
	}
	program, err := postfixCommand()
	if err != nil {
		return err
	}
	etc := filepath.Join(dir, "etc")
	where, err := exec.CommandContext(ctx, filepath.Join(filepath.Dir(program), "postconf"), "-c", etc, "-h", "daemon_directory").Output()
	if err != nil {
		return fmt.Errorf("ask postconf: %w", err)
	}
	return exec.CommandContext(ctx, filepath.Join(strings.TrimSpace(string(where)), "master"), "-c", etc, "-d").Start()
}

// liveMail starts Postfix and sends it a message every few seconds until ctx
// ends. An error is Postfix's.
func liveMail(ctx context.Context, dir string) error {
	if err := startLive(ctx, dir); err != nil && ctx.Err() == nil {
		return fmt.Errorf("start Postfix: %w", err)
	}
	tick := time.NewTicker(200 * time.Millisecond) // until the first answer
	defer tick.Stop()
	begun, answered := time.Now(), false
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := sendLive(ctx, n)
		switch {
		case err == nil && !answered:
			answered = true
			tick.Reset(liveEvery)
		case err != nil && !answered && time.Since(begun) > liveStart && ctx.Err() == nil:
			return fmt.Errorf("the private Postfix does not answer: %w", err)
		}
		if err == nil {
			n++
		}
	}
}

// liveMessages take turns; every sender is in the domain that P-007 blocks.
var liveMessages = []struct{ from, to, subject string }{
	{"alice@vendor.example", "bob@corp.example", "Invoice 4711"},
	{"alice@vendor.example", "bob@corp.example", "Did you get my invoice?"},
	{"carol@vendor.example", "sue@corp.example", "Our new prices"},
}

// sendLive is one SMTP dialogue; a refusal is no error.
func sendLive(ctx context.Context, n int) error {
	dialer := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(liveClient)}}
	conn, err := dialer.DialContext(ctx, "tcp", liveServer)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	text := textproto.NewConn(conn)
	if _, _, err := text.ReadResponse(220); err != nil {
		return err
	}
	m := liveMessages[n%len(liveMessages)]
	body := fmt.Sprintf("From: %s\r\nTo: %s\r\nSubject: %s\r\nMessage-ID: <live%d@vendor.example>\r\n\r\nHello\r\n.", m.from, m.to, m.subject, n)
	for _, command := range []string{"EHLO mail.vendor.example", "MAIL FROM:<" + m.from + ">", "RCPT TO:<" + m.to + ">", "DATA", body, "QUIT"} {
		if err := text.PrintfLine("%s", command); err != nil {
			return err
		}
		code, _, err := text.ReadResponse(0)
		if err != nil {
			return err
		}
		if code >= 400 {
			return nil
		}
	}
	return nil
}
