package sshd

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

func TestCommandLine(t *testing.T) {
	h := newHouse(t, nil)
	c := h.login("anna", h.person("anna"))
	for _, tt := range []struct {
		line, said string
		status     int
	}{
		{`search from:acme`, "anna\n<search>\n<from:acme>\n", 0},
		{`search "two words" 'it''s' a\ b`, "anna\n<search>\n<two words>\n<its>\n<a b>\n", 0},
		{`search $HOME; rm -rf / | x && $(id) > /tmp/x`, "anna\n<search>\n<$HOME;>\n<rm>\n<-rf>\n</>\n<|>\n<x>\n<&&>\n<$(id)>\n<>>\n</tmp/x>\n", 0},
		{`search "open`, "the command line cannot be read: a quote is not closed\n", 2},
		{`fail`, "no\n", 1},
		{`panic`, "", 2},
	} {
		if said, status := h.command(c, tt.line); said != tt.said || status != tt.status {
			t.Errorf("%s: said %q, status %d; want %q, %d", tt.line, said, status, tt.said, tt.status)
		}
	}
	if said, _ := h.command(c, "still here"); said != "anna\n<still>\n<here>\n" {
		t.Errorf("after a panic: %q", said)
	}
}

func TestScreens(t *testing.T) {
	h := newHouse(t, nil)
	m := h.screen(h.login("anna", h.person("anna")), "xterm-256color")
	m.until("Messages")
	if _, err := m.keys.Write([]byte("q")); err != nil {
		t.Fatal(err)
	}
	m.end()
	if !h.saw(LoggedIn, "anna", "") {
		t.Errorf("the login was not noted")
	}
}

// Nobody is asked anything: a terminal that is mute sees the frame at once.
func TestMuteTerminalIsAskedNothing(t *testing.T) {
	h := newHouse(t, nil)
	m := h.screen(h.login("anna", h.person("anna")), "xterm-256color")
	m.until("Messages")
	for _, question := range []string{"\x1b]11;?", "\x1b]10;?", "\x1b[c", "\x1b[6n"} {
		if strings.Contains(m.text(), question) {
			t.Errorf("the terminal was asked %q", question)
		}
	}
}

func TestColourFollowsTheClientsTerminal(t *testing.T) {
	h := newHouse(t, nil)
	c := h.login("anna", h.person("anna"))
	coloured := func(m *screen) bool {
		return strings.Contains(m.text(), "\x1b[3") || strings.Contains(m.text(), ";3") || strings.Contains(m.text(), "\x1b[1;9")
	}
	for term, want := range map[string]bool{"xterm-256color": true, "dumb": false} {
		m := h.screen(c, term)
		m.until("this is a test")
		if coloured(m) != want {
			t.Errorf("TERM=%s: colour %v in %q", term, !want, m.text())
		}
	}
}

func TestWhoMayEnter(t *testing.T) {
	authority, stranger := newKey(t), newKey(t)
	anna, boss := newKey(t), newKey(t)
	h := newHouse(t, nil)
	past := time.Now().AddDate(0, 0, -1).Format("20060102")
	future := time.Now().AddDate(0, 0, 2).Format("20060102")
	expired, elsewhere, here, lasting := newKey(t), newKey(t), newKey(t), newKey(t)
	h.write(h.files.AuthorizedKeys, strings.Join([]string{
		"# the helpdesk", "this line is no key at all", `user="broken",from="` + "\n",
		lineFor(`user="anna"`, anna.PublicKey()), lineFor(`user="boss",no-port-forwarding`, boss.PublicKey()),
		lineFor(`user="anna",expiry-time="`+past+`"`, expired.PublicKey()), lineFor(`user="anna",expiry-time="`+future+`"`, lasting.PublicKey()),
		lineFor(`user="anna",from="192.0.2.0/24"`, elsewhere.PublicKey()), lineFor(`user="anna",from="192.0.2.1,127.0.0.*"`, here.PublicKey()),
	}, "\n"))
	h.write(h.files.TrustedCA, string(gossh.MarshalAuthorizedKey(authority.PublicKey())))
	h.write(h.files.Revoked, "id: dora\nserial: 70-79\n")
	h.o.Tenants[0].Keys.Reload()

	good := certificate{id: "carl", principals: []string{"helpdesk"}, by: authority}
	with := func(change func(*certificate)) gossh.Signer { c := good; change(&c); return c.sign(t) }
	for _, tt := range []struct {
		story, user string
		key         gossh.Signer
		enters      bool
	}{
		{"a plain key of its user", "anna", anna, true},
		{"a key that nobody knows", "anna", stranger, false},
		{"a known key under the name of another", "boss", anna, false},
		{"an expired key", "anna", expired, false},
		{"a key that expires later", "anna", lasting, true},
		{"a key that may be used elsewhere alone", "anna", elsewhere, false},
		{"a key that may be used from here", "anna", here, true},
		{"a certificate under its person's name", "carl", with(func(*certificate) {}), true},
		{"a certificate under its principal", "helpdesk", with(func(*certificate) {}), true},
		{"a certificate of an unknown authority", "carl", with(func(c *certificate) { c.by = stranger }), false},
		{"an expired certificate", "carl", with(func(c *certificate) { c.until = time.Now().Add(-time.Minute) }), false},
		{"a certificate under another name", "boss", with(func(*certificate) {}), false},
		{"a certificate without principals", "carl", with(func(c *certificate) { c.strip = true }), false},
		{"a certificate for other addresses", "carl", with(func(c *certificate) { c.critical = map[string]string{"source-address": "192.0.2.0/24"} }), false},
		{"a certificate that forces a command", "carl", with(func(c *certificate) { c.critical = map[string]string{"force-command": "id"} }), false},
		{"a host's certificate", "carl", with(func(c *certificate) { c.kind = gossh.HostCert }), false},
		{"a certificate with a revoked id", "dora", with(func(c *certificate) { c.id = "dora" }), false},
		{"a certificate with a revoked serial", "carl", with(func(c *certificate) { c.serial = 75 }), false},
		{"a certificate with another serial", "carl", with(func(c *certificate) { c.serial = 80 }), true},
	} {
		c, err := h.dial(tt.user, tt.key)
		if (err == nil) != tt.enters {
			t.Errorf("%s: enters %v, want %v (%v)", tt.story, err == nil, tt.enters, err)
		}
		if err == nil {
			c.Close()
		}
	}
	if got := fmt.Sprint(h.o.Tenants[0].Keys.Problems()); strings.Count(got, "the line is skipped") != 2 || !strings.Contains(got, "keys:2: ") || !strings.Contains(got, "keys:3: ") {
		t.Errorf("problems of the keys: %s", got)
	}
	waitFor(t, func() bool { return h.saw(LoginRefused, "boss", "not known for this user") }, func() string { return "a note of the refused login" })
}

type certificate struct {
	id         string
	serial     uint64
	principals []string
	until      time.Time
	by         gossh.Signer
	kind       uint32
	critical   map[string]string
	strip      bool // no principals
}

func (c certificate) sign(t *testing.T) gossh.Signer {
	t.Helper()
	own := newKey(t)
	cert := &gossh.Certificate{Key: own.PublicKey(), KeyId: c.id, Serial: c.serial, CertType: c.kind, ValidPrincipals: c.principals, ValidBefore: gossh.CertTimeInfinity,
		Permissions: gossh.Permissions{CriticalOptions: c.critical, Extensions: map[string]string{"permit-pty": ""}}}
	if c.kind == 0 {
		cert.CertType = gossh.UserCert
	}
	if !c.until.IsZero() {
		cert.ValidBefore = uint64(c.until.Unix())
	}
	if err := cert.SignCert(rand.Reader, c.by); err != nil {
		t.Fatal(err)
	}
	if c.strip { // the library signs none without: what is sent is then not what was signed either
		cert.ValidPrincipals = nil
	}
	signer, err := gossh.NewCertSigner(cert, own)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// Who offers an admin's key has to prove it: a signature of another key opens
// nothing, and what was offered stays with the refusal.
func TestOfferedKeyMustBeProved(t *testing.T) {
	h := newHouse(t, nil)
	h.person("anna")
	admins := h.person("boss")
	if c, err := h.dial("boss", offerOnly{admins.PublicKey()}); err == nil {
		c.Close()
		t.Fatal("a key that was only offered opened a session")
	}
	if h.saw(LoggedIn, "boss", "") {
		t.Error("a login was noted")
	}
}

// offerOnly is a public key whose private half one does not have.
type offerOnly struct{ key gossh.PublicKey }

func (o offerOnly) PublicKey() gossh.PublicKey { return o.key }
func (o offerOnly) Sign(r io.Reader, data []byte) (*gossh.Signature, error) {
	return &gossh.Signature{Format: o.key.Type(), Blob: make([]byte, 64)}, nil
}

func TestRemovedKeyEndsItsSessions(t *testing.T) {
	h := newHouse(t, nil)
	anna, bob := h.person("anna"), h.person("bob")
	gone, stays := h.screen(h.login("anna", anna), "xterm"), h.screen(h.login("bob", bob), "xterm")
	gone.until("Messages")
	stays.until("Messages")
	h.write(h.files.AuthorizedKeys, lineFor(`user="bob"`, bob.PublicKey()))
	gone.until("your session has ended: the key is not known for this user")
	gone.end()
	if _, err := h.dial("anna", anna); err == nil {
		t.Error("the removed key enters again")
	}
	h.command(h.login("bob", bob), "still here")
	select {
	case <-stays.over:
		t.Error("another's session ended too")
	default:
	}
}

func TestNothingButASession(t *testing.T) {
	h := newHouse(t, nil)
	c := h.login("anna", h.person("anna"))
	if _, err := c.Dial("tcp", h.address); err == nil {
		t.Error("it forwards connections")
	}
	if l, err := c.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close()
		t.Error("it listens for the client")
	}
	for _, tt := range []struct{ kind, payload string }{
		{"auth-agent-req@openssh.com", ""}, {"x11-req", ""}, {"subsystem", "\x00\x00\x00\x04sftp"}, {"signal", "\x00\x00\x00\x04TERM"}, {"break", "\x00\x00\x00\x01"}, {"nonsense", ""},
	} {
		sess, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := sess.SendRequest(tt.kind, true, []byte(tt.payload)); ok || err != nil {
			t.Errorf("request %s: granted %v, error %v", tt.kind, ok, err)
		}
		sess.Close()
	}
	sess, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer sess.Close()
	for name, want := range map[string]bool{"LANG": true, "COLORTERM": true, "NO_COLOR": true, "LD_PRELOAD": false, "PATH": false, "TERM": false, "CI": false} {
		if err := sess.Setenv(name, "x"); (err == nil) != want {
			t.Errorf("variable %s: taken %v, want %v", name, err == nil, want)
		}
	}
	if sess.Setenv("LANG", "C\x1b]0;x") == nil {
		t.Error("a variable with an escape sequence is taken")
	}
}

func TestHugeWindowIsClamped(t *testing.T) {
	h := newHouse(t, nil)
	m := h.screen(h.login("anna", h.person("anna")), "xterm")
	m.until("Messages")
	huge := binary.BigEndian.AppendUint32(nil, 1<<30)
	huge = append(append(huge, huge...), make([]byte, 8)...)
	if ok, err := m.sess.SendRequest("window-change", true, huge); !ok || err != nil {
		t.Fatalf("a huge window: %v, %v", ok, err)
	}
	before := len(m.text())
	waitFor(t, func() bool { return len(m.text()) > before+500*20 }, func() string { return "the larger frame" })
	if n := len(m.text()); n > 1<<20 {
		t.Errorf("a frame of %d bytes", n)
	}
}

func TestSeats(t *testing.T) {
	h := newHouse(t, func(h *house) { h.o.Limits.Sessions, h.o.Limits.SessionsPerKey = 3, 2 })
	anna, bob := h.login("anna", h.person("anna")), h.login("bob", h.person("bob"))
	first := h.screen(anna, "xterm")
	first.until("Messages")
	h.screen(anna, "xterm").until("Messages")
	h.screen(anna, "xterm").until("your key has as many sessions as it may")
	h.screen(bob, "xterm").until("Messages")
	h.screen(bob, "xterm").until("all sessions are in use")
	first.sess.Close()
	waitFor(t, func() bool { return h.server.Sessions() == 2 }, func() string { return fmt.Sprint(h.server.Sessions(), " sessions") })
	h.screen(bob, "xterm").until("Messages")
}

func TestIdleAndLongSessionsEnd(t *testing.T) {
	h := newHouse(t, func(h *house) { h.o.Limits.Idle = 50 * time.Millisecond })
	m := h.screen(h.login("anna", h.person("anna")), "xterm")
	m.until("nothing was typed for 50ms")
	m.end()
	h = newHouse(t, func(h *house) { h.o.Limits.Most, h.o.Limits.Stuck = 50*time.Millisecond, 40*time.Millisecond })
	m = h.screen(h.login("anna", h.person("anna")), "xterm")
	m.until("it lasted 50ms")
	m.end()
}

// A crawling handshake, a connection that says nothing, one that authenticates
// and opens nothing, one that opens a channel and asks for nothing: all end.
func TestConnectionsWithoutASessionEnd(t *testing.T) {
	h := newHouse(t, func(h *house) { h.o.Limits.LoginTime = 3 * time.Second })
	anna := h.person("anna")
	silent, err := net.Dial("tcp", h.address)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	crawling, err := net.Dial("tcp", h.address)
	if err != nil {
		t.Fatal(err)
	}
	defer crawling.Close()
	go func() {
		for _, b := range []byte("SSH-2.0-" + strings.Repeat("slow", 200)) {
			if _, err := crawling.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	for name, c := range map[string]net.Conn{"silent": silent, "crawling": crawling} {
		if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, c); os.IsTimeout(err) {
			t.Errorf("the %s connection is still open", name)
		}
	}
	idle, half := h.login("anna", anna), h.login("anna", anna)
	if _, _, err := half.OpenChannel("session", nil); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*gossh.Client{"idle": idle, "half-open": half} {
		over := make(chan error, 1)
		go func() { over <- c.Wait() }()
		select {
		case <-over:
		case <-time.After(5 * time.Second):
			t.Errorf("the %s connection is still open", name)
		}
	}
	waitFor(t, func() bool { h.server.mu.Lock(); defer h.server.mu.Unlock(); return len(h.server.conns) == 0 }, func() string { return "no connection" })
	h.server.gate.mu.Lock()
	defer h.server.gate.mu.Unlock()
	if n := h.server.gate.strangers; n != 0 {
		t.Errorf("%d strangers are counted, none is there", n)
	}
}

func TestConnectionsOfOneAddressAreCounted(t *testing.T) {
	h := newHouse(t, func(h *house) { h.o.Limits.PerMinute = 20 })
	entered := 0
	for range 5000 {
		c, err := net.Dial("tcp", h.address)
		if err != nil {
			t.Fatal(err)
		}
		if c.SetReadDeadline(time.Now().Add(5*time.Second)) == nil {
			var b [4]byte
			if n, _ := io.ReadFull(c, b[:]); n == 4 && string(b[:]) == "SSH-" {
				entered++
			}
		}
		c.Close()
	}
	if entered < 20 || entered > 60 { // 20 at once and 20 a minute
		t.Errorf("%d of 5000 connections were answered, want about 20", entered)
	}
	if h.server.Refused() < 4000 {
		t.Errorf("%d are counted as refused", h.server.Refused())
	}
}

// Somebody who does not read what is sent holds up nobody but themselves.
func TestTerminalThatNeverReads(t *testing.T) {
	h := newHouse(t, func(h *house) { h.o.Limits.Stuck = 300 * time.Millisecond })
	c := h.login("anna", h.person("anna"))
	ch, requests, err := c.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go gossh.DiscardRequests(requests)
	if ok, err := ch.SendRequest("exec", true, gossh.Marshal(struct{ Line string }{"cat"})); !ok || err != nil {
		t.Fatal(ok, err)
	}
	go func() { _, _ = io.Copy(ch, endless{}) }() // ends with the connection
	other := h.login("bob", h.person("bob"))
	h.command(other, "works")
	over := make(chan error, 1)
	go func() { over <- c.Wait() }()
	select {
	case <-over:
	case <-time.After(10 * time.Second):
		t.Fatal("the session goes on")
	}
	waitFor(t, func() bool { return h.server.Sessions() == 0 }, func() string { return "its seat" })
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestStopTellsTheSessions(t *testing.T) {
	h := newHouse(t, nil)
	m := h.screen(h.login("anna", h.person("anna")), "xterm")
	m.until("Messages")
	begun := time.Now()
	h.stop()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v to stop", took)
	}
	m.until("mailwhy is being stopped")
	m.end()
}

// Killed clients leave nothing behind.
func TestKilledClientsLeaveNothing(t *testing.T) {
	h := newHouse(t, nil)
	key := h.person("anna")
	h.o.Tenants[0].Keys.Reload()
	warm := h.screen(h.login("anna", key), "xterm")
	warm.until("Messages")
	warm.sess.Close()
	waitFor(t, func() bool { return h.server.Sessions() == 0 }, func() string { return "no session" })
	before := runtime.NumGoroutine()
	var clients []*gossh.Client
	for range 10 {
		c := h.login("anna", key)
		h.screen(c, "xterm").until("Messages")
		clients = append(clients, c)
	}
	for _, c := range clients {
		c.Close()
	}
	waitFor(t, func() bool { return h.server.Sessions() == 0 && runtime.NumGoroutine() <= before },
		func() string { return fmt.Sprintf("%d goroutines, %d before", runtime.NumGoroutine(), before) })
}
