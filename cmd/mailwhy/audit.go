package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mailwhy/cmd/internal/app"
	"mailwhy/cmd/internal/audit"
	"mailwhy/tui/cell"
)

func newAudit(s *session) *cobra.Command {
	c := &cobra.Command{Use: "audit", Short: "who did what", Args: cobra.NoArgs}
	list := s.addJSON(&cobra.Command{Use: "list", Short: "every entry, oldest first, people by name", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		return s.withApp(c.Context(), func(a *app.App, _ app.Person) error { return s.listAudit(a.Audit, true) })
	}})
	export := &cobra.Command{Use: "export", Short: "every entry as NDJSON, people by reference", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		s.json = true
		return s.withApp(c.Context(), func(a *app.App, _ app.Person) error { return s.listAudit(a.Audit, false) })
	}}
	head := &cobra.Command{Use: "head", Short: "number and hash of the last entry, to be kept elsewhere", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		return s.withApp(c.Context(), func(a *app.App, _ app.Person) error {
			_, err := fmt.Fprintln(s.stdout, a.Audit.Head())
			return err
		})
	}}
	forget := &cobra.Command{Use: "forget ADDRESS", Short: "take a person's name out; the entries stay and name nobody", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		return s.withApp(c.Context(), func(a *app.App, who app.Person) error {
			known, err := a.Audit.Forget(args[0])
			if err != nil {
				return err
			}
			if !known {
				return missingError{"the audit names nobody of that address"}
			}
			a.Note(audit.Entry{Event: audit.Forget, Actor: who.Name, Role: string(who.Role)})
			return nil
		})
	}}
	var kept string
	verify := &cobra.Command{Use: "verify [FILE]", Short: "check the chain, without the data folder being opened", Args: cobra.MaximumNArgs(1), RunE: func(_ *cobra.Command, args []string) error {
		return s.verifyAudit(args, kept)
	}}
	verify.Flags().StringVar(&kept, "head", "", "NUMBER:HASH of an entry, as `audit head` printed it and was kept elsewhere")
	c.AddCommand(list, verify, export, head, forget)
	return c
}

// auditRow is an entry with the people it names.
type auditRow struct {
	audit.Entry
	Names []string `json:"names,omitempty"`
}

func (s *session) listAudit(j *audit.Journal, named bool) error {
	entries, err := j.List()
	if err != nil {
		return err
	}
	w, flush := s.buffered()
	for _, e := range entries {
		row := auditRow{Entry: e}
		for _, ref := range e.People {
			if name := j.Person(ref); named && name != "" {
				row.Names = append(row.Names, name)
			}
		}
		if s.json {
			err = s.printJSON(w, row)
		} else {
			_, err = fmt.Fprintln(w, auditText(row))
		}
		if err != nil {
			return err
		}
	}
	if err := flush(); err != nil {
		return err
	}
	if len(entries) == 0 {
		return errNothing
	}
	return nil
}

func auditText(r auditRow) string {
	words := []string{fmt.Sprintf("%5d", r.Number), r.Time.Format(time.DateTime), fmt.Sprintf("%-13s", r.Event), r.Actor, r.Role, r.From, r.Key, strings.Join(r.Names, " "), r.Message, r.Ticket, r.Reason}
	if r.Exception != 0 {
		words = append(words, fmt.Sprintf("exception %d", r.Exception))
	}
	var some []string
	for _, w := range words {
		if w != "" {
			some = append(some, cell.Clean(w))
		}
	}
	return strings.Join(some, "  ")
}

func (s *session) verifyAudit(args []string, kept string) error {
	var path string
	var anchors []audit.Head
	if kept != "" {
		head, err := audit.ParseHead(kept)
		if err != nil {
			return err
		}
		anchors = append(anchors, head)
	}
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
		path = filepath.Join(c.Data, app.AuditName)
	}
	last, err := audit.Verify(path, anchors...)
	var tampered *audit.TamperedError
	if errors.As(err, &tampered) {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.stdout, "%s: %d entries, the chain holds; head %s\n", plain(path), last.Number, last)
	return err
}
