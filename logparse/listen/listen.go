// Package listen takes syslog from gateways that ship their logs: over UDP
// (RFC 5426), TCP (RFC 6587) and TLS (RFC 5425), messages of RFC 5424 and RFC
// 3164 and what gateways send in their place.
//
// A line is not read here: it is written to a spool (see logparse/spool), whose
// files the ordinary tail follows. So it has a place that a checkpoint and a
// message's evidence can name, and a restart neither loses nor repeats it.
//
//	l, err := listen.New(listen.Options{Network: "tcp", Address: "127.0.0.1:6601", Spool: to})
//	err = l.Run(ctx)
//
// Anybody may be at the other end. Connections, their number for each sender,
// the length of a line and the time in which one must be complete are bounded;
// what a line must not hold is escaped. A full spool is not read past: over TCP
// and TLS the sender waits, over UDP, where none can, what finds no room is
// dropped and counted. TCP has no receipts either: what a sender has written to
// a connection that breaks may be lost, as RFC 6587 section 1 says.
package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"mailwhy/logparse/spool"
)

// Options of a listener.
type Options struct {
	Network string      // udp, tcp or tls
	Address string      // host:port
	TLS     *tls.Config // of tls: the certificate, and whose clients' are taken
	Names   []string    // of tls: a client's certificate must bear one of these (RFC 5425 section 5.2); empty = any that TLS lets in

	// Spool is where a sender's lines go; nil = it may not send. It is asked
	// once a connection, and for each datagram.
	Spool func(from netip.Addr) *spool.Spool

	Connections int              // at once; 0 = 200
	PerSender   int              // of them, of one address; 0 = 20
	LongestLine int              // bytes; what is longer is cut there and counted; 0 = 64 KiB
	Idle        time.Duration    // in which a connection must bring a whole line; 0 = 10 minutes
	Now         func() time.Time // nil = time.Now
}

// Stats counts what a listener has seen since it began.
type Stats struct {
	Connections int   // open now
	Lines       int64 // taken
	Refused     int64 // connections and datagrams of who may not send, or too many at once
	Cut         int64 // lines that were too long
	Broken      int64 // connections ended for idling, bad framing or a failed handshake
	Dropped     int64 // datagrams that found no room
}

// Listener is a bound socket.
type Listener struct {
	options Options
	stream  net.Listener   // tcp and tls
	packets net.PacketConn // udp

	mu    sync.Mutex
	stats Stats
	from  map[netip.Addr]int // open connections
	why   string             // the newest reason of Broken
}

// receiveBuffer is what the kernel is asked to hold of datagrams, in bytes: a
// burst must outlast a pause of ours.
const receiveBuffer = 4 << 20

// New binds the address; nothing is taken before Run.
func New(o Options) (*Listener, error) {
	if o.Connections <= 0 {
		o.Connections = 200
	}
	if o.PerSender <= 0 {
		o.PerSender = 20
	}
	if o.LongestLine <= 0 {
		o.LongestLine = 64 << 10
	}
	if o.Idle <= 0 {
		o.Idle = 10 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	l := &Listener{options: o, from: map[netip.Addr]int{}}
	var err error
	switch {
	case o.Network == "tls" && o.TLS == nil:
		err = errors.New("no certificate is named")
	case o.Network == "udp":
		l.packets, err = net.ListenPacket("udp", o.Address)
		if udp, ok := l.packets.(*net.UDPConn); ok {
			_ = udp.SetReadBuffer(receiveBuffer) // less is had where the system gives less
		}
	case o.Network == "tcp" || o.Network == "tls":
		l.stream, err = net.Listen("tcp", o.Address)
	default:
		err = errors.New("the network is udp, tcp or tls")
	}
	if err != nil {
		return nil, fmt.Errorf("listen for syslog on %s %s: %w", o.Network, o.Address, err)
	}
	return l, nil
}

// Addr is the bound address.
func (l *Listener) Addr() net.Addr {
	if l.packets != nil {
		return l.packets.LocalAddr()
	}
	return l.stream.Addr()
}

// Run takes lines until ctx ends; then nil is returned and the socket is
// closed.
func (l *Listener) Run(ctx context.Context) error {
	if l.packets != nil {
		return l.receive(ctx)
	}
	return l.accept(ctx)
}

// Stats returns the counts so far.
func (l *Listener) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

// Problem says what was lost; "" = nothing.
func (l *Listener) Problem() string {
	s := l.Stats()
	if s.Dropped == 0 {
		return ""
	}
	return fmt.Sprintf("%d datagrams found no room and were dropped: over TCP a sender waits", s.Dropped)
}

// Note says where it listens and how its senders behave.
func (l *Listener) Note() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	note := fmt.Sprintf("listens on %s", l.Addr())
	for _, part := range []struct {
		n    int64
		what string
	}{{int64(s.Connections), "connected"}, {s.Refused, "refused"}, {s.Cut, "lines cut"}, {s.Broken, "connections ended, the last since " + l.why}} {
		if part.n > 0 {
			note += fmt.Sprintf(", %d %s", part.n, part.what)
		}
	}
	return note
}

func (l *Listener) count(change func(*Stats)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.stats)
}

// address is a socket's address without port, zone and IPv4 mapping.
func address(a net.Addr) netip.Addr {
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr().Unmap().WithZone("")
}
