package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/creack/pty"
)

// terminal is the program on a terminal of 80x24 that answers no question.
type terminal struct {
	t    testing.TB
	cmd  *exec.Cmd
	file *os.File
	got  chan []byte
	all  []byte // what until has not read yet
	sent []byte // all that the program wrote

	patience time.Duration // of until
}

func startTerminal(t testing.TB, args ...string) *terminal {
	t.Helper()
	cmd := exec.Command("mailwhy", args...)
	cmd.Env = append(os.Environ(), "TERM=xterm-256color", "HOME="+t.TempDir(), "LANG=C.UTF-8")
	file, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: 80, Rows: 24})
	if err != nil {
		t.Fatal(err)
	}
	m := &terminal{t: t, cmd: cmd, file: file, got: make(chan []byte, 100), patience: time.Minute}
	go func() {
		defer close(m.got)
		for {
			b := make([]byte, 1<<16)
			n, err := file.Read(b)
			if err != nil {
				return
			}
			m.got <- b[:n]
		}
	}()
	t.Cleanup(func() {
		_ = m.cmd.Process.Kill() // mostly it has ended
		_ = m.cmd.Wait()
		_ = m.file.Close()
	})
	return m
}

// until reads until text was sent, and returns how long that took.
func (m *terminal) until(text string) time.Duration {
	m.t.Helper()
	begun, deadline := time.Now(), time.After(m.patience)
	for {
		if i := bytes.Index(m.all, []byte(text)); i >= 0 {
			m.all = m.all[i+len(text):]
			return time.Since(begun)
		}
		select {
		case b, ok := <-m.got:
			if !ok {
				m.t.Fatalf("it ended before %q: %q", text, m.all)
			}
			m.all, m.sent = append(m.all, b...), append(m.sent, b...)
		case <-deadline:
			m.t.Fatalf("%q did not come: %q", text, m.all)
		}
	}
}

// site is a folder with a log, a configuration and its data.
func site(t testing.TB, rejections int) (log string, args []string) {
	t.Helper()
	dir := t.TempDir()
	log = filepath.Join(dir, "maillog")
	var lines bytes.Buffer
	for n := range rejections {
		lines.WriteString(rejection(n))
	}
	config := fmt.Sprintf("sources: [%s]\ndata: %s\n", log, filepath.Join(dir, "data"))
	for path, data := range map[string][]byte{log: lines.Bytes(), filepath.Join(dir, "config.yaml"): []byte(config)} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return log, []string{"--config", filepath.Join(dir, "config.yaml")}
}

func rejection(n int) string {
	return fmt.Sprintf("%s mx1 postfix/smtpd[77]: NOQUEUE: reject: RCPT from mail.example.net[192.0.2.7]: 550 5.1.1 <u%d@example.com>: Recipient address rejected: User unknown; from=<row%d@example.net> to=<u%d@example.com> proto=ESMTP helo=<mail.example.net>\n",
		time.Now().UTC().Add(time.Duration(n)*time.Millisecond).Format("2006-01-02T15:04:05.000000-07:00"), n, n, n)
}

// appended writes a line to the log and returns how long its row took.
func (m *terminal) appended(log string, n int) time.Duration {
	m.t.Helper()
	m.refused(log, n)
	return m.until(fmt.Sprintf("row%d@", n))
}

// refused appends a rejection.
func (m *terminal) refused(log string, n int) {
	m.t.Helper()
	f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteString(rejection(n)); err != nil {
		m.t.Fatal(err)
	}
}

// TestTerminal opens the program on a mute terminal: the frame, the rows, and
// rows for lines that are written while it is open. The terminal is asked
// nothing: who asks waits seconds for an answer that does not come.
// BenchmarkTerminal measures.
func TestTerminal(t *testing.T) {
	log, args := site(t, 30)
	m := startTerminal(t, args...)
	m.until("Messages")
	m.until("row29@")
	for n := 100; n < 105; n++ {
		m.appended(log, n)
	}
	for _, query := range []string{"\x1b]10;?", "\x1b]11;?", "\x1b[6n", "\x1b[c", "\x1b[>c", "\x1b[?u"} {
		if bytes.Contains(m.sent, []byte(query)) {
			t.Errorf("it asks the terminal %q", query)
		}
	}
}

// BenchmarkTerminal measures the program as a person sees it, on a terminal
// that answers no query: frame, first rows over an index that exists, and from
// an appended line to its row.
//
//	go test ./cmd/mailwhy -run xxx -bench Terminal -benchtime 20x
func BenchmarkTerminal(b *testing.B) {
	log, args := site(b, 2000)
	if out, err := exec.Command("mailwhy", slices.Concat([]string{"ingest"}, args, []string{log})...).CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	var frames, rows, appended []time.Duration
	n := 10_000
	for b.Loop() {
		begun := time.Now()
		m := startTerminal(b, args...)
		m.until("Messages")
		frames = append(frames, time.Since(begun))
		m.until("@example.net")
		rows = append(rows, time.Since(begun))
		for range 10 {
			n++
			appended = append(appended, m.appended(log, n))
		}
		if _, err := m.file.WriteString("q"); err != nil {
			b.Fatal(err)
		}
		m.until("\x1b[?1049l")
		if err := m.cmd.Wait(); err != nil {
			b.Fatal(err)
		}
	}
	for name, took := range map[string][]time.Duration{"frame": frames, "rows": rows, "line-to-row": appended} {
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, name+"-p50-ms")
		b.ReportMetric(float64(took[(len(took)-1)*99/100].Microseconds())/1000, name+"-p99-ms")
	}
}
