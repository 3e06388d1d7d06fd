package engine

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"mailwhy/engine/mail"
)

// siteRules are what a Postfix itself asks before any gateway policy, in its
// own order: restriction lists, each of which ends at the first check that
// decides. `mailwhy policy import` writes them; see access(5) and
// SMTPD_ACCESS_README.
type siteRules []siteCheck

// siteCheck is one restriction.
type siteCheck struct {
	list       string // "smtpd_sender_restrictions"
	looksAt    string // sender, recipient, client, destination; opaque: what no replay can know
	name       string // as main.cf has it
	subdomains bool   // a domain's entry counts for what is below it
	exceptions bool   // exceptions are published to this map
	entries    map[string]siteEntry
	networks   []siteNetwork
	domains    map[string]bool // of destination: those that mail is taken for
}

type siteEntry struct{ action, text, origin string }

type siteNetwork struct {
	prefix netip.Prefix
	siteEntry
}

// What an entry does. An entry with another action counts as dunno: it changes
// the message, not whether it is taken.
const (
	siteReject  = "reject"
	siteDefer   = "defer"
	siteHold    = "hold"
	siteDiscard = "discard"
	sitePermit  = "permit"
	siteDunno   = "dunno"
)

func (l *loader) readSiteRules(n *yaml.Node) {
	for _, item := range l.sequence(n, "access") {
		f := l.mapping(item, "an access check", "list", "check", "name", "subdomains", "exceptions", "entries", "domains")
		if f == nil {
			continue
		}
		c := siteCheck{list: l.text(f["list"], "list"), looksAt: l.text(f["check"], "check"), name: l.text(f["name"], "name"), entries: map[string]siteEntry{}, domains: map[string]bool{},
			subdomains: l.boolean(f["subdomains"], "subdomains", false), exceptions: l.boolean(f["exceptions"], "exceptions", false)}
		if !slices.Contains([]string{"sender", "recipient", "client", "destination", "opaque"}, c.looksAt) {
			l.problem(orNode(f["check"], item), "check %s of an access check is not sender, recipient, client, destination or opaque", quote(c.looksAt))
			continue
		}
		for _, d := range l.sequence(f["domains"], "domains") {
			c.domains[mail.FoldDomain(l.text(d, "a domain"))] = true
		}
		for _, e := range l.sequence(f["entries"], "entries") {
			l.readSiteEntry(&c, e)
		}
		l.file.site = append(l.file.site, c)
	}
}

func (l *loader) readSiteEntry(c *siteCheck, item *yaml.Node) {
	f := l.mapping(item, "an access entry", "key", "action", "text", "origin")
	if f == nil {
		return
	}
	e := siteEntry{action: l.text(f["action"], "action"), text: l.text(f["text"], "text"), origin: cmp.Or(l.text(f["origin"], "origin"), l.origin(item))}
	key := strings.ToLower(l.text(f["key"], "key"))
	if !slices.Contains([]string{siteReject, siteDefer, siteHold, siteDiscard, sitePermit, siteDunno}, e.action) {
		l.problem(orNode(f["action"], item), "action %s of an access entry is not reject, defer, hold, discard, permit or dunno", quote(e.action))
		return
	}
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

// siteRules asks the site's own restrictions. A list ends at the first check
// that permits; a refusal ends everything; a deferral waits for whether a later
// check refuses for good, as DEFER_IF_PERMIT does.
func (w *walk) siteRules() bool {
	var deferred *siteHit
	ended := "" // the list that a permit ended
	var seen []siteHit
	for i := range w.set.file.site {
		c := &w.set.file.site[i]
		if c.list == ended {
			continue
		}
		hit, ok := w.ask(c)
		if !ok {
			continue
		}
		seen = append(seen, hit)
		switch hit.entry.action {
		case sitePermit:
			ended = c.list
		case siteDefer:
			deferred = &hit
		case siteReject, siteHold, siteDiscard:
			return w.siteStop(hit, seen)
		}
	}
	if deferred != nil {
		return w.siteStop(*deferred, seen)
	}
	w.trace.site(seen, nil, StepPass, StageConnection)
	return false
}

// siteHit is an entry that matched, and what of the message it matched.
type siteHit struct {
	check *siteCheck
	key   string
	entry siteEntry
}

func (w *walk) ask(c *siteCheck) (siteHit, bool) {
	f := w.facts
	switch c.looksAt {
	case "opaque":
		f.askFor(factReputation) // it may have decided, and no log can tell
		return siteHit{}, false
	case "client":
		for _, n := range c.networks {
			f.askClient([]netip.Prefix{n.prefix})
			if f.client.IsValid() && n.prefix.Contains(f.client) {
				return siteHit{c, n.prefix.String(), n.siteEntry}, true
			}
		}
		return siteHit{}, false
	case "destination":
		for d := f.recipient.Domain(); d != ""; _, d, _ = strings.Cut(d, ".") {
			if c.domains[d] {
				return siteHit{}, false
			}
			if !c.subdomains {
				break
			}
		}
		return siteHit{c, f.recipient.Domain(), siteEntry{action: siteReject, text: "Relay access denied", origin: c.name}}, true
	case "sender":
		f.ask(factEnvelopeFrom)
		if c.exceptions && w.siteException() {
			return siteHit{c, string(f.envelope), siteEntry{action: siteDunno, origin: "exception"}}, true
		}
		return c.find(f.envelope)
	}
	return c.find(f.recipient)
}

// find looks an address up as check_sender_access does: the address, its domain
// and the domains above it, the local part alone.
func (c *siteCheck) find(p mail.Path) (siteHit, bool) {
	try := func(key string) (siteHit, bool) {
		e, ok := c.entries[key]
		return siteHit{c, key, e}, ok
	}
	if p.Null() {
		return try("<>")
	}
	if hit, ok := try(string(p.Fold())); ok {
		return hit, true
	}
	for d, below := p.Domain(), false; d != ""; below = true {
		key := d
		if below && !c.subdomains {
			key = "." + d
		}
		if hit, ok := try(key); ok {
			return hit, true
		}
		_, d, _ = strings.Cut(d, ".")
	}
	return try(strings.ToLower(p.Local()) + "@")
}

// siteException reports whether an exception in force stands in a map that
// exceptions are published to: one for the sender by envelope, whoever the
// recipient and the client are, see the Postfix publisher.
func (w *walk) siteException() bool {
	t := w.set.tables[SectionBlockedSenders]
	if t == nil {
		return false
	}
	for i := range t.extra {
		p := &t.extra[i]
		if p.Option != OptionNoAction || p.FromPart == HeaderFrom || len(p.SourceIPs) > 0 || !p.active(w.facts.at) || p.To.Type != Everyone && p.To.Type != InternalAddresses {
			continue
		}
		switch p.From.Type {
		case IndividualAddress:
			if mail.Path(p.From.Value).Fold() == w.facts.envelope.Fold() {
				return true
			}
		case EmailDomain:
			if mail.FoldDomain(p.From.Value) == w.facts.envelope.Domain() {
				return true
			}
		}
	}
	return false
}

func (w *walk) siteStop(hit siteHit, seen []siteHit) bool {
	stage := StageBlockedSenders
	switch hit.check.looksAt {
	case "recipient", "destination":
		stage = StageRecipient
	case "client":
		stage = StageConnection
	}
	outcome := map[string]mail.Outcome{siteReject: mail.Rejected, siteDefer: mail.Deferred, siteHold: mail.Held, siteDiscard: mail.Discarded}[hit.entry.action]
	w.trace.site(seen, &hit, StepStop, stage)
	return w.stop(outcome, stage, MomentRcpt, hit.entry.origin, result{})
}

// site writes down the entries that matched, the deciding one as the winner.
func (t *tracer) site(seen []siteHit, decided *siteHit, outcome StepOutcome, stage Stage) {
	if t == nil {
		return
	}
	s := Step{Stage: stage, Moment: MomentRcpt, Outcome: outcome, Policies: []Considered{}, Because: "the mail server's own restrictions, in their order"}
	yes := true
	for _, hit := range seen {
		s.Policies = append(s.Policies, Considered{ID: hit.entry.origin, Description: hit.entry.text, Origin: hit.entry.origin, Option: hit.entry.action, Matched: &yes,
			Because: hit.check.list + ", " + hit.check.name + ": " + hit.key})
	}
	if decided != nil {
		s.Winner = &decided.entry.origin
		winnerFirst(s.Policies, s.Winner)
	}
	t.steps = append(t.steps, s)
}
