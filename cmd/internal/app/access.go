package app

import (
	"fmt"
	"maps"
	"slices"

	"mailwhy/cmd/internal/config"
	"mailwhy/engine/exception"
	"mailwhy/index"
)

// Person is somebody with what they may do and what they do not see.
type Person struct {
	exception.Actor
	Veil Veil
}

// Access is the configuration's, as last read.
func (a *App) Access() config.Access {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.access
}

// Configuration is Config with who may do what as last read.
func (a *App) Configuration() config.Config {
	a.mu.RLock()
	defer a.mu.RUnlock()
	c := a.Config
	c.Access, c.Changes = a.access, a.changes
	return c
}

// rules are the configuration's for changes now.
func (a *App) rules() exception.Rules {
	a.mu.RLock()
	defer a.mu.RUnlock()
	c := a.changes
	return exception.Rules{Approvers: a.access.Approvers(), Hourly: c.Hourly, ReadOnly: c.ReadOnly, Freeze: c.Freeze}
}

// lookAccess takes in an edit of who may do what; one with a mistake is not
// taken in, and Troubles says so.
func (a *App) lookAccess() {
	mark := markOf(a.Config.File)
	a.mu.RLock()
	seen := a.accessSeen
	a.mu.RUnlock()
	if a.Config.File == "" || mark == seen || mark == (fileMark{}) {
		return
	}
	c, err := config.Load(a.Config.File, func(string) string { return "" })
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accessSeen, a.accessProblem = mark, ""
	if err != nil {
		a.accessProblem = err.Error()
		return
	}
	a.access, a.changes = c.Access, c.Changes
}

// Person tells who somebody is here: by name, else by the greatest role of the
// principals of their certificate. The error says that they have no role.
func (a *App) Person(name string, principals []string) (Person, error) {
	best := a.Access().RoleOf(name, principals)
	if best == "" {
		return Person{}, fmt.Errorf("%s has no role here", name)
	}
	return a.withRole(name, best), nil
}

// withRole gives a role to a name.
func (a *App) withRole(name, role string) Person {
	access := a.Access()
	p := Person{Actor: exception.Actor{Name: name, Role: exception.Role(access.Base(role))}}
	mask := access.Roles[role].Mask
	v := index.Veil{Subject: slices.Contains(mask, "subject"), LocalParts: slices.Contains(mask, "local_part")}
	for _, name := range slices.Sorted(maps.Keys(access.Mailboxes)) {
		if m := access.Mailboxes[name]; !slices.Contains(m.Roles, role) {
			v.Hidden = append(v.Hidden, m.Addresses...)
		}
	}
	p.Veil = Veil{v}
	return p
}

// Local is a local user: whom the configuration names has that role; of the
// others the owner of the data folder is admin, members of its group are
// operators, the rest viewers.
func (a *App) Local(uid uint32) Person {
	who := a.Actor(uid)
	if p, err := a.Person(who.Name, nil); err == nil {
		return p
	}
	return a.withRole(who.Name, string(who.Role))
}
