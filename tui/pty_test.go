package tui

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/creack/pty"

	"mailwhy/tui/quiet"
)

// TestMain is also the program that the pty tests and people run:
// MAILWHY_TUI_DEMO=1 go test ./tui shows the screens over made-up messages.
func TestMain(m *testing.M) {
	if os.Getenv("MAILWHY_TUI_DEMO") == "" {
		os.Exit(m.Run())
	}
	quiet.Restore()
	w := newWorld(samples(1200)...)
	w.sources = []SourceStatus{{Path: "/var/log/maillog", Format: "postfix", Lines: 123456, LastLine: noon}}
	o := options(w)
	o.Environ = os.Environ()
	o.Open = func(context.Context) (Services, error) {
		w.armed.Add(1)
		return Services{Searcher: w, Explainer: w, Excepter: w, Sources: w, Policies: w}, nil
	}
	if os.Getenv("MAILWHY_TUI_DEMO") == "live" {
		go func() {
			for n := 2000; ; n++ {
				time.Sleep(3 * time.Second)
				w.arrive(sample(n, "live@acme.example", "bob@corp.example"))
			}
		}()
	}
	if err := Run(context.Background(), o, os.Stdin, os.Stdout); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(2)
	}
	os.Exit(0)
}

// mute is a terminal that answers no question; it keeps what it was sent.
type mute struct {
	t    *testing.T
	cmd  *exec.Cmd
	file *os.File
	got  chan []byte
	all  []byte
}

func startMute(t *testing.T, env ...string) *mute {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append([]string{"MAILWHY_TUI_DEMO=1", "HOME=/nonexistent", "LANG=C.UTF-8"}, env...)
	file, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: 80, Rows: 24})
	if err != nil {
		t.Fatal(err)
	}
	m := &mute{t: t, cmd: cmd, file: file, got: make(chan []byte, 100)}
	go func() {
		defer close(m.got)
		for {
			buf := make([]byte, 1<<16)
			n, err := file.Read(buf)
			if err != nil {
				return
			}
			m.got <- buf[:n]
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = file.Close()
	})
	return m
}

// until reads until the text was sent and returns how long that took.
func (m *mute) until(text string) time.Duration {
	m.t.Helper()
	begun := time.Now()
	deadline := time.After(20 * time.Second)
	for !bytes.Contains(m.all, []byte(text)) {
		select {
		case b, ok := <-m.got:
			if !ok {
				m.t.Fatalf("ended before %q: %q", text, m.all)
			}
			m.all = append(m.all, b...)
		case <-deadline:
			m.t.Fatalf("%q did not come: %q", text, m.all)
		}
	}
	return time.Since(begun)
}

// On a terminal that never answers the frame stands at once, because nothing
// is asked. The bound leaves room for a busy machine; the wait that it guards
// against is five seconds.
func TestMuteTerminal(t *testing.T) {
	for _, env := range [][]string{
		{"TERM=xterm-256color"},
		{"TERM=xterm-256color", "COLORTERM=truecolor"},
		{"TERM=xterm-256color", "NO_COLOR=1"},
		{"TERM=dumb"},
	} {
		m := startMute(t, env...)
		chrome := m.until("Messages")
		rows := m.until("P-007 Vendor block")
		t.Logf("%v: frame after %v, rows %v later", env, chrome, rows)
		if chrome > 3*time.Second {
			t.Errorf("%v: the frame came after %v", env, chrome)
		}
		for _, query := range []string{"\x1b]10;?", "\x1b]11;?", "\x1b]12;?", "\x1b[6n", "\x1b[c", "\x1b[0c", "\x1b[>c", "\x1b[>q", "\x1b[5n", "\x1bP+q", "\x1b[?u"} {
			if bytes.Contains(m.all, []byte(query)) {
				t.Errorf("%v: the terminal was asked %q", env, query)
			}
		}
		plain := env[0] == "TERM=dumb" || env[len(env)-1] == "NO_COLOR=1"
		if bytes.Contains(m.all, []byte("\x1b[31m")) == plain {
			t.Errorf("%v: colours: %t", env, plain)
		}
	}
}

// The terminal is left as it was found, and a copied text reaches it whole.
func TestTerminalIsLeftAsItWas(t *testing.T) {
	m := startMute(t, "TERM=xterm-256color")
	m.until("P-007 Vendor block")
	if _, err := m.file.WriteString("ys"); err != nil {
		t.Fatal(err)
	}
	m.until("\x1b]52;c;")
	m.until("Copied the sender")
	if _, err := m.file.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	m.until("\x1b[?1049l")
	if err := m.cmd.Wait(); err != nil {
		t.Error(err)
	}
}
