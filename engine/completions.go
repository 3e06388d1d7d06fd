package engine

import (
	"iter"
	"net/netip"
	"slices"

	"mailwhy/engine/mail"
)

// mostCompletions bounds how many completions of missing facts are tried; past
// it a verdict is at most likely.
const mostCompletions = 4096

// The completions of "does the client pass SPF for a bypass domain"; the zero
// value is the plain reading.
const (
	assumePlain = iota
	assumeYes
	assumeNo
)

// mostCollected bounds how many completions more are tried, once the verdict is
// known not to be certain, to learn what else is missing.
const mostCollected = 256

// everyCompletion reports whether every completion of what was asked for ends
// as d does. What cannot be completed (a section known in part, a check
// without a model) counts as ending otherwise. It stops at the first
// completion that ends otherwise, and those most likely to are tried first, so
// its cost does not grow with the number of policies. With collect it goes on,
// so that plain.asked has every fact that could come to matter. Where groups or
// lists are known in part it errs on the careful side.
func (s *Set) everyCompletion(plain *facts, d *decision, collect bool) bool {
	if s.onlyHeader(plain) {
		same := s.everyHeader(plain, d)
		switch {
		case !same && !collect:
			return false
		case same && s.onlyHeader(plain):
			return true
		}
	}
	return s.allCompletions(plain, d, collect)
}

// allCompletions is everyCompletion for any facts.
func (s *Set) allCompletions(plain *facts, d *decision, collect bool) bool {
	same, most, tried := true, mostCompletions, 0
	differs := func() {
		if same {
			same, most = false, min(most, tried+mostCollected)
		}
	}
	for {
		if plain.asked&^completableFacts != 0 {
			if !collect {
				return false
			}
			differs()
		}
		asked, ranges := plain.asked, len(plain.ranges)
		for c := range s.completions(plain, d) {
			if tried++; tried > most || c == nil {
				return false
			}
			end := s.run(c, twist{}, nil)
			plain.asked |= c.asked
			plain.ranges = mergeRanges(plain.ranges, c.ranges)
			if end.same(d) && (c.guess == (guess{}) || end.moment == d.moment) {
				continue // by the same policy at another moment: a larger guess could end otherwise between
			}
			if !collect {
				return false
			}
			differs()
		}
		if plain.asked == asked && len(plain.ranges) == ranges {
			return same
		}
	}
}

// completions yields representatives of every way to fill in the facts asked
// for: one sender for each spec that could match, one client inside and
// outside each range. It yields nil when it would leave some out.
func (s *Set) completions(plain *facts, d *decision) iter.Seq[*facts] {
	asked := plain.asked
	base := *plain
	clients, auths, memberships := base.clients(asked), base.auths(asked), s.memberships(&base, asked)
	return func(yield func(*facts) bool) {
		for sender := range s.senders(&base, asked, d) {
			if sender == nil {
				yield(nil)
				return
			}
			guesses := append(slices.Clip(memberships), entries(sender, asked)...)
			for _, client := range clients {
				for _, a := range auths {
					for _, g := range guesses {
						c := base
						c.envelope, c.header, c.name, c.client, c.guess = sender.envelope, sender.header, sender.name, client, g
						c.auth, c.dmarcRecord, c.spfBypass = a.auth, a.record, a.bypass
						if !yield(&c) {
							return
						}
					}
				}
			}
		}
	}
}

// clients gives a client for every way to lie inside or outside of the ranges
// that were asked for.
func (f *facts) clients(asked fact) []netip.Addr {
	if asked&factClientIP == 0 {
		return []netip.Addr{f.client}
	}
	return boundaries(f.ranges)
}

// boundaries gives a client for every way to lie inside or outside of ranges
// that may nest: which hold an address changes only at the first address of
// one and behind its last.
func boundaries(ranges []netip.Prefix) []netip.Addr {
	clients := []netip.Addr{{}}
	for _, p := range ranges {
		first := p.Masked().Addr()
		bytes := first.AsSlice()
		for bit := p.Bits(); bit < len(bytes)*8; bit++ {
			bytes[bit/8] |= 0x80 >> (bit % 8)
		}
		clients = append(clients, first)
		if last, ok := netip.AddrFromSlice(bytes); ok && last.Next().IsValid() {
			clients = append(clients, last.Next())
		}
	}
	return clients
}

// authentication is one completion of the results no log holds.
type authentication struct {
	auth   mail.Auth
	record mail.Outcome
	bypass int
}

// auths gives every combination of the results that were asked for.
func (f *facts) auths(asked fact) []authentication {
	list := []authentication{{f.auth, f.dmarcRecord, f.spfBypass}}
	vary := func(what fact, ways ...func(*authentication)) {
		if asked&what == 0 {
			return
		}
		var grown []authentication
		for _, a := range list {
			for _, way := range ways {
				b := a
				way(&b)
				grown = append(grown, b)
			}
		}
		list = grown
	}
	if f.lacks(factSPF) {
		vary(factSPF, func(a *authentication) { a.auth.SPF = "pass" }, func(a *authentication) { a.auth.SPF = "fail" })
	}
	vary(factDKIM, func(a *authentication) { a.auth.DKIM = "pass" }, func(a *authentication) { a.auth.DKIM = "fail" })
	vary(factDMARC, func(a *authentication) { a.auth.DMARC = "pass" }, func(a *authentication) { a.auth.DMARC = "fail" })
	vary(factDMARCRecord, func(a *authentication) { a.record = mail.Accepted }, func(a *authentication) { a.record = mail.Held }, func(a *authentication) { a.record = mail.Rejected })
	vary(factSPFBypass, func(a *authentication) { a.bypass = assumeYes }, func(a *authentication) { a.bypass = assumeNo })
	return list
}

// memberships lists what has to be assumed of groups and attributes known in
// part for each policy that rests on them, nothing first. No larger assumption
// can decide otherwise where none of these does.
func (s *Set) memberships(f *facts, asked fact) []guess {
	list := []guess{{}}
	if asked&(factGroups|factAttributes) == 0 {
		return list
	}
	for _, section := range sections {
		t := s.tables[section]
		if t == nil {
			continue
		}
		for _, x := range t.indexes() {
			for _, e := range x.unsure {
				if len(list) > mostCompletions || !e.policy.active(f.at) {
					continue
				}
				g := guess{}
				if s.partialSpec(e.to) {
					g.toKey = e.toKey
				}
				if s.partialSpec(e.from) {
					g.fromKey = e.fromKey
				}
				list = append(list, g)
				if g.fromKey != 0 {
					g.byHeader = true
					list = append(list, g)
				}
			}
		}
	}
	return list
}

// entries lists what a recipient's list known in part may hold: a block or a
// permit of each address of the sender and its domain.
func entries(f *facts, asked fact) []guess {
	if asked&factManaged == 0 {
		return nil
	}
	var list []guess
	for _, p := range []mail.Path{f.envelope, f.header} {
		for _, name := range []string{string(p.Fold()), p.Domain()} {
			if name != "" && !p.Null() {
				list = append(list, guess{managed: name, action: "block"}, guess{managed: name, action: "permit"})
			}
		}
	}
	return list
}

// partialSpec reports whether a spec rests on a section known in part.
func (s *Set) partialSpec(spec Spec) bool {
	partial := s.file.known.partial
	return spec.Type == ProfileGroup && partial["groups"] || spec.Type == AddressAttributeValue && partial["attributes"]
}

// assume adds the memberships of a guess to the keys of the addresses.
func (w *walk) assume(g guess) {
	add := func(keys []key, k key, p mail.Path) []key {
		if k == 0 || p.Null() || !p.Known() || slices.Contains(keys, k) {
			return keys
		}
		return append(keys, k)
	}
	envelope, header := w.facts.envelope.Fold(), w.facts.header.Fold()
	if !g.byHeader || envelope == header {
		w.envelope = add(w.envelope, g.fromKey, envelope)
	}
	if g.byHeader || envelope == header {
		w.header = add(w.header, g.fromKey, header)
	}
	recipient := w.facts.recipient.Fold()
	w.recipient = add(w.recipient, g.toKey, recipient)
	for _, k := range []key{g.fromKey, g.toKey} { // one address, one membership
		if recipient == envelope && (k == g.toKey || !g.byHeader) {
			w.envelope, w.recipient = add(w.envelope, k, envelope), add(w.recipient, k, recipient)
		}
		if recipient == header && (k == g.toKey || g.byHeader) {
			w.header, w.recipient = add(w.header, k, header), add(w.recipient, k, recipient)
		}
	}
}

// askIncomplete notes that groups or attributes known in part could change
// this contest.
func (w *walk) askIncomplete(x *pairIndex, byEnvelope, byHeader bool) {
	partial := w.set.file.known.partial
	if len(partial) == 0 || !partial["groups"] && !partial["attributes"] {
		return
	}
	for _, e := range x.unsure {
		p := e.policy
		if !p.active(w.facts.at) || !(byEnvelope && p.FromPart != HeaderFrom || byHeader && p.FromPart != EnvelopeFrom) {
			continue
		}
		if !w.set.partialSpec(e.to) && !slices.Contains(w.recipient, e.toKey) {
			continue
		}
		if byHeader && p.FromPart != EnvelopeFrom {
			w.facts.ask(factHeaderFrom) // looked at, if the recipient is in the group
		}
		for _, spec := range []Spec{e.from, e.to} {
			if w.set.partialSpec(spec) {
				w.facts.askFor(map[SpecType]fact{ProfileGroup: factGroups, AddressAttributeValue: factAttributes}[spec.Type])
			}
		}
	}
}

// askHeader notes that the header from is asked for, when a policy for this
// recipient looks at it.
func (w *walk) askHeader(x *pairIndex) {
	f := w.facts
	if !f.lacks(factHeaderFrom) && !f.lacks(factHeaderName) {
		return
	}
	for _, to := range w.recipient {
		side := x.byTo[to]
		if side == nil {
			continue
		}
		for _, list := range [...][]*entry{side.headerBlow, side.headerCalm} {
			if slices.ContainsFunc(list, func(e *entry) bool { return e.policy.active(f.at) }) {
				f.ask(factHeaderFrom)
			}
		}
		if f.lacks(factHeaderName) && slices.ContainsFunc(side.names, func(e *entry) bool { return e.policy.active(f.at) }) {
			f.ask(factHeaderFrom | factHeaderName)
		}
	}
}
