package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mailwhy/cmd/internal/app"
	"mailwhy/engine/exception"
)

// caller is who a command is run for in the owner's process.
type caller struct {
	person app.Person
	dir    string // their working folder
	files  bool   // the owner opens files for them: they may read what the owner may
}

// leastRole is the role that a command takes when it is run for another. What
// is not here is not run for others at all. The guards of an exception look at
// the role once more.
var leastRole = map[string]exception.Role{
	"search": exception.Viewer, "show": exception.Viewer, "why": exception.Viewer, "explain": exception.Viewer,
	"sources": exception.Viewer, "version": exception.Viewer, "help": exception.Viewer, "causes": exception.Viewer,
	"exception list": exception.Viewer, "exception show": exception.Viewer, "exception verify": exception.Viewer,
	"managed list": exception.Viewer,
	"policy list":  exception.Viewer, "policy show": exception.Viewer, "policy check": exception.Viewer, "policy lint": exception.Viewer,

	"bypass": exception.Operator, "permit": exception.Operator, "relay": exception.Operator,
	"exception revoke": exception.Operator, "exception extend": exception.Operator, "exception confirm": exception.Operator,
	"managed permit": exception.Operator, "managed block": exception.Operator, "managed delete": exception.Operator,

	"ingest": exception.Admin, "forget": exception.Admin,
	"index stats": exception.Admin, "index verify": exception.Admin, "index compact": exception.Admin, "index rebuild": exception.Admin, "index backup": exception.Admin,
	"exception approve": exception.Admin,
	"audit list":        exception.Admin, "audit export": exception.Admin, "audit verify": exception.Admin, "audit head": exception.Admin, "audit forget": exception.Admin,
}

var roleRank = map[exception.Role]int{exception.Viewer: 1, exception.Operator: 2, exception.Admin: 3}

// fence leaves of a command tree what the caller may run.
func (c caller) fence(root *cobra.Command) {
	for _, sub := range root.Commands() {
		if sub.HasSubCommands() {
			c.fence(sub)
			if !sub.HasSubCommands() {
				root.RemoveCommand(sub)
			}
			continue
		}
		name := strings.TrimPrefix(sub.CommandPath(), sub.Root().Name()+" ")
		least, known := leastRole[name]
		switch {
		case !known:
			root.RemoveCommand(sub)
		case roleRank[c.person.Role] < roleRank[least]:
			sub.Args, sub.DisableFlagParsing = cobra.ArbitraryArgs, true
			sub.RunE = func(*cobra.Command, []string) error {
				return fmt.Errorf("%s has the role %s: %s is for the role %s", c.person.Name, c.person.Role, name, least)
			}
		}
	}
}
