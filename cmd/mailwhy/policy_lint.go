package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"mailwhy/cmd/internal/app"
	"mailwhy/engine"
)

func newPolicyLint(s *session) *cobra.Command {
	return s.addJSON(&cobra.Command{
		Use:   "lint [FILE]",
		Short: "policies that do not do what they seem to, do too much or do nothing",
		Long: "Names entries of the policy file that are shadowed, unreachable, doubled, conflicting, expired, disabled, too broad or without a ticket, permits that\n" +
			"cannot help, Content Examination that deletes instead of holding, entries that almost match. Without FILE it is the configured policy\n" +
			"file, and the index tells which policies had no hits. Finding something is no error: the exit status is 0.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				return s.lintFile(args[0])
			}
			return s.withApp(c.Context(), func(a *app.App, _ app.Person) error {
				findings, _, err := a.Lint(c.Context())
				if err != nil {
					return err
				}
				return s.printFindings(findings)
			})
		},
	})
}

func (s *session) lintFile(name string) error {
	path, err := s.path(name)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read policy file: %w", err)
	}
	set, err := engine.Load(name, data)
	if err != nil {
		return err
	}
	return s.printFindings(engine.Lint(set, name, data, nil, s.now()))
}

func (s *session) printFindings(findings []engine.LintFinding) error {
	for _, f := range findings {
		var err error
		if s.json {
			err = s.printJSON(s.stdout, f)
		} else {
			what := string(f.Rule)
			if f.Policy != "" {
				what = f.Policy + " " + what
			}
			_, err = fmt.Fprintln(s.stdout, plain(fmt.Sprintf("%s:%d: %s: %s; %s", f.File, f.Line, what, f.Why, f.Do)))
		}
		if err != nil {
			return err
		}
	}
	if len(findings) == 0 && !s.json {
		_, err := fmt.Fprintln(s.stdout, "nothing to look at")
		return err
	}
	return nil
}
