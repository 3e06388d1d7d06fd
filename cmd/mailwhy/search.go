package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mailwhy/cmd/internal/app"
	"mailwhy/engine/mail"
	"mailwhy/engine/reply"
	"mailwhy/index"
	"mailwhy/tui"
	"mailwhy/tui/cell"
)

func newSearch(s *session) *cobra.Command {
	var limit int
	c := s.addJSON(&cobra.Command{
		Use:   "search [--] QUERY",
		Short: "find messages, newest first",
		RunE: func(c *cobra.Command, args []string) error {
			if limit < 1 {
				return errors.New("--limit must be at least 1")
			}
			return s.withApp(c.Context(), func(a *app.App, who app.Person) error {
				return s.search(c.Context(), a, a.For(who), strings.Join(args, " "), limit)
			})
		},
	})
	c.Flags().IntVar(&limit, "limit", 50, "most messages to print")
	return c
}

// searchSummary ends `search --json`.
type searchSummary struct {
	Total int    `json:"total"`
	Shown int    `json:"shown"`
	AsOf  string `json:"as_of"` // RFC 3339, UTC, milliseconds
}

func (s *session) search(ctx context.Context, a *app.App, r app.Reader, line string, limit int) error {
	now := a.Now()
	q, err := index.ParseQuery(line, now, a.Config.Location())
	if err != nil {
		return err
	}
	w, flush := s.buffered()
	shown, after := 0, index.Cursor("")
	for shown < limit {
		p, err := r.Page(ctx, q, after, min(limit-shown, 500))
		if err != nil {
			return errors.Join(flush(), err)
		}
		if s.json {
			if err := r.Evidence(ctx, p.Rows); err != nil {
				return errors.Join(flush(), err)
			}
		}
		for i := range p.Rows {
			if err := s.printMessage(w, &p.Rows[i]); err != nil {
				return err
			}
		}
		shown += len(p.Rows)
		if after = p.Next; after == "" {
			break
		}
	}
	total, err := r.Count(ctx, q)
	if err != nil {
		return errors.Join(flush(), err)
	}
	if after == "" { // all were printed: what arrived since is not part of this answer
		total.Count = shown
	}
	if s.json {
		err = s.printJSON(w, searchSummary{Total: total.Count, Shown: shown, AsOf: mail.Stamp(now)})
	} else {
		err = summarise(w, q, total, shown)
	}
	if err := errors.Join(err, flush()); err != nil {
		return err
	}
	if shown == 0 {
		return errNothing
	}
	return nil
}

func summarise(w io.Writer, q index.Query, t index.Total, shown int) error {
	text := fmt.Sprintf("%d of %d that match, %d in the index", shown, t.Count, t.Of)
	if q.SinceDefault {
		text += "; of the last 7 days (since:all for more)"
	}
	if t.Count == 0 && t.Older > 0 {
		text += fmt.Sprintf("; %d older ones match", t.Older)
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

func newShow(s *session) *cobra.Command {
	var ticket bool
	c := s.addJSON(&cobra.Command{
		Use:   "show ID",
		Short: "one message with its evidence, or as text for a ticket; ID is any id that a log knows it by",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return s.withApp(c.Context(), func(a *app.App, who app.Person) error {
				found, err := a.For(who).Find(c.Context(), args[0])
				if errors.Is(err, index.ErrNotFound) {
					return notFound(args[0])
				}
				if err != nil {
					return err
				}
				for _, m := range found {
					if err := s.showMessage(c.Context(), a, who, m, ticket); err != nil {
						return err
					}
				}
				return nil
			})
		},
	})
	c.Flags().BoolVar(&ticket, "ticket", false, "as text that can be pasted into a ticket: facts, rule, what helps, what to tell the sender")
	return c
}

// showMessage prints one message of Reader.Find.
func (s *session) showMessage(ctx context.Context, a *app.App, who app.Person, m mail.Message, ticket bool) error {
	if ticket { // what is masked decides too; the output is masked
		_, err := fmt.Fprintln(s.stdout, plain(ticketText(ctx, a, m)))
		return err
	}
	m, err := a.For(who).Get(ctx, m.ID)
	if err != nil {
		return err
	}
	if s.json {
		return s.printJSON(s.stdout, m)
	}
	_, err = io.WriteString(s.stdout, plain(messageText(&m)))
	return err
}

// ticketText is a message as text for a ticket, in the configured time zone.
func ticketText(ctx context.Context, a *app.App, m mail.Message) string {
	t := a.Why(ctx, &m, time.Time{}, a.Now())
	present := t.Verdict
	if t.VerdictNow != nil {
		present = *t.VerdictNow
	}
	words := strings.Join(strings.Fields(fmt.Sprint(m.Reply.Code)+" "+m.Reply.Enhanced+" "+m.Reply.Text), " ")
	return tui.TicketText(m, t, reply.Explain(strings.TrimPrefix(words, "0 ")), a.Advice(&m, present, a.Config.Location()), a.Config.Location())
}

// notFound is a sentence with status 1.
func notFound(id string) error {
	return missingError{fmt.Sprintf("no message has the id %q: `mailwhy search --json` prints ids", id)}
}

// missingError is the sentence of what was asked for by name and is not there.
type missingError struct{ sentence string }

func (e missingError) Error() string { return e.sentence }

func (e missingError) Is(target error) bool { return target == errNothing }

func messageText(m *mail.Message) string {
	var b strings.Builder
	for _, row := range [][2]string{
		{"id", m.ID}, {"time", m.Time.UTC().Format(time.RFC3339)}, {"outcome", string(m.Outcome) + " at " + string(m.Phase)},
		{"from", string(m.EnvelopeFrom)}, {"header from", string(m.HeaderFrom)}, {"to", string(m.Recipient)}, {"subject", m.Subject},
		{"client", strings.Join(strings.Fields(m.Client.Name+" "+m.Client.IP+" "+m.Client.Helo), " ")},
		{"reply", strings.TrimPrefix(strings.Join(strings.Fields(fmt.Sprint(m.Reply.Code)+" "+m.Reply.Enhanced+" "+m.Reply.Text), " "), "0 ")},
		{"reported", strings.Join(strings.Fields(m.Reported.Type+" "+m.Reported.Rule+" "+m.Reported.Detail), " ")},
		{"message id", m.MessageID}, {"queue id", m.QueueID}, {"attempts", fmt.Sprint(m.Attempts)},
	} {
		if row[1] != "" {
			fmt.Fprintf(&b, "%-12s %s\n", row[0], cell.Clean(row[1]))
		}
	}
	for _, e := range m.Evidence {
		fmt.Fprintf(&b, "%s +%d\n  %s\n", cell.Clean(e.File), e.Offset, cell.Clean(e.Text))
	}
	for _, h := range m.Hops {
		fmt.Fprintf(&b, "%-12s %s, known by %s\n", "also", cell.Clean(strings.Join(strings.Fields(h.Format+" "+h.Gateway+" "+h.QueueID+" "+string(h.Outcome)), " ")), strings.ReplaceAll(string(h.Join), "_", " "))
		for _, e := range h.Evidence {
			fmt.Fprintf(&b, "%s +%d\n  %s\n", cell.Clean(e.File), e.Offset, cell.Clean(e.Text))
		}
	}
	return b.String()
}
