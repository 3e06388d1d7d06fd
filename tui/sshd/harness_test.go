package sshd

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"mailwhy/tui"
)

// house is a server with its files and what happened at its door.
type house struct {
	t       *testing.T
	files   Files
	o       Options
	address string
	server  *Server
	stop    func()

	mu     sync.Mutex
	events []Event
}

// newHouse starts a server; change may alter its options first.
func newHouse(t *testing.T, change func(*house)) *house {
	t.Helper()
	dir := t.TempDir()
	h := &house{t: t, files: Files{AuthorizedKeys: filepath.Join(dir, "keys"), TrustedCA: filepath.Join(dir, "ca"), Revoked: filepath.Join(dir, "revoked")}}
	for _, f := range []string{h.files.AuthorizedKeys, h.files.TrustedCA, h.files.Revoked} {
		h.write(f, "")
	}
	host, err := HostKey(filepath.Join(dir, "host"))
	if err != nil {
		t.Fatal(err)
	}
	limits := DefaultLimits()
	limits.PerMinute = 10_000
	h.o = Options{HostKey: host, Limits: limits, Tenants: []Tenant{{Note: h.note, Run: echo, Screens: func(Identity) tui.Options {
		return tui.Options{Open: func(context.Context) (tui.Services, error) { return tui.Services{}, errors.New("this is a test") }}
	}}}}
	if change != nil {
		change(h)
	}
	for i := range h.o.Tenants {
		if h.o.Tenants[i].Keys == nil {
			h.o.Tenants[i].Keys = OpenKeyring(h.files, time.Now)
		}
	}
	if h.server, err = New(h.o); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.address = listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.server.Serve(ctx, listener) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(h.stop)
	return h
}

func (h *house) note(e Event) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
	return nil
}

func (h *house) saw(kind EventKind, name, reason string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.events, func(e Event) bool {
		return e.Kind == kind && e.Who.Name == name && strings.Contains(e.Reason, reason)
	})
}

// write replaces a file at once, as an editor does.
func (h *house) write(path, text string) {
	h.t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		h.t.Fatal(err)
	}
}

// echo prints the command line as it was understood, one word a line.
func echo(_ context.Context, who Identity, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	switch args[0] {
	case "panic":
		panic("a fault in a command")
	case "fail":
		fmt.Fprintln(stderr, "no")
		return 1
	case "cat":
		if _, err := io.Copy(stdout, stdin); err != nil {
			return exitRefused
		}
		return 0
	}
	fmt.Fprintf(stdout, "%s\n", who.Name)
	for _, a := range args {
		fmt.Fprintf(stdout, "<%s>\n", a)
	}
	return 0
}

func newKey(t testing.TB) gossh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := gossh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// lineFor is an authorized_keys line.
func lineFor(options string, key gossh.PublicKey) string {
	return options + " " + string(gossh.MarshalAuthorizedKey(key))
}

// person gives a new key to a person who may enter from now on.
func (h *house) person(name string) gossh.Signer {
	h.t.Helper()
	key := newKey(h.t)
	before, err := os.ReadFile(h.files.AuthorizedKeys)
	if err != nil {
		h.t.Fatal(err)
	}
	h.write(h.files.AuthorizedKeys, string(before)+lineFor(`user="`+name+`"`, key.PublicKey()))
	h.o.Tenants[0].Keys.Reload()
	return key
}

func (h *house) dial(user string, keys ...gossh.Signer) (*gossh.Client, error) {
	return gossh.Dial("tcp", h.address, &gossh.ClientConfig{User: user, Auth: []gossh.AuthMethod{gossh.PublicKeys(keys...)},
		HostKeyCallback: gossh.FixedHostKey(h.o.HostKey.PublicKey()), Timeout: 10 * time.Second})
}

func (h *house) login(user string, key gossh.Signer) *gossh.Client {
	h.t.Helper()
	c, err := h.dial(user, key)
	if err != nil {
		h.t.Fatalf("%s cannot log in: %v", user, err)
	}
	h.t.Cleanup(func() { c.Close() })
	return c
}

// command runs one command line and returns what it said and its exit status.
func (h *house) command(c *gossh.Client, line string) (said string, status int) {
	h.t.Helper()
	sess, err := c.NewSession()
	if err != nil {
		h.t.Fatal(err)
	}
	defer sess.Close()
	out, err := sess.CombinedOutput(line)
	var exit *gossh.ExitError
	switch {
	case errors.As(err, &exit):
		status = exit.ExitStatus()
	case err != nil:
		h.t.Fatalf("%q: %v", line, err)
	}
	return string(out), status
}

// screen is a session with a terminal that answers no question.
type screen struct {
	t    *testing.T
	sess *gossh.Session
	keys io.WriteCloser
	mu   sync.Mutex
	got  bytes.Buffer
	over chan struct{} // closed when the server closed the session
}

func (h *house) screen(c *gossh.Client, term string) *screen {
	h.t.Helper()
	sess, err := c.NewSession()
	if err != nil {
		h.t.Fatal(err)
	}
	m := &screen{t: h.t, sess: sess, over: make(chan struct{})}
	if m.keys, err = sess.StdinPipe(); err != nil {
		h.t.Fatal(err)
	}
	sess.Stdout, sess.Stderr = m, m
	if err := sess.RequestPty(term, 24, 80, gossh.TerminalModes{}); err != nil {
		h.t.Fatal(err)
	}
	if err := sess.Shell(); err != nil {
		h.t.Fatal(err)
	}
	go func() {
		defer close(m.over)
		_ = sess.Wait() // how it ended is seen in the text
	}()
	return m
}

func (m *screen) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.got.Write(p)
}

func (m *screen) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.got.String()
}

// until waits until the server has sent a text.
func (m *screen) until(text string) {
	m.t.Helper()
	waitFor(m.t, func() bool { return strings.Contains(m.text(), text) }, func() string { return fmt.Sprintf("%q in %q", text, m.text()) })
}

// end waits for the end of the session.
func (m *screen) end() {
	m.t.Helper()
	select {
	case <-m.over:
	case <-time.After(10 * time.Second):
		m.t.Fatalf("the session goes on: %q", m.text())
	}
}

// waitFor waits for a condition that others bring about.
func waitFor(t testing.TB, done func() bool, what func() string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("this did not come: %s", what())
		}
		time.Sleep(5 * time.Millisecond)
	}
}
