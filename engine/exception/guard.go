package exception

import (
	"net/netip"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/mail"
)

// Guard is one guard's answer.
type Guard struct {
	Name     string `json:"name"`
	Answer   string `json:"answer"` // "ok", "refused" or "needs_approver"
	Sentence string `json:"sentence,omitempty"`
}

// The answers of a guard.
const (
	OK            = "ok"
	Refused       = "refused"
	NeedsApprover = "needs_approver" // a refusal as long as nobody can approve
)

func refused(name, sentence string) Guard { return Guard{name, Refused, sentence} }

func needsApprover(name, sentence string) Guard {
	return Guard{name, NeedsApprover, "needs an approver: " + sentence}
}

func ok(name string) Guard { return Guard{Name: name, Answer: OK} }

// RefusedError is a guard's no.
type RefusedError struct{ Guards []Guard }

// Error is the first refusing guard's sentence; a plain refusal stands before
// one that an approver could lift.
func (e *RefusedError) Error() string {
	for _, answer := range []string{Refused, NeedsApprover} {
		for _, g := range e.Guards {
			if g.Answer == answer {
				return g.Sentence
			}
		}
	}
	return "refused"
}

// refusal is nil when every guard says ok.
func refusal(guards []Guard) error {
	for _, g := range guards {
		if g.Answer != OK {
			return &RefusedError{Guards: guards}
		}
	}
	return nil
}

// policies is what the guards ask of a policy set; *engine.Set has it.
type policies interface {
	Internal(p mail.Path) bool
	InternalDomains() []string
	FreeMail(domain string) bool
	Group(name string) (members []string, known bool)
	InGroup(name string, address mail.Path) bool
	AuthorisedOutbound() []netip.Prefix
	AsOf() (at time.Time, partial []string)
}

// question is a drafted exception with all that its guards look at.
type question struct {
	set       policies
	actor     Actor
	proposal  Proposal
	exception Exception // as it would be journalled
	change    engine.Change
	now       time.Time
	live      []Exception // in force at now
	ended     []Exception // expired or revoked before now
	seen      func(domain string) bool
	waiting   []Exception // proposals at now
	approvers bool        // somebody can approve
}

// answers asks every guard, in the order in which a person should hear of them.
func (q question) answers() []Guard {
	return []Guard{
		guardRole(q.actor),
		q.guardTicket(),
		guardText("reason", q.proposal.Reason),
		q.guardAddresses(),
		q.guardMalicious(),
		q.guardExpiry(),
		q.guardRepeated(),
		q.guardDuplicate(),
		q.guardEveryone(),
		q.guardPublicSuffix(),
		q.guardSharedDomain(),
		q.guardWidth(),
		q.guardGroup(),
		q.guardRelay(),
		q.guardManaged(),
		q.guardOwnDomain(),
		q.guardHeader(),
		q.guardLookalike(),
		q.guardFirstSeen(),
		q.guardCount(),
	}
}

// opens reports whether a kind lets mail in, as all do but a block.
func opens(k engine.Kind) bool { return k != engine.KindManagedBlock }

// extendGuards are the guards of a new expiry of an existing exception.
func extendGuards(e Exception, actor Actor, until time.Time, reason string, now time.Time) []Guard {
	return []Guard{
		guardRole(actor),
		guardText("reason", reason),
		guardUntil(e.Kind, actor, until, reason, now),
		guardRenewal(e, until),
		guardAdminOnly(e, actor),
	}
}
