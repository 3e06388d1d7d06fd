package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newConfig(s *session) *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "the configuration", Args: cobra.NoArgs}
	c.AddCommand(
		&cobra.Command{Use: "print", Short: "every key with its value", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
			conf, err := s.configuration()
			if err != nil {
				return err
			}
			text, err := conf.YAML()
			if err != nil {
				return fmt.Errorf("print configuration: %w", err)
			}
			_, err = s.stdout.Write(text)
			return err
		}},
		&cobra.Command{Use: "check", Short: "read the configuration and the policy file it names", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
			conf, err := s.configuration()
			if err != nil {
				return err
			}
			if conf.Policy != "" {
				if _, err := s.loadPolicy(conf.Policy); err != nil {
					return err
				}
			}
			_, err = fmt.Fprintln(s.stdout, "no mistakes found")
			return err
		}})
	return c
}
