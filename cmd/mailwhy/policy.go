package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"mailwhy/engine"
)

func newPolicy(s *session) *cobra.Command {
	c := &cobra.Command{Use: "policy", Short: "the policy file"}
	check := &cobra.Command{
		Use:   "check FILE",
		Short: "read a policy file and name every mistake with its line",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			set, err := loadPolicy(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(s.stdout, "%s: %d policies, no mistakes found (version %s)\n", args[0], len(set.Policies()), set.Version())
			return err
		},
	}
	c.AddCommand(check)
	return c
}

// loadPolicy reads a policy file; the error is the sentence to show.
func loadPolicy(path string) (*engine.Set, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read policy file: %w", err)
	}
	return engine.Load(path, data)
}
