package engine

import (
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

// addressBook maps addresses to the keys of the specs they satisfy.
type addressBook struct {
	file *file
	ids  map[Spec]key

	groupNames map[key]string
	groupsOf   map[string][]groupKey // address or domain, folded
	attributes map[string][]key      // address
	wildcards  bool
}

type groupKey struct {
	key    key
	group  string
	member string
}

func newAddressBook(f *file) *addressBook {
	b := &addressBook{file: f, ids: map[Spec]key{}, groupNames: map[key]string{}, groupsOf: map[string][]groupKey{}, attributes: map[string][]key{}}
	for name, members := range f.groups {
		k := b.id(Spec{Type: ProfileGroup, Value: name})
		b.groupNames[k] = name
		for _, m := range members {
			b.groupsOf[m] = append(b.groupsOf[m], groupKey{key: k, group: name, member: m})
		}
	}
	for _, a := range f.attributes {
		for _, value := range []string{a.name + "=" + a.value, a.value} {
			b.attributes[a.address] = append(b.attributes[a.address], b.id(Spec{Type: AddressAttributeValue, Value: strings.ToLower(value)}))
		}
	}
	return b
}

// id returns the key of a spec, making one for a spec not seen before.
func (b *addressBook) id(s Spec) key {
	switch s.Type {
	case Everyone:
		return keyEveryone
	case InternalAddresses:
		return keyInternal
	case ExternalAddresses:
		return keyExternal
	case FreeMailDomains:
		return keyFreeMail
	}
	s = s.folded()
	k, ok := b.ids[s]
	if !ok {
		k = keyFirstNamed + key(len(b.ids))
		b.ids[s] = k
		if s.Type == EmailDomain && strings.HasPrefix(s.Value, "*.") {
			b.wildcards = true
		}
	}
	return k
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

// keysOf appends the keys an address satisfies at an instant. The null path is
// everyone's and external's, never a domain's, group's or address's.
func (s *Set) keysOf(keys []key, address mail.Path, at time.Time) []key {
	b := s.book
	keys = append(keys, keyEveryone)
	folded, domain := string(address.Fold()), address.Domain()
	if b.file.internal[domain] {
		keys = append(keys, keyInternal)
	} else {
		keys = append(keys, keyExternal)
	}
	if address.Null() {
		return keys
	}
	if b.file.freeMail[domain] {
		keys = append(keys, keyFreeMail)
	}
	if domain != "" {
		if k, ok := b.ids[Spec{Type: EmailDomain, Value: domain}]; ok {
			keys = append(keys, k)
		}
		if b.wildcards {
			if _, parent, ok := strings.Cut(domain, "."); ok {
				if k, ok := b.ids[Spec{Type: EmailDomain, Value: "*." + parent}]; ok {
					keys = append(keys, k)
				}
			}
		}
		keys = s.appendGroups(keys, domain, at)
	}
	keys = s.appendGroups(keys, folded, at)
	keys = append(keys, b.attributes[folded]...)
	if k, ok := b.ids[Spec{Type: IndividualAddress, Value: folded}]; ok {
		keys = append(keys, k)
	}
	return keys
}

func (s *Set) appendGroups(keys []key, member string, at time.Time) []key {
	for _, g := range s.book.groupsOf[member] {
		if len(s.changes) > 0 && s.removedFromGroup(g.group, g.member, at) {
			continue
		}
		seen := false
		for _, k := range keys {
			seen = seen || k == g.key
		}
		if !seen {
			keys = append(keys, g.key)
		}
	}
	return keys
}

// membership tells through which entry an address is in a group.
func (s *Set) membership(group string, address mail.Path, at time.Time) (member string, ok bool) {
	for _, entry := range []string{string(address.Fold()), address.Domain()} {
		for _, g := range s.book.groupsOf[entry] {
			if entry != "" && g.group == group && !s.removedFromGroup(group, g.member, at) {
				return g.member, true
			}
		}
	}
	return "", false
}
