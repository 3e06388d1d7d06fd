package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mailwhy/cmd/internal/app"
	"mailwhy/engine/mail"
	"mailwhy/logparse"
	"mailwhy/tui/cell"
)

// mostOpen bounds the memory of messages whose end no log tells, such as those
// that are deferred for ever: some two kilobytes each, less than what is
// printed of them. One that is let go and fails again is another message, so
// they are more than a large site leaves open.
const mostOpen = 100_000

func newParse(s *session) *cobra.Command {
	var o parseOptions
	c := s.addJSON(&cobra.Command{
		Use:   "parse FILE...",
		Short: "the failing messages of log files, without an index",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return s.parse(c, args, o)
		},
	})
	c.Flags().StringVar(&o.format, "format", "", "format of the files, instead of detecting it")
	c.Flags().StringArrayVar(&o.formatFiles, "format-file", nil, "a file that describes a log format, beside those of the configuration")
	c.Flags().BoolVar(&o.stats, "stats", false, "print counts")
	c.Flags().BoolVar(&o.explain, "explain", false, "print where in the logs each fact of a message stands")
	c.Flags().BoolVar(&o.all, "all", false, "every message, not only the failing ones")
	return c
}

type parseOptions struct {
	format              string
	formatFiles         []string
	stats, explain, all bool
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
func (s *session) parse(c *cobra.Command, args []string, o parseOptions) error {
	described, err := s.formats(o.formatFiles)
	if err != nil {
		return err
	}
	if known := logparse.Formats(described...); o.format != "" && !slices.Contains(known, o.format) {
		return fmt.Errorf("--format %s is not known: it is one of %s", o.format, strings.Join(known, ", "))
	}
	files, err := expand(args)
	if err != nil {
		return err
	}
	parser := logparse.NewParser(logparse.Options{All: o.all, Open: mostOpen, Formats: described, Join: len(files) > 1})
	var torn error
	read := func(emit func(mail.Message)) (counts parseStats, err error) {
		for _, name := range files {
			stats, err := readLog(c.Context(), s, parser, name, o.format, emit)
			if err != nil && (stats.Lines == 0 || c.Context().Err() != nil) {
				return counts, err
			}
			if err != nil { // a compressed file that is cut off, or damaged, in the middle
				torn = errors.Join(torn, fmt.Errorf("%w: what stands before is shown", err))
			}
			counts.Files++
			counts.Lines += stats.Lines
			counts.UnrecognisedFailing += stats.UnrecognisedFailing
		}
		if n := parser.LetGo(); n > 0 {
			fmt.Fprintf(s.stderr, "%d messages whose end was not seen were let go: if one was tried again later, that counts as another message\n", n)
		}
		return counts, nil
	}
	switch {
	case o.stats:
		err = s.parseCounts(read)
	case o.explain:
		err = s.parseOrigins(parser, read)
	default:
		err = s.parseMessages(read)
	}
	if torn != nil && (err == nil || errors.Is(err, errNothing)) {
		return torn
	}
	return err
}

// formats reads the formats that the configuration and the command line
// describe.
func (s *session) formats(files []string) ([]*logparse.UserFormat, error) {
	config, err := s.configuration()
	if err != nil {
		return nil, err
	}
	all := slices.Clone(config.Formats)
	for _, name := range files {
		path, err := s.path(name)
		if err != nil {
			return nil, err
		}
		all = append(all, path)
	}
	return app.Formats(all)
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
