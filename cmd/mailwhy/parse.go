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
// the order of their first failing lines, or only counts them.
func (s *session) parse(c *cobra.Command, args []string, format string, withStats, all bool) error {
	if known := logparse.Formats(); format != "" && !slices.Contains(known, format) {
		return fmt.Errorf("--format %s is not known: it is one of %s", format, strings.Join(known, ", "))
	}
	files, err := expand(args)
	if err != nil {
		return err
	}
	parser := logparse.NewParser(logparse.Options{All: all})
	read := func(emit func(mail.Message)) (counts parseStats, err error) {
		for _, name := range files {
			stats, err := readLog(c.Context(), s, parser, name, format, emit)
			if err != nil {
				return counts, err
			}
			counts.Files++
			counts.Lines += stats.Lines
			counts.UnrecognisedFailing += stats.UnrecognisedFailing
		}
		return counts, nil
	}
	if withStats {
		return s.parseCounts(read)
	}
	return s.parseMessages(read)
}

// parseCounts keeps of each message only what is counted.
func (s *session) parseCounts(read func(emit func(mail.Message)) (parseStats, error)) error {
	type counted struct {
		outcome mail.Outcome
		format  string
	}
	messages := map[string]counted{}
	counts, err := read(func(m mail.Message) { messages[m.ID] = counted{m.Outcome, m.Format} })
	if err != nil {
		return err
	}
	counts.Messages = len(messages)
	counts.ByOutcome, counts.ByFormat = map[string]int{}, map[string]int{}
	for _, m := range messages {
		counts.ByOutcome[string(m.outcome)]++
		counts.ByFormat[m.format]++
	}
	return s.printJSON(s.stdout, counts)
}

func (s *session) parseMessages(read func(emit func(mail.Message)) (parseStats, error)) error {
	messages := map[string]mail.Message{}
	if _, err := read(func(m mail.Message) { messages[m.ID] = m }); err != nil {
		return err
	}
	w, flush := s.buffered()
	for _, id := range slices.Sorted(maps.Keys(messages)) {
		m := messages[id]
		if err := s.printMessage(w, &m); err != nil {
			return err
		}
	}
	if err := flush(); err != nil {
		return err
	}
	if len(messages) == 0 {
		return errNothing
	}
	return nil
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
