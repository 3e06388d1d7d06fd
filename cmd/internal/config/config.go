// Package config reads mailwhy's configuration: one strict YAML file. It knows
// no other package; the wiring turns it into each package's own options.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Config is the configuration with its defaults filled in.
type Config struct {
	Sources        []string          `yaml:"sources"`         // log files, globs, and folders, which stand for the files in them
	Formats        []string          `yaml:"formats"`         // files that describe further log formats
	Policy         string            `yaml:"policy"`          // the policy file; "" = none
	Data           string            `yaml:"data"`            // the data folder
	TimeZone       string            `yaml:"time_zone"`       // of the screens and of stamps without one
	TimeZones      map[string]string `yaml:"time_zones"`      // of the logs whose stamps are of another: a file or glob, and its zone
	RetentionDays  int               `yaml:"retention_days"`  // whole days; 0 = for ever, so that old logs handed in are not deleted again
	RetentionBytes int64             `yaml:"retention_bytes"` // of the index on disk: the oldest days go; 0 = no bound
	All            bool              `yaml:"all"`             // index plain deliveries too
	Theme          string            `yaml:"theme"`           // dark or light
	ASCII          bool              `yaml:"ascii"`           // no glyph beyond ASCII
	Knowledge      string            `yaml:"knowledge"`       // a folder of *.yaml rows for explain, before those that come with the program; "" = none
	DNSResolver    string            `yaml:"dns_resolver"`    // whom check asks, host or host:port; "" = the system's
	RBLZones       []string          `yaml:"rbl_zones"`       // block lists that check asks
	DKIMSelectors  []string          `yaml:"dkim_selectors"`  // DKIM keys that check looks for
	OutboundIPs    []string          `yaml:"outbound_ips"`    // our own outbound addresses, for check rbl --own
	Serve          Serve             `yaml:"serve"`
	Access         Access            `yaml:"access"`
	Changes        Changes           `yaml:"changes"`

	File string `yaml:"-"` // the file it was read from; "" = none

	Inputs   `yaml:",inline"`
	Gateways `yaml:",inline"`
}

// Default returns the defaults; env looks environment variables up.
func Default(env func(string) string) Config {
	state := env("XDG_STATE_HOME")
	if state == "" {
		state = filepath.Join(env("HOME"), ".local", "state")
	}
	return Config{Sources: []string{}, Formats: []string{}, RBLZones: []string{}, DKIMSelectors: []string{}, OutboundIPs: []string{}, Data: filepath.Join(state, "mailwhy"), TimeZone: "UTC", TimeZones: map[string]string{}, Theme: "dark", Serve: defaultServe(), Changes: Changes{Hourly: 20}, Inputs: noInputs(), Gateways: noGateways()}
}

// Load reads the file at path; "" = the XDG place, else /etc/mailwhy, else the
// defaults alone. An error names the file and line.
func Load(path string, env func(string) string) (Config, error) {
	c := Default(env)
	candidates := []string{path}
	if path == "" {
		home := env("XDG_CONFIG_HOME")
		if home == "" {
			home = filepath.Join(env("HOME"), ".config")
		}
		candidates = []string{filepath.Join(home, "mailwhy", "config.yaml"), "/etc/mailwhy/config.yaml"}
	}
	for _, file := range candidates {
		data, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) && path == "" {
			continue
		}
		if err != nil {
			return Config{}, fmt.Errorf("read configuration: %w", err)
		}
		if err := c.read(file, data); err != nil {
			return Config{}, err
		}
		c.File = file
		return c, nil
	}
	return c, nil
}

func (c *Config) read(file string, data []byte) error {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(c); err != nil && !errors.Is(err, io.EOF) {
		text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "yaml: "), "unmarshal errors:\n  ")
		first, _, _ := strings.Cut(text, "\n")
		if rest, ok := strings.CutPrefix(first, "line "); ok {
			if line, sentence, ok := strings.Cut(rest, ": "); ok {
				return fmt.Errorf("%s:%s: %s", file, line, plainly(sentence))
			}
		}
		return fmt.Errorf("%s:1: %s", file, first)
	}
	if _, err := time.LoadLocation(c.TimeZone); err != nil {
		return fmt.Errorf("%s: time_zone %q is not known: write a name such as Europe/Zurich", file, c.TimeZone)
	}
	if err := c.checkTimeZones(); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if c.RetentionBytes < 0 {
		return fmt.Errorf("%s: retention_bytes must not be negative: 0 keeps everything", file)
	}
	if c.RetentionDays < 0 {
		return fmt.Errorf("%s: retention_days must not be negative: 0 keeps everything", file)
	}
	if c.Theme != "dark" && c.Theme != "light" {
		return fmt.Errorf("%s: theme must be dark or light, not %q", file, c.Theme)
	}
	if err := errors.Join(c.Inputs.check(), c.Gateways.check(), c.Serve.check(), c.Access.check()); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// plainly turns the decoder's words into a person's.
func plainly(sentence string) string {
	if key, ok := strings.CutPrefix(sentence, "field "); ok {
		if key, _, ok := strings.Cut(key, " not found"); ok {
			return fmt.Sprintf("unknown key %q", key)
		}
	}
	if value, ok := strings.CutPrefix(sentence, "cannot unmarshal "); ok {
		_, value, _ = strings.Cut(value, " ")
		if value, kind, ok := strings.Cut(value, " into "); ok {
			kind = map[string]string{"int": "a number", "bool": "true or false", "[]string": "a list", "string": "a text", "time.Duration": "a time such as 30m"}[kind]
			return fmt.Sprintf("%s is not %s", strings.Trim(value, "`"), kind)
		}
	}
	return sentence
}

// Location is the configured time zone.
func (c Config) Location() *time.Location {
	loc, err := time.LoadLocation(c.TimeZone)
	if err != nil {
		return time.UTC
	}
	return loc
}

// YAML prints every key with its value.
func (c Config) YAML() ([]byte, error) { return yaml.Marshal(c) }
