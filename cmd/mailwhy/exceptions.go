package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mailwhy/cmd/internal/app"
	"mailwhy/engine"
	"mailwhy/engine/exception"
	"mailwhy/engine/mail"
	"mailwhy/index"
)

type exceptFlags struct {
	ticket, reason, scope, expires string
	dryRun                         bool
}

// newExcept makes bypass, permit and relay.
func newExcept(s *session, kind engine.Kind) *cobra.Command {
	var f exceptFlags
	short := map[engine.Kind]string{engine.KindBypass: "make a Take No Action bypass for a message", engine.KindPermit: "make a permit for a message's sender", engine.KindRelay: "let a message's recipient be relayed to"}[kind]
	c := s.addJSON(&cobra.Command{
		Use:   string(kind) + " ID",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return s.withApp(c.Context(), func(a *app.App, who app.Person) error {
				return s.except(c.Context(), a, who, kind, args[0], f)
			})
		},
	})
	addExceptFlags(c, &f)
	c.Flags().StringVar(&f.scope, "scope", "", "sender>recipient (default), sender>all, sender>group:NAME, domain>recipient, domain>all; ,header ,both ,ip appended")
	return c
}

func addExceptFlags(c *cobra.Command, f *exceptFlags) {
	c.Flags().StringVar(&f.ticket, "ticket", "", "ticket the exception is for (required)")
	c.Flags().StringVar(&f.reason, "reason", "", "reason")
	c.Flags().StringVar(&f.expires, "expires", "", "30d (default), a date, or never")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "show the exception and its guards' answers, write nothing")
}

func (s *session) except(ctx context.Context, a *app.App, who app.Person, kind engine.Kind, id string, f exceptFlags) error {
	m, err := a.For(who).Whole(ctx, id)
	if errors.Is(err, index.ErrNotFound) {
		return notFound(id)
	}
	if err != nil {
		return err
	}
	scope, err := engine.ParseScope(f.scope)
	if err != nil {
		return err
	}
	return s.propose(ctx, a, who.Actor, exception.Proposal{Kind: kind, Scope: scope, Message: m, Ticket: f.ticket, Reason: f.reason}, f)
}

// propose shows a proposal or makes it.
func (s *session) propose(ctx context.Context, a *app.App, actor exception.Actor, p exception.Proposal, f exceptFlags) error {
	var err error
	if p.Expires, p.Never, err = parseExpires(f.expires, a.Now(), a.Config.Location()); err != nil {
		return err
	}
	if f.dryRun {
		d, err := a.Exceptions.Propose(ctx, a.Set(), actor, p)
		if err != nil {
			return err
		}
		return s.printDraft(d, a.Foresee(ctx, d), engine.Try(a.Set(), &p.Message, a.Now(), d.Change, d.Exception.Scope, a.History(ctx, &p.Message)))
	}
	before := engine.Decide(a.Set(), &p.Message, a.Now())
	e, err := a.Create(ctx, actor, p)
	if err != nil {
		return err
	}
	if s.json {
		return s.printJSON(s.stdout, e)
	}
	if e.State(a.Now()) == exception.Proposed {
		_, err = io.WriteString(s.stdout, plain(exceptionText(e, a.Now())+"  "+e.Awaiting+"\n"))
		return err
	}
	after := engine.Decide(a.Set(), &p.Message, a.Now())
	_, err = io.WriteString(s.stdout, plain(exceptionText(e, a.Now())+"before  "+verdictText(before)+"\nafter   "+verdictText(after)+"\n"))
	return err
}

// parseExpires reads --expires: 30d, a day (its end), an instant, or never.
func parseExpires(text string, now time.Time, loc *time.Location) (at time.Time, never bool, err error) {
	switch {
	case text == "":
		return time.Time{}, false, nil
	case text == "never":
		return time.Time{}, true, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n < 100_000 {
			return now.AddDate(0, 0, n), false, nil
		}
	}
	if day, err := time.ParseInLocation(time.DateOnly, text, loc); err == nil {
		return day.AddDate(0, 0, 1), false, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil && !at.IsZero() {
		return at, false, nil
	}
	return time.Time{}, false, fmt.Errorf("--expires %q is not known: write 30d, a day such as 2026-12-23, or never", text)
}

func exceptionText(e exception.Exception, now time.Time) string {
	var b strings.Builder
	until := "never ends"
	if !e.Expires.IsZero() {
		until = "until " + e.Expires.UTC().Format("2006-01-02 15:04")
	}
	fmt.Fprintf(&b, "exception %d  %s %s  %s -> %s  %s  %s  %s\n", e.ID, e.Kind, e.Scope, or(e.From.Value, string(e.From.Type)), or(e.To.Value, string(e.To.Type)), e.State(now), until, e.Narrative)
	if note := e.PublishNote(); note != "" {
		fmt.Fprintf(&b, "  %s\n", note)
	}
	for i, step := range e.Steps {
		if e.State(now) == exception.Pending {
			fmt.Fprintf(&b, "  %d. %s\n", i+1, step)
		}
	}
	return b.String()
}

func newException(s *session) *cobra.Command {
	c := &cobra.Command{Use: "exception", Short: "the exceptions and their journal", Args: cobra.NoArgs}
	list := s.addJSON(&cobra.Command{Use: "list", Short: "every exception, newest first", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		return s.withApp(c.Context(), func(a *app.App, who app.Person) error {
			return s.printExceptions(c.Context(), a, a.For(who))
		})
	}})
	show := s.addJSON(&cobra.Command{Use: "show ID", Short: "one exception", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		return s.onException(c, args, func(a *app.App, _ exception.Actor, id int) (exception.Exception, error) {
			e, ok := a.Exceptions.Get(id)
			if !ok {
				return e, unknownException(id)
			}
			return e, nil
		})
	}})
	var reason, until string
	revoke := s.addJSON(&cobra.Command{Use: "revoke ID", Short: "end an exception now", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		return s.onException(c, args, func(a *app.App, actor exception.Actor, id int) (exception.Exception, error) {
			return a.Revoke(c.Context(), actor, id, reason)
		})
	}})
	extend := s.addJSON(&cobra.Command{Use: "extend ID", Short: "move an exception's expiry", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		return s.onException(c, args, func(a *app.App, actor exception.Actor, id int) (exception.Exception, error) {
			at, never, err := parseExpires(until, a.Now(), a.Config.Location())
			if err != nil {
				return exception.Exception{}, err
			}
			if never {
				return exception.Exception{}, errors.New("an extension needs an end: endless renewal is not given")
			}
			return a.Extend(c.Context(), actor, id, at, reason)
		})
	}})
	confirm := s.addJSON(&cobra.Command{Use: "confirm ID", Short: "say that an exception's steps were done on the gateway: it is live", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		return s.onException(c, args, func(a *app.App, actor exception.Actor, id int) (exception.Exception, error) {
			return a.Confirm(c.Context(), actor, id)
		})
	}})
	approve := s.addJSON(&cobra.Command{Use: "approve ID", Short: "put another's proposal into force", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		return s.onException(c, args, func(a *app.App, actor exception.Actor, id int) (exception.Exception, error) {
			return a.Approve(c.Context(), actor, id)
		})
	}})
	revoke.Flags().StringVar(&reason, "reason", "", "reason")
	extend.Flags().StringVar(&reason, "reason", "", "reason")
	extend.Flags().StringVar(&until, "expires", "", "30d (default) or a date")
	verify := &cobra.Command{Use: "verify [FILE]", Short: "check the journal's hash chain", Args: cobra.MaximumNArgs(1), RunE: func(_ *cobra.Command, args []string) error {
		return s.verifyJournal(args)
	}}
	c.AddCommand(list, show, approve, confirm, revoke, extend, verify)
	return c
}

func (s *session) onException(c *cobra.Command, args []string, do func(*app.App, exception.Actor, int) (exception.Exception, error)) error {
	id, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("%q is not the number of an exception", args[0])
	}
	return s.withApp(c.Context(), func(a *app.App, who app.Person) error {
		if e, known := a.Exceptions.Get(id); known && !who.Veil.SeesException(e) {
			return unknownException(id)
		}
		e, err := do(a, who.Actor, id)
		if errors.Is(err, exception.ErrNoException) {
			return missingError{err.Error()}
		}
		if err != nil {
			return err
		}
		h, err := a.For(who).Living(c.Context(), e)
		if err != nil {
			return err
		}
		if s.json {
			return s.printJSON(s.stdout, livingException{e, e.State(a.Now()), h})
		}
		_, err = io.WriteString(s.stdout, plain(exceptionText(e, a.Now())+healthText(h)))
		return err
	})
}

func unknownException(id int) error {
	return missingError{fmt.Sprintf("no exception has the number %d: `mailwhy exception list` prints them", id)}
}

func (s *session) verifyJournal(args []string) error {
	path := ""
	if len(args) == 1 {
		var err error
		if path, err = s.path(args[0]); err != nil {
			return err
		}
	} else {
		c, err := s.configuration()
		if err != nil {
			return err
		}
		path = c.Data + "/exceptions.jsonl"
	}
	n, err := exception.Verify(path)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.stdout, "%s: %d entries, the chain holds\n", plain(path), n)
	return err
}

func newManaged(s *session) *cobra.Command {
	c := &cobra.Command{Use: "managed", Short: "recipients' own lists", Args: cobra.NoArgs}
	list := s.addJSON(&cobra.Command{Use: "list", Short: "every entry", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		return s.withApp(c.Context(), func(a *app.App, _ app.Person) error { return s.printManaged(a.Set().Managed(a.Now())) })
	}})
	c.AddCommand(list)
	for verb, kind := range map[string]engine.Kind{"permit": engine.KindManagedPermit, "block": engine.KindManagedBlock, "delete": engine.KindManagedDelete} {
		var f exceptFlags
		change := s.addJSON(&cobra.Command{Use: verb + " RECIPIENT SENDER", Short: verb + " a sender on a recipient's own list", Args: cobra.ExactArgs(2), RunE: func(c *cobra.Command, args []string) error {
			return s.withApp(c.Context(), func(a *app.App, who app.Person) error {
				scope, sender := engine.Scope{From: "sender", To: "recipient", FromPart: engine.EnvelopeFrom}, args[1]
				if !strings.Contains(sender, "@") {
					scope.From, sender = "domain", "postmaster@"+sender
				}
				m := mail.Message{EnvelopeFrom: mail.Path(sender), Recipient: mail.Path(args[0])}
				return s.propose(c.Context(), a, who.Actor, exception.Proposal{Kind: kind, Scope: scope, Message: m, Ticket: f.ticket, Reason: f.reason}, f)
			})
		}})
		addExceptFlags(change, &f)
		c.AddCommand(change)
	}
	return c
}

// managedRow is one line of `managed list --json`.
type managedRow struct {
	Recipient string `json:"recipient"`
	Sender    string `json:"sender"`
	Action    string `json:"action"`
	Origin    string `json:"origin,omitempty"`
}

func (s *session) printManaged(entries []engine.ManagedEntry) error {
	for _, e := range entries {
		var err error
		if s.json {
			err = s.printJSON(s.stdout, managedRow(e))
		} else {
			_, err = fmt.Fprintf(s.stdout, "%s  %-6s  %s  %s\n", e.Recipient, e.Action, e.Sender, e.Origin)
		}
		if err != nil {
			return err
		}
	}
	if len(entries) == 0 {
		return errNothing
	}
	return nil
}
