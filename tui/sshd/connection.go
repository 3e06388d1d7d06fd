package sshd

import (
	"net"
	"sync"
	"time"
)

// afterLast is how long a connection may stay without a session once it had one.
const afterLast = 10 * time.Second

// mostChannels is how many channels of one connection may be open at once,
// sessions that have not begun among them.
const mostChannels = 12

// connection is a client's TCP connection. It is closed when no session begins
// in time: that ends handshakes that crawl, keys tried without end, and
// connections that are kept for nothing.
type connection struct {
	net.Conn
	gate   *gate
	closed func(c *connection)

	mu       sync.Mutex
	timer    *time.Timer
	proved   bool // a key was proved
	gone     bool
	sessions int
	channels int
	refused  []refusal
}

// refusal is a key that was offered in vain.
type refusal struct {
	user, fingerprint string
	why               error
	concerned         []func(Event) error // who is told of it
}

func newConnection(c net.Conn, g *gate, patience time.Duration, closed func(*connection)) *connection {
	n := &connection{Conn: c, gate: g, closed: closed}
	n.mu.Lock() // the timer may run before it is kept
	defer n.mu.Unlock()
	n.timer = time.AfterFunc(patience, func() { n.Close() })
	return n
}

// Close closes the connection and counts it out; further calls do nothing.
func (c *connection) Close() error {
	c.mu.Lock()
	if c.gone {
		c.mu.Unlock()
		return nil
	}
	c.gone = true
	stranger := !c.proved
	c.timer.Stop()
	c.mu.Unlock()
	err := c.Conn.Close()
	if stranger {
		c.gate.acquainted()
	}
	c.closed(c)
	return err
}

// openChannel counts a channel in. That one is opened means that a key was
// proved before.
func (c *connection) openChannel() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone || c.channels >= mostChannels {
		return false
	}
	if !c.proved {
		c.proved = true
		c.gate.acquainted()
	}
	c.channels++
	return true
}

func (c *connection) closeChannel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.channels--
}

func (c *connection) beginSession() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions++
	c.timer.Stop()
}

func (c *connection) endSession() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions--; c.sessions == 0 && !c.gone {
		c.timer.Reset(afterLast)
	}
}

func (c *connection) refuse(r refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.refused) < 20 {
		c.refused = append(c.refused, r)
	}
}

// refusals are the keys offered in vain by a connection that proved none.
func (c *connection) refusals() []refusal {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.proved {
		return nil
	}
	return c.refused
}
