package exception

import (
	"fmt"
	"net/netip"
	"time"

	"mailwhy/engine"
)

// effect is what an exception does to a policy set, as the journal keeps it:
// the drafted change without its window and narrative, which come from the
// exception itself. Keeping it makes a replay of the past independent of how
// a later program would draft the same scope.
type effect struct {
	Policies      []effectPolicy  `json:"policies,omitempty"`
	ManagedPut    []effectManaged `json:"managed_put,omitempty"`
	ManagedDelete []effectManaged `json:"managed_delete,omitempty"`
	GroupRemove   []effectGroup   `json:"group_remove,omitempty"`
}

type effectPolicy struct {
	Section       engine.Section  `json:"section"`
	ID            string          `json:"id"`
	Option        string          `json:"option"`
	FromPart      engine.FromPart `json:"from_part"`
	From          engine.Spec     `json:"from"`
	To            engine.Spec     `json:"to"`
	Override      bool            `json:"override,omitempty"`
	Bidirectional bool            `json:"bidirectional,omitempty"`
	SourceIPs     []netip.Prefix  `json:"source_ips,omitempty"`
}

type effectManaged struct {
	Recipient string `json:"recipient"`
	Sender    string `json:"sender"`
	Action    string `json:"action,omitempty"`
}

type effectGroup struct {
	Group  string `json:"group"`
	Member string `json:"member"`
}

func effectOf(c engine.Change) effect {
	var f effect
	for _, p := range c.Policies {
		f.Policies = append(f.Policies, effectPolicy{
			Section: p.Section, ID: p.ID, Option: p.Option, FromPart: p.FromPart, From: p.From, To: p.To,
			Override: p.Override, Bidirectional: p.Bidirectional, SourceIPs: p.SourceIPs,
		})
	}
	for _, m := range c.ManagedPut {
		f.ManagedPut = append(f.ManagedPut, effectManaged{m.Recipient, m.Sender, m.Action})
	}
	for _, m := range c.ManagedDelete {
		f.ManagedDelete = append(f.ManagedDelete, effectManaged{m.Recipient, m.Sender, m.Action})
	}
	for _, g := range c.GroupRemove {
		f.GroupRemove = append(f.GroupRemove, effectGroup(g))
	}
	return f
}

// change gives what the exception does and did, in force from its creation to
// its end.
func (f effect) change(e Exception) engine.Change {
	origin := fmt.Sprintf("exception %d", e.ID)
	since, until := e.Created, e.Until()
	if e.Awaiting != "" {
		since = e.Approved
	}
	if since.IsZero() { // a proposal does nothing
		return engine.Change{Kind: e.Kind, Origin: origin, Since: e.Created, Until: e.Created}
	}
	c := engine.Change{Kind: e.Kind, Origin: origin, Since: since, Until: until}
	for _, p := range f.Policies {
		c.Policies = append(c.Policies, engine.Policy{
			Section: p.Section, ID: p.ID, Description: e.Narrative, Option: p.Option, FromPart: p.FromPart, From: p.From, To: p.To,
			Override: p.Override, Bidirectional: p.Bidirectional, SourceIPs: p.SourceIPs,
			Since: since, Until: until, Origin: origin, Changed: lastChange(e),
		})
	}
	for _, m := range f.ManagedPut {
		c.ManagedPut = append(c.ManagedPut, engine.ManagedEntry{Recipient: m.Recipient, Sender: m.Sender, Action: m.Action, Origin: origin})
	}
	for _, m := range f.ManagedDelete {
		c.ManagedDelete = append(c.ManagedDelete, engine.ManagedEntry{Recipient: m.Recipient, Sender: m.Sender, Action: m.Action, Origin: origin})
	}
	for _, g := range f.GroupRemove {
		c.GroupRemove = append(c.GroupRemove, engine.GroupEntry(g))
	}
	return c
}

func lastChange(e Exception) time.Time {
	switch {
	case !e.Revoked.IsZero():
		return e.Revoked
	case !e.Approved.IsZero():
		return e.Approved
	}
	return e.Created
}
