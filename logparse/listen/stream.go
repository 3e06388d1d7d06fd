package listen

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"mailwhy/logparse/spool"
)

// handshakeTime is how long a client may take over TLS's handshake.
const handshakeTime = 10 * time.Second

// accept serves connections until ctx ends.
func (l *Listener) accept(ctx context.Context) error {
	var serving sync.WaitGroup
	defer serving.Wait()
	stop := context.AfterFunc(ctx, func() { _ = l.stream.Close() })
	defer stop()
	for {
		conn, err := l.stream.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accept syslog connections: %w", err)
		}
		if err != nil { // too many open files: those that are open go on
			pause(ctx, 100*time.Millisecond)
			continue
		}
		from := address(conn.RemoteAddr())
		to := l.options.Spool(from)
		if to == nil || !l.enter(from) {
			l.count(func(s *Stats) { s.Refused++ })
			_ = conn.Close()
			continue
		}
		serving.Go(func() {
			defer l.leave(from)
			if err := l.serve(ctx, conn, from, to); err != nil && ctx.Err() == nil {
				l.broken(from, err)
			}
		})
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (l *Listener) enter(from netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stats.Connections >= l.options.Connections || l.from[from] >= l.options.PerSender {
		return false
	}
	l.stats.Connections++
	l.from[from]++
	return true
}

func (l *Listener) leave(from netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Connections--
	if l.from[from]--; l.from[from] == 0 {
		delete(l.from, from)
	}
}

func (l *Listener) broken(from netip.Addr, err error) {
	why := err.Error()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		why = "it was idle, or a line took too long"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Broken++
	l.why = fmt.Sprintf("%s: %s", from, why)
}

// serve reads one connection to its end. A sender that goes away is no error.
func (l *Listener) serve(ctx context.Context, conn net.Conn, from netip.Addr, to *spool.Spool) (err error) {
	raw := conn
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	defer func() { _ = raw.Close() }()
	if l.options.Network == "tls" {
		if conn, err = l.handshake(ctx, raw); err != nil {
			return err
		}
	}
	c := connection{listener: l, conn: conn, from: from, to: to, frames: framing{longest: l.options.LongestLine}, buffer: make([]byte, 0, 16<<10)}
	defer func() { l.count(func(s *Stats) { s.Cut += c.frames.cut }) }()
	return c.read(ctx)
}

// handshake lets in a client whose certificate is what the configuration asks
// for.
func (l *Listener) handshake(ctx context.Context, raw net.Conn) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	conn := tls.Server(raw, l.options.TLS)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	if peers := conn.ConnectionState().PeerCertificates; len(l.options.Names) > 0 && (len(peers) == 0 || !named(peers[0], l.options.Names)) {
		return nil, errors.New("its certificate bears none of the names that may send")
	}
	return conn, nil
}

func named(c *x509.Certificate, names []string) bool {
	for _, name := range names {
		if c.VerifyHostname(name) == nil {
			return true
		}
	}
	return false
}

// connection is one sender's stream.
type connection struct {
	listener *Listener
	conn     net.Conn
	from     netip.Addr
	to       *spool.Spool
	frames   framing
	buffer   []byte
}

// read appends to the spool what each read brings whole. The time for the next
// line begins when one was taken: a sender that drips bytes ends like one that
// sends none.
func (c *connection) read(ctx context.Context) error {
	idle := c.listener.options.Idle
	if err := c.conn.SetReadDeadline(time.Now().Add(idle)); err != nil {
		return err
	}
	for {
		if len(c.buffer) == cap(c.buffer) {
			c.buffer = append(make([]byte, 0, 2*cap(c.buffer)), c.buffer...)
		}
		n, err := c.conn.Read(c.buffer[len(c.buffer):cap(c.buffer)])
		c.buffer = c.buffer[:len(c.buffer)+n]
		ended := errors.Is(err, io.EOF)
		lines, used, frameErr := c.lines(ended)
		if len(lines) > 0 {
			if err := c.to.Append(ctx, lines); err != nil {
				return err
			}
			c.listener.count(func(s *Stats) { s.Lines += int64(len(lines)) })
			if err := c.conn.SetReadDeadline(time.Now().Add(idle)); err != nil {
				return err
			}
		}
		c.buffer = append(c.buffer[:0], c.buffer[used:]...)
		switch {
		case frameErr != nil:
			return frameErr
		case ended && len(c.buffer) > 0:
			return errors.New("it ended within a message")
		case ended:
			return nil
		case err != nil:
			return err
		}
	}
}

// lines are the whole messages in the buffer, valid until it changes, and how
// many bytes of it are done with.
func (c *connection) lines(eof bool) (lines [][]byte, used int, err error) {
	for {
		message, n, err := c.frames.next(c.buffer[used:], eof)
		if err != nil || n == 0 {
			return lines, used, err
		}
		used += n
		if line := oneLine(message, c.from, c.listener.options.Now()); line != nil {
			lines = append(lines, line)
		}
	}
}
