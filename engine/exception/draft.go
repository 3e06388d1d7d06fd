package exception

import (
	"errors"
	"fmt"
	"time"

	"mailwhy/engine"
)

// draft makes the change a proposal asks for, without an end, and names its
// scope. What leaves a group is named by the proposal, for a scope cannot.
func draft(set *engine.Set, p Proposal, id string, now time.Time) (engine.Change, string, error) {
	if p.Kind == engine.KindGroupRemove {
		if p.Group.Group == "" || p.Group.Member == "" {
			return engine.Change{}, "", errors.New("no group entry is named")
		}
		return engine.Change{Kind: p.Kind, GroupRemove: []engine.GroupEntry{p.Group}}, clean(p.Group.Member + " from group " + p.Group.Group), nil
	}
	scope, err := fitScope(p.Kind, p.Scope)
	if err != nil {
		return engine.Change{}, "", err
	}
	c, err := engine.Draft(set, p.Kind, scope, &p.Message, id, p.Ticket, now, time.Time{})
	return c, scope.String(), err
}

// fitScope completes a scope (the zero value is the narrowest) and refuses one
// that a kind cannot have: what the journal says must be what is done.
func fitScope(kind engine.Kind, s engine.Scope) (engine.Scope, error) {
	if s.From == "" && s.To == "" {
		s.From, s.To = "sender", "recipient"
	}
	s, err := engine.ParseScope(s.String())
	if err != nil {
		return engine.Scope{}, err
	}
	narrowest, err := engine.ParseScope("")
	switch kind {
	case engine.KindRelay:
		if s != narrowest {
			return engine.Scope{}, fmt.Errorf("a relay entry is for one recipient, whoever writes: it takes no scope but %s", narrowest)
		}
	case engine.KindManagedPermit, engine.KindManagedBlock, engine.KindManagedDelete:
		if s.To != narrowest.To || s.IP || s.FromPart == engine.BothFrom {
			return engine.Scope{}, errors.New("an entry of a recipient's own list names one sender or domain for that recipient: its scope is sender>recipient or domain>recipient, perhaps with ,header")
		}
	}
	return s, err
}
