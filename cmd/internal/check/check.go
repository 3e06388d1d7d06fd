// Package check asks DNS, when a person asks for it, what is published about a
// client address or a domain.
//
// It answers: does a block list name this client (RFC 5782), and what do the
// domain's MX, SPF (RFC 7208), DKIM (RFC 6376), DMARC (RFC 7489) and PTR records
// say? Every answer carries the time it was asked for, because DNS says what is
// so now and not what was so when a message was refused.
//
//	r := check.Resolver{Server: "127.0.0.1:53"}
//	listings := r.BlockLists(ctx, netip.MustParseAddr("192.0.2.99"), []string{"bl.example"})
//
// It must not know messages, policies or screens, and nothing that draws a
// screen calls it: an answer can take seconds.
package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// DefaultTimeout is how long one question waits for its answer.
const DefaultTimeout = 5 * time.Second

// Resolver asks one DNS server and keeps answers for their time to live. The
// zero value asks the first server of /etc/resolv.conf. Safe for use by many
// goroutines; it must not be copied after its first use.
type Resolver struct {
	Server  string           // host:port; "" = the system's first
	Timeout time.Duration    // of one question; 0 = DefaultTimeout
	Now     func() time.Time // the clock answers are stamped by; nil = time.Now

	mu   sync.Mutex
	kept map[question]answer
}

type question struct {
	name string
	kind uint16
}

// answer is what DNS holds under one name: no records when the name or the kind
// does not exist.
type answer struct {
	records []dns.RR
	asked   time.Time
	until   time.Time // kept until then
}

// mostKept bounds the answers that are kept.
const mostKept = 10_000

func (r *Resolver) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now().UTC()
}

// ask gives the records of one kind under a name. A name that does not exist is
// an answer without records; an error says that there was no answer.
func (r *Resolver) ask(ctx context.Context, name string, kind uint16) (answer, error) {
	q := question{dns.CanonicalName(name), kind}
	now := r.now()
	r.mu.Lock()
	known, ok := r.kept[q]
	r.mu.Unlock()
	if ok && now.Before(known.until) {
		return known, nil
	}
	reply, server, err := r.exchange(ctx, q)
	if err != nil {
		return answer{}, fmt.Errorf("ask %s for %s of %s: %w", server, dns.TypeToString[kind], strings.TrimSuffix(q.name, "."), err)
	}
	a := answer{asked: now, until: now.Add(timeToLive(reply))}
	for _, record := range reply.Answer {
		if record.Header().Rrtype == kind {
			a.records = append(a.records, record)
		}
	}
	r.keep(q, a)
	return a, nil
}

func (r *Resolver) keep(q question, a answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept == nil || len(r.kept) >= mostKept {
		r.kept = map[question]answer{}
	}
	r.kept[q] = a
}

// exchange asks over UDP, and over TCP when the answer did not fit.
func (r *Resolver) exchange(ctx context.Context, q question) (*dns.Msg, string, error) {
	server := r.Server
	if server == "" {
		system, err := dns.ClientConfigFromFile("/etc/resolv.conf")
		if err != nil || len(system.Servers) == 0 {
			return nil, "DNS", errors.New("no resolver is known: name one with --resolver or dns_resolver")
		}
		server = net.JoinHostPort(system.Servers[0], system.Port)
	} else if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(server, "53")
	}
	timeout := r.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	var m dns.Msg
	m.SetQuestion(q.name, q.kind)
	m.SetEdns0(1232, false)
	client := dns.Client{Timeout: timeout}
	reply, _, err := client.ExchangeContext(ctx, &m, server)
	if err == nil && reply.Truncated {
		client.Net = "tcp"
		reply, _, err = client.ExchangeContext(ctx, &m, server)
	}
	switch {
	case err != nil:
		return nil, server, err
	case reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError:
		return nil, server, fmt.Errorf("it answers %s", dns.RcodeToString[reply.Rcode])
	}
	return reply, server, nil
}

// timeToLive is how long an answer may be kept: the least of its records, or
// what RFC 2308 gives a name that does not exist; an hour at most.
func timeToLive(reply *dns.Msg) time.Duration {
	least := uint32(time.Hour / time.Second)
	for _, record := range reply.Answer {
		least = min(least, record.Header().Ttl)
	}
	if len(reply.Answer) == 0 {
		for _, record := range reply.Ns {
			if soa, ok := record.(*dns.SOA); ok {
				least = min(least, soa.Minttl, soa.Hdr.Ttl)
			}
		}
	}
	return time.Duration(least) * time.Second
}

// texts gives the TXT records under a name, each joined as RFC 7208 section 3.3
// has it.
func (r *Resolver) texts(ctx context.Context, name string) ([]string, error) {
	a, err := r.ask(ctx, name, dns.TypeTXT)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, record := range a.records {
		list = append(list, unescaped(strings.Join(record.(*dns.TXT).Txt, "")))
	}
	return list, nil
}

// unescaped undoes the presentation form of RFC 1035 section 5.1: \X is X, \DDD
// the byte of that decimal number.
func unescaped(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		if i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 10, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		i++
		b.WriteByte(s[i])
	}
	return b.String()
}

// addresses gives the A and AAAA records under a name.
func (r *Resolver) addresses(ctx context.Context, name string) ([]string, error) {
	var list []string
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		a, err := r.ask(ctx, name, kind)
		if err != nil {
			return nil, err
		}
		for _, record := range a.records {
			switch record := record.(type) {
			case *dns.A:
				list = append(list, record.A.String())
			case *dns.AAAA:
				list = append(list, record.AAAA.String())
			}
		}
	}
	return list, nil
}
