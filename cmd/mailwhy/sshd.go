package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"mailwhy/cmd/internal/app"
	"mailwhy/cmd/internal/audit"
	"mailwhy/cmd/internal/config"
	"mailwhy/tui"
	"mailwhy/tui/sshd"
)

// sshDoor is the SSH server over an open data folder.
type sshDoor struct {
	app    *app.App
	screen tui.Options // what every session's screens have in common
	say    io.Writer
	log    *slog.Logger
	open   func(*sshd.Server) // told when it listens
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
	keys := sshd.OpenKeyring(sshd.Files{AuthorizedKeys: c.Serve.AuthorizedKeys, TrustedCA: c.Serve.TrustedCA, Revoked: c.Serve.RevokedKeys}, time.Now)
	for _, problem := range keys.Problems() {
		fmt.Fprintln(d.say, plain(problem.Error()))
	}
	server, err := sshd.New(sshd.Options{Keys: keys, HostKey: key, Limits: limits(c.Serve), Banner: c.Serve.Banner, May: d.may, Note: d.note, Screens: d.screens, Run: d.run, Log: d.log})
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

// note records what happened at the door.
func (d sshDoor) note(e sshd.Event) error {
	kind := map[sshd.EventKind]audit.Event{sshd.LoggedIn: audit.Login, sshd.LoginRefused: audit.LoginRefused, sshd.LoggedOut: audit.Logout}[e.Kind]
	entry := audit.Entry{Event: kind, Actor: e.Who.Name, Key: e.Who.Fingerprint, From: e.Who.From.String(), Reason: e.Reason}
	if person, err := d.person(e.Who); err == nil && e.Kind != sshd.LoginRefused {
		entry.Role = string(person.Role)
	}
	return d.app.Record(entry)
}

// may tells whether a person has a role here.
func (d sshDoor) may(who sshd.Identity) error {
	_, err := d.person(who)
	return err
}

func (d sshDoor) person(who sshd.Identity) (app.Person, error) {
	return d.app.Person(who.Name, who.Principals)
}

// screens are a person's screens. Open fails when their role went meanwhile.
func (d sshDoor) screens(who sshd.Identity) tui.Options {
	o := d.screen
	person, err := d.person(who)
	o.User = person.Actor
	o.Open = func(context.Context) (tui.Services, error) {
		if err != nil {
			return tui.Services{}, err
		}
		return d.app.Services(person), nil
	}
	return o
}

// run runs a person's command line.
func (d sshDoor) run(ctx context.Context, who sshd.Identity, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	person, err := d.person(who)
	if err != nil {
		fmt.Fprintln(stderr, plain(err.Error()))
		return exitError
	}
	return runCommand(ctx, &session{stdin: stdin, stdout: stdout, stderr: stderr, app: d.app, caller: caller{person: person, dir: os.DevNull}}, args)
}
