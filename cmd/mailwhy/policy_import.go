package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"mailwhy/cmd/internal/app"
	"mailwhy/engine"
	"mailwhy/engine/publish"
)

// importedFile is a policy file as an import writes it.
type importedFile struct {
	Version         int                          `yaml:"version"`
	InternalDomains []string                     `yaml:"internal_domains,flow"`
	Groups          map[string]publish.SiteGroup `yaml:"groups,omitempty"`
	BlockedSenders  []publish.SitePolicy         `yaml:"blocked_senders,omitempty"`
	Access          []publish.SiteCheck          `yaml:"access,omitempty"`
	Known           map[string]string            `yaml:"known,omitempty"`
	Defaults        map[string]bool              `yaml:"defaults,omitempty"`
}

// noDefaults are for a mail server that has none of the vendor's policies.
func noDefaults() map[string]bool {
	return map[string]bool{"external_to_external": false, "relay": false, "blocked_senders": false, "anti_spoofing": false}
}

func newPolicyImport(s *session) *cobra.Command {
	var configDir string
	var internal []string
	c := &cobra.Command{
		Use:   "import postfix | mimecast GATEWAY | exim LIST... | rspamd MAP...",
		Short: "write what a gateway enforces as a policy file, to standard output",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := s.path(configDir); err != nil { // the owner reads no file for others
				return err
			}
			f := importedFile{Version: 1, InternalDomains: internal, Known: map[string]string{"as_of": s.now().Format(time.RFC3339)}}
			notes, err := s.readRules(c.Context(), &f, configDir, args)
			if err != nil {
				return err
			}
			return s.writeImported(f, args, notes)
		},
	}
	c.Flags().StringVar(&configDir, "config-dir", "", "Postfix's configuration folder, instead of the system's")
	c.Flags().StringSliceVar(&internal, "internal-domain", nil, "a domain that is ours, where the gateway does not tell")
	return c
}

func (s *session) readRules(ctx context.Context, f *importedFile, configDir string, args []string) (notes []string, err error) {
	conf, err := s.configuration()
	if err != nil {
		return nil, err
	}
	switch args[0] {
	case "postfix":
		var published []string
		for _, g := range conf.Publish {
			published = append(published, g.Path)
		}
		r, err := publish.ReadPostfixRules(ctx, configDir, published)
		f.Access, f.Defaults, f.InternalDomains = r.Checks, noDefaults(), append(f.InternalDomains, r.Internal...)
		return r.Notes, err
	case "mimecast":
		for _, g := range conf.Publish {
			if g.Kind != "mimecast" || len(args) > 1 && g.Name != args[1] {
				continue
			}
			api, err := app.MimecastAPI(g)
			if err != nil {
				return nil, err
			}
			r, err := api.ReadMimecastRules(ctx)
			f.BlockedSenders, f.Groups = r.BlockedSenders, r.Groups
			f.Known["managed_senders"], f.Known["permitted_senders"] = "partial", "partial"
			return r.Notes, err
		}
		return nil, errors.New("no gateway of kind mimecast stands in the configuration (publish:)")
	case "exim", "rspamd":
		f.Defaults = noDefaults()
		for _, name := range args[1:] {
			path, err := s.path(name)
			if err != nil {
				return nil, err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("read list: %w", err)
			}
			checks, more := publish.ReadSenderList(name, text)
			f.Access, notes = append(f.Access, checks...), append(notes, more...)
		}
		return notes, nil
	}
	return nil, fmt.Errorf("%q is not a gateway that can be read: write postfix, mimecast, exim or rspamd", args[0])
}

// writeImported prints the file, and loads it to be sure that it can be.
func (s *session) writeImported(f importedFile, args, notes []string) error {
	if f.InternalDomains == nil {
		f.InternalDomains = []string{}
	}
	text, err := yaml.Marshal(f)
	if err != nil {
		return fmt.Errorf("write policy file: %w", err)
	}
	if _, err := engine.Load("import", text); err != nil {
		return fmt.Errorf("what the gateway says does not make a policy file: %w", err)
	}
	for _, note := range notes {
		fmt.Fprintln(s.stderr, plain(note))
	}
	_, err = fmt.Fprintf(s.stdout, "# read from %s on %s by mailwhy policy import\n%s", args[0], f.Known["as_of"], plain(string(text)))
	return err
}

func newPolicyExport(s *session) *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "export",
		Short: "write the policies in force as the vendor's JSON or as CSV",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return s.withApp(c.Context(), func(a *app.App, _ app.Person) error {
				switch format {
				case "json":
					return s.exportJSON(a.Set().Policies())
				case "csv":
					return exportCSV(s.stdout, a.Set().Policies())
				}
				return fmt.Errorf("--format %q is not known: write json or csv", format)
			})
		},
	}
	c.Flags().StringVar(&format, "format", "json", "json (one body of API 2.0 a line) or csv")
	return c
}

// exportJSON prints the bodies that make the Blocked Senders policies by API
// 2.0; default policies cannot be made and are left out.
func (s *session) exportJSON(policies []engine.Policy) error {
	for _, p := range policies {
		if p.Origin == "default" {
			continue
		}
		for _, call := range engine.APICalls(engine.Change{Kind: engine.KindBypass, Policies: []engine.Policy{p}}) {
			if call.Version != "2.0" {
				continue
			}
			body, err := json.Marshal(call.Body)
			if err != nil {
				return fmt.Errorf("write policy %s: %w", p.ID, err)
			}
			if _, err := fmt.Fprintln(s.stdout, string(escapeControls(body))); err != nil {
				return err
			}
		}
	}
	return nil
}

func exportCSV(w io.Writer, policies []engine.Policy) error {
	out := csv.NewWriter(w)
	rows := [][]string{{"section", "id", "description", "option", "from_part", "from_type", "from_value", "to_type", "to_value", "override", "bidirectional", "enabled", "from_date", "to_date", "source_ips", "origin"}}
	for _, p := range policies {
		var ips []string
		for _, ip := range p.SourceIPs {
			ips = append(ips, ip.String())
		}
		rows = append(rows, []string{string(p.Section), p.ID, p.Description, p.Option, string(p.FromPart), string(p.From.Type), p.From.Value, string(p.To.Type), p.To.Value,
			fmt.Sprint(p.Override), fmt.Sprint(p.Bidirectional), fmt.Sprint(!p.Disabled), instant(p.Since), instant(p.Until), strings.Join(ips, " "), p.Origin})
	}
	for _, row := range rows {
		for i := range row {
			row[i] = cellText(row[i])
		}
		if err := out.Write(row); err != nil {
			return fmt.Errorf("write CSV: %w", err)
		}
	}
	out.Flush()
	return out.Error()
}

// cellText keeps a spreadsheet from taking a text for a formula.
func cellText(text string) string {
	text = plain(text)
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
