package config

import (
	"fmt"
	"net"
	"time"
)

// Serve is how `mailwhy serve` is reached and by whom.
type Serve struct {
	Address        string `yaml:"address"`         // of the SSH server, host:port; "" = none
	HostKey        string `yaml:"host_key"`        // private key, made when absent; "" = ssh_host_key in the data folder
	AuthorizedKeys string `yaml:"authorized_keys"` // lines of sshd(8) with user="NAME"; "" = none
	TrustedCA      string `yaml:"trusted_ca"`      // authorities of user certificates, one public key a line; "" = none
	RevokedKeys    string `yaml:"revoked_keys"`    // as ssh-keygen -k reads it; "" = none
	Banner         string `yaml:"banner"`          // shown before the login
	Socket         string `yaml:"socket"`          // for local users, beside the one in the data folder; "" = none
	SocketGroup    string `yaml:"socket_group"`    // who may use it; "" = the group of the server's user
	Metrics        string `yaml:"metrics"`         // loopback host:port for /metrics and /healthz; "" = none
	Log            string `yaml:"log"`             // JSON lines: a file, or stderr, which the journal takes; "" = none

	Sessions             int           `yaml:"sessions"`               // at once
	SessionsPerKey       int           `yaml:"sessions_per_key"`       // at once
	ConnectionsPerMinute int           `yaml:"connections_per_minute"` // of one address
	Unauthenticated      int           `yaml:"unauthenticated"`        // connections at once
	LoginTime            time.Duration `yaml:"login_time"`             // from connecting to the first session
	IdleTime             time.Duration `yaml:"idle_time"`              // without a key press
	MaxTime              time.Duration `yaml:"max_time"`               // of a session

	Tenants map[string]Tenant `yaml:"tenants"` // who share this server, by name; empty = it serves its own sources
}

func defaultServe() Serve {
	return Serve{Address: ":2222", Sessions: 200, SessionsPerKey: 10, ConnectionsPerMinute: 60, Unauthenticated: 50,
		LoginTime: 20 * time.Second, IdleTime: 30 * time.Minute, MaxTime: 12 * time.Hour, Tenants: map[string]Tenant{}}
}

func (s Serve) check() error {
	for _, n := range []struct {
		key   string
		value int
	}{{"sessions", s.Sessions}, {"sessions_per_key", s.SessionsPerKey}, {"connections_per_minute", s.ConnectionsPerMinute}, {"unauthenticated", s.Unauthenticated}} {
		if n.value < 1 {
			return fmt.Errorf("serve: %s must be at least 1", n.key)
		}
	}
	for _, d := range []struct {
		key   string
		value time.Duration
	}{{"login_time", s.LoginTime}, {"idle_time", s.IdleTime}, {"max_time", s.MaxTime}} {
		if d.value < time.Second {
			return fmt.Errorf("serve: %s must be at least 1s", d.key)
		}
	}
	if err := s.checkNames(); err != nil {
		return err
	}
	if s.Metrics == "" {
		return nil
	}
	if host, _, err := net.SplitHostPort(s.Metrics); err != nil || !net.ParseIP(host).IsLoopback() {
		return fmt.Errorf("serve: metrics %q is no loopback address: write 127.0.0.1:9464, and let others reach it through something that asks who they are", s.Metrics)
	}
	return nil
}
