package exception

import (
	"fmt"
	"slices"

	"mailwhy/engine"
	"mailwhy/engine/mail"
)

// guardRelay: we pass mail on for one outside recipient, and an admin says so,
// by whatever kind of entry.
func (q question) guardRelay() Guard {
	const name = "relay"
	to := q.exception.To
	switch {
	case !q.relays():
		return ok(name)
	case q.actor.Role != Admin && q.exception.Kind == engine.KindRelay:
		return refused(name, "only an admin may let mail be relayed")
	case q.actor.Role != Admin:
		return refused(name, "sender and recipient are both outside: this would relay, which only an admin may let happen")
	case to.Type != engine.IndividualAddress || len(q.change.Policies) > 1:
		return refused(name, "a relay entry names one recipient address, and this one could pass mail on to more")
	case q.set.Internal(mail.Path(to.Value)):
		return refused(name, fmt.Sprintf("%s is an internal address: mail to it is not relayed", to.Value))
	}
	return ok(name)
}

// relays reports whether an exception would let mail of an outsider through to
// an outsider: the recipient it names, a member of the group it names, or the
// recipient of the message it is made for.
func (q question) relays() bool {
	e := q.exception
	if e.Kind == engine.KindRelay {
		return true
	}
	if len(q.change.Policies) == 0 || !opens(e.Kind) {
		return false
	}
	if domain := specDomain(e.From); domain != "" && q.set.Internal(mail.Path("postmaster@"+domain)) {
		return false
	}
	outside := func(p mail.Path) bool { return p.Domain() != "" && !q.set.Internal(p) }
	if members, known := q.set.Group(e.To.Value); known && e.To.Type == engine.ProfileGroup && slices.ContainsFunc(members, func(m string) bool { return outside(memberPath(m)) }) {
		return true
	}
	return e.To.Type == engine.IndividualAddress && outside(mail.Path(e.To.Value)) || outside(q.proposal.Message.Recipient)
}

// memberPath is an address a member of a group stands for: itself, or one of
// its domain.
func memberPath(member string) mail.Path {
	if s := entrySpec(member); s.Type == engine.EmailDomain {
		return mail.Path("postmaster@" + member)
	}
	return mail.Path(member)
}

// guardGroup: a group that nobody can look into may hold anybody, and one
// without the message's recipient would not help.
func (q question) guardGroup() Guard {
	const name = "group"
	e, recipient := q.exception, q.proposal.Message.Recipient
	group, member := e.Group, memberPath(e.From.Value)
	if e.Kind != engine.KindGroupRemove {
		if e.To.Type != engine.ProfileGroup {
			return ok(name)
		}
		group, member = e.To.Value, recipient
	}
	_, partial := q.set.AsOf()
	switch _, known := q.set.Group(group); {
	case !known:
		return refused(name, fmt.Sprintf("no group is named %q: names are case-sensitive", clean(group)))
	case !q.set.InGroup(group, member) && !slices.Contains(partial, "groups"):
		return refused(name, fmt.Sprintf("%s is not in the group %s", clean(string(member)), group))
	}
	return ok(name)
}
