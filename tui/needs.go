// Package tui is the terminal program of a mail helpdesk: it finds a message
// that was refused, tells which policy did it, and makes the narrowest
// exception.
//
// One Root routes; a screen is a pointer that owns its state, one a file. No
// Update, View or Init reads or waits: that is done in commands, whose results
// carry the screen they are for and a generation, so that what comes late is
// dropped. Every text goes through look.line or the table, which clean it: logs
// are written by strangers. The terminal is never asked anything; colours
// follow its environment (NO_COLOR, TERM), the clipboard is OSC 52.
//
//	err := tui.Run(ctx, tui.Options{Open: open, Now: time.Now, Environ: os.Environ()}, os.Stdin, os.Stdout)
//
// A server makes a Root for each session and runs it itself. The package must
// not know where logs, policies and exceptions are kept: it owns the four
// interfaces it needs.
package tui

import (
	"context"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/exception"
	"mailwhy/engine/mail"
	"mailwhy/engine/reply"
	"mailwhy/index"
)

// Searcher finds messages.
type Searcher interface {
	Page(ctx context.Context, q index.Query, after index.Cursor, limit int) (index.Page, error)
	Get(ctx context.Context, id string) (mail.Message, error)
	Count(ctx context.Context, q index.Query) (index.Total, error)
	Histogram(ctx context.Context, q index.Query, n int) ([]index.Bucket, error)
	// Causes groups what a query finds, the largest group first.
	Causes(ctx context.Context, q index.Query) ([]index.Cause, error)
	Impact(ctx context.Context, change engine.Change) (engine.ImpactReport, error)
	// Changed returns a channel closed when messages were added or changed.
	Changed() <-chan struct{}
}

// Explainer replays. Both methods are cheap (microseconds to a few
// milliseconds) but are called in a tea.Cmd all the same.
type Explainer interface {
	// Why is the whole trace: as of the message, with verdict_now, agreement
	// and remedies.
	Why(m mail.Message) engine.Trace
	// Verdict is the short answer for a row, with the name of its policy.
	Verdict(m mail.Message) (engine.Verdict, engine.Agreement)
	// Policy finds a policy by id in the set in force now.
	Policy(id string) (engine.Policy, bool)
	// PolicyChanged returns a channel closed when the policy file or the
	// exceptions change.
	PolicyChanged() <-chan struct{}
}

// Excepter makes and unmakes exceptions as the session's user.
type Excepter interface {
	Propose(ctx context.Context, p exception.Proposal) (exception.Draft, error)
	Create(ctx context.Context, p exception.Proposal) (exception.Exception, error)
	Revoke(ctx context.Context, id int, reason string) (exception.Exception, error)
	Extend(ctx context.Context, id int, until time.Time, reason string) (exception.Exception, error)
	Confirm(ctx context.Context, id int) (exception.Exception, error)
	Approve(ctx context.Context, id int) (exception.Exception, error)
	List() []exception.Exception
	// Advice is what a message's sender can be told now, a sentence; present is
	// the message's verdict as of now.
	Advice(m mail.Message, present engine.Verdict, loc *time.Location) string
	// Living says what came since an exception was made and what is to be
	// looked at in it. It searches: a command calls it.
	Living(ctx context.Context, e exception.Exception) (exception.Health, error)
}

// Unseer tells how far "we never saw it" can be relied on.
type Unseer interface {
	// Unseen looks for messages of a pair of addresses within a query's time,
	// and for proof that they would have been seen. Either may be a part of an
	// address, and one of them may be empty. It searches: a command calls it.
	Unseen(ctx context.Context, from, to mail.Path, within index.Query) (Unseen, error)
}

// Unseen is the answer of an Unseer.
type Unseen struct {
	Found    int             // messages of the pair
	Says     []string        // what was seen and what follows from it, the answer first
	Ask      []string        // what to ask or to check next
	Gateways []GatewayInTime // that logged anything in that time
	Sources  []SourceStatus  // the logs that are followed
}

// GatewayInTime is what was seen of one gateway in a stretch of time.
type GatewayInTime struct {
	Name     string
	Messages int
	Gaps     [][2]time.Time // when nothing of it was seen
}

// PolicyLister tells what the policies do.
type PolicyLister interface {
	// Policies replays up to a month of messages: a command calls it.
	Policies(ctx context.Context) (PolicyReport, error)
}

// PolicyReport is the policies in force or not, as the file has them, exceptions
// after them, with their use.
type PolicyReport struct {
	Rows  []PolicyRow
	Lists []engine.LintFinding // of entries that are no policy
	Usage engine.Usage
}

// PolicyRow is one policy.
type PolicyRow struct {
	Policy   engine.Policy
	Use      engine.PolicyUse
	Findings []engine.LintFinding
	Lines    []string // of the policy file, where it stands
}

// SourceLister tells how the logs are read.
type SourceLister interface {
	Sources() []SourceStatus
	// Backlog is how far the logs that were there at the start have been read.
	Backlog() Backlog
}

// Backlog is how much of the logs that were there at the start has been read.
type Backlog struct {
	Read, Total int64         // bytes on disk; Total 0 = none
	Rate        float64       // bytes a second
	Left        time.Duration // 0 = not known
}

// Reading reports whether some of it is still to be read.
func (b Backlog) Reading() bool { return b.Read < b.Total }

// Percent is how much has been read, 0 to 99 while there is more.
func (b Backlog) Percent() int { return int(min(b.Read*100/max(b.Total, 1), 99)) }

// SourceStatus is the health of one log.
type SourceStatus struct {
	Path         string
	Format       string // "" = not known yet
	Lines        int64
	Behind       int64 // bytes not read yet
	Lag          time.Duration
	LastLine     time.Time
	Unrecognised int64           // lines that look like failures and were not understood
	Samples      []mail.Evidence // the newest of those
	Rotated      time.Time
	Problem      string // a sentence; "" = well
	Note         string // how its lines arrive, where that is not as a file; "" = there is nothing to say
	LetGo        int64  // messages of all sources that were given up unfinished
}

// Options is all a session needs. The index may still be opening: Open is
// called once in a tea.Cmd and everything else only after it returned nil.
type Options struct {
	Open     func(ctx context.Context) (Services, error)
	Now      func() time.Time
	Location *time.Location // of the session; nil = UTC
	Environ  []string       // of the session's terminal: TERM, NO_COLOR, COLORTERM, LANG, TMUX
	User     exception.Actor
	Tenant   string // whose messages these are, shown beside the program's name; "" = nobody shares the server
	Query    string // shown at start; "" = since:7d
	Dark     bool   // background of the theme
	ASCII    bool   // no glyph beyond ASCII

	Explain func(text string) reply.Explanation // the knowledge base; nil = the one that comes with the program

	remote bool // every byte goes over a network
}

// Services is what Open returns.
type Services struct {
	Searcher  Searcher
	Explainer Explainer
	Excepter  Excepter
	Sources   SourceLister
	Policies  PolicyLister // nil = there is no Policies screen
	Presence  Presence     // nil = nobody else is told of
	Unseer    Unseer       // nil = nobody can tell

	// Lifts says of each gateway that exceptions are published to whether one
	// there could undo a refusal, a line each; nil where there is none.
	Lifts func(mail.Message) [][2]string
}

func (s Services) lifts(m mail.Message) [][2]string {
	if s.Lifts == nil {
		return nil
	}
	return s.Lifts(m)
}
