package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mailwhy/cmd/internal/app"
	"mailwhy/index"
	"mailwhy/tui/cell"
)

// newCheckVolume tells who sends how much, of what the index holds.
func newCheckVolume(s *session) *cobra.Command {
	var limit int
	c := s.addJSON(&cobra.Command{
		Use:   "volume [--] [QUERY]",
		Short: "what our senders sent outside, by sender and day, from the index",
		RunE: func(c *cobra.Command, args []string) error {
			if limit < 1 {
				return errors.New("--limit must be at least 1")
			}
			return s.withApp(c.Context(), func(a *app.App, who app.Person) error {
				q, err := index.ParseQuery(strings.Join(args, " "), a.Now(), a.Config.Location())
				if err != nil {
					return err
				}
				list, err := a.For(who).Volumes(c.Context(), q, a.Config.Location())
				if err != nil {
					return err
				}
				return s.printVolumes(list, limit, volumeSummary{Rows: len(list), Deliveries: a.Config.All, AsOf: a.Now().UTC().Format(millis)})
			})
		},
	})
	c.Flags().IntVar(&limit, "limit", 50, "most rows to print")
	return c
}

// volumeSummary ends `check volume --json`.
type volumeSummary struct {
	Messages   int    `json:"total"`
	Rows       int    `json:"rows"` // senders and days
	Shown      int    `json:"shown"`
	Deliveries bool   `json:"deliveries"` // false: only what failed is indexed and counted
	AsOf       string `json:"as_of"`
}

func (s *session) printVolumes(list []app.Volume, limit int, sum volumeSummary) error {
	for _, v := range list {
		sum.Messages += v.Messages
	}
	sum.Shown = min(limit, len(list))
	w, flush := s.buffered()
	for _, v := range list[:sum.Shown] {
		var err error
		if s.json {
			err = s.printJSON(w, v)
		} else {
			_, err = fmt.Fprintf(w, "%s  %7d messages  %7d recipients  %7d failed  %s\n", v.Day, v.Messages, v.Recipients, v.Failed, cell.Clean(v.Sender))
		}
		if err != nil {
			return err
		}
	}
	var err error
	if s.json {
		err = s.printJSON(w, sum)
	} else {
		_, err = fmt.Fprintf(w, "%d messages, %d of %d rows\n", sum.Messages, sum.Shown, sum.Rows)
		if !sum.Deliveries && err == nil {
			_, err = fmt.Fprintln(w, "deliveries are not indexed, so only messages that failed are counted: `all: true` in the configuration indexes them")
		}
	}
	if err = errors.Join(err, flush()); err != nil {
		return err
	}
	if len(list) == 0 {
		return errNothing
	}
	return nil
}
