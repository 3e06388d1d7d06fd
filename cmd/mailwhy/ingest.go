package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"mailwhy/cmd/internal/app"
	"mailwhy/engine/exception"
	"mailwhy/index/ingest"
)

func newIngest(s *session) *cobra.Command {
	return s.addJSON(&cobra.Command{
		Use:   "ingest [FILE...]",
		Short: "index log files once (default: the configured sources)",
		RunE: func(c *cobra.Command, args []string) error {
			return s.withApp(c.Context(), func(a *app.App, _ exception.Actor) error {
				sources := a.Config.Sources
				if len(args) > 0 {
					sources = nil
					for _, name := range args {
						path, err := s.path(name)
						if err != nil {
							return err
						}
						sources = append(sources, path)
					}
				}
				if len(sources) == 0 {
					return fmt.Errorf("name log files, or sources in the configuration (%s)", "mailwhy config print")
				}
				if s.app != nil {
					return fmt.Errorf("the process that owns %s follows the logs already: add the files to its sources", a.Config.Data)
				}
				status, err := a.Ingest(c.Context(), sources)
				if err != nil {
					return err
				}
				return s.printSources(status)
			})
		},
	})
}

func newSources(s *session) *cobra.Command {
	return s.addJSON(&cobra.Command{
		Use:   "sources",
		Short: "how the logs are read",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return s.withApp(c.Context(), func(a *app.App, _ exception.Actor) error {
				for _, t := range a.Troubles() {
					fmt.Fprintf(s.stderr, "%s: %s\n", plain(t.Path), plain(t.Sentence))
				}
				status := a.Sources()
				if status == nil {
					for _, path := range a.Config.Sources {
						status = append(status, ingest.Status{Path: path, Problem: "nothing follows this log: start mailwhy"})
					}
				}
				return s.printSources(status)
			})
		},
	})
}

// sourceRow is one line of `sources --json`.
type sourceRow struct {
	Path                string    `json:"path"`
	Format              string    `json:"format,omitempty"`
	Lines               int64     `json:"lines"`
	Bytes               int64     `json:"bytes"`
	Behind              int64     `json:"behind"`
	LagSeconds          float64   `json:"lag_seconds"`
	LastLine            time.Time `json:"last_line,omitzero"`
	UnrecognisedFailing int64     `json:"unrecognised_failing"`
	Problem             string    `json:"problem,omitempty"`
}

func (s *session) printSources(status []ingest.Status) error {
	problems := 0
	for _, st := range status {
		if st.Problem != "" {
			problems++
		}
		if s.json {
			row := sourceRow{Path: st.Path, Format: st.Format, Lines: st.Lines, Bytes: st.Bytes, Behind: st.Behind, LagSeconds: st.Lag.Seconds(), LastLine: st.LastLine, UnrecognisedFailing: st.Unrecognised, Problem: st.Problem}
			if err := s.printJSON(s.stdout, row); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintf(s.stdout, "%s  %s  %d lines, %d bytes behind, %d lines that look like failures and were not understood  %s\n",
			plain(st.Path), or(st.Format, "unknown format"), st.Lines, st.Behind, st.Unrecognised, plain(st.Problem)); err != nil {
			return err
		}
	}
	if len(status) == 0 {
		return errNothing
	}
	if problems == len(status) {
		return fmt.Errorf("none of the %d sources could be read", problems)
	}
	return nil
}
