package engine

import (
	"strings"

	"mailwhy/engine/mail"
)

// factHeader is what a log most often lacks.
const factHeader = factHeaderFrom | factHeaderName

// onlyHeader reports whether a header from, or a display name, is all that was
// asked for in vain.
func (s *Set) onlyHeader(plain *facts) bool {
	return plain.asked&^factHeader == 0 && len(s.file.known.partial) == 0
}

// headerTrial tries senders in the place of a header from that the log lacks:
// the same as completions gives, those most likely to end otherwise first,
// without a copy and without an allocation.
type headerTrial struct {
	set   *Set
	plain *facts
	d     *decision
	walk  *walk // its plain is the completion tried
	tried int
	last  mail.Path // the last address tried without a display name
}

// everyHeader reports whether every header from ends as d does.
func (s *Set) everyHeader(plain *facts, d *decision) bool {
	w := s.walks.get()
	defer s.walks.put(w)
	w.plain = *plain
	w.start(s, &w.plain, twist{}, nil)
	t := headerTrial{set: s, plain: plain, d: d, walk: w}
	for _, section := range sections {
		if !t.section(section) {
			return false
		}
	}
	for _, name := range s.listOf(plain.recipient) {
		if !t.try(addressIn(name), "") {
			return false
		}
	}
	for _, address := range s.strangers {
		if !t.try(address, "") {
			return false
		}
	}
	return true
}

// section tries who could win for a policy of a section; see headerEntries.
func (t *headerTrial) section(section Section) bool {
	table := t.set.tables[section]
	if table == nil {
		return true
	}
	stopped, floor := t.d.moment == MomentData, uint32(0)
	if section == SectionBlockedSenders && !stopped && !t.set.file.engine.ToFirst {
		floor = t.set.floor(t.plain, t.d, 0)
	}
	for _, x := range [...]*pairIndex{table.files, table.extras} {
		if x == nil {
			continue
		}
		for _, to := range t.walk.recipient {
			side := x.byTo[to]
			if side == nil {
				continue
			}
			if !t.entries(side.headerBlow, floor) {
				return false
			}
			if (stopped || section == SectionContentExamination) && !t.entries(side.headerCalm, floor) {
				return false
			}
		}
	}
	return true
}

// entries tries a sender for each entry of a list, best first, down to a rank.
func (t *headerTrial) entries(list []*entry, floor uint32) bool {
	for _, e := range list {
		switch {
		case e.weight[0] < floor:
			return true
		case !e.policy.active(t.plain.at):
		case e.from.Type == HeaderDisplayName:
			if !t.name(e.from.Value) {
				return false
			}
		case e.sample != "":
			if e.sample != t.last && !t.try(e.sample, "") || wildcard(e.from) && !t.inside(e.from.Value[2:]) {
				return false
			}
		default:
			for address := range t.set.samples(e.from) {
				if !t.try(address, "") {
					return false
				}
			}
		}
	}
	return true
}

// inside tries somebody in each internal domain right below another one.
func (t *headerTrial) inside(parent string) bool {
	for _, address := range t.set.strangers {
		_, domain, _ := strings.Cut(string(address), "@")
		if _, above, _ := strings.Cut(domain, "."); above == parent && address != unlisted && !t.try(address, "") {
			return false
		}
	}
	return true
}

// name tries a display name with the sender that is assumed and with those
// nothing names.
func (t *headerTrial) name(name string) bool {
	if !t.try("", name) {
		return false
	}
	for _, address := range t.set.strangers {
		if !t.try(address, name) {
			return false
		}
	}
	return true
}

// try reports whether the message ends as before with a header from; address ""
// is the one assumed.
func (t *headerTrial) try(address mail.Path, name string) bool {
	plain, c := t.plain, &t.walk.plain
	lacksAddress := plain.asked&factHeaderFrom != 0 && plain.lacks(factHeaderFrom)
	switch {
	case lacksAddress && address != "":
		c.header = address
	case name == "":
		return true
	default:
		c.header = plain.header
	}
	if name == "" {
		t.last = address
	}
	c.name = plain.name
	if plain.asked&factHeaderName != 0 && plain.lacks(factHeaderName) {
		c.name = name
	}
	if t.tried++; t.tried > mostCompletions {
		return false
	}
	c.asked, c.ranges = plain.asked, plain.ranges
	t.walk.again()
	t.walk.run()
	plain.asked |= c.asked
	plain.ranges = mergeRanges(plain.ranges, c.ranges)
	return t.walk.result.same(t.d)
}

// again prepares a walk for the same message with another header from.
func (w *walk) again() {
	w.result, w.permit = decision{}, permit{}
	w.keysOfHeader()
}
