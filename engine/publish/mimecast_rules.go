package publish

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"mailwhy/engine"
)

// SitePolicy is a policy as the policy file has it.
type SitePolicy struct {
	ID            string      `yaml:"id"`
	Description   string      `yaml:"description,omitempty"`
	Option        string      `yaml:"option"`
	FromPart      string      `yaml:"from_part,omitempty"`
	From          engine.Spec `yaml:"from"`
	To            engine.Spec `yaml:"to"`
	Override      bool        `yaml:"override,omitempty"`
	Bidirectional bool        `yaml:"bidirectional,omitempty"`
	Enabled       bool        `yaml:"enabled"`
	FromDate      string      `yaml:"from_date,omitempty"`
	ToDate        string      `yaml:"to_date,omitempty"`
	SourceIPs     []string    `yaml:"source_ips,omitempty"`
}

// SiteGroup is a group's members.
type SiteGroup struct {
	Members []string `yaml:"members"`
}

// MimecastRules are what the API tells of an account.
type MimecastRules struct {
	BlockedSenders []SitePolicy
	Groups         map[string]SiteGroup
	Notes          []string // what could not be taken in, a sentence each
}

// ReadMimecastRules reads every Blocked Senders policy and the members of every
// group that one of them names. Permitted Senders policies and users' lists
// have no reading call: a policy file made of this knows them in part only.
// Policies that we published are left out, since the journal has them.
func (a *MimecastAPI) ReadMimecastRules(ctx context.Context) (MimecastRules, error) {
	r := MimecastRules{Groups: map[string]SiteGroup{}}
	policies, err := a.policies(ctx)
	if err != nil {
		return r, err
	}
	groups, err := a.groups(ctx, "")
	if err != nil {
		return r, err
	}
	names := map[string]string{}
	for _, g := range groups {
		names[g.ID] = g.Description
	}
	for _, b := range policies {
		if strings.HasPrefix(b.Description, "mailwhy E-") {
			continue
		}
		p := SitePolicy{ID: b.ID, Description: b.Description, Option: b.Option, FromPart: b.FromPart, Override: b.Override, Bidirectional: b.Bidirectional, Enabled: b.Enabled, SourceIPs: b.SourceIPs}
		var fromErr, toErr error
		p.From, fromErr = specOf(b.From, names)
		p.To, toErr = specOf(b.To, names)
		if err := cmp.Or(fromErr, toErr); err != nil {
			r.Notes = append(r.Notes, fmt.Sprintf("policy %s is left out: %v", short(b.ID), err))
			continue
		}
		if !b.FromEternal {
			p.FromDate = dateOf(b.FromDateTime)
		}
		if !b.ToEternal {
			p.ToDate = dateOf(b.ToDateTime)
		}
		r.BlockedSenders = append(r.BlockedSenders, p)
		for _, t := range []apiTarget{b.From, b.To} {
			name := names[t.GroupID]
			if _, known := r.Groups[name]; t.GroupID == "" || known {
				continue
			}
			members, err := a.members(ctx, t.GroupID)
			if err != nil {
				return r, err
			}
			slices.Sort(members)
			r.Groups[name] = SiteGroup{Members: slices.Compact(members)}
		}
	}
	return r, nil
}

func specOf(t apiTarget, names map[string]string) (engine.Spec, error) {
	s := engine.Spec{Type: engine.SpecType(t.Type)}
	switch s.Type {
	case engine.IndividualAddress:
		s.Value = t.EmailAddress
	case engine.EmailDomain:
		s.Value = t.EmailDomain
	case engine.ProfileGroup:
		if s.Value = names[t.GroupID]; s.Value == "" {
			return s, fmt.Errorf("its group %s is not among those that the API lists", short(t.GroupID))
		}
	case engine.Everyone, engine.InternalAddresses, engine.ExternalAddresses, engine.FreeMailDomains:
	default:
		return s, fmt.Errorf("it goes by %q", short(t.Type))
	}
	return s, nil
}

// dateOf writes an instant of the API as the policy file has it; what is no
// instant is kept, so that the file's reader names it.
func dateOf(text string) string {
	for _, form := range []string{apiTime, time.RFC3339} {
		if at, err := time.Parse(form, text); err == nil {
			return at.UTC().Format(time.RFC3339)
		}
	}
	return text
}
