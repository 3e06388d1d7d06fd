package engine

import (
	"slices"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// matches says whether an address satisfies one side of a policy, by looking
// at the address and not at the index: what traces tell is found this way.
func (s *Set) matches(spec Spec, address mail.Path, name string, isHeader bool, at time.Time) bool {
	switch spec.Type {
	case Everyone:
		return true
	case HeaderDisplayName:
		return isHeader && name != "" && Spec{Type: HeaderDisplayName, Value: name}.folded() == spec.folded()
	case ExternalAddresses:
		return address.Null() || !s.Internal(address)
	}
	if address.Null() || !address.Known() {
		return false
	}
	switch spec.Type {
	case InternalAddresses:
		return s.Internal(address)
	case FreeMailDomains:
		return s.file.freeMail[address.Domain()]
	case EmailDomain:
		folded := spec.folded()
		if wildcard(folded) {
			_, parent, ok := strings.Cut(address.Domain(), ".")
			return ok && parent == folded.Value[2:]
		}
		return address.Domain() == folded.Value
	case ProfileGroup:
		_, ok := s.membership(spec.Value, address, at)
		return ok
	case AddressAttributeValue:
		k, ok := s.book.find(spec.folded())
		return ok && slices.Contains(s.keysOf(nil, address, at), k)
	case IndividualAddress:
		return string(address.Fold()) == spec.folded().Value
	}
	return false
}
