package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/spf13/cobra"

	"mailwhy/cmd/internal/app"
	"mailwhy/engine"
)

func newPolicy(s *session) *cobra.Command {
	c := &cobra.Command{Use: "policy", Short: "the policy file"}
	check := &cobra.Command{
		Use:   "check FILE",
		Short: "read a policy file and name every mistake with its line",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			set, err := s.loadPolicy(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(s.stdout, "%s: %d policies, no mistakes found (version %s)\n", args[0], len(set.Policies()), set.Version())
			return err
		},
	}
	var withEngine bool
	list := s.addJSON(&cobra.Command{Use: "list", Short: "every policy in force or not, exceptions too", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		return s.withApp(c.Context(), func(a *app.App, _ app.Person) error {
			if problem := a.PolicyProblem(); problem != "" {
				fmt.Fprintf(s.stderr, "the last edit was not taken in:\n%s\n", plain(problem))
			}
			return s.printPolicies(a.Set().Policies())
		})
	}})
	show := s.addJSON(&cobra.Command{Use: "show [ID]", Short: "one policy, or with --engine the inferred tables", Args: cobra.MaximumNArgs(1), RunE: func(c *cobra.Command, args []string) error {
		return s.withApp(c.Context(), func(a *app.App, _ app.Person) error {
			if withEngine {
				return s.printEngine(a.Set().Assumptions())
			}
			if len(args) == 0 {
				return errors.New("name a policy, or ask for --engine")
			}
			for _, p := range a.Set().Policies() {
				if p.ID == args[0] {
					return s.printPolicies([]engine.Policy{p})
				}
			}
			return missingError{fmt.Sprintf("no policy has the id %q: `mailwhy policy list` prints them", args[0])}
		})
	}})
	show.Flags().BoolVar(&withEngine, "engine", false, "the inferred tables in force")
	c.AddCommand(check, list, show, newPolicyLint(s), newPolicyImport(s), newPolicyExport(s))
	return c
}

// policyRow is one line of `policy list --json`.
type policyRow struct {
	Section       engine.Section  `json:"section"`
	ID            string          `json:"id"`
	Description   string          `json:"description,omitempty"`
	Option        string          `json:"option"`
	FromPart      engine.FromPart `json:"from_part"`
	From          engine.Spec     `json:"from"`
	To            engine.Spec     `json:"to"`
	Override      bool            `json:"override"`
	Bidirectional bool            `json:"bidirectional"`
	Enabled       bool            `json:"enabled"`
	Since         time.Time       `json:"since,omitzero"`
	Until         time.Time       `json:"until,omitzero"`
	SourceIPs     []netip.Prefix  `json:"source_ips,omitempty"`
	Origin        string          `json:"origin,omitempty"`
}

func (s *session) printPolicies(policies []engine.Policy) error {
	for _, p := range policies {
		var err error
		if s.json {
			err = s.printJSON(s.stdout, policyRow{p.Section, p.ID, p.Description, p.Option, p.FromPart, p.From, p.To, p.Override, p.Bidirectional, !p.Disabled, p.Since, p.Until, p.SourceIPs, p.Origin})
		} else {
			_, err = fmt.Fprintln(s.stdout, plain(fmt.Sprintf("%s  %-12s  %s %s -> %s %s  %q  %s", p.ID, p.Option, p.From.Type, p.From.Value, p.To.Type, p.To.Value, p.Description, p.Origin)))
		}
		if err != nil {
			return err
		}
	}
	if len(policies) == 0 {
		return errNothing
	}
	return nil
}

// engineTables is `policy show --engine`.
type engineTables struct {
	Specificity []engine.SpecType `json:"specificity"`
	Compare     string            `json:"compare"`
	Tie         string            `json:"tie"`
	DataContest string            `json:"data_contest"`
	TimeZone    string            `json:"time_zone"`
	Propagation string            `json:"propagation"`

	Order map[engine.Moment][]engine.Stage `json:"order"`
}

func (s *session) printEngine(a engine.Assumptions) error {
	t := engineTables{Specificity: a.Specificity, Compare: "from_first", Tie: "cautious", DataContest: "all", TimeZone: a.Location.String(), Propagation: a.Propagation.String()}
	t.Order = map[engine.Moment][]engine.Stage{}
	for _, slot := range a.Order {
		t.Order[slot.Moment] = append(t.Order[slot.Moment], slot.Stage)
	}
	if a.ToFirst {
		t.Compare = "to_first"
	}
	if a.HeaderOnly {
		t.DataContest = "header"
	}
	if s.json {
		return s.printJSON(s.stdout, t)
	}
	_, err := fmt.Fprintf(s.stdout, "specificity   %v (lowest to highest)\ncompare       %s\ntie           %s\ndata_contest  %s\ntime_zone     %s\npropagation   %s\norder         rcpt %v\n              data %v\n", t.Specificity, t.Compare, t.Tie, t.DataContest, t.TimeZone, t.Propagation, t.Order[engine.MomentRcpt], t.Order[engine.MomentData])
	return err
}

// loadPolicy reads a policy file; the error is the sentence to show.
func (s *session) loadPolicy(name string) (*engine.Set, error) {
	path, err := s.path(name)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read policy file: %w", err)
	}
	return engine.Load(name, data)
}
