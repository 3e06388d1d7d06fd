package sshd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/charmbracelet/ssh"
	gossh "golang.org/x/crypto/ssh"

	"mailwhy/tui"
)

// exitRefused is the exit status of what was not allowed or not understood.
const exitRefused = 2

// mostInput bounds the standard input of a command line, in bytes.
const mostInput = 64 << 20

// session is one person's screens or command line.
type session struct {
	server *Server
	ssh    ssh.Session
	conn   *connection
	tenant *Tenant // found once, and kept: a key that it takes back leads to no other
	who    Identity
	cancel context.CancelFunc
	sizes  chan tui.Size // of the terminal

	mu      sync.Mutex
	because string // why it was ended; "" = it ended by itself

	input  atomic.Int64 // when something was last typed, Unix nanoseconds
	writes atomic.Int64 // since when a write waits for the client; 0 = none does
}

// channel handles a session channel from its opening to its end.
func (s *Server) channel(srv *ssh.Server, conn *gossh.ServerConn, offered gossh.NewChannel, ctx ssh.Context) {
	defer s.survive("channel")
	c := connectionOf(ctx)
	if c == nil || !c.openChannel() {
		_ = offered.Reject(gossh.ResourceShortage, "too many channels")
		return
	}
	defer c.closeChannel()
	open, shut := context.WithCancel(ctx)
	defer shut()
	var running sync.WaitGroup
	defer running.Wait()
	defer shut() // before the wait: the client closed the channel
	running.Add(1)
	var begun sync.Once
	never := func() { begun.Do(running.Done) }
	defer never()
	handler := func(sess ssh.Session) {
		first := false
		begun.Do(func() { first = true })
		if !first {
			return
		}
		defer running.Done()
		s.serve(open, c, sess)
	}
	one := &ssh.Server{Handler: handler, PtyHandler: srv.PtyHandler}
	ssh.DefaultSessionHandler(one, conn, filteredChannel{offered, open}, ctx)
}

// filteredChannel is a new channel whose requests went through channelRequests.
type filteredChannel struct {
	gossh.NewChannel
	ctx context.Context
}

// Accept accepts the channel.
func (f filteredChannel) Accept() (gossh.Channel, <-chan *gossh.Request, error) {
	ch, requests, err := f.NewChannel.Accept()
	if err != nil {
		return nil, nil, err
	}
	return ch, channelRequests(f.ctx, requests), nil
}

// serve gives a session its seat and runs it.
func (s *Server) serve(ctx context.Context, c *connection, sess ssh.Session) {
	defer s.survive("session")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	one := &session{server: s, ssh: sess, conn: c, cancel: cancel, sizes: make(chan tui.Size)}
	if _, windows, terminal := sess.Pty(); terminal {
		go relay(ctx, windows, one.sizes)
	}
	one.input.Store(s.o.Now().UnixNano())
	if err := one.begin(); err != nil {
		one.refuse(err.Error())
		return
	}
	leave, full := s.seats.take(one.who.Fingerprint)
	if leave == nil {
		one.refuse(full)
		return
	}
	defer leave()
	if err := one.tenant.Note(Event{Kind: LoggedIn, Who: one.who}); err != nil {
		s.log.Error("a login was not recorded", "error", err.Error())
		one.refuse("the login cannot be recorded, so it is not given")
		return
	}
	c.beginSession()
	defer c.endSession()
	s.enter(one)
	defer s.leave(one)
	go one.mind(ctx)
	status := one.run(ctx)
	one.farewell()
	_ = sess.Exit(status) // the client may be gone
}

func (s *Server) enter(one *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live[one] = struct{}{}
}

func (s *Server) leave(one *session) {
	s.mu.Lock()
	delete(s.live, one)
	s.mu.Unlock()
	if err := one.tenant.Note(Event{Kind: LoggedOut, Who: one.who, Reason: one.ended()}); err != nil {
		s.log.Error("the end of a session was not recorded", "error", err.Error())
	}
}

// begin finds out who it is and to which tenant, from the key that was proved in
// this connection.
func (o *session) begin() error {
	s, user, key, from := o.server, o.ssh.User(), o.ssh.PublicKey(), addressOf(o.ssh.RemoteAddr())
	asked := s.asked(user)
	known, err := s.memberships(asked.name, key, from)
	var chosen membership
	if len(known) > 0 {
		chosen, err = choose(known, asked.tenant)
	}
	if err != nil {
		if key != nil {
			s.noteRefusal(refusal{user, gossh.FingerprintSHA256(key), err, s.concerned(user, key, from)}, from)
		}
		return err
	}
	o.tenant, o.who = chosen.tenant, chosen.who
	if sentence := o.tenant.Closed(); sentence != "" {
		return errors.New(sentence)
	}
	return nil
}

// allowed asks the session's tenant again whether the key still enters.
func (o *session) allowed() error {
	_, err := o.tenant.identify(o.server.asked(o.ssh.User()).name, o.ssh.PublicKey(), addressOf(o.ssh.RemoteAddr()))
	return err
}

// refuse says no, on a line of its own.
func (o *session) refuse(why string) {
	fmt.Fprintf(o.ssh.Stderr(), "%s\n", why)
	_ = o.ssh.Exit(exitRefused)
}

// end ends the session from outside.
func (o *session) end(because string) {
	o.mu.Lock()
	if o.because == "" {
		o.because = because
	}
	o.mu.Unlock()
	o.cancel()
}

func (o *session) ended() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.because
}

// farewell tells why it was ended, if it was.
func (o *session) farewell() {
	if because := o.ended(); because != "" && o.writes.Load() == 0 {
		fmt.Fprintf(o.ssh.Stderr(), "%s\n", because)
	}
}

// mind ends a session that is idle, too long, or does not read.
func (o *session) mind(ctx context.Context) {
	limits, now := o.server.o.Limits, o.server.o.Now
	begun := now()
	tick := time.NewTicker(min(time.Second, limits.Stuck/4, limits.Idle/4))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		at := now()
		since := func(nano int64) time.Duration { return at.Sub(time.Unix(0, nano)) }
		switch waits := o.writes.Load(); {
		case waits != 0 && since(waits) > limits.Stuck:
			o.end("the terminal does not read")
			_ = o.conn.Close() // nothing else ends a write that waits
			return
		case since(o.input.Load()) > limits.Idle:
			o.end("your session has ended: nothing was typed for " + limits.Idle.String())
			return
		case at.Sub(begun) > limits.Most:
			o.end("your session has ended: it lasted " + limits.Most.String())
			return
		}
	}
}

// run shows the screens or runs the command line, and returns the exit status.
func (o *session) run(ctx context.Context) (status int) {
	defer func() {
		if p := recover(); p != nil {
			o.server.log.Error("panic", "where", "session", "panic", fmt.Sprint(p))
			status = exitRefused
		}
	}()
	_, _, terminal := o.ssh.Pty()
	args, err := splitWords(o.ssh.RawCommand())
	switch {
	case err != nil:
		fmt.Fprintf(o.ssh.Stderr(), "the command line cannot be read: %v\n", err)
		return exitRefused
	case len(args) > 0:
		return o.tenant.Run(ctx, o.who, args, io.LimitReader(minded{o}, mostInput), minded{o}, o.ssh.Stderr())
	case !terminal || o.who.NoTerminal:
		fmt.Fprintln(o.ssh.Stderr(), "the screens need a terminal; without one give a command, such as: search from:acme.example")
		return exitRefused
	}
	options := o.tenant.Screens(o.who)
	options.Environ = o.ssh.Environ() // terminalVariables, and TERM of the terminal
	if err := tui.RunRemote(ctx, options, minded{o}, minded{o}, o.sizes); err != nil {
		o.server.log.Error("screens", "error", err.Error())
		fmt.Fprintln(o.ssh.Stderr(), "the screens ended with a fault, which was recorded: connect again")
		return exitRefused
	}
	return 0
}

// relay passes window sizes on while anybody wants them, and takes them as long
// as they come: a client must not be able to stop its channel.
func relay(ctx context.Context, windows <-chan ssh.Window, sizes chan<- tui.Size) {
	for w := range windows {
		select {
		case sizes <- tui.Size{Width: w.Width, Height: w.Height}:
		case <-ctx.Done():
		}
	}
}

// minded is a session's bytes, with a note of when the last came and since when
// one waits to go.
type minded struct{ o *session }

// Read reads what was typed.
func (m minded) Read(p []byte) (int, error) {
	n, err := m.o.ssh.Read(p)
	m.o.input.Store(m.o.server.o.Now().UnixNano())
	return n, err
}

// Write writes to the client.
func (m minded) Write(p []byte) (int, error) {
	m.o.writes.Store(m.o.server.o.Now().UnixNano())
	defer m.o.writes.Store(0)
	return m.o.ssh.Write(p)
}
