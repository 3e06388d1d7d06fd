package config

import (
	"errors"
	"fmt"
	"slices"
)

// Gateways are the mail servers that exceptions bite on.
type Gateways struct {
	Milter        Gate      `yaml:"milter"`         // decides messages for a mail server that speaks milter
	PolicyService Gate      `yaml:"policy_service"` // decides by the envelope for a Postfix without milters
	Publish       []Gateway `yaml:"publish"`        // where exceptions are made effective
}

func noGateways() Gateways {
	return Gateways{Milter: Gate{Mode: "monitor", Fail: "open"}, PolicyService: Gate{Mode: "monitor", Fail: "open"}, Publish: []Gateway{}}
}

// Gate is a server that a mail server asks while a message arrives.
type Gate struct {
	Listen string `yaml:"listen"` // unix:/path or inet:127.0.0.1:port; "" = off
	Mode   string `yaml:"mode"`   // monitor (decide, log, accept) or enforce
	Fail   string `yaml:"fail"`   // open or closed: what becomes of a message that cannot be decided
}

// Gateway is one place that exceptions are published to.
type Gateway struct {
	Name        string   `yaml:"name"`
	Kind        string   `yaml:"kind"`                  // see GatewayKinds
	Path        string   `yaml:"path,omitempty"`        // the list file, or the database
	ConfigDir   string   `yaml:"config_dir,omitempty"`  // of Postfix; "" = the system's
	Command     string   `yaml:"command,omitempty"`     // the gateway's own program where it is not found by its usual name
	Config      string   `yaml:"config,omitempty"`      // the gateway's own configuration file
	Table       string   `yaml:"table,omitempty"`       // of OpenSMTPD
	Reload      []string `yaml:"reload,omitempty"`      // command that makes the gateway read its lists again
	URL         string   `yaml:"url,omitempty"`         // of Mimecast's API
	API         string   `yaml:"api,omitempty"`         // of Mimecast: 2.0 or 1.0
	Credentials string   `yaml:"credentials,omitempty"` // file with the API's keys; absent = the environment
}

// GatewayKinds are the kinds of a gateway.
func GatewayKinds() []string {
	return []string{"postfix-lmdb", "postfix-hash", "postfix-btree", "postfix-texthash", "postfix-sqlite", "exim", "opensmtpd", "sendmail", "rspamd", "spamassassin", "mimecast"}
}

// check says in a sentence what is wrong with them.
func (c *Gateways) check() error {
	for key, g := range map[string]Gate{"milter": c.Milter, "policy_service": c.PolicyService} {
		if g.Mode != "monitor" && g.Mode != "enforce" {
			return fmt.Errorf("%s.mode must be monitor or enforce, not %q", key, g.Mode)
		}
		if g.Fail != "open" && g.Fail != "closed" {
			return fmt.Errorf("%s.fail must be open or closed, not %q", key, g.Fail)
		}
	}
	seen := map[string]bool{"milter": true, "policy_service": true}
	for _, g := range c.Publish {
		switch {
		case g.Name == "":
			return errors.New("publish: an entry has no name: receipts need one")
		case seen[g.Name]:
			return fmt.Errorf("publish: the name %q is taken already", g.Name)
		case !slices.Contains(GatewayKinds(), g.Kind):
			return fmt.Errorf("publish: %s: kind %q is not known: write one of %v", g.Name, g.Kind, GatewayKinds())
		case g.Kind != "mimecast" && g.Path == "":
			return fmt.Errorf("publish: %s: path is missing: it names the list file", g.Name)
		case g.Kind == "mimecast" && g.API != "" && g.API != "2.0" && g.API != "1.0":
			return fmt.Errorf("publish: %s: api must be 2.0 or 1.0, not %q", g.Name, g.API)
		}
		seen[g.Name] = true
	}
	return nil
}
