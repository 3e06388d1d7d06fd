package exception

import (
	"fmt"
	"strings"

	"mailwhy/engine"
	"mailwhy/engine/mail"
)

// describe fills in what the drafted change says about an exception: whose
// mail to whom. A managed entry and a group entry are described as the sender
// and the recipients they touch.
func describe(e *Exception, c engine.Change) {
	switch {
	case len(c.Policies) > 0:
		p := c.Policies[0]
		e.FromPart, e.From, e.To, e.Override = p.FromPart, p.From, p.To, p.Override
		for _, ip := range p.SourceIPs {
			e.SourceIPs = append(e.SourceIPs, ip.String())
		}
	case len(c.ManagedPut) > 0:
		e.From, e.To = entrySpec(c.ManagedPut[0].Sender), entrySpec(c.ManagedPut[0].Recipient)
	case len(c.ManagedDelete) > 0:
		e.From, e.To = entrySpec(c.ManagedDelete[0].Sender), entrySpec(c.ManagedDelete[0].Recipient)
	case len(c.GroupRemove) > 0:
		e.From, e.To = entrySpec(c.GroupRemove[0].Member), engine.Spec{Type: engine.Everyone}
		e.Group = clean(c.GroupRemove[0].Group)
	}
	e.From.Value, e.To.Value = clean(e.From.Value), clean(e.To.Value)
}

// entrySpec is the spec of a list entry: an address, or a whole domain.
func entrySpec(entry string) engine.Spec {
	if strings.Contains(entry, "@") {
		return engine.Spec{Type: engine.IndividualAddress, Value: entry}
	}
	return engine.Spec{Type: engine.EmailDomain, Value: entry}
}

// narrative is the text the policy carries on the gateway: what it is for and
// the ticket behind it.
func narrative(e Exception) string {
	text := fmt.Sprintf("%s: %s > %s (%s)", kindWord(e.Kind), specWord(e.From), specWord(e.To), e.Ticket)
	if e.Group != "" {
		text = fmt.Sprintf("%s %s: %s (%s)", kindWord(e.Kind), e.Group, specWord(e.From), e.Ticket)
	}
	if e.Reason != "" {
		text += " " + e.Reason
	}
	return text
}

func kindWord(k engine.Kind) string {
	switch k {
	case engine.KindBypass:
		return "Bypass"
	case engine.KindPermit:
		return "Permit"
	case engine.KindRelay:
		return "Relay"
	case engine.KindManagedPermit:
		return "Permitted for user"
	case engine.KindManagedDelete:
		return "User entry removed"
	case engine.KindManagedBlock:
		return "Blocked for user"
	case engine.KindGroupRemove:
		return "Removed from group"
	}
	return string(k)
}

func specWord(s engine.Spec) string {
	switch s.Type {
	case engine.Everyone:
		return "everyone"
	case engine.InternalAddresses:
		return "all internal addresses"
	case engine.ExternalAddresses:
		return "all external addresses"
	case engine.FreeMailDomains:
		return "all free-mail domains"
	case engine.ProfileGroup:
		return "group " + s.Value
	}
	return s.Value
}

// specDomain is the folded domain of one address or one domain, "" for a spec
// that names neither.
func specDomain(s engine.Spec) string {
	switch s.Type {
	case engine.IndividualAddress:
		return mail.Path(s.Value).Domain()
	case engine.EmailDomain:
		return mail.FoldDomain(strings.TrimPrefix(s.Value, "*."))
	}
	return ""
}
