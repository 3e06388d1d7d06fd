package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"mailwhy/cmd/internal/app"
	"mailwhy/cmd/internal/config"
	"mailwhy/engine/exception"
	"mailwhy/index"
	"mailwhy/tui"
)

// screens shows the terminal program over the configured sources.
func (s *session) screens(ctx context.Context) error {
	if !s.onTerminal() {
		return errors.New("the screens need a terminal: see `mailwhy --help` for the commands")
	}
	c, err := s.configuration()
	if err != nil {
		return err
	}
	if len(c.Serve.Tenants) > 0 {
		return fmt.Errorf("%s is a server's, which has no messages of its own: name a tenant's file with --config", c.File)
	}
	if socket := app.OwnerSocket(ctx, c); socket != "" {
		return s.attach(ctx, socket)
	}
	return s.show(ctx, c)
}

// screenOptions are those that everybody's screens have in common.
func (s *session) screenOptions(c config.Config) (tui.Options, error) {
	explain, _, err := s.knowledge()
	return tui.Options{Explain: explain, Now: s.now, Location: c.Location(), Dark: c.Theme == "dark", ASCII: c.ASCII}, err
}

func (s *session) onTerminal() bool {
	for _, stream := range []any{s.stdin, s.stdout} {
		if !isTerminal(stream) {
			return false
		}
	}
	return true
}

// show owns the data folder while the screens are up. The folder is opened
// after the first frame, so that a large index does not keep anybody waiting.
func (s *session) show(ctx context.Context, c config.Config) error {
	common, err := s.screenOptions(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	owned := make(chan error, 1)
	started := false
	var a *app.App
	open := func(opening context.Context) (tui.Services, error) {
		var err error
		a, err = app.OpenSoon(opening, c)
		var held *index.HeldError
		if errors.As(err, &held) { // a line of the screen has no room for the folder as well
			return tui.Services{}, fmt.Errorf("process %d of %s has it; mailwhy search asks it", held.PID, held.User)
		}
		if err != nil {
			return tui.Services{}, err
		}
		started = true
		go func() {
			defer cancel() // it ended before the screens: they say nothing new any more
			owned <- own(ctx, a, common, func(ctx context.Context) error {
				a.WorkBeside(ctx)
				<-ctx.Done()
				return nil
			})
		}()
		return a.Services(a.Local(uint32(os.Getuid()))), nil
	}
	o := common
	o.Open, o.Environ, o.User = open, os.Environ(), exception.Actor{Name: os.Getenv("USER")}
	err = tui.Run(ctx, o, s.stdin, s.stdout)
	cancel()
	if started {
		err = errors.Join(err, <-owned, a.Close())
	}
	if err != nil {
		return fmt.Errorf("screens: %w", err)
	}
	return nil
}
