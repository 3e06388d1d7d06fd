package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// The terminal of a visitor, in cells.
const (
	visitorColumns = 110
	visitorRows    = 30
)

// visitor is a person with a session of `mailwhy serve`, on a terminal that
// answers no question.
type visitor struct {
	conn  *counted
	login *gossh.Client
	keys  io.Writer
	begun time.Time // when the session was asked for

	mu   sync.Mutex
	got  []byte        // since the last forget
	last time.Time     // when something came last
	more chan struct{} // closed when something comes
	over error         // nil = it goes on
}

// counted counts the bytes that come over a connection.
type counted struct {
	net.Conn
	read atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// visit logs in and asks for the screens; environ is what ssh would send of it.
func visit(address string, key gossh.Signer, term string, environ map[string]string) (*visitor, error) {
	conn, err := net.DialTimeout("tcp", address, time.Minute)
	if err != nil {
		return nil, err
	}
	v := &visitor{conn: &counted{Conn: conn}, more: make(chan struct{})}
	secure, channels, requests, err := gossh.NewClientConn(v.conn, address, &gossh.ClientConfig{
		User: "anna", Auth: []gossh.AuthMethod{gossh.PublicKeys(key)},
		HostKeyCallback: gossh.InsecureIgnoreHostKey(), // the server was started by this test
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	v.login = gossh.NewClient(secure, channels, requests)
	if err := v.ask(term, environ); err != nil {
		v.leave()
		return nil, err
	}
	return v, nil
}

func (v *visitor) ask(term string, environ map[string]string) error {
	v.begun = time.Now()
	session, err := v.login.NewSession()
	if err != nil {
		return err
	}
	if v.keys, err = session.StdinPipe(); err != nil {
		return err
	}
	session.Stdout = v
	for name, value := range environ {
		if err := session.Setenv(name, value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := session.RequestPty(term, visitorRows, visitorColumns, gossh.TerminalModes{}); err != nil {
		return err
	}
	if err := session.Shell(); err != nil {
		return err
	}
	go func() {
		err := session.Wait()
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.over = err; err == nil {
			v.over = io.EOF
		}
		v.wake()
	}()
	return nil
}

func (v *visitor) wake() {
	close(v.more)
	v.more = make(chan struct{})
}

// Write takes what the server draws.
func (v *visitor) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.got, v.last = append(v.got, p...), time.Now()
	v.wake()
	return len(p), nil
}

// leave drops the connection, as a laptop that is shut does.
func (v *visitor) leave() { _ = v.conn.Close() } // the client may have ended it

// forget drops what was drawn so far.
func (v *visitor) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.got = nil
}

func (v *visitor) drawn() []byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	return bytes.Clone(v.got)
}

var sequence = regexp.MustCompile(`\x1b\[[0-9;?]*[a-zA-Z]`)

// until waits until a text was drawn since the last forget, and tells when.
func (v *visitor) until(text string) (time.Time, error) {
	late := time.After(time.Minute)
	for {
		v.mu.Lock()
		found, at, more, over := bytes.Contains(sequence.ReplaceAll(v.got, nil), []byte(text)), v.last, v.more, v.over
		v.mu.Unlock()
		switch {
		case found:
			return at, nil
		case over != nil:
			return time.Time{}, fmt.Errorf("the session ended before %q: %w", text, over)
		}
		select {
		case <-more:
		case <-late:
			return time.Time{}, fmt.Errorf("%q did not come: %q", text, v.drawn())
		}
	}
}

// press sends keys at once.
func (v *visitor) press(keys string) error {
	_, err := io.WriteString(v.keys, keys)
	return err
}

// search types a fragment into the query line as a person does, and tells how
// long after the last key a row was drawn that has the text.
func (v *visitor) search(fragment, row string) (time.Duration, error) {
	if err := v.press("/\x15"); err != nil {
		return 0, err
	}
	for i, key := range fragment {
		if i == len(fragment)-1 {
			v.forget()
		}
		if err := v.press(string(key)); err != nil {
			return 0, err
		}
		if i < len(fragment)-1 {
			time.Sleep(betweenKeys)
		}
	}
	pressed := time.Now()
	at, err := v.until(row)
	if err != nil {
		return 0, err
	}
	return at.Sub(pressed), v.press("\r")
}

// betweenKeys is how fast a person types who knows what to type.
const betweenKeys = 60 * time.Millisecond

// crowd is the command of a process that opens so many sessions and holds them
// until it is killed: crowd ADDRESS KEYFILE NUMBER. It says when all have rows.
func crowd() {
	err := hold(os.Args[1], os.Args[2], os.Args[3])
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func hold(address, keyFile, number string) error {
	var n int
	if _, err := fmt.Sscan(number, &n); err != nil {
		return err
	}
	pem, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	key, err := gossh.ParsePrivateKey(pem)
	if err != nil {
		return err
	}
	for range n {
		v, err := visit(address, key, "xterm-256color", nil)
		if err == nil {
			_, err = v.until("@corp.example")
		}
		if err != nil {
			return err
		}
	}
	fmt.Println("ready")
	select {}
}
