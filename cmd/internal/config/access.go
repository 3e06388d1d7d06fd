package config

import (
	"fmt"
	"slices"
)

// Access says who may do and see what. It is read anew when the file changes.
type Access struct {
	Users      map[string]Person  `yaml:"users"`      // by name: of the key's line, of a certificate's key id, of a local user
	Principals map[string]Person  `yaml:"principals"` // by principal of a certificate, for persons who are not among the users
	Roles      map[string]Role    `yaml:"roles"`      // what a role does not see; further roles
	Mailboxes  map[string]Mailbox `yaml:"mailboxes"`  // whose mail only some roles see
}

// Changes are the rules for exceptions. They are read anew when the file changes.
type Changes struct {
	ReadOnly bool   `yaml:"read_only"` // nothing is changed through mailwhy
	Freeze   string `yaml:"freeze"`    // why nothing new is made for a while; "" = no freeze
	Hourly   int    `yaml:"hourly"`    // exceptions of one operator within an hour; 0 = any number
}

// Approvers reports whether somebody is an admin by configuration, who can
// approve what others propose.
func (a Access) Approvers() bool {
	for _, persons := range []map[string]Person{a.Users, a.Principals} {
		for _, p := range persons {
			if a.Base(p.Role) == "admin" {
				return true
			}
		}
	}
	return false
}

// Person is what somebody may do, and for whom.
type Person struct {
	Role string `yaml:"role"`
}

// Role is viewer, operator or admin, or one that is like one of them.
type Role struct {
	Like string   `yaml:"like"` // viewer, operator or admin; "" for these themselves
	Mask []string `yaml:"mask"` // subject, local_part
}

// Mailbox is a set of addresses whose messages only the named roles see.
type Mailbox struct {
	Addresses []string `yaml:"addresses"` // addresses, or whole domains
	Roles     []string `yaml:"roles"`
}

// baseRoles are the roles that are always there, from least to most.
var baseRoles = [...]string{"viewer", "operator", "admin"}

// Base is the one of viewer, operator and admin that a role is or is like; ""
// for a role nobody knows.
func (a Access) Base(role string) string {
	if slices.Contains(baseRoles[:], role) {
		return role
	}
	return a.Roles[role].Like
}

// RoleOf is the role of somebody: by name, else the greatest of the principals
// of their certificate; "" = they have none.
func (a Access) RoleOf(name string, principals []string) string {
	if p, ok := a.Users[name]; ok {
		return p.Role
	}
	best := ""
	for _, principal := range principals {
		role := a.Principals[principal].Role
		if role != "" && (best == "" || a.rank(role) > a.rank(best)) {
			best = role
		}
	}
	return best
}

func (a Access) rank(role string) int { return slices.Index(baseRoles[:], a.Base(role)) }

func (a Access) check() error {
	for name, r := range a.Roles {
		base := slices.Contains(baseRoles[:], name)
		switch {
		case base && r.Like != "" && r.Like != name:
			return fmt.Errorf("access: role %s is itself, not like %q", name, r.Like)
		case !base && !slices.Contains(baseRoles[:], r.Like):
			return fmt.Errorf("access: role %s must be like viewer, operator or admin, not %q", name, r.Like)
		}
		for _, m := range r.Mask {
			if m != "subject" && m != "local_part" {
				return fmt.Errorf("access: role %s masks %q: only subject and local_part can be masked", name, m)
			}
			if m == "local_part" && a.Base(name) != "viewer" {
				return fmt.Errorf("access: role %s cannot mask local_part: who makes exceptions has to see the addresses", name)
			}
		}
	}
	for what, persons := range map[string]map[string]Person{"user": a.Users, "principal": a.Principals} {
		for name, p := range persons {
			if a.Base(p.Role) == "" {
				return fmt.Errorf("access: %s %s has the role %q, which is neither viewer, operator, admin nor among the roles", what, name, p.Role)
			}
		}
	}
	for name, m := range a.Mailboxes {
		for _, role := range m.Roles {
			if a.Base(role) == "" {
				return fmt.Errorf("access: mailbox %s names the role %q, which is not known", name, role)
			}
		}
		if len(m.Addresses) == 0 {
			return fmt.Errorf("access: mailbox %s names no address", name)
		}
	}
	return nil
}
