package sshd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/charmbracelet/ssh"
	"github.com/charmbracelet/wish"
	gossh "golang.org/x/crypto/ssh"
)

// Options of a Server.
type Options struct {
	Tenants []Tenant // at least one; several have names that differ
	HostKey gossh.Signer
	Limits  Limits
	Banner  string // shown before authentication; "" = none

	// Stranger is told of a login that was refused and concerns no tenant; nil =
	// nobody is.
	Stranger func(Event) error

	Log *slog.Logger     // nil = silent
	Now func() time.Time // nil = time.Now
}

// EventKind is what happened at the door.
type EventKind string

// The events.
const (
	LoggedIn     EventKind = "login"
	LoginRefused EventKind = "login_refused"
	LoggedOut    EventKind = "logout"
)

// Event is something that happened at the door.
type Event struct {
	Kind   EventKind
	Who    Identity // of a refusal: the name that was claimed, the key that was offered
	Reason string   // of a refusal or an end
}

// Server serves SSH.
type Server struct {
	o       Options
	tenants []*Tenant
	log     *slog.Logger
	gate    *gate
	seats   *seats
	ssh     *ssh.Server

	mu    sync.Mutex
	live  map[*session]struct{}
	conns map[*connection]struct{}
	over  sync.WaitGroup // connections
}

// New makes a server. It listens to nothing yet.
func New(o Options) (*Server, error) {
	if err := o.Limits.check(); err != nil {
		return nil, fmt.Errorf("make ssh server: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Stranger == nil {
		o.Stranger = func(Event) error { return nil }
	}
	s := &Server{o: o, log: o.Log, gate: newGate(o.Limits, o.Now), live: map[*session]struct{}{}, conns: map[*connection]struct{}{},
		seats: &seats{limits: o.Limits, byKey: map[string]int{}}}
	for _, t := range o.Tenants {
		s.tenants = append(s.tenants, t.completed())
	}
	options := []ssh.Option{
		ssh.EmulatePty(),
		wish.WithVersion("mailwhy"),
		wish.WithPublicKeyAuth(s.offered),
		func(srv *ssh.Server) error {
			srv.AddHostKey(o.HostKey)
			srv.ServerConfigCallback = func(ssh.Context) *gossh.ServerConfig { return &gossh.ServerConfig{MaxAuthTries: 6} }
			srv.ConnCallback = func(ctx ssh.Context, c net.Conn) net.Conn { ctx.SetValue(connectionKey{}, c); return c }
			srv.ChannelHandlers = map[string]ssh.ChannelHandler{"session": s.channel}
			return nil
		},
	}
	if o.Banner != "" {
		options = append(options, wish.WithBanner(o.Banner))
	}
	var err error
	if s.ssh, err = wish.NewServer(options...); err != nil {
		return nil, fmt.Errorf("make ssh server: %w", err)
	}
	return s, nil
}

type connectionKey struct{}

func connectionOf(ctx ssh.Context) *connection {
	c, _ := ctx.Value(connectionKey{}).(*connection)
	return c
}

// Sessions is how many are open.
func (s *Server) Sessions() int { return s.seats.taken() }

// Refused is how many connections were turned away before a byte was read.
func (s *Server) Refused() int64 {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	return s.gate.refused
}

// How long the end of the server may take, and how often the keys are looked at.
const (
	farewell  = 2 * time.Second
	lookEvery = 300 * time.Millisecond
	weighEach = 10 * time.Second // every session anew, for keys that expire
)

// Serve accepts connections until ctx ends; then it tells the sessions, closes
// them and returns nil. It closes the listener.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	s.over.Go(func() { s.watch(ctx) })
	err := s.accept(ctx, listener)
	cancel()
	s.end()
	return err
}

func (s *Server) accept(ctx context.Context, listener net.Listener) error {
	for {
		c, err := listener.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				c.Close()
			}
			return nil
		case err != nil && isPassing(err):
			select { // too many open files, most likely: some will be closed
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		case err != nil:
			return fmt.Errorf("accept ssh connections: %w", err)
		case !s.gate.admit(addressOf(c.RemoteAddr())):
			c.Close()
			continue
		}
		s.over.Go(func() { s.connection(c) })
	}
}

func isPassing(err error) bool {
	var passing interface{ Temporary() bool }
	return errors.As(err, &passing) && passing.Temporary() && !errors.Is(err, net.ErrClosed)
}

func (s *Server) connection(c net.Conn) {
	n := newConnection(c, s.gate, s.o.Limits.LoginTime, s.left)
	defer n.Close()
	s.mu.Lock()
	s.conns[n] = struct{}{}
	s.mu.Unlock()
	defer s.survive("connection")
	s.ssh.HandleConn(n)
}

// survive keeps a panic from ending the others' sessions.
func (s *Server) survive(where string) {
	if p := recover(); p != nil {
		s.log.Error("panic", "where", where, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	}
}

// offered decides whether a key may be tried. It decides on nothing else: the
// client may offer a key it does not have.
func (s *Server) offered(ctx ssh.Context, key ssh.PublicKey) bool {
	from := addressOf(ctx.RemoteAddr())
	known, why := s.memberships(s.asked(ctx.User()).name, key, from)
	if len(known) > 0 {
		return true
	}
	if c := connectionOf(ctx); c != nil {
		c.refuse(refusal{ctx.User(), gossh.FingerprintSHA256(key), why, s.concerned(ctx.User(), key, from)})
	}
	return false
}

// left forgets a connection and records the keys that were offered in vain.
func (s *Server) left(c *connection) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	for _, r := range c.refusals() {
		s.noteRefusal(r, addressOf(c.RemoteAddr()))
	}
}

// noteRefusal tells those whom it concerns of a login that was refused.
func (s *Server) noteRefusal(r refusal, from netip.Addr) {
	name := r.user
	if !plainName(name) {
		name = "?"
	}
	e := Event{Kind: LoginRefused, Who: Identity{Name: name, Fingerprint: r.fingerprint, From: from}, Reason: r.why.Error()}
	for _, note := range r.concerned {
		if err := note(e); err != nil {
			s.log.Error("a refused login was not recorded", "error", err.Error())
		}
	}
}

// watch takes in changes of the keys and ends the sessions of those who may no
// longer enter.
func (s *Server) watch(ctx context.Context) {
	look, weigh := time.NewTicker(lookEvery), time.NewTicker(weighEach)
	defer look.Stop()
	defer weigh.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			if s.reload() {
				s.Recheck()
			}
		case <-weigh.C:
			s.Recheck()
		}
	}
}

// reload reads the keys of all tenants anew; true when some were written.
func (s *Server) reload() bool {
	news := false
	for _, t := range s.tenants {
		if !t.Keys.Reload() {
			continue
		}
		news = true
		for _, problem := range t.Keys.Problems() {
			s.log.Warn("keys", "problem", problem.Error(), "tenant", t.Name)
		}
	}
	return news
}

// Recheck asks again whether those with a session may have it, and ends the
// sessions of those who may not.
func (s *Server) Recheck() {
	for _, one := range s.sessions() {
		if err := one.allowed(); err != nil {
			one.end("your session has ended: " + err.Error())
		}
	}
}

func (s *Server) sessions() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*session
	for one := range s.live {
		list = append(list, one)
	}
	return list
}

// end tells every session, waits a little for them to go, and closes all
// connections.
func (s *Server) end() {
	for _, one := range s.sessions() {
		one.end("mailwhy is being stopped: connect again in a moment")
	}
	for until := time.Now().Add(farewell); len(s.sessions()) > 0 && time.Now().Before(until); {
		time.Sleep(10 * time.Millisecond)
	}
	if n := len(s.sessions()); n > 0 {
		s.log.Warn("sessions did not end by themselves", "sessions", n)
	}
	s.mu.Lock()
	var open []*connection
	for c := range s.conns {
		open = append(open, c)
	}
	s.mu.Unlock()
	for _, c := range open {
		_ = c.Close() // it is over either way
	}
	s.over.Wait()
}
