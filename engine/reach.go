package engine

import (
	"strings"

	"mailwhy/engine/mail"
)

// Reach narrows down which messages a change can touch at all: an index finds
// them faster than a replay of everything does. Sender and Recipient are folded
// texts that one of the sender's addresses, and the recipient's, must hold; ""
// is anybody.
type Reach struct {
	Sender    string
	Recipient string
	Header    bool // the header from counts too, even one that only the reply's words name
}

// Reach tells which messages a change of the set can touch.
func (s *Set) Reach(c Change) Reach {
	var parts []Reach
	for _, p := range c.Policies {
		if p.Bidirectional {
			return Reach{}
		}
		parts = append(parts, Reach{Sender: specText(p.From), Recipient: specText(p.To), Header: p.FromPart != EnvelopeFrom})
	}
	for _, list := range [][]ManagedEntry{c.ManagedPut, c.ManagedDelete} {
		for _, e := range list {
			parts = append(parts, Reach{Sender: specText(specOfMember(e.Sender)), Recipient: string(mail.Path(e.Recipient).Fold()), Header: true})
		}
	}
	for _, g := range c.GroupRemove {
		if s.receives(g.Group) {
			return Reach{} // its members are senders and recipients
		}
		parts = append(parts, Reach{Sender: specText(specOfMember(g.Member)), Header: true})
	}
	if len(parts) != 1 {
		return Reach{}
	}
	return parts[0]
}

// receives reports whether a policy goes by a group of recipients.
func (s *Set) receives(group string) bool {
	named := func(spec Spec) bool { return spec.Type == ProfileGroup && spec.Value == group }
	for _, p := range s.Policies() {
		if named(p.To) || p.Bidirectional && named(p.From) {
			return true
		}
	}
	return false
}

// specText is what every address that satisfies a spec holds; "" when there is
// no such text.
func specText(s Spec) string {
	switch s = s.folded(); s.Type {
	case IndividualAddress:
		return s.Value
	case EmailDomain:
		if parent, wild := strings.CutPrefix(s.Value, "*."); wild {
			return "." + parent
		}
		return "@" + s.Value
	}
	return ""
}

// Touches reports whether a message is within reach.
func (r Reach) Touches(m *mail.Message) bool {
	if !strings.Contains(string(m.Recipient.Fold()), r.Recipient) {
		return false
	}
	if r.Sender == "" {
		return true
	}
	header := m.HeaderFrom
	if r.Header && header == "" {
		header = headerFromReport(m)
	}
	// without the envelope's sender a replay completes it from the header
	return strings.Contains(string(m.EnvelopeFrom.Fold()), r.Sender) || strings.Contains(string(header.Fold()), r.Sender)
}
