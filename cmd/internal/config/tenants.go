package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Tenant is one of those that share a server: its file is an ordinary
// configuration, whose serve.address, host_key, banner, metrics, log and limits
// are not used: those are the server's.
type Tenant struct {
	Config string `yaml:"config"` // the tenant's file
}

// TenantConfig is a tenant's configuration as read.
type TenantConfig struct {
	Name   string
	File   string
	Config Config // zero with Err
	Err    error  // what is wrong with its file; nil = nothing
}

// Tenants reads the files of the tenants of a server, by name. One that cannot
// be read does not hide the others. The error is a clash between those that can
// be read: what one has must not be another's.
func (c Config) Tenants(env func(string) string) ([]TenantConfig, error) {
	if err := c.checkServer(); err != nil {
		return nil, err
	}
	var all []TenantConfig
	for _, name := range slices.Sorted(maps.Keys(c.Serve.Tenants)) {
		t := TenantConfig{Name: name, File: c.Serve.Tenants[name].Config}
		if t.Config, t.Err = Load(t.File, env); t.Err == nil {
			t.Err = t.checkTenant()
		}
		all = append(all, t)
	}
	return all, c.checkClashes(all)
}

// checkNames says what is wrong with the list of tenants itself.
func (s Serve) checkNames() error {
	for _, name := range slices.Sorted(maps.Keys(s.Tenants)) {
		if !inputName.MatchString(name) {
			return fmt.Errorf("serve: the tenant %q must be letters, digits, dots and dashes: people write it behind their name", name)
		}
		if s.Tenants[name].Config == "" {
			return fmt.Errorf("serve: the tenant %s has no config: it names the tenant's configuration file", name)
		}
	}
	return nil
}

// checkServer refuses a server of tenants that has something of its own.
func (c Config) checkServer() error {
	if len(c.Serve.Tenants) == 0 {
		return nil
	}
	for _, own := range []struct {
		there bool
		path  []string
	}{
		{len(c.Sources) > 0, []string{"sources"}}, {c.Policy != "", []string{"policy"}},
		{len(c.Syslog) > 0, []string{"syslog"}}, {len(c.SIEM) > 0, []string{"siem"}}, {len(c.Journal) > 0, []string{"journal"}},
		{c.Milter.Listen != "", []string{"milter"}}, {c.PolicyService.Listen != "", []string{"policy_service"}}, {len(c.Publish) > 0, []string{"publish"}},
		{len(c.Access.Users)+len(c.Access.Principals)+len(c.Access.Mailboxes) > 0, []string{"access"}},
		{c.Serve.AuthorizedKeys != "", []string{"serve", "authorized_keys"}}, {c.Serve.TrustedCA != "", []string{"serve", "trusted_ca"}},
		{c.Serve.RevokedKeys != "", []string{"serve", "revoked_keys"}}, {c.Serve.Socket != "", []string{"serve", "socket"}},
	} {
		if own.there {
			return fmt.Errorf("%s: a server of tenants has no %s of its own: write it in the file of a tenant", place(c.File, own.path...), own.path[len(own.path)-1])
		}
	}
	return nil
}

// checkTenant refuses what a tenant could not have for itself alone.
func (t TenantConfig) checkTenant() error {
	if len(t.Config.Serve.Tenants) > 0 {
		return fmt.Errorf("%s: a tenant has no tenants", place(t.File, "serve", "tenants"))
	}
	for _, s := range t.Config.SIEM {
		if s.Credentials == "" {
			return fmt.Errorf("%s: siem: %s: credentials are missing: the environment is every tenant's", place(t.File, "siem"), s.Name)
		}
	}
	for _, g := range t.Config.Publish {
		if g.Kind == "mimecast" && g.Credentials == "" {
			return fmt.Errorf("%s: publish: %s: credentials are missing: the environment is every tenant's", place(t.File, "publish"), g.Name)
		}
	}
	return nil
}

// holding is something that only one tenant may have.
type holding struct {
	what string   // the kind and the thing, as in a sentence
	path []string // its key in the file
	file string
	of   string
}

// checkClashes compares what the tenants have, and the server's own.
func (c Config) checkClashes(tenants []TenantConfig) error {
	taken := map[string]holding{}
	var all error
	take := func(h holding) {
		before, clash := taken[h.what]
		if !clash {
			taken[h.what] = h
		} else if before.of != h.of {
			all = errors.Join(all, fmt.Errorf("%s: the %s is %s's already: each tenant has its own", place(h.file, h.path...), h.what, before.of))
		}
	}
	server := holding{file: c.File, of: "the server"}
	for what, path := range map[string][]string{"data folder " + whole(c.Data): {"data"}, "address tcp " + c.Serve.Address: {"serve", "address"}, "address tcp " + c.Serve.Metrics: {"serve", "metrics"}} {
		server.what, server.path = what, path
		take(server)
	}
	for _, t := range tenants {
		if t.Err == nil {
			for _, h := range t.holdings() {
				take(h)
			}
			all = errors.Join(all, t.checkNesting(tenants))
		}
	}
	return all
}

// holdings are all that a tenant must have for itself.
func (t TenantConfig) holdings() []holding {
	var all []holding
	add := func(kind, thing string, path ...string) {
		if thing != "" {
			all = append(all, holding{kind + " " + thing, path, t.File, "tenant " + t.Name})
		}
	}
	c := t.Config
	add("data folder", whole(c.Data), "data")
	for _, s := range c.Sources {
		add("source", whole(s), "sources")
	}
	for _, s := range c.Syslog {
		protocol := s.Protocol
		if protocol == "tls" {
			protocol = "tcp"
		}
		add("address "+protocol, s.Address, "syslog")
	}
	for _, s := range c.SIEM {
		add("account of", s.Credentials, "siem")
	}
	for _, j := range c.Journal {
		add("journal", fmt.Sprintf("%s %v %v", j.Directory, j.Units, j.Identifiers), "journal")
	}
	add("address", c.Milter.Listen, "milter", "listen")
	add("address", c.PolicyService.Listen, "policy_service", "listen")
	for _, g := range c.Publish {
		add("list", whole(g.Path), "publish")
	}
	if c.Serve.Socket != "" {
		add("socket", whole(c.Serve.Socket), "serve", "socket")
	}
	return all
}

// checkNesting refuses a data folder inside another tenant's.
func (t TenantConfig) checkNesting(tenants []TenantConfig) error {
	for _, o := range tenants {
		if o.Err != nil || o.Name == t.Name {
			continue
		}
		inside, err := filepath.Rel(whole(o.Config.Data), whole(t.Config.Data))
		if err == nil && inside != "." && filepath.IsLocal(inside) {
			return fmt.Errorf("%s: the data folder %s is inside that of tenant %s: each tenant has its own", place(t.File, "data"), t.Config.Data, o.Name)
		}
	}
	return nil
}

// whole is a path as it is compared: absolute, links followed where it is there.
func whole(path string) string {
	if path == "" {
		return ""
	}
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return path
}

// place is file:line of a key; the first line where the key is not written.
func place(file string, path ...string) string {
	line := 1
	var root yaml.Node
	if data, err := os.ReadFile(file); err == nil && yaml.Unmarshal(data, &root) == nil && len(root.Content) == 1 {
		at := root.Content[0]
		for _, key := range path {
			next := (*yaml.Node)(nil)
			for i := 0; i+1 < len(at.Content) && at.Kind == yaml.MappingNode; i += 2 {
				if at.Content[i].Value == key {
					line, next = at.Content[i].Line, at.Content[i+1]
				}
			}
			if next == nil {
				break
			}
			at = next
		}
	}
	return fmt.Sprintf("%s:%d", file, line)
}
