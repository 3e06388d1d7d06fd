package engine

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"mailwhy/engine/mail"
)

// What an entry does, in the words of access(5). One that only changes the
// message counts as dunno; unknown is what cannot be modelled.
const (
	siteReject        = "reject"
	siteDefer         = "defer"
	siteDeferIfPermit = "defer_if_permit"
	siteDeferIfReject = "defer_if_reject"
	siteHold          = "hold"
	siteDiscard       = "discard"
	sitePermit        = "permit"
	siteDunno         = "dunno"
	siteUnknown       = "unknown"
)

func siteActions() []string {
	return []string{siteReject, siteDefer, siteDeferIfPermit, siteDeferIfReject, siteHold, siteDiscard, sitePermit, siteDunno, siteUnknown}
}

// siteOutcome is what becomes of a message that an action stops.
func siteOutcome(action string) mail.Outcome {
	switch action {
	case siteReject:
		return mail.Rejected
	case siteHold:
		return mail.Held
	case siteDiscard:
		return mail.Discarded
	}
	return mail.Deferred
}

func (l *loader) readSiteRules(n *yaml.Node) {
	for _, item := range l.sequence(n, "access") {
		f := l.mapping(item, "an access check", "list", "check", "name", "subdomains", "exceptions", "delimiters", "patterns", "entries", "domains")
		if f == nil {
			continue
		}
		c := siteCheck{list: l.text(f["list"], "list"), looksAt: l.text(f["check"], "check"), name: l.text(f["name"], "name"), entries: map[string]siteEntry{}, domains: map[string]bool{},
			subdomains: l.boolean(f["subdomains"], "subdomains", false), exceptions: l.boolean(f["exceptions"], "exceptions", false)}
		if looks := siteLooks(); !slices.Contains(looks, c.looksAt) {
			l.problem(orNode(f["check"], item), "check %s of an access check is not one of %s", quote(c.looksAt), strings.Join(looks, ", "))
			continue
		}
		c.delimiters = l.text(f["delimiters"], "delimiters")
		if l.boolean(f["patterns"], "patterns", c.looksAt == "header") {
			c.patterns = []sitePattern{}
		}
		for _, d := range l.sequence(f["domains"], "domains") {
			name, below := strings.CutPrefix(l.text(d, "a domain"), ".")
			name = mail.FoldDomain(name)
			if below {
				name = "." + name
			}
			c.domains[name] = true
		}
		for _, e := range l.sequence(f["entries"], "entries") {
			l.readSiteEntry(&c, e)
		}
		l.file.site = append(l.file.site, c)
	}
}

func (l *loader) readSiteEntry(c *siteCheck, item *yaml.Node) {
	f := l.mapping(item, "an access entry", "key", "not", "action", "text", "origin")
	if f == nil {
		return
	}
	e := siteEntry{action: l.text(f["action"], "action"), text: l.text(f["text"], "text"), origin: cmp.Or(l.text(f["origin"], "origin"), l.origin(item))}
	if actions := siteActions(); !slices.Contains(actions, e.action) {
		l.problem(orNode(f["action"], item), "action %s of an access entry is not one of %s", quote(e.action), strings.Join(actions, ", "))
		return
	}
	if c.patterns != nil {
		l.readSitePattern(c, f, e)
		return
	}
	key := strings.ToLower(l.text(f["key"], "key"))
	if c.looksAt != "client" {
		if _, ok := c.entries[key]; !ok { // the first one counts
			c.entries[key] = e
		}
		return
	}
	prefix, err := netip.ParsePrefix(key)
	if addr, addrErr := netip.ParseAddr(key); addrErr == nil {
		prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err != nil {
		l.problem(orNode(f["key"], item), "key %s of an access check of clients is neither an address nor a network", quote(key))
		return
	}
	c.networks = append(c.networks, siteNetwork{prefix.Masked(), e})
}
