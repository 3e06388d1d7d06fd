package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"mailwhy/cmd/internal/app"
	"mailwhy/index/ingest"
	"mailwhy/logparse/tail"
)

func newIngest(s *session) *cobra.Command {
	var progress bool
	c := s.addJSON(&cobra.Command{
		Use:   "ingest [FILE...]",
		Short: "index log files once (default: the configured sources)",
		RunE: func(c *cobra.Command, args []string) error {
			return s.withApp(c.Context(), func(a *app.App, _ app.Person) error {
				var sources []string // nil = those of the configuration
				if len(args) > 0 {
					for _, name := range args {
						if name == "-" && s.app == nil {
							var err error
							if name, err = keepInput(a.Config.Data, s.stdin); err != nil {
								return err
							}
						}
						path, err := s.path(name)
						if err != nil {
							return err
						}
						sources = append(sources, path)
					}
				}
				if len(args) == 0 && len(a.Followed()) == 0 {
					return fmt.Errorf("name log files, or sources in the configuration (%s)", "mailwhy config print")
				}
				if s.app != nil {
					return fmt.Errorf("the process that owns %s follows the logs already: add the files to its sources", a.Config.Data)
				}
				status, err := s.ingest(c.Context(), a, sources, progress)
				s.printTroubles(a)
				if err != nil {
					return err
				}
				if err := s.printSources(status); err != nil {
					return err
				}
				for _, st := range status {
					if st.Problem != "" {
						return fmt.Errorf("%s was not indexed: %s", st.Path, st.Problem)
					}
				}
				return nil
			})
		},
	})
	c.Flags().BoolVar(&progress, "progress", false, "tell how far it is, also where standard error is no terminal")
	return c
}

// ingest reads sources once; how far it is stands on standard error, in one
// line that is written over on a terminal.
func (s *session) ingest(ctx context.Context, a *app.App, sources []string, progress bool) ([]ingest.Status, error) {
	end := "\n"
	if isTerminal(s.stderr) {
		progress, end = true, "\x1b[K\r"
	}
	var watch func(ingest.Progress)
	if progress {
		watch = func(p ingest.Progress) { fmt.Fprint(s.stderr, progressText(p), end) }
	}
	status, err := a.Ingest(ctx, sources, watch)
	if progress && end != "\n" {
		fmt.Fprint(s.stderr, "\x1b[K")
	}
	if err != nil && ctx.Err() != nil {
		return status, errors.New("stopped: what was read is kept, the same command goes on from there")
	}
	return status, err
}

// progressText is 120.0 of 480.0 MB, 50.2 MB/s, 7s left.
func progressText(p ingest.Progress) string {
	text := fmt.Sprintf("%.1f of %.1f MB, %.1f MB/s", float64(p.Bytes)/1e6, float64(p.Total)/1e6, p.Rate/1e6)
	if p.Left > 0 {
		text += fmt.Sprintf(", %s left", p.Left.Round(time.Second))
	}
	return text
}

// isTerminal reports whether a stream is a character device.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// keepInput writes standard input, decompressed, to a file of the data folder named after its
// content: evidence is fetched again from where it was read, and the same
// input twice is one log.
func keepInput(data string, in io.Reader) (path string, err error) {
	plain, err := tail.Unpack(in)
	if err != nil {
		return "", fmt.Errorf("keep standard input: %w", err)
	}
	defer plain.Close()
	dir := filepath.Join(data, "stdin")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("keep standard input: %w", err)
	}
	f, err := os.CreateTemp(dir, "new-")
	if err != nil {
		return "", fmt.Errorf("keep standard input: %w", err)
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, sum), plain)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		path = filepath.Join(dir, fmt.Sprintf("%x.log", sum.Sum(nil)[:8]))
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("keep standard input: %w", err), os.Remove(f.Name()))
	}
	return path, nil
}

func newSources(s *session) *cobra.Command {
	return s.addJSON(&cobra.Command{
		Use:   "sources",
		Short: "how the logs are read",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return s.withApp(c.Context(), func(a *app.App, _ app.Person) error {
				s.printTroubles(a)
				status := a.Sources()
				if status == nil {
					for _, path := range append(a.Inputs(), a.Config.Sources...) {
						status = append(status, ingest.Status{Path: path, Problem: "nothing follows this log: start mailwhy"})
					}
				}
				return s.printSources(status)
			})
		},
	})
}

// printTroubles tells on standard error what keeps the program from its work.
func (s *session) printTroubles(a *app.App) {
	for _, t := range a.Troubles() {
		fmt.Fprintf(s.stderr, "%s: %s\n", plain(t.Path), plain(t.Sentence))
	}
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
	LetGo               int64     `json:"let_go,omitempty"`
	Problem             string    `json:"problem,omitempty"`
	Note                string    `json:"note,omitempty"` // of an input that is no file
}

func (s *session) printSources(status []ingest.Status) error {
	problems := 0
	for _, st := range status {
		if st.Problem != "" {
			problems++
		}
		if s.json {
			row := sourceRow{Path: st.Path, Format: st.Format, Lines: st.Lines, Bytes: st.Bytes, Behind: st.Behind, LagSeconds: st.Lag.Seconds(), LastLine: st.LastLine, UnrecognisedFailing: st.Unrecognised, LetGo: st.LetGo, Problem: st.Problem, Note: st.Note}
			if err := s.printJSON(s.stdout, row); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintf(s.stdout, "%s  %s  %d lines, %d bytes behind, %d lines that look like failures and were not understood  %s\n",
			plain(st.Path), or(st.Format, "unknown format"), st.Lines, st.Behind, st.Unrecognised, plain(or(st.Problem, st.Note))); err != nil {
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
