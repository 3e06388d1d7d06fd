package engine

import (
	"cmp"
	"net/netip"
	"strings"

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
	looksAt    string // one of siteLooks
	name       string // as main.cf has it
	subdomains bool   // a domain's entry counts for what is below it
	exceptions bool   // exceptions are published to this map
	delimiters string // of recipient_delimiter: an entry for a@d counts for a+x@d as well
	entries    map[string]siteEntry
	patterns   []sitePattern // of a pcre: or regexp: table, instead of entries
	networks   []siteNetwork
	domains    map[string]bool // of destination: those that mail is taken for; ".d" is all below d
}

// siteLooks is what a check may look at. destination refuses mail for other
// domains, auth_destination permits that for its own; header looks at the lines
// of the header, after the envelope was taken; opaque is what no replay can know.
func siteLooks() []string {
	return []string{"sender", "recipient", "client", "destination", "auth_destination", "header", "opaque"}
}

type siteEntry struct{ action, text, origin string }

type siteNetwork struct {
	prefix netip.Prefix
	siteEntry
}

// siteRules asks the site's own restrictions. A list ends at the first check
// that permits; a refusal or a discard ends everything. What holds or defers if
// permitted waits for whether a later check refuses.
func (w *walk) siteRules() bool {
	var seen []siteHit
	var held, deferred, softened *siteHit
	list, ended := "", false // the list being asked, and whether a permit ended it
	for i := range w.set.file.site {
		c := &w.set.file.site[i]
		if c.list != list {
			list, ended = c.list, false
		}
		if ended || c.looksAt == "header" {
			continue
		}
		hit, ok := w.ask(c)
		if !ok {
			continue
		}
		seen = append(seen, hit)
		switch hit.entry.action {
		case sitePermit:
			ended = true
		case siteHold:
			held = cmp.Or(held, &hit)
		case siteDeferIfPermit:
			deferred = cmp.Or(deferred, &hit)
		case siteDeferIfReject:
			softened = cmp.Or(softened, &hit)
		case siteReject, siteDefer:
			return w.siteStop(*cmp.Or(softened, &hit), seen)
		case siteDiscard: // a permission, as far as a deferral goes that waits for one
			return w.siteStop(*cmp.Or(deferred, &hit), seen)
		}
	}
	if waiting := cmp.Or(deferred, held); waiting != nil {
		return w.siteStop(*waiting, seen)
	}
	w.trace.site(MomentRcpt, seen, nil, StepPass, StageConnection)
	return false
}

// siteHit is an entry that matched, and what of the message it matched.
type siteHit struct {
	check *siteCheck
	key   string
	entry siteEntry
}

// ask looks one check up. An entry that cannot be modelled counts as none, and
// the verdict is no longer certain.
func (w *walk) ask(c *siteCheck) (siteHit, bool) {
	hit, ok := w.lookUp(c)
	if ok && hit.entry.action == siteUnknown {
		w.facts.askFor(factReputation)
		return siteHit{}, false
	}
	return hit, ok
}

func (w *walk) lookUp(c *siteCheck) (siteHit, bool) {
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
		return siteHit{c, f.recipient.Domain(), siteEntry{action: siteReject, text: "Relay access denied", origin: c.name}}, !c.ours(f.recipient)
	case "auth_destination":
		return siteHit{c, f.recipient.Domain(), siteEntry{action: sitePermit, origin: c.name}}, c.ours(f.recipient)
	case "sender":
		f.ask(factEnvelopeFrom)
		if c.exceptions && w.siteException() {
			return siteHit{c, string(f.envelope), siteEntry{action: siteDunno, origin: "exception"}}, true
		}
		return c.find(f, f.envelope)
	}
	return c.find(f, f.recipient)
}

// ours reports whether a check of destinations names the recipient's domain, or
// with a dot before it one above.
func (c *siteCheck) ours(recipient mail.Path) bool {
	d := recipient.Domain()
	if c.domains[d] {
		return true
	}
	for _, d, below := strings.Cut(d, "."); below; _, d, below = strings.Cut(d, ".") {
		if c.domains["."+d] {
			return true
		}
	}
	return false
}

// find looks an address up as check_sender_access does: the address, without
// its extension, its domain and the domains above it, the local part alone. A
// table of patterns is asked for the whole address once.
func (c *siteCheck) find(f *facts, p mail.Path) (siteHit, bool) {
	if c.patterns != nil {
		if p.Null() {
			return c.match(f, "<>")
		}
		return c.match(f, strings.ToLower(string(p))) // as smtpd's address resolver hands it on
	}
	if p.Null() {
		e, ok := c.entries["<>"]
		return siteHit{c, "<>", e}, ok
	}
	local := strings.ToLower(p.Local())
	bare := withoutExtension(local, c.delimiters)
	keys := []string{string(p.Fold()), bare + "@" + p.Domain()}
	for d, below := p.Domain(), false; d != ""; below = true {
		if below && !c.subdomains {
			keys = append(keys, "."+d)
		} else {
			keys = append(keys, d)
		}
		_, d, _ = strings.Cut(d, ".")
	}
	for _, key := range append(keys, local+"@", bare+"@") {
		if e, ok := c.entries[key]; ok {
			return siteHit{c, key, e}, true
		}
	}
	return siteHit{}, false
}

// withoutExtension cuts a local part at the first of the delimiters, as
// recipient_delimiter has it; never at its beginning, and not the names that
// mail to the postmaster goes by.
func withoutExtension(local, delimiters string) string {
	if local == "mailer-daemon" || local == "postmaster" || local == "double-bounce" {
		return local
	}
	if at := strings.IndexAny(local, delimiters); at > 0 {
		return local[:at]
	}
	return local
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
	w.trace.site(MomentRcpt, seen, &hit, StepStop, stage)
	return w.stop(siteOutcome(hit.entry.action), stage, MomentRcpt, hit.entry.origin, result{})
}

// site writes down the entries that matched, the deciding one as the winner.
func (t *tracer) site(moment Moment, seen []siteHit, decided *siteHit, outcome StepOutcome, stage Stage) {
	if t == nil {
		return
	}
	s := Step{Stage: stage, Moment: moment, Outcome: outcome, Policies: []Considered{}, Because: "the mail server's own restrictions, in their order"}
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
