package sshd

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Limits bound what strangers and people can take. Every field must be positive.
type Limits struct {
	Sessions       int           // at once, in all
	SessionsPerKey int           // at once, of one key
	PerMinute      int           // connections of one address a minute, and at once after a pause
	Unauthorized   int           // connections at once that have not proved a key, in all
	LoginTime      time.Duration // from connecting to the first session
	Idle           time.Duration // without a key press or a byte of input
	Most           time.Duration // of a session, whatever happens in it
	Stuck          time.Duration // that a terminal may take to read what was written
}

// check reports a limit that was forgotten.
func (l Limits) check() error {
	if min(l.Sessions, l.SessionsPerKey, l.PerMinute, l.Unauthorized) < 1 || min(l.LoginTime, l.Idle, l.Most, l.Stuck) < time.Millisecond {
		return fmt.Errorf("every limit must be positive: %+v", l)
	}
	return nil
}

// DefaultLimits suit a helpdesk of a few dozen people.
func DefaultLimits() Limits {
	return Limits{
		Sessions: 200, SessionsPerKey: 10, PerMinute: 60, Unauthorized: 50,
		LoginTime: 20 * time.Second, Idle: 30 * time.Minute, Most: 12 * time.Hour, Stuck: 30 * time.Second,
	}
}

// gate decides on connections before a byte of them is read.
type gate struct {
	limits Limits
	now    func() time.Time

	mu        sync.Mutex
	buckets   map[netip.Prefix]*bucket
	strangers int
	refused   int64
}

// bucket holds the connections an address may still make.
type bucket struct {
	left float64
	at   time.Time
}

// mostBuckets bounds the memory that many addresses can take; past it the
// buckets that have filled up again are forgotten.
const mostBuckets = 10_000

func newGate(l Limits, now func() time.Time) *gate {
	return &gate{limits: l, now: now, buckets: map[netip.Prefix]*bucket{}}
}

// admit counts a connection in; false turns it away.
func (g *gate) admit(from netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.take(neighbourhood(from)) || g.strangers >= g.limits.Unauthorized {
		g.refused++
		return false
	}
	g.strangers++
	return true
}

// acquainted is called once when a connection has proved a key, or is gone.
func (g *gate) acquainted() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.strangers--
}

// take takes one connection from an address's bucket; g.mu is held.
func (g *gate) take(from netip.Prefix) bool {
	now, full := g.now(), float64(g.limits.PerMinute)
	b := g.buckets[from]
	if b == nil {
		if len(g.buckets) >= mostBuckets {
			g.forget(now)
		}
		if len(g.buckets) >= mostBuckets {
			return false
		}
		b = &bucket{left: full, at: now}
		g.buckets[from] = b
	}
	b.left, b.at = min(full, b.left+now.Sub(b.at).Minutes()*full), now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

func (g *gate) forget(now time.Time) {
	for from, b := range g.buckets {
		if now.Sub(b.at) >= time.Minute {
			delete(g.buckets, from)
		}
	}
}

// neighbourhood is the address, or the /64 of an IPv6 address, of which one
// host has as many as it likes.
func neighbourhood(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// addressOf is the host's address of a connection's end; invalid for none.
func addressOf(a net.Addr) netip.Addr {
	if a == nil {
		return netip.Addr{}
	}
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr().Unmap()
}

// seats counts the sessions at once.
type seats struct {
	limits Limits

	mu    sync.Mutex
	all   int
	byKey map[string]int
}

// take gives a seat and the function that leaves it; why says what is full.
func (s *seats) take(fingerprint string) (leave func(), why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.all >= s.limits.Sessions:
		return nil, "all sessions are in use: try again in a moment"
	case s.byKey[fingerprint] >= s.limits.SessionsPerKey:
		return nil, "your key has as many sessions as it may: end one first"
	}
	s.all++
	s.byKey[fingerprint]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.byKey[fingerprint]--; s.byKey[fingerprint] == 0 {
			delete(s.byKey, fingerprint)
		}
	}, ""
}

func (s *seats) taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}
