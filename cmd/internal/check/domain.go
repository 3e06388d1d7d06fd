package check

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/publicsuffix"
)

// Domain is what a mail domain publishes.
type Domain struct {
	Domain string   `json:"domain"`
	MX     []MX     `json:"mx"`
	NullMX bool     `json:"null_mx"` // RFC 7505: the domain takes no mail
	SPF    Record   `json:"spf"`
	DMARC  Record   `json:"dmarc"`
	DKIM   []Record `json:"dkim,omitempty"` // one a selector asked for
	Faults []string `json:"faults,omitempty"`

	AskedAt time.Time `json:"asked_at"`
}

// MX is one mail exchanger with its addresses.
type MX struct {
	Preference int       `json:"preference"`
	Host       string    `json:"host"`
	Addresses  []Address `json:"addresses"`
}

// Address is an address of a mail exchanger and the names DNS gives it.
// Confirmed: one of the names leads back to the address.
type Address struct {
	IP        string   `json:"ip"`
	Names     []string `json:"names,omitempty"`
	Confirmed bool     `json:"confirmed"`
}

// Record is one published text and what is wrong with it.
type Record struct {
	Name     string   `json:"name"` // where it was looked for
	Result   string   `json:"result"`
	Text     string   `json:"text,omitempty"` // untrusted
	Problems []string `json:"problems,omitempty"`
}

// The results of a Record.
const (
	Found   = "found"
	Missing = "missing"
	Broken  = "broken"
)

// Exists reports whether DNS holds anything that a mail domain has.
func (d Domain) Exists() bool {
	return len(d.MX) > 0 || d.NullMX || d.SPF.Result != Missing || d.DMARC.Result != Missing
}

// Domain asks for everything a mail domain publishes, and for the DKIM keys
// under the selectors. What could not be asked stands in Faults.
func (r *Resolver) Domain(ctx context.Context, domain string, selectors []string) Domain {
	domain = strings.TrimSuffix(strings.ToLower(domain), ".")
	d := Domain{Domain: domain, AskedAt: r.now()}
	note := func(err error) {
		if err != nil && !slices.Contains(d.Faults, err.Error()) {
			d.Faults = append(d.Faults, err.Error())
		}
	}
	note(r.exchangers(ctx, &d))
	var err error
	d.SPF, err = r.spf(ctx, domain)
	note(err)
	d.DMARC, err = r.dmarc(ctx, domain)
	note(err)
	for _, selector := range selectors {
		key, err := r.dkim(ctx, selector, domain)
		note(err)
		d.DKIM = append(d.DKIM, key)
	}
	return d
}

func (r *Resolver) exchangers(ctx context.Context, d *Domain) error {
	a, err := r.ask(ctx, d.Domain, dns.TypeMX)
	if err != nil {
		return err
	}
	for _, record := range a.records {
		mx := record.(*dns.MX)
		if mx.Mx == "." {
			d.NullMX = true
			continue
		}
		host := strings.TrimSuffix(mx.Mx, ".")
		ips, err := r.addresses(ctx, host)
		if err != nil {
			return err
		}
		one := MX{Preference: int(mx.Preference), Host: host, Addresses: []Address{}}
		for _, ip := range ips {
			address, err := r.named(ctx, ip)
			if err != nil {
				return err
			}
			one.Addresses = append(one.Addresses, address)
		}
		d.MX = append(d.MX, one)
	}
	slices.SortStableFunc(d.MX, func(a, b MX) int { return cmp.Compare(a.Preference, b.Preference) })
	return nil
}

// named gives the PTR names of an address and whether one leads back to it.
func (r *Resolver) named(ctx context.Context, ip string) (Address, error) {
	address := Address{IP: ip}
	name, err := dns.ReverseAddr(ip)
	if err != nil {
		return address, err
	}
	a, err := r.ask(ctx, name, dns.TypePTR)
	if err != nil {
		return address, err
	}
	for _, record := range a.records {
		host := strings.TrimSuffix(record.(*dns.PTR).Ptr, ".")
		address.Names = append(address.Names, host)
		back, err := r.addresses(ctx, host)
		if err != nil {
			return address, err
		}
		address.Confirmed = address.Confirmed || slices.Contains(back, ip)
	}
	return address, nil
}

// spfLookups is how many further questions an SPF check may take (RFC 7208
// section 4.6.4).
const spfLookups = 10

func (r *Resolver) spf(ctx context.Context, domain string) (Record, error) {
	record := Record{Name: domain, Result: Missing}
	texts, err := r.texts(ctx, domain)
	if err != nil {
		return record, err
	}
	texts = slices.DeleteFunc(texts, func(t string) bool { return !isSPF(t) })
	if len(texts) == 0 {
		return record, nil
	}
	record.Result, record.Text = Found, texts[0]
	if len(texts) > 1 {
		record.Result = Broken
		record.Problems = append(record.Problems, "there are several SPF records: every check ends in an error (RFC 7208 section 4.5)")
	}
	lookups, err := r.lookupsOf(ctx, texts[0], map[string]bool{domain: true})
	if lookups > spfLookups {
		record.Result = Broken
		record.Problems = append(record.Problems, "it takes more than 10 further questions: every check ends in an error (RFC 7208 section 4.6.4)")
	}
	for _, term := range strings.Fields(strings.ToLower(texts[0])) {
		if term == "all" || term == "+all" {
			record.Problems = append(record.Problems, "it ends in +all: every client in the world passes")
		}
	}
	return record, err
}

func isSPF(text string) bool {
	first, _, _ := strings.Cut(text, " ")
	return strings.EqualFold(first, "v=spf1")
}

// lookupsOf counts the questions an SPF record leads to. It stops past the
// limit and follows no domain twice.
func (r *Resolver) lookupsOf(ctx context.Context, text string, seen map[string]bool) (int, error) {
	n := 0
	for _, term := range strings.Fields(strings.ToLower(text)) {
		term = strings.TrimLeft(term, "+-~?")
		name, further := strings.CutPrefix(term, "include:")
		if !further {
			name, further = strings.CutPrefix(term, "redirect=")
		}
		kind, _, _ := strings.Cut(term, ":")
		kind, _, _ = strings.Cut(kind, "/")
		if further || kind == "a" || kind == "mx" || kind == "ptr" || kind == "exists" {
			n++
		}
		if !further || seen[name] || strings.Contains(name, "%") || n > spfLookups {
			continue
		}
		seen[name] = true
		texts, err := r.texts(ctx, name)
		if err != nil {
			return n, err
		}
		for _, t := range texts {
			if !isSPF(t) {
				continue
			}
			more, err := r.lookupsOf(ctx, t, seen)
			if n += more; err != nil || n > spfLookups {
				return n, err
			}
		}
	}
	return n, nil
}

// dmarc looks at the domain and, when it publishes nothing, at its
// organisational domain (RFC 7489 section 6.6.3).
func (r *Resolver) dmarc(ctx context.Context, domain string) (Record, error) {
	names := []string{domain}
	if organisation, err := publicsuffix.EffectiveTLDPlusOne(domain); err == nil && organisation != domain {
		names = append(names, organisation)
	}
	record := Record{Name: "_dmarc." + domain, Result: Missing}
	for _, name := range names {
		texts, err := r.texts(ctx, "_dmarc."+name)
		if err != nil {
			return record, err
		}
		texts = slices.DeleteFunc(texts, func(t string) bool { return tag(t, "v") != "DMARC1" })
		if len(texts) == 0 {
			continue
		}
		record.Name, record.Result, record.Text = "_dmarc."+name, Found, texts[0]
		switch policy := strings.ToLower(tag(texts[0], "p")); {
		case len(texts) > 1:
			record.Result = Broken
			record.Problems = append(record.Problems, "there are several DMARC records: none counts (RFC 7489 section 6.6.3)")
		case policy != "none" && policy != "quarantine" && policy != "reject":
			record.Result = Broken
			record.Problems = append(record.Problems, "it names no policy: p= must be none, quarantine or reject")
		}
		return record, nil
	}
	return record, nil
}

func (r *Resolver) dkim(ctx context.Context, selector, domain string) (Record, error) {
	record := Record{Name: selector + "._domainkey." + domain, Result: Missing}
	texts, err := r.texts(ctx, record.Name)
	if err != nil || len(texts) == 0 {
		return record, err
	}
	record.Result, record.Text = Found, texts[0]
	switch {
	case len(texts) > 1:
		record.Result = Broken
		record.Problems = append(record.Problems, "there are several keys under one selector: which counts is not defined (RFC 6376 section 3.6.2.2)")
	case !strings.Contains(strings.ReplaceAll(texts[0], " ", ""), "p="):
		record.Result = Broken
		record.Problems = append(record.Problems, "it holds no key: p= is missing")
	case tag(texts[0], "p") == "":
		record.Result = Broken
		record.Problems = append(record.Problems, "the key is revoked: p= is empty (RFC 6376 section 3.6.1)")
	}
	return record, nil
}

// tag reads one tag of a tag list such as "v=DMARC1; p=none".
func tag(text, name string) string {
	for _, one := range strings.Split(text, ";") {
		key, value, ok := strings.Cut(one, "=")
		if ok && strings.EqualFold(strings.TrimSpace(key), name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Client reads a client's address as a person writes it, brackets and the
// IPv6: tag of RFC 5321 section 4.1.3 too.
func Client(text string) (netip.Addr, error) {
	text = strings.Trim(text, "[]")
	if len(text) > 5 && strings.EqualFold(text[:5], "IPv6:") {
		text = text[5:]
	}
	a, err := netip.ParseAddr(text)
	return a.Unmap(), err
}
