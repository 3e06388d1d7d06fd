package app

import (
	"fmt"
	"slices"

	"mailwhy/cmd/internal/config"
	"mailwhy/engine/exception"
)

// rank orders the roles.
var rank = []exception.Role{exception.Viewer, exception.Operator, exception.Admin}

// Person tells who somebody is here: by name, else by the greatest role of the
// principals of their certificate. The error says that they have no role.
func (a *App) Person(name string, principals []string) (exception.Actor, error) {
	access := a.Config.Access
	best := exception.Actor{Name: name}
	take := func(p config.Person) {
		if role := exception.Role(access.Base(p.Role)); slices.Index(rank, role) > slices.Index(rank, best.Role) {
			best.Role = role
		}
	}
	if p, ok := access.Users[name]; ok {
		take(p)
	} else {
		for _, principal := range principals {
			take(access.Principals[principal])
		}
	}
	if best.Role == "" {
		return best, fmt.Errorf("%s has no role here", name)
	}
	return best, nil
}
