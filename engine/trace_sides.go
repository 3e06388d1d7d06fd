package engine

import (
	"fmt"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// truth is how sure it is that something matches.
type truth int

const (
	no truth = iota
	unknown
	yes
)

// stands compares both sides of a policy with the message, in each of its
// directions, and says in words by what it matches or why not. The rank is
// that of the direction that matches, the better where both do.
func (w *walk) stands(p *Policy, moment Moment) (best truth, rank Rank, why string) {
	a := &w.set.file.engine
	rank = rankOf(p, p.From, p.To, a)
	directions := [][2]Spec{{p.From, p.To}}
	if p.Bidirectional {
		directions = append(directions, [2]Spec{p.To, p.From})
	}
	bestByHeader := false
	for _, d := range directions {
		is, byHeader, words := w.standsOneWay(p, d[0], d[1], moment)
		mine := rankOf(p, d[0], d[1], a)
		better := is > best || is == best && (byHeader && !bestByHeader || byHeader == bestByHeader && mine.weight(a.ToFirst) > rank.weight(a.ToFirst))
		if why != "" && (!better || is == no) {
			continue
		}
		best, bestByHeader, why = is, byHeader, words
		if is == yes {
			rank = mine
		}
	}
	return best, rank, why
}

// standsOneWay is stands in one direction; byHeader tells that the header from
// is the address that matches, which is the one used when both do.
func (w *walk) standsOneWay(p *Policy, from, to Spec, moment Moment) (is truth, byHeader bool, why string) {
	f := w.facts
	toIs, toWords := w.side(to, f.recipient, "", false)
	if toIs == no {
		return no, false, "to " + toWords
	}
	senderIs, words := no, ""
	if moment != MomentRcpt && p.FromPart != EnvelopeFrom {
		senderIs, words = w.side(from, f.header, f.name, true)
		words = "header " + words
		if from.Type != Everyone && f.lacks(factHeaderFrom) || from.Type == HeaderDisplayName && f.lacks(factHeaderName) {
			senderIs, words = unknown, "the header from is not logged"
		}
		byHeader = senderIs == yes
	}
	if p.FromPart != HeaderFrom && senderIs != yes {
		if is, other := w.side(from, f.envelope, "", false); is > senderIs || words == "" {
			senderIs, words = is, other
		}
	}
	switch {
	case words == "":
		return no, false, "looks at the header from, which is not known at this moment"
	case senderIs == no:
		return no, false, words
	}
	return min(senderIs, toIs), byHeader, words + "; to " + toWords
}

// side says in words whether an address satisfies a spec, and by what.
func (w *walk) side(spec Spec, address mail.Path, name string, isHeader bool) (truth, string) {
	ok, words := w.set.side(spec, address, name, isHeader, w.facts.at)
	switch {
	case ok:
		return yes, words
	case !address.Null() && w.set.partialSpec(spec):
		return unknown, words + ", as far as is known"
	}
	return no, words
}

// side says in words whether an address satisfies a spec, and by what.
func (s *Set) side(spec Spec, address mail.Path, name string, isHeader bool, at time.Time) (bool, string) {
	ok := s.matches(spec, address, name, isHeader, at)
	is := map[bool]string{true: "is", false: "is not"}[ok]
	switch spec.Type {
	case Everyone:
		return true, "everyone"
	case InternalAddresses:
		return ok, fmt.Sprintf("%s %s internal", address, is)
	case ExternalAddresses:
		return ok, fmt.Sprintf("%s %s external", address, is)
	case FreeMailDomains:
		return ok, fmt.Sprintf("%s %s a free mail address", address, is)
	case EmailDomain:
		return ok, fmt.Sprintf("%s %s in domain %s%s", address, is, spec.Value, subDomainHint(ok, address, spec))
	case ProfileGroup:
		member, in := s.membership(spec.Value, address, at)
		switch {
		case in && strings.Contains(member, "@"):
			return true, fmt.Sprintf("group %q lists %s", spec.Value, member)
		case in:
			return true, fmt.Sprintf("group %q lists the whole domain %s", spec.Value, member)
		}
		return false, fmt.Sprintf("group %q does not list %s", spec.Value, address)
	case AddressAttributeValue:
		return ok, fmt.Sprintf("%s %s marked %s", address, is, spec.Value)
	case HeaderDisplayName:
		return ok, fmt.Sprintf("display name %q %s %q", name, is, spec.Value)
	case IndividualAddress:
		return ok, fmt.Sprintf("%s %s %s", address, is, spec.Value)
	}
	return false, "unknown type " + string(spec.Type)
}

func subDomainHint(ok bool, address mail.Path, spec Spec) string {
	if !ok && strings.HasSuffix(address.Domain(), "."+spec.folded().Value) {
		return " (a domain does not cover its sub-domains)"
	}
	return ""
}
