package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mailwhy/engine/mail"
	"mailwhy/logparse"
	"mailwhy/tui/cell"
)

func newParse(s *session) *cobra.Command {
	var format string
	var stats, all bool
	c := s.addJSON(&cobra.Command{
		Use:   "parse FILE...",
		Short: "the failing messages of log files, without an index",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return s.parse(c, args, format, stats, all)
		},
	})
	c.Flags().StringVar(&format, "format", "", "format of the files, instead of detecting it")
	c.Flags().BoolVar(&stats, "stats", false, "print counts")
	c.Flags().BoolVar(&all, "all", false, "every message, not only the failing ones")
	return c
}

// parseStats is what `parse --stats` prints.
type parseStats struct {
	Files               int            `json:"files"`
	Lines               int64          `json:"lines"`
	Messages            int            `json:"messages"`
	ByOutcome           map[string]int `json:"by_outcome"`
	ByFormat            map[string]int `json:"by_format"`
	UnrecognisedFailing int64          `json:"unrecognised_failing"`
}

// parse reads the files as one story and prints the messages by id, which is
// the order of their first failing lines.
func (s *session) parse(c *cobra.Command, args []string, format string, withStats, all bool) error {
	if known := logparse.Formats(); format != "" && !slices.Contains(known, format) {
		return fmt.Errorf("--format %s is not known: it is one of %s", format, strings.Join(known, ", "))
	}
	parser := logparse.NewParser(logparse.Options{All: all})
	counts := parseStats{ByOutcome: map[string]int{}, ByFormat: map[string]int{}}
	messages := map[string]mail.Message{}
	files, err := expand(args)
	if err != nil {
		return err
	}
	for _, name := range files {
		stats, err := readLog(c.Context(), s, parser, name, format)
		if err != nil {
			return err
		}
		counts.Files++
		counts.Lines += stats.Lines
		counts.UnrecognisedFailing += stats.UnrecognisedFailing
		parser.Drain(func(m mail.Message) { messages[m.ID] = m })
	}
	w, flush := s.buffered()
	for _, id := range slices.Sorted(maps.Keys(messages)) {
		m := messages[id]
		counts.Messages++
		counts.ByOutcome[string(m.Outcome)]++
		counts.ByFormat[m.Format]++
		if withStats {
			continue
		}
		if err := s.printMessage(w, &m); err != nil {
			return err
		}
	}
	if withStats {
		if err := s.printStats(w, counts); err != nil {
			return err
		}
	}
	if err := flush(); err != nil {
		return err
	}
	if counts.Messages == 0 && !withStats {
		return errNothing
	}
	return nil
}

func (s *session) printStats(w io.Writer, counts parseStats) error {
	return s.printJSON(w, counts)
}

// printMessage prints one message as a line.
func (s *session) printMessage(w io.Writer, m *mail.Message) error {
	if s.json {
		return s.printJSON(w, m)
	}
	code := ""
	if m.Reply.Code != 0 {
		code = fmt.Sprint(m.Reply.Code)
	}
	_, err := io.WriteString(w, cell.Clean(fmt.Sprintf("%s  %-9s  %-30s  %-30s  %3s %-5s  %s  %s",
		m.Time.UTC().Format("2006-01-02 15:04:05"), m.Outcome, m.EnvelopeFrom, m.Recipient, code, m.Reply.Enhanced, or(m.Reported.Type, m.Reply.Text), m.ID))+"\n")
	return err
}
