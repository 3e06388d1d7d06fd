// Package exception is the one use case for every change a person makes:
// propose, guard, create, revoke, extend, over an append-only journal.
package exception

import (
	"context"
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
}

// State tells where it stands at now.
func (e Exception) State(now time.Time) State { return Live }

// Proposal is what a person asks for.
type Proposal struct {
	Kind    engine.Kind
	Scope   engine.Scope
	Message mail.Message // the evidence
	Ticket  string
	Reason  string
	Expires time.Time // zero with Never false = the default, 30 days
	Never   bool
}

// Guard is one guard's answer.
type Guard struct {
	Name     string `json:"name"`
	Answer   string `json:"answer"` // "ok", "refused" or "needs_approver"
	Sentence string `json:"sentence,omitempty"`
}

// Draft is an exception as it would be journalled, with its guards' answers.
type Draft struct {
	Exception Exception     `json:"exception"`
	Guards    []Guard       `json:"guards"`
	Change    engine.Change `json:"-"`
}

// Options of a service.
type Options struct {
	Now func() time.Time
}

// Service owns a journal file.
type Service struct{}

// Open reads the journal at path, making it when absent.
func Open(path string, o Options) (*Service, error) { return &Service{}, nil }

// Close lets go of the file.
func (s *Service) Close() error { return nil }

// Propose drafts an exception against a set (with the exceptions in force
// applied) without writing. The error is a sentence for a person.
func (s *Service) Propose(ctx context.Context, set *engine.Set, actor Actor, p Proposal) (Draft, error) {
	return Draft{}, nil
}

// Create journals a proposal whose guards all say ok; it is on disk when it
// returns. A *RefusedError says which guard refused.
func (s *Service) Create(ctx context.Context, set *engine.Set, actor Actor, p Proposal) (Exception, error) {
	return Exception{}, nil
}

// RefusedError is a guard's no.
type RefusedError struct{ Guards []Guard }

// Error is the first refusing guard's sentence.
func (e *RefusedError) Error() string { return "" }

// Revoke ends an exception now; this is also undo.
func (s *Service) Revoke(ctx context.Context, actor Actor, id int, reason string) (Exception, error) {
	return Exception{}, nil
}

// Extend moves the expiry.
func (s *Service) Extend(ctx context.Context, actor Actor, id int, until time.Time, reason string) (Exception, error) {
	return Exception{}, nil
}

// List returns every exception, newest first.
func (s *Service) List() []Exception { return nil }

// Get returns one exception.
func (s *Service) Get(id int) (Exception, bool) { return Exception{}, false }

// Changes returns what every exception does and did, with its window, for
// engine.Set.Apply.
func (s *Service) Changes() []engine.Change { return nil }

// Reload reads what other processes appended; true when something was new.
func (s *Service) Reload() (bool, error) { return false, nil }

// Verify checks the hash chain of the journal at path; the error names the
// entry and what is wrong with it.
func Verify(path string) (entries int, err error) { return 0, nil }

// NotePolicyEdit journals an edit of the policy file.
func (s *Service) NotePolicyEdit(ctx context.Context, e PolicyEdit) error { return nil }

// PolicyEdit is one change of the policy file as it was noticed.
type PolicyEdit struct {
	Path       string    `json:"path"`
	Hash       string    `json:"hash"`
	Owner      string    `json:"owner"`
	Time       time.Time `json:"time"`
	Difference []string  `json:"difference"`
}
