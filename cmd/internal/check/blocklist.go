package check

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Listing is what one block list says of a client.
type Listing struct {
	Client string   `json:"client"`
	Zone   string   `json:"zone"`
	Result string   `json:"result"`           // one of the results below
	Codes  []string `json:"codes,omitempty"`  // the list's answers, 127.0.0.0/8
	Reason string   `json:"reason,omitempty"` // the list's own text; untrusted
	Detail string   `json:"detail,omitempty"` // one sentence where there is no plain yes or no

	AskedAt time.Time `json:"asked_at"`
}

// The results. Unreliable: the zone fails the test of RFC 5782 section 5, so
// neither its yes nor its no says anything. Refused: the list answers 127.255.255.0/24,
// which says that it does not serve this resolver, not that the client is listed.
const (
	Listed     = "listed"
	NotListed  = "not_listed"
	Unreliable = "unreliable"
	Refused    = "refused"
	NoAnswer   = "no_answer"
)

// BlockLists asks every zone about a client, all at the same time. The answers
// come in the order of the zones.
func (r *Resolver) BlockLists(ctx context.Context, client netip.Addr, zones []string) []Listing {
	listings := make([]Listing, len(zones))
	var all sync.WaitGroup
	for i, zone := range zones {
		all.Add(1)
		go func() {
			defer all.Done()
			listings[i] = r.blockList(ctx, client.Unmap(), strings.Trim(zone, "."))
		}()
	}
	all.Wait()
	return listings
}

func (r *Resolver) blockList(ctx context.Context, client netip.Addr, zone string) Listing {
	l := Listing{Client: client.String(), Zone: zone, AskedAt: r.now()}
	name := reversed(client) + "." + zone
	a, err := r.ask(ctx, name, dns.TypeA)
	if err != nil {
		l.Result, l.Detail = NoAnswer, err.Error()
		return l
	}
	l.AskedAt = a.asked
	l.Result, l.Codes, l.Detail = judge(a.records)
	if l.Result == Refused {
		return l
	}
	if fault := r.fault(ctx, zone, client.Is6()); fault != "" {
		l.Result, l.Detail = Unreliable, fault
		return l
	}
	if l.Result == Listed {
		if texts, err := r.texts(ctx, name); err == nil {
			l.Reason = strings.Join(texts, " / ")
		}
	}
	return l
}

var (
	listAnswers = netip.MustParsePrefix("127.0.0.0/8")
	refusals    = netip.MustParsePrefix("127.255.255.0/24")
)

// judge reads a list's A records.
func judge(records []dns.RR) (result string, codes []string, detail string) {
	result = NotListed
	for _, record := range records {
		code, ok := netip.AddrFromSlice(record.(*dns.A).A)
		if !ok {
			continue
		}
		code = code.Unmap()
		codes = append(codes, code.String())
		switch {
		case refusals.Contains(code):
			return Refused, codes, "the list does not answer this resolver (" + code.String() + "): ask through a resolver of your own, or register with the list"
		case !listAnswers.Contains(code):
			return Unreliable, codes, "the zone answers " + code.String() + ", which no block list does: it may have changed hands"
		}
		result = Listed
	}
	return result, codes, ""
}

// fault tests a zone as RFC 5782 section 5 says: 127.0.0.2 must be listed and
// 127.0.0.1 must not, for IPv6 the same addresses mapped. "" = sound.
func (r *Resolver) fault(ctx context.Context, zone string, v6 bool) string {
	must, mustNot := netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")
	ask := func(client netip.Addr) (listed bool, err error) {
		name := reversed(client)
		if v6 {
			name = reversed16(client.As16())
		}
		a, err := r.ask(ctx, name+"."+zone, dns.TypeA)
		if err != nil {
			return false, err
		}
		result, _, _ := judge(a.records)
		return result == Listed, nil
	}
	listed, err := ask(must)
	if err != nil {
		return err.Error()
	}
	if !listed {
		return "the zone does not list its test entry " + must.String() + ": it is no block list, or it is out of service"
	}
	if listed, err = ask(mustNot); err != nil {
		return err.Error()
	}
	if listed {
		return "the zone lists " + mustNot.String() + ", so it lists everything: it is out of service"
	}
	return ""
}

// reversed is the name of a client inside a zone: octets of IPv4, nibbles of
// IPv6 (RFC 5782 section 2), last first.
func reversed(client netip.Addr) string {
	if !client.Is4() {
		return reversed16(client.As16())
	}
	octets := strings.Split(client.String(), ".")
	return octets[3] + "." + octets[2] + "." + octets[1] + "." + octets[0]
}

func reversed16(b [16]byte) string {
	const digits = "0123456789abcdef"
	nibbles := make([]byte, 0, 64)
	for i := len(b) - 1; i >= 0; i-- {
		nibbles = append(nibbles, digits[b[i]&15], '.', digits[b[i]>>4], '.')
	}
	return string(nibbles[:len(nibbles)-1])
}
