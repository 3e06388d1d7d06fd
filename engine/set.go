// Package engine explains: it loads the gateway's policies, replays a message
// through them and finds the narrowest change that lets the next one through.
package engine

import (
	"context"
	"iter"
	"time"

	"mailwhy/engine/mail"
)

// Set is a compiled, immutable policy set; safe for use by many goroutines.
type Set struct{ version string }

// Problem is one thing wrong with a policy file.
type Problem struct {
	File     string
	Line     int
	Sentence string
}

// LoadError holds every problem found; nothing was loaded.
type LoadError struct{ Problems []Problem }

// Error lists the problems, a line each: "file:line: sentence".
func (e *LoadError) Error() string { return "" }

// Load reads one policy file (YAML or JSON), strictly. name is used in origins
// and errors. The error is a *LoadError.
func Load(name string, data []byte) (*Set, error) { return &Set{}, nil }

// Version is a hash of the loaded policies and the changes applied to them.
func (s *Set) Version() string { return s.version }

// Apply returns the set with the changes of exceptions; s stays as it is.
func (s *Set) Apply(changes ...Change) *Set { return s }

// Policies lists every policy in force or not, defaults and exceptions too.
func (s *Set) Policies() []Policy { return nil }

// Internal reports whether the address is in a registered internal domain.
func (s *Set) Internal(p mail.Path) bool { return false }

// Replay sends one message to one recipient through the policies as they were
// at an instant. Pure: no clock, no I/O. Remedies are left empty, see Remedies.
func Replay(set *Set, m *mail.Message, at time.Time) Trace { return Trace{} }

// ExplainPolicy says how the policy with this id stands to the message, also
// when it is one of those a trace only counts. ok is false for an unknown id.
func ExplainPolicy(set *Set, m *mail.Message, at time.Time, id string) (steps []Step, ok bool) {
	return nil, false
}

// Remedies replays the candidate changes at now, narrowest first, those that
// work before those that do not.
func Remedies(set *Set, m *mail.Message, now time.Time) []Remedy { return nil }

// ImpactReport is the blast radius of a change over indexed history.
type ImpactReport struct {
	Messages     int            `json:"messages"` // would change verdict
	Senders      int            `json:"senders"`
	Recipients   int            `json:"recipients"`
	FailedAuth   int            `json:"failed_auth"`
	SpamOrVirus  int            `json:"spam_or_virus"`
	NeverScanned int            `json:"never_scanned"` // refused before DATA
	ByDay        map[string]int `json:"by_day,omitempty"`
	Worst        []string       `json:"worst,omitempty"` // ids, at most five
	Examined     int            `json:"examined"`
}

// Impact replays every message with and without the change at now and counts
// those whose verdict turns from a refusal into acceptance. It stops with the
// context's error when cancelled.
func Impact(ctx context.Context, set *Set, change Change, now time.Time, messages iter.Seq[mail.Message]) (ImpactReport, error) {
	return ImpactReport{}, nil
}
