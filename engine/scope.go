package engine

import (
	"mailwhy/engine/mail"
	"time"
)

// Scope is the parsed form of --scope: "sender>recipient", "sender>all",
// "sender>group:NAME", "domain>recipient", "domain>all", with ",header",
// ",both" or ",ip" appended.
type Scope struct {
	From     string // "sender" or "domain"
	To       string // "recipient", "all" or "group:NAME"
	FromPart FromPart
	IP       bool
}

// ParseScope reads the grammar of --scope; "" is sender>recipient.
func ParseScope(text string) (Scope, error) { return Scope{}, nil }

// String gives the text ParseScope reads.
func (s Scope) String() string { return "" }

// Draft makes the change of this kind and scope for a message: its addresses,
// with an override flag only where a replay at now shows that it is needed.
// The policy gets the id and narrative; it is in force from since until until
// (zero = for ever). The error says in a sentence which fact is missing.
func Draft(set *Set, kind Kind, scope Scope, m *mail.Message, id, narrative string, since, until time.Time) (Change, error) {
	return Change{}, nil
}
