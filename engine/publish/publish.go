// Package publish makes exceptions bite: it carries what the journal says to
// the gateways, finds out whether they have it, and takes it away again.
//
// A gateway is a Publisher. A Worker keeps one gateway at what the journal
// wants: journal first, then publish. What fails is tried again, later and
// later, and the next try is in the journal, so that a restart loses nothing.
//
//	w := publish.NewWorker(gateway, ledger, publish.WorkerOptions{Now: now})
//	err := w.Run(ctx) // until ctx ends; w.Kick after every change of the journal
//
// File adapters own one marked block of a file (or a whole file that holds
// nothing else), write it in one rename and refuse to touch it once somebody
// else edited it. An address reaches a gateway only in a form that matches
// exactly that address there; everything else is refused with a sentence.
//
// It must not know a screen, an index or who made an exception.
package publish

import (
	"context"
	"fmt"
	"strings"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/mail"
)

// Entry is one exception as a gateway sees it.
type Entry struct {
	ID        int // its number in the journal
	Narrative string
	Change    engine.Change
	Expires   time.Time // zero = never
}

// Publisher is one gateway. The set of entries is handed over whole: what two
// entries share stays when one of them ends. Calls are never concurrent.
type Publisher interface {
	// Name is the gateway's name in the configuration.
	Name() string
	// Lifts tells whether an exception published here can undo the refusal of
	// a message, and if not, in a sentence, why not.
	Lifts(m *mail.Message) (bool, string)
	// Fits tells what of an entry the gateway cannot lift, a sentence each; the
	// error says why it cannot carry the entry at all.
	Fits(e Entry) (limits []string, err error)
	// Plan is the difference between what the gateway has and what is wanted.
	// It never writes.
	Plan(ctx context.Context, want []Entry) (Plan, error)
	// Apply makes the gateway hold exactly the wanted entries among what we
	// own there: idempotent, and whole or not at all per file or call. The
	// error can be EntryErrors when only some entries failed.
	Apply(ctx context.Context, want []Entry) error
	// Verify asks the gateway itself whether it has the wanted entries. The
	// error can be EntryErrors.
	Verify(ctx context.Context, want []Entry) error
	// Withdraw takes everything that is ours off the gateway.
	Withdraw(ctx context.Context) error
}

// Plan is a readable difference, a line each: "+ alice@vendor.example DUNNO".
// Empty means that nothing has to change.
type Plan []string

// String gives the lines.
func (p Plan) String() string { return strings.Join(p, "\n") }

// EntryErrors are the entries that failed while others did not, by exception.
type EntryErrors map[int]error

// Error names one of them and counts the rest.
func (e EntryErrors) Error() string {
	for id, err := range e {
		if len(e) == 1 {
			return fmt.Sprintf("exception %d: %v", id, err)
		}
		return fmt.Sprintf("%d exceptions, one of them %d: %v", len(e), id, err)
	}
	return "no exception failed"
}

// ForeignEditError says that something we own was changed by somebody else, so
// that it is left alone until a person has looked.
type ForeignEditError struct{ Place, Detail string }

// Error names the place and the way out.
func (e *ForeignEditError) Error() string {
	return fmt.Sprintf("%s was edited by somebody else (%s): move the edit out of it, or remove the whole block, and it is written again", e.Place, e.Detail)
}
