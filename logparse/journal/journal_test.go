package journal

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailwhy/logparse/spool"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// standIn is a journalctl of the tests: it prints the entries of a file behind
// the cursor it is given, and with --follow waits until it is ended.
const standIn = `#!/bin/sh
cursor= follow=
printf '%s\n' "$@" >> "$0.args"
for arg; do
	case $arg in
	--after-cursor=c*) cursor=${arg#--after-cursor=c} ;;
	--after-cursor=*) echo "Failed to seek to cursor: Invalid argument" >&2; exit 1 ;;
	--follow) follow=1 ;;
	esac
done
tail -n +$((${cursor:-0} + 1)) "$0.journal"
if [ -n "$follow" ]; then exec sleep 1000; fi
`

// machine is a system with a journal.
type machine struct {
	t       *testing.T
	command string
	dir     string
	spool   *spool.Spool
	entries int
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, command: filepath.Join(t.TempDir(), "journalctl"), dir: t.TempDir()}
	check(t, os.WriteFile(m.command, []byte(standIn), 0o700))
	m.restart()
	t.Cleanup(func() { _ = m.spool.Close() })
	return m
}

func (m *machine) restart() {
	m.t.Helper()
	if m.spool != nil {
		check(m.t, m.spool.Close())
	}
	var err error
	m.spool, err = spool.Open(spool.Options{Dir: m.dir})
	check(m.t, err)
}

// log adds entries to the journal.
func (m *machine) log(n int) {
	m.t.Helper()
	f, err := os.OpenFile(m.command+".journal", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	check(m.t, err)
	for range n {
		m.entries++
		_, err := fmt.Fprintf(f, `{"__CURSOR":"c%d","__REALTIME_TIMESTAMP":"1700000000000000","MESSAGE":"entry %d"}`+"\n", m.entries, m.entries)
		check(m.t, err)
	}
	check(m.t, f.Close())
}

// lines are how many entries the spool has, which must be the first ones, each
// once.
func (m *machine) lines() int {
	m.t.Helper()
	n := 0
	check(m.t, m.spool.After(spool.Position{}, func(line []byte) {
		if n++; !bytes.Contains(line, []byte(fmt.Sprintf(`"entry %d"`, n))) {
			m.t.Errorf("line %d is %s", n, line)
		}
	}))
	return n
}

func (m *machine) reader() *Reader { return New(Options{Spool: m.spool, Command: m.command}) }

// TestResume reads a journal by readers that are ended in the middle.
func TestResume(t *testing.T) {
	m := newMachine(t)
	m.log(3)
	check(t, m.reader().Once(t.Context()))
	if n := m.lines(); n != 3 {
		t.Fatalf("%d entries of 3", n)
	}
	check(t, m.reader().Once(t.Context()))
	for range 3 {
		m.log(2000)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.reader().Run(ctx) }()
		for deadline := time.Now().Add(20 * time.Second); m.lines() < m.entries; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d entries of %d", m.lines(), m.entries)
			}
		}
		cancel()
		check(t, <-done)
		m.restart()
	}
	if n := m.lines(); n != m.entries {
		t.Errorf("%d entries of %d", n, m.entries)
	}
}

// TestArguments asks for the units, and of the first reading for its time.
func TestArguments(t *testing.T) {
	m := newMachine(t)
	m.log(1)
	r := New(Options{Spool: m.spool, Command: m.command, Units: []string{"postfix@-.service"}, Identifiers: []string{"opendmarc"}, Directory: "/var/log/journal/remote", Since: time.Hour})
	check(t, r.Once(t.Context()))
	data, err := os.ReadFile(m.command + ".args")
	check(t, err)
	said := strings.Fields(string(data))
	for _, want := range []string{"--output=json", "--unit=postfix@-.service", "--identifier=opendmarc", "--directory=/var/log/journal/remote", "--since=-3600s"} {
		if !slices.Contains(said, want) {
			t.Errorf("%s is not among %q", want, said)
		}
	}
}

// TestTroubles says in a sentence what is wrong.
func TestTroubles(t *testing.T) {
	m := newMachine(t)
	absent := New(Options{Spool: m.spool, Command: filepath.Join(t.TempDir(), "journalctl")})
	for _, err := range []error{absent.Run(t.Context()), absent.Once(t.Context()), absent.Check()} {
		if !errors.Is(err, ErrAbsent) {
			t.Errorf("without journalctl: %v", err)
		}
	}
	check(t, m.spool.Append(t.Context(), [][]byte{[]byte(`{"__CURSOR":"x"}`)}))
	if err := m.reader().Run(t.Context()); err == nil || err.Error() != "journalctl: exit status 1: Failed to seek to cursor: Invalid argument" {
		t.Errorf("with a cursor of nobody: %v", err)
	}
}

// TestLongEntry skips what no mail log has, and takes what follows.
func TestLongEntry(t *testing.T) {
	m := newMachine(t)
	check(t, os.WriteFile(m.command+".journal", []byte(`{"__CURSOR":"c1","MESSAGE":"`+strings.Repeat("x", 3*longestEntry)+"\"}\n-- No entries --\n"), 0o600))
	m.log(1)
	check(t, m.reader().Once(t.Context()))
	if n := m.lines(); n != 1 {
		t.Errorf("%d entries", n)
	}
}

var real = flag.Bool("journal", false, "run the tests that need systemd's journalctl and systemd-journal-remote")

// TestRealJournal reads a journal that systemd has written.
func TestRealJournal(t *testing.T) {
	if !*real {
		t.Skip("-journal is not given")
	}
	dir := t.TempDir()
	write := func(file string, from, to int) {
		var entries strings.Builder
		for n := from; n < to; n++ {
			at := time.Now().Add(time.Duration(n-1000) * time.Millisecond).UnixMicro()
			fmt.Fprintf(&entries, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=0123456789abcdef0123456789abcdef\n_HOSTNAME=mx1\nSYSLOG_IDENTIFIER=postfix/smtpd\nSYSLOG_PID=7\nMESSAGE=entry %d\n\n", at, n, n)
		}
		c := exec.Command("/lib/systemd/systemd-journal-remote", "--output="+filepath.Join(dir, file), "-")
		c.Stdin = strings.NewReader(entries.String())
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	m := newMachine(t)
	r := New(Options{Spool: m.spool, Directory: dir, Identifiers: []string{"postfix/smtpd"}})
	write("a.journal", 1, 51)
	check(t, r.Once(t.Context()))
	check(t, r.Once(t.Context()))
	if n := m.lines(); n != 50 {
		t.Fatalf("%d entries of 50", n)
	}
	write("a.journal", 51, 101)
	m.restart()
	check(t, New(Options{Spool: m.spool, Directory: dir}).Once(t.Context()))
	if n := m.lines(); n != 100 {
		t.Errorf("%d entries of 100", n)
	}
}
