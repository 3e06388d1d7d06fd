package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mailwhy/cmd/internal/app"
	"mailwhy/index"
	"mailwhy/tui/cell"
)

func newCauses(s *session) *cobra.Command {
	return s.addJSON(&cobra.Command{
		Use:   "causes [--] [QUERY]",
		Short: "matching messages grouped by rule, sender domain and reason, the largest group first",
		RunE: func(c *cobra.Command, args []string) error {
			return s.withApp(c.Context(), func(a *app.App, who app.Person) error {
				return s.causes(c.Context(), a, a.For(who), strings.Join(args, " "))
			})
		},
	})
}

// causeRow is a line of `causes --json`; trend has the messages of equal spans
// of the query's time, oldest first.
type causeRow struct {
	Count  int    `json:"count"`
	Rule   string `json:"rule,omitempty"`
	Domain string `json:"sender_domain,omitempty"`
	Reason string `json:"reason,omitempty"`
	First  string `json:"first"` // RFC 3339, UTC, milliseconds
	Last   string `json:"last"`
	Trend  []int  `json:"trend"`
	Query  string `json:"query"` // the word that finds exactly these messages
}

// causesSummary ends `causes --json`.
type causesSummary struct {
	Total  int    `json:"total"` // messages
	Causes int    `json:"causes"`
	AsOf   string `json:"as_of"`
}

// millis is RFC 3339 with three digits of a second, as all JSON has it.
const millis = "2006-01-02T15:04:05.000Z07:00"

func (s *session) causes(ctx context.Context, a *app.App, r app.Reader, line string) error {
	now := a.Now()
	q, err := index.ParseQuery(line, now, a.Config.Location())
	if err != nil {
		return err
	}
	list, err := r.Causes(ctx, q)
	if err != nil {
		return err
	}
	w, flush := s.buffered()
	total := 0
	for _, c := range list {
		total += c.Count
		if !s.json {
			writeCause(w, c)
			continue
		}
		if err := s.printJSON(w, causeRow{Count: c.Count, Rule: c.Rule, Domain: c.Domain, Reason: c.Reason,
			First: c.First.Format(millis), Last: c.Last.Format(millis), Trend: c.Trend[:], Query: c.Term()}); err != nil {
			return err
		}
	}
	if s.json {
		err = s.printJSON(w, causesSummary{Total: total, Causes: len(list), AsOf: now.UTC().Format(millis)})
	} else {
		_, err = fmt.Fprintf(w, "%d messages in %d causes\n", total, len(list))
	}
	if err != nil {
		return err
	}
	if err := flush(); err != nil {
		return err
	}
	if len(list) == 0 {
		return errNothing
	}
	return nil
}

// writeCause writes a cause as a row; what strangers wrote stands last.
func writeCause(w io.Writer, c index.Cause) {
	const minute = "2006-01-02 15:04"
	fmt.Fprintf(w, "%7d  %s  %s to %s  ", c.Count, sparkline(c.Trend[:]), c.First.Format(minute), c.Last.Format(minute))
	for i, text := range []string{c.Rule, c.Domain, c.Reason} {
		if text == "" {
			text = "-"
		}
		if i > 0 {
			io.WriteString(w, " | ")
		}
		io.WriteString(w, cell.Clean(text))
	}
	io.WriteString(w, "\n")
}

// sparkline draws counts as bars of the height that each has of the highest.
func sparkline(counts []int) string {
	bars := []rune("▁▂▃▄▅▆▇█")
	most := max(slices.Max(counts), 1)
	var b strings.Builder
	for _, n := range counts {
		b.WriteRune(bars[(n*(len(bars)-1)+most-1)/most])
	}
	return b.String()
}
