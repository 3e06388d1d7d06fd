package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"mailwhy/engine/mail"
)

// Draft makes the change of this kind and scope for a message: its addresses,
// with the override flag only where a replay shows that it is needed. The
// policy gets the id and narrative; it is in force from since until until
// (zero = for ever). The error says in a sentence which fact is missing.
func Draft(set *Set, kind Kind, scope Scope, m *mail.Message, id, narrative string, since, until time.Time) (Change, error) {
	set = set.orEmpty()
	c := Change{Kind: kind, Since: since, Until: until}
	f := factsOf(m, since)
	if !f.recipient.Known() || f.recipient.Null() {
		return Change{}, errors.New("the log gives no recipient, so an exception has nobody to let mail in for")
	}
	switch kind {
	case KindManagedPermit, KindManagedBlock, KindManagedDelete:
		return draftManaged(c, scope, &f)
	case KindRelay:
		p := Policy{Section: SectionBlockedSenders, ID: id, Description: narrative, Option: OptionNoAction, FromPart: EnvelopeFrom,
			From: Spec{Type: ExternalAddresses}, To: Spec{Type: IndividualAddress, Value: string(f.recipient.Fold())}, Since: since, Until: until, Origin: id}
		c.Policies = []Policy{p}
		return c, nil
	case KindBypass, KindPermit:
	default:
		return Change{}, fmt.Errorf("kind %q cannot be drafted from a message", kind)
	}
	p, err := draftPolicy(kind, scope, &f)
	if err != nil {
		return Change{}, err
	}
	p.ID, p.Description, p.Since, p.Until, p.Origin = id, narrative, since, until, id
	c.Policies = []Policy{p}
	if kind == KindBypass && needsOverride(set, c, m) {
		c.Policies[0].Override = true
	}
	return c, nil
}

func draftPolicy(kind Kind, scope Scope, f *facts) (Policy, error) {
	p := Policy{Section: SectionBlockedSenders, Option: OptionNoAction, FromPart: scope.FromPart}
	if kind == KindPermit {
		p.Section, p.Option = SectionPermittedSenders, OptionPermitSender
	}
	if p.FromPart == "" {
		p.FromPart = EnvelopeFrom
	}
	sender, fact := f.envelope, "envelope sender"
	if p.FromPart == HeaderFrom || p.FromPart == BothFrom && f.header.Known() {
		sender, fact = f.header, "header from"
	}
	if !sender.Known() {
		return Policy{}, fmt.Errorf("the log gives no %s, so this scope has no sender to name", fact)
	}
	if sender.Null() || sender.Domain() == "" {
		return Policy{}, fmt.Errorf("the %s is %s, which names nobody: no exception can be limited to it", fact, sender)
	}
	p.From = Spec{Type: IndividualAddress, Value: string(sender.Fold())}
	if scope.From == "domain" {
		p.From = Spec{Type: EmailDomain, Value: sender.Domain()}
	}
	switch {
	case scope.To == "all":
		p.To = Spec{Type: InternalAddresses}
	case len(scope.To) > len("group:") && scope.To[:len("group:")] == "group:":
		p.To = Spec{Type: ProfileGroup, Value: scope.To[len("group:"):]}
	default:
		p.To = Spec{Type: IndividualAddress, Value: string(f.recipient.Fold())}
	}
	if scope.IP {
		if !f.client.IsValid() {
			return Policy{}, errors.New("the log gives no client address, so the exception cannot be limited to it")
		}
		p.SourceIPs = []netip.Prefix{netip.PrefixFrom(f.client, f.client.BitLen())}
	}
	return p, nil
}

func draftManaged(c Change, scope Scope, f *facts) (Change, error) {
	sender := f.envelope
	if scope.FromPart == HeaderFrom || !sender.Known() || sender.Null() {
		sender = f.header
	}
	if !sender.Known() || sender.Domain() == "" {
		return Change{}, errors.New("the log gives no sender that a managed senders entry could name")
	}
	e := ManagedEntry{Recipient: string(f.recipient.Fold()), Sender: string(sender.Fold()), Action: "permit"}
	if scope.From == "domain" {
		e.Sender = sender.Domain()
	}
	switch c.Kind {
	case KindManagedDelete:
		c.ManagedDelete = []ManagedEntry{e}
		return c, nil
	case KindManagedBlock:
		e.Action = "block"
	}
	c.ManagedPut = []ManagedEntry{e}
	return c, nil
}

// needsOverride reports whether the change wins its contest only with Policy
// Override.
func needsOverride(set *Set, c Change, m *mail.Message) bool {
	at := c.Since
	id := c.Policies[0].ID
	wins := func(override bool) bool {
		p := c.Policies[0]
		p.Override, p.Since, p.Until = override, time.Time{}, time.Time{}
		after := set.Apply(Change{Policies: []Policy{p}})
		f := factsOf(m, at).plain()
		d := after.run(&f, twist{}, nil)
		return !(d.stage == StageBlockedSenders && d.policy != id)
	}
	return !wins(false) && wins(true)
}
