package engine

import (
	"slices"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// key stands for one side of a policy: equal specs share a key, and an address
// has a small list of keys it satisfies. Contests look up pairs of keys, so
// their cost does not grow with the number of policies.
type key uint32

const (
	keyEveryone key = iota
	keyInternal
	keyExternal
	keyFreeMail
	keyFirstNamed
)

// addressBook maps names (domains, addresses and "*.domain") to the keys of
// the specs they satisfy.
type addressBook struct {
	below *addressBook // what exceptions are laid over; nil for a file's own book

	ids    map[Spec]key
	next   key
	groups map[key]string // name of a group's key

	names     map[string]uint32 // folded name -> list
	lists     [][]key           // equal lists are kept once: a million members of one group share one
	longer    map[[2]uint32]uint32
	wildcards bool
	display   bool // some policy goes by display name
}

func newAddressBook(f *file) *addressBook {
	size := len(f.internal) + len(f.freeMail) + len(f.attributes)
	for _, members := range f.groups {
		size += len(members)
	}
	b := &addressBook{ids: map[Spec]key{}, next: keyFirstNamed, groups: map[key]string{}, names: make(map[string]uint32, size), lists: [][]key{nil}, longer: map[[2]uint32]uint32{}}
	for domain := range f.internal {
		b.add(domain, keyInternal)
	}
	for domain := range f.freeMail {
		b.add(domain, keyFreeMail)
	}
	for name, members := range f.groups {
		k := b.id(Spec{Type: ProfileGroup, Value: name})
		for _, m := range members {
			b.add(m, k)
		}
	}
	for _, a := range f.attributes {
		for _, value := range []string{a.name + "=" + a.value, a.value} {
			b.add(a.address, b.id(Spec{Type: AddressAttributeValue, Value: value}))
		}
	}
	return b
}

// over makes an empty book whose keys go on where b's end.
func (b *addressBook) over() *addressBook {
	return &addressBook{below: b, ids: map[Spec]key{}, next: b.next, groups: map[key]string{}, names: map[string]uint32{}, lists: [][]key{nil}, longer: map[[2]uint32]uint32{}}
}

// id returns the key of a spec, making one for a spec not seen before.
func (b *addressBook) id(s Spec) key {
	s = s.folded()
	if k, ok := b.find(s); ok {
		return k
	}
	k := b.next
	b.next++
	b.ids[s] = k
	switch s.Type {
	case ProfileGroup:
		b.groups[k] = s.Value
	case IndividualAddress:
		b.add(s.Value, k)
	case EmailDomain:
		b.add(s.Value, k)
		b.wildcards = b.wildcards || wildcard(s)
	case HeaderDisplayName:
		b.display = true
	}
	return k
}

// find returns the key of a folded spec that some policy, group or attribute
// of this book or the one below uses.
func (b *addressBook) find(s Spec) (key, bool) {
	switch s.Type {
	case Everyone:
		return keyEveryone, true
	case InternalAddresses:
		return keyInternal, true
	case ExternalAddresses:
		return keyExternal, true
	case FreeMailDomains:
		return keyFreeMail, true
	}
	for ; b != nil; b = b.below {
		if k, ok := b.ids[s]; ok {
			return k, true
		}
	}
	return 0, false
}

// add notes that a name satisfies a key.
func (b *addressBook) add(name string, k key) {
	list := b.names[name]
	if slices.Contains(b.lists[list], k) {
		return
	}
	step := [2]uint32{list, uint32(k)}
	longer, ok := b.longer[step]
	if !ok {
		longer = uint32(len(b.lists))
		b.lists = append(b.lists, append(slices.Clone(b.lists[list]), k))
		b.longer[step] = longer
	}
	b.names[name] = longer
}

// keysOfName lists the keys one name satisfies by itself, of this book alone.
func (b *addressBook) keysOfName(name string) []key { return b.lists[b.names[name]] }

// hasWildcards reports whether any policy goes by "*.domain".
func (b *addressBook) hasWildcards() bool {
	return b.wildcards || b.below != nil && b.below.hasWildcards()
}

// keyOfName returns the key of a display name, if any policy goes by it.
func (b *addressBook) keyOfName(name string) (key, bool) {
	if name == "" || !b.display && (b.below == nil || !b.below.display) {
		return 0, false
	}
	return b.find(Spec{Type: HeaderDisplayName, Value: name}.folded())
}

// folded returns the spec in the form in which values are compared; group
// names are case-sensitive.
func (s Spec) folded() Spec {
	switch s.Type {
	case IndividualAddress:
		s.Value = string(mail.Path(s.Value).Fold())
	case EmailDomain:
		if rest, ok := strings.CutPrefix(s.Value, "*."); ok {
			s.Value = "*." + mail.FoldDomain(rest)
		} else {
			s.Value = mail.FoldDomain(s.Value)
		}
	case AddressAttributeValue, HeaderDisplayName:
		s.Value = strings.ToLower(strings.TrimSpace(s.Value))
	case Everyone, InternalAddresses, ExternalAddresses, FreeMailDomains:
		s.Value = ""
	}
	return s
}

// wildcard reports whether a spec stands for exactly one more label.
func wildcard(s Spec) bool { return s.Type == EmailDomain && strings.HasPrefix(s.Value, "*.") }

// keysOf appends the keys an address satisfies at an instant. The null path is
// everyone's and external's, never a domain's, group's or address's.
func (s *Set) keysOf(keys []key, address mail.Path, at time.Time) []key {
	keys = append(keys, keyEveryone)
	domain := address.Domain()
	if domain == "" { // the null path, or no address
		return append(keys, keyExternal)
	}
	keys = s.appendKeys(keys, domain, at)
	if !slices.Contains(keys, keyInternal) {
		keys = append(keys, keyExternal)
	}
	if s.book.hasWildcards() {
		if dot := strings.IndexByte(domain, '.'); dot > 0 {
			var room [256]byte
			keys = s.appendWildcard(keys, append(append(room[:0], '*'), domain[dot:]...))
		}
	}
	return s.appendKeys(keys, string(address.Fold()), at)
}

func (s *Set) appendWildcard(keys []key, name []byte) []key {
	for b := s.book; b != nil; b = b.below {
		keys = append(keys, b.lists[b.names[string(name)]]...)
	}
	return keys
}

func (s *Set) appendKeys(keys []key, name string, at time.Time) []key {
	for b := s.book; b != nil; b = b.below {
		for _, k := range b.keysOfName(name) {
			if slices.Contains(keys, k) || s.removals && s.removedFromGroup(b.groups[k], name, at) {
				continue
			}
			keys = append(keys, k)
		}
	}
	return keys
}

// membership tells through which entry an address is in a group.
func (s *Set) membership(group string, address mail.Path, at time.Time) (member string, ok bool) {
	k, known := s.book.find(Spec{Type: ProfileGroup, Value: group})
	domain := address.Domain()
	if !known || domain == "" {
		return "", false
	}
	for _, name := range []string{string(address.Fold()), domain} {
		for b := s.book; b != nil; b = b.below {
			if slices.Contains(b.keysOfName(name), k) && !s.removedFromGroup(group, name, at) {
				return name, true
			}
		}
	}
	return "", false
}

// groupsOf lists the groups that hold a name (an address or a domain, folded),
// sorted.
func (s *Set) groupsOf(name string) []string {
	var groups []string
	for b := s.book; b != nil; b = b.below {
		for _, k := range b.keysOfName(name) {
			if group, ok := b.groups[k]; ok {
				groups = append(groups, group)
			}
		}
	}
	slices.Sort(groups)
	return groups
}
