package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"time"
)

// Inputs are the sources that are no files. What they bring is kept in
// spool/NAME in the data folder and read from there; none is on by default.
type Inputs struct {
	Syslog     []Syslog  `yaml:"syslog"`      // listeners for gateways that ship their logs
	SIEM       []SIEM    `yaml:"siem"`        // logs that a gateway in the cloud gives through an API
	Journal    []Journal `yaml:"journal"`     // systemd's journal
	SpoolBytes int64     `yaml:"spool_bytes"` // of the lines kept of each input
}

func noInputs() Inputs {
	return Inputs{Syslog: []Syslog{}, SIEM: []SIEM{}, Journal: []Journal{}, SpoolBytes: 1 << 30}
}

// Journal is systemd's journal, read by journalctl.
type Journal struct {
	Name        string        `yaml:"name"`
	Units       []string      `yaml:"units,omitempty"`       // whose entries are read; absent = all
	Identifiers []string      `yaml:"identifiers,omitempty"` // of syslog, whose entries are read; absent = all
	Directory   string        `yaml:"directory,omitempty"`   // of the journal's files; absent = the system's
	Since       time.Duration `yaml:"since,omitempty"`       // how far back the first reading begins; 0 = 168h
}

// SIEM is an account whose log is read through Mimecast's SIEM API.
type SIEM struct {
	Name        string        `yaml:"name"`
	URL         string        `yaml:"url"`                   // of the API's region
	API         string        `yaml:"api,omitempty"`         // 2.0 (default) or 1.0
	Credentials string        `yaml:"credentials,omitempty"` // file with the API's keys; absent = the environment
	Types       []string      `yaml:"types,omitempty"`       // of API 2.0; absent = receipt, process, delivery
	Since       time.Duration `yaml:"since,omitempty"`       // how far back the first reading begins; 0 = 168h
	Every       time.Duration `yaml:"every,omitempty"`       // between two looks when all was read; 0 = 1m
}

// Syslog is a listener.
type Syslog struct {
	Name     string   `yaml:"name"`
	Protocol string   `yaml:"protocol"`       // udp, tcp or tls
	Address  string   `yaml:"address"`        // host:port to bind
	From     []string `yaml:"from,omitempty"` // addresses and networks that may send; absent = any

	// Senders are sources of their own: a name, and the addresses and networks
	// whose lines are it. They may send whatever From says.
	Senders map[string][]string `yaml:"senders,omitempty"`

	Certificate string   `yaml:"certificate,omitempty"`  // of tls: PEM file, chain included
	Key         string   `yaml:"key,omitempty"`          // of tls: PEM file
	ClientCA    string   `yaml:"client_ca,omitempty"`    // of tls: PEM file of whose clients' certificates are taken
	ClientNames []string `yaml:"client_names,omitempty"` // of tls: DNS names, one of which a client's certificate must bear; absent = any

	Connections int `yaml:"connections,omitempty"`  // at once; 0 = 200
	PerSender   int `yaml:"per_sender,omitempty"`   // of them, of one address; 0 = 20
	LongestLine int `yaml:"longest_line,omitempty"` // bytes; 0 = 65536
}

// inputName is what names a folder safely.
var inputName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func (in *Inputs) check() error {
	if in.SpoolBytes < 1<<20 {
		return errors.New("spool_bytes must be at least 1048576: the lines of an input wait there until they are indexed")
	}
	seen := map[string]bool{}
	named := func(kind, name string) error {
		if !inputName.MatchString(name) {
			return fmt.Errorf("%s: the name %q must be letters, digits, dots and dashes: it names a folder", kind, name)
		}
		if seen[name] {
			return fmt.Errorf("%s: the name %q is taken already", kind, name)
		}
		seen[name] = true
		return nil
	}
	for _, s := range in.Syslog {
		if err := errors.Join(named("syslog", s.Name), inside("syslog", s.Name, s.check())); err != nil {
			return err
		}
		for name := range s.Senders {
			if err := named("syslog: "+s.Name, name); err != nil {
				return err
			}
		}
	}
	for _, s := range in.SIEM {
		if err := errors.Join(named("siem", s.Name), inside("siem", s.Name, s.check())); err != nil {
			return err
		}
	}
	for _, j := range in.Journal {
		if err := errors.Join(named("journal", j.Name), inside("journal", j.Name, j.check())); err != nil {
			return err
		}
	}
	return nil
}

// inside says in which entry an error is; nil stays nil.
func inside(kind, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s: %w", kind, name, err)
}

func (j Journal) check() error {
	if j.Since < 0 {
		return errors.New("since must not be negative")
	}
	return nil
}

func (s SIEM) check() error {
	switch {
	case s.URL == "":
		return errors.New("url is missing: it is the API of your region, such as https://eu-api.services.mimecast.com")
	case s.API != "" && s.API != "2.0" && s.API != "1.0":
		return fmt.Errorf("api must be 2.0 or 1.0, not %q", s.API)
	case s.API == "1.0" && len(s.Types) > 0:
		return errors.New("types are of API 2.0: 1.0 gives one log of all mail")
	case s.Every != 0 && s.Every < time.Second || s.Since < 0:
		return errors.New("every must be at least 1s, since must not be negative")
	}
	return nil
}

func (s Syslog) check() error {
	if _, _, err := net.SplitHostPort(s.Address); err != nil {
		return fmt.Errorf("address %q is not host:port, such as 192.0.2.1:6514", s.Address)
	}
	for _, senders := range append(mapValues(s.Senders), s.From) {
		for _, text := range senders {
			if _, err := Network(text); err != nil {
				return err
			}
		}
	}
	if s.Connections < 0 || s.PerSender < 0 || s.LongestLine < 0 {
		return errors.New("connections, per_sender and longest_line must not be negative: 0 is the default")
	}
	switch s.Protocol {
	case "udp", "tcp":
		if s.Certificate != "" || s.Key != "" || s.ClientCA != "" || len(s.ClientNames) > 0 {
			return fmt.Errorf("certificate, key, client_ca and client_names are of protocol tls, not of %s", s.Protocol)
		}
	case "tls":
		if s.Certificate == "" || s.Key == "" {
			return errors.New("certificate and key are missing")
		}
		if s.ClientCA == "" {
			return errors.New("client_ca is missing: it names whose clients' certificates are taken (RFC 5425 section 4.2)")
		}
	default:
		return fmt.Errorf("protocol must be udp, tcp or tls, not %q", s.Protocol)
	}
	return nil
}

func mapValues(m map[string][]string) [][]string {
	var all [][]string
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

// Network reads an address or a network.
func Network(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not an address or a network, such as 192.0.2.0/24", text)
	}
	return p.Masked(), nil
}
