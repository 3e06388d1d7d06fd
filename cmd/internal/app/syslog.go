package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"

	"mailwhy/cmd/internal/config"
	"mailwhy/logparse/listen"
	"mailwhy/logparse/spool"
)

// syslogNames are the spools of a listener: its own, and those of the senders
// that are sources of their own.
func syslogNames(c config.Syslog) []string {
	return append([]string{c.Name}, slices.Sorted(maps.Keys(c.Senders))...)
}

// openSyslog makes a listener the one that fills its spools.
func openSyslog(c config.Syslog, inputs map[string]*input) {
	own := inputs[c.Name]
	route := senderRoute(c, inputs)
	var current atomic.Pointer[listen.Listener]
	own.run = func(ctx context.Context) error {
		o, err := syslogOptions(c)
		if err != nil {
			return err
		}
		o.Spool = route
		l, err := listen.New(o)
		if err != nil {
			return err
		}
		own.works()
		current.Store(l)
		return l.Run(ctx)
	}
	own.problem = func() string {
		if l := current.Load(); l != nil {
			return l.Problem()
		}
		return ""
	}
	own.note = func() string {
		if l := current.Load(); l != nil {
			return l.Note()
		}
		return ""
	}
}

// senderRoute tells where a sender's lines go: to the source that names the
// sender, the narrowest first, else to the listener's own when it may send.
func senderRoute(c config.Syslog, inputs map[string]*input) func(netip.Addr) *spool.Spool {
	type way struct {
		from netip.Prefix
		to   *spool.Spool
	}
	var ways []way
	add := func(texts []string, to *spool.Spool) {
		for _, text := range texts {
			if p, err := config.Network(text); err == nil { // the configuration was checked
				ways = append(ways, way{p, to})
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Senders)) {
		add(c.Senders[name], inputs[name].spool)
	}
	add(c.From, inputs[c.Name].spool)
	if len(c.From) == 0 {
		add([]string{"0.0.0.0/0", "::/0"}, inputs[c.Name].spool)
	}
	slices.SortStableFunc(ways, func(a, b way) int { return b.from.Bits() - a.from.Bits() })
	return func(from netip.Addr) *spool.Spool {
		for _, w := range ways {
			if w.from.Contains(from) {
				return w.to
			}
		}
		return nil
	}
}

// CheckSyslog says what keeps a listener from starting, but for its address.
func CheckSyslog(c config.Syslog) error {
	_, err := syslogOptions(c)
	return err
}

// syslogOptions reads the certificates, anew each time the listener starts.
func syslogOptions(c config.Syslog) (listen.Options, error) {
	o := listen.Options{Network: c.Protocol, Address: c.Address, Names: c.ClientNames, Connections: c.Connections, PerSender: c.PerSender, LongestLine: c.LongestLine}
	if c.Protocol != "tls" {
		return o, nil
	}
	pair, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
	if err != nil {
		return o, fmt.Errorf("read certificate %s and key %s: %w", c.Certificate, c.Key, err)
	}
	authorities, err := os.ReadFile(c.ClientCA)
	if err != nil {
		return o, fmt.Errorf("read client_ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authorities) {
		return o, fmt.Errorf("client_ca %s has no certificate in PEM form", c.ClientCA)
	}
	o.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	return o, nil
}
