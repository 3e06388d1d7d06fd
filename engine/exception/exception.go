package exception

import (
	"time"

	"mailwhy/engine"
	"mailwhy/engine/mail"
)

// Role is what an actor may do.
type Role string

// The roles, from least to most.
const (
	Viewer   Role = "viewer"
	Operator Role = "operator"
	Admin    Role = "admin"
)

// Actor is an authenticated identity.
type Actor struct {
	Name string `json:"name"`
	Role Role   `json:"role"`
}

// State is where an exception stands at an instant.
type State string

// The states.
const (
	Live    State = "live"
	Pending State = "pending" // journalled, still to be done by hand or by a publisher
	Expired State = "expired"
	Revoked State = "revoked"
	Failed  State = "failed" // a gateway could not be given it; it is tried again, see Receipt
)

// Exception is an entry a person made.
type Exception struct {
	ID        int             `json:"id"`
	Kind      engine.Kind     `json:"kind"`
	Scope     string          `json:"scope"` // the grammar of --scope
	FromPart  engine.FromPart `json:"from_part,omitempty"`
	From      engine.Spec     `json:"from,omitzero"`
	To        engine.Spec     `json:"to,omitzero"`
	SourceIPs []string        `json:"source_ips,omitempty"`
	Override  bool            `json:"override,omitempty"`
	ForDomain string          `json:"for_domain,omitempty"` // of the sender in the evidence, where the entry names no sender
	Group     string          `json:"group,omitempty"`      // the group a member is removed from
	Narrative string          `json:"narrative"`
	Ticket    string          `json:"ticket"`
	Reason    string          `json:"reason,omitempty"`
	Actor     Actor           `json:"actor"`
	Created   time.Time       `json:"created"`
	Expires   time.Time       `json:"expires,omitzero"` // zero = never
	Revoked   time.Time       `json:"revoked,omitzero"`
	RevokedBy string          `json:"revoked_by,omitempty"`
	MessageID string          `json:"message,omitempty"` // the evidence's id
	Trace     string          `json:"trace,omitempty"`   // digest of the trace
	Steps     []string        `json:"steps,omitempty"`   // the console's steps, field by field, to be done by hand

	RevokeReason string    `json:"revoke_reason,omitempty"`
	Extensions   int       `json:"extensions,omitempty"`  // times its expiry was moved later
	Confirmed    time.Time `json:"confirmed,omitzero"`    // when its steps were confirmed done; zero = not yet
	ApprovedBy   string    `json:"approved_by,omitempty"` // who approved it, never who made it
	Published    []Receipt `json:"published,omitempty"`   // the newest answer of each gateway, by its name
}

// State tells where it stands at now.
func (e Exception) State(now time.Time) State {
	switch {
	case !e.Revoked.IsZero() && !now.Before(e.Revoked):
		return Revoked
	case !e.Expires.IsZero() && !now.Before(e.Expires):
		return Expired
	case e.published() == PublishFailed:
		return Failed
	case len(e.Steps) > 0 && e.Confirmed.IsZero() && e.published() != PublishLive:
		return Pending
	}
	return Live
}

// InForce reports whether it counts in a replay at now: neither expired nor
// revoked, whether or not its steps are done.
func (e Exception) InForce(now time.Time) bool {
	s := e.State(now)
	return s == Live || s == Pending || s == Failed
}

// ExpiryWarning is how long before its expiry an exception is said to expire.
const ExpiryWarning = 7 * 24 * time.Hour

// Expiring reports whether it is in force at now and expires within
// ExpiryWarning.
func (e Exception) Expiring(now time.Time) bool {
	return e.InForce(now) && !e.Expires.IsZero() && e.Expires.Sub(now) <= ExpiryWarning
}

// Until is the instant from which it no longer counts: the earlier of its
// expiry and its revocation; zero = never.
func (e Exception) Until() time.Time {
	if e.Expires.IsZero() || !e.Revoked.IsZero() && e.Revoked.Before(e.Expires) {
		return e.Revoked
	}
	return e.Expires
}

// Proposal is what a person asks for.
type Proposal struct {
	Kind    engine.Kind
	Scope   engine.Scope
	Group   engine.GroupEntry // of a group_remove: the entry that leaves its group; a scope cannot say it
	Message mail.Message      // the evidence
	Ticket  string
	Reason  string
	Expires time.Time // zero with Never false = the default, 30 days
	Never   bool
}

// Draft is an exception as it would be journalled, with its guards' answers.
type Draft struct {
	Exception Exception     `json:"exception"`
	Guards    []Guard       `json:"guards"`
	Change    engine.Change `json:"-"`
}
