package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"mailwhy/cmd/internal/config"
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
		&cobra.Command{Use: "check", Short: "read the configuration, those of its tenants, and the policy files they name", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
			conf, err := s.configuration()
			if err != nil {
				return err
			}
			if conf.Policy != "" {
				if _, err := s.loadPolicy(conf.Policy); err != nil {
					return err
				}
			}
			if err := s.checkTenants(conf); err != nil {
				return err
			}
			_, err = fmt.Fprintln(s.stdout, "no mistakes found")
			return err
		}})
	return c
}

// checkTenants reads the files of all tenants and the policy files they name.
func (s *session) checkTenants(c config.Config) error {
	tenants, err := c.Tenants(os.Getenv)
	for _, t := range tenants {
		err = errors.Join(err, t.Err)
		if t.Config.Policy != "" {
			_, policyErr := s.loadPolicy(t.Config.Policy)
			err = errors.Join(err, policyErr)
		}
	}
	return err
}
