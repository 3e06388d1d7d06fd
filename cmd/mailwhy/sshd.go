package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"

	gossh "golang.org/x/crypto/ssh"

	"mailwhy/cmd/internal/app"
	"mailwhy/cmd/internal/config"
	"mailwhy/tui/sshd"
)

// sshDoor is the SSH server of its tenants.
type sshDoor struct {
	app     *app.App // the server's own: its settings, and the audit of what is no tenant's
	tenants []*tenant
	say     io.Writer
	log     *slog.Logger
	open    func(*sshd.Server) // told when it listens
}

// serve listens and serves until ctx ends.
func (d sshDoor) serve(ctx context.Context) error {
	c := d.app.Config
	path := c.Serve.HostKey
	if path == "" {
		path = filepath.Join(c.Data, "ssh_host_key")
	}
	key, err := sshd.HostKey(path)
	if err != nil {
		return err
	}
	o := sshd.Options{HostKey: key, Limits: limits(c.Serve), Banner: c.Serve.Banner, Log: d.log, Stranger: func(e sshd.Event) error { return noteIn(d.app, e) }}
	for _, t := range d.tenants {
		select {
		case <-t.tried:
		case <-ctx.Done():
			return nil
		}
		for _, problem := range t.keys.Problems() {
			fmt.Fprintln(d.say, plain(problem.Error()))
		}
		o.Tenants = append(o.Tenants, t.door(d.app))
	}
	server, err := sshd.New(o)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Serve.Address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", c.Serve.Address, err)
	}
	fmt.Fprintf(d.say, "ssh on %s, host key %s\n", listener.Addr(), gossh.FingerprintSHA256(key.PublicKey()))
	d.open(server)
	return server.Serve(ctx, listener)
}

func limits(s config.Serve) sshd.Limits {
	l := sshd.DefaultLimits()
	l.Sessions, l.SessionsPerKey, l.PerMinute, l.Unauthorized = s.Sessions, s.SessionsPerKey, s.ConnectionsPerMinute, s.Unauthenticated
	l.LoginTime, l.Idle, l.Most = s.LoginTime, s.IdleTime, s.MaxTime
	return l
}
