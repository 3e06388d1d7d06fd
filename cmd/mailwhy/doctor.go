package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"mailwhy/cmd/internal/app"
	"mailwhy/cmd/internal/config"
	"mailwhy/engine/publish"
	"mailwhy/logparse/tail"
)

func newDoctor(s *session) *cobra.Command {
	return s.addJSON(&cobra.Command{
		Use:   "doctor",
		Short: "look whether everything that mailwhy leans on is there and in an order in which it works",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return s.withApp(c.Context(), func(a *app.App, _ app.Person) error { return s.doctor(c.Context(), a) })
		},
	})
}

// diagnosis is one line of `doctor --json`.
type diagnosis struct {
	About string `json:"about"`
	publish.Finding
}

// doctor ends with status 1 when something is wrong.
func (s *session) doctor(ctx context.Context, a *app.App) error {
	var all []diagnosis
	add := func(about string, findings ...publish.Finding) {
		for _, f := range findings {
			all = append(all, diagnosis{about, f})
		}
	}
	add("policy", policyFinding(a))
	for _, source := range a.Config.Sources {
		add("source", sourceFinding(source))
	}
	for _, c := range a.Config.Syslog {
		add("syslog "+c.Name, syslogFinding(c))
	}
	for _, c := range a.Config.SIEM {
		add("siem "+c.Name, keysFinding(app.CheckSIEM(c)))
	}
	for _, c := range a.Config.Journal {
		add("journal "+c.Name, journalFinding(c))
	}
	for _, t := range a.Troubles() {
		add(t.Path, publish.Finding{Sentence: t.Sentence})
	}
	if g := a.Config.Milter; g.Listen != "" {
		add("milter", publish.DoctorGate(ctx, g.Listen, g.Fail == "closed", "smtpd_milters")...)
	}
	if g := a.Config.PolicyService; g.Listen != "" {
		add("policy_service", publish.DoctorGate(ctx, g.Listen, g.Fail == "closed", "smtpd_recipient_restrictions")...)
	}
	for _, g := range a.Config.Publish {
		add(g.Name, gatewayFindings(ctx, g)...)
	}
	ill := false
	for _, d := range all {
		ill = ill || !d.OK
		var err error
		if s.json {
			err = s.printJSON(s.stdout, d)
		} else {
			_, err = fmt.Fprintln(s.stdout, plain(fmt.Sprintf("%-5s  %s: %s", map[bool]string{true: "ok", false: "WRONG"}[d.OK], d.About, d.Sentence)))
		}
		if err != nil {
			return err
		}
	}
	if ill {
		return errNothing
	}
	return nil
}

func policyFinding(a *app.App) publish.Finding {
	if problem := a.PolicyProblem(); problem != "" {
		return publish.Finding{Sentence: problem}
	}
	if a.Config.Policy == "" {
		return publish.Finding{Sentence: "no policy file is named (policy:), so nothing can be replayed: mailwhy policy import writes one"}
	}
	return publish.Finding{OK: true, Sentence: fmt.Sprintf("%s has %d policies", a.Config.Policy, len(a.Set().Policies()))}
}

func sourceFinding(pattern string) publish.Finding {
	files, err := tail.Expand([]string{pattern})
	if err != nil || len(files) == 0 {
		return publish.Finding{Sentence: pattern + " names no file"}
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return publish.Finding{Sentence: err.Error()}
		}
		if err := f.Close(); err != nil {
			return publish.Finding{Sentence: err.Error()}
		}
	}
	return publish.Finding{OK: true, Sentence: fmt.Sprintf("%s names %d files that can be read", pattern, len(files))}
}

func syslogFinding(c config.Syslog) publish.Finding {
	if err := app.CheckSyslog(c); err != nil {
		return publish.Finding{Sentence: err.Error()}
	}
	return publish.Finding{OK: true, Sentence: fmt.Sprintf("listens on %s %s while mailwhy runs; nothing was asked", c.Protocol, c.Address)}
}

func journalFinding(c config.Journal) publish.Finding {
	if err := app.CheckJournal(c); err != nil {
		return publish.Finding{Sentence: err.Error()}
	}
	return publish.Finding{OK: true, Sentence: "journalctl is there; nothing was asked"}
}

// keysFinding is about an API that err keeps from being asked.
func keysFinding(err error) publish.Finding {
	if err != nil {
		return publish.Finding{Sentence: err.Error()}
	}
	return publish.Finding{OK: true, Sentence: "its keys are there; nothing was asked"}
}

func gatewayFindings(ctx context.Context, g config.Gateway) []publish.Finding {
	switch g.Kind {
	case "postfix-lmdb", "postfix-hash", "postfix-btree", "postfix-texthash":
		return publish.PostfixOptions{Name: g.Name, Type: g.Kind[len("postfix-"):], Path: g.Path, ConfigDir: g.ConfigDir}.Doctor(ctx)
	case "exim":
		return publish.DoctorFile(g.Config, g.Path, publish.EximVerbs())
	case "postfix-sqlite":
		return publish.DoctorFile(g.Config, g.Path, nil)
	case "opensmtpd":
		return publish.DoctorFile(g.Config, g.Path, nil)
	case "mimecast":
		_, err := app.MimecastAPI(g)
		return []publish.Finding{keysFinding(err)}
	}
	return publish.DoctorFile(g.Config, g.Path, nil)
}
