package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mailwhy/cmd/internal/app"
	"mailwhy/cmd/internal/config"
	"mailwhy/index"
)

// forwarded is the exit status of a command that the owner of the data folder
// ran for us.
type forwarded int

func (f forwarded) Error() string { return fmt.Sprintf("exit status %d", int(f)) }

// configuration reads the configuration with the flags applied;
// in the owner's process it is the owner's.
func (s *session) configuration() (config.Config, error) {
	if s.app != nil {
		return s.app.Config, nil
	}
	c, err := config.Load(s.configPath, os.Getenv)
	if err != nil {
		return c, err
	}
	if s.data != "" {
		c.Data = s.data
	}
	if c.Data, err = filepath.Abs(c.Data); err != nil {
		return c, fmt.Errorf("find data folder: %w", err)
	}
	if c.Policy != "" {
		if c.Policy, err = filepath.Abs(c.Policy); err != nil {
			return c, fmt.Errorf("find policy file: %w", err)
		}
	}
	return c, nil
}

// withApp runs do on the open data folder: in the owner's process on the
// owner's, alone on one opened for this command, else through the owner.
func (s *session) withApp(ctx context.Context, do func(*app.App, app.Person) error) error {
	if s.app != nil {
		out, end := s.caller.person.Veil.Output(s.stdout)
		s.stdout = out
		return errors.Join(do(s.app, s.caller.person), end())
	}
	c, err := s.configuration()
	if err != nil {
		return err
	}
	a, err := app.OpenSoon(ctx, c)
	var held *index.HeldError
	if errors.As(err, &held) {
		return s.forward(ctx, held)
	}
	if err != nil {
		return err
	}
	err = do(a, a.Local(uint32(os.Getuid())))
	if publishErr := a.PublishNow(ctx); publishErr != nil {
		err = errors.Join(err, publishErr)
	}
	if closeErr := a.Close(); closeErr != nil && err == nil {
		err = closeErr
	}
	return err
}

// forward asks the owner to run this command line.
func (s *session) forward(ctx context.Context, held *index.HeldError) error {
	if held.Socket == "" {
		return held
	}
	var stdin []byte
	if slices.ContainsFunc(s.args, func(arg string) bool { return arg == "-" || strings.HasSuffix(arg, "=-") }) {
		var err error
		if stdin, err = io.ReadAll(s.stdin); err != nil {
			return fmt.Errorf("read standard input: %w", err)
		}
	}
	status, err := app.Forward(ctx, held.Socket, s.args, stdin, s.stdout, s.stderr)
	if err != nil {
		return fmt.Errorf("%w and does not answer (%v): end it, or name another folder with --data", held, err)
	}
	return forwarded(status)
}

// path resolves a file name against the caller's working folder. For another
// user the owner of the data folder opens no files: it may read what they may
// not.
func (s *session) path(name string) (string, error) {
	if s.app == nil || name == "-" {
		return name, nil
	}
	if !s.caller.files {
		return "", fmt.Errorf("%s belongs to another user, who does not read %s for you", s.app.Config.Data, name)
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(s.caller.dir, name)
	}
	return name, nil
}

// runFor runs a command line of another process in the owner's.
func runFor(a *app.App) app.Runner {
	return func(ctx context.Context, peer app.Peer, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
		return runCommand(ctx, &session{stdin: stdin, stdout: stdout, stderr: stderr, app: a, caller: callerOf(a, peer)}, args)
	}
}

// callerOf is the user at the other end of the socket.
func callerOf(a *app.App, peer app.Peer) caller {
	return caller{person: a.Local(peer.UID), dir: peer.Dir, files: peer.UID == uint32(os.Getuid()) || peer.UID == 0}
}

// own opens the data folder and keeps it: it follows the logs and serves the
// socket until ctx ends or screen returns.
func own(ctx context.Context, a *app.App, screen func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failures := make(chan error, 2)
	go func() { failures <- a.Run(ctx) }()
	go func() { failures <- a.Serve(ctx, runFor(a)) }()
	err := screen(ctx)
	cancel()
	return errors.Join(err, <-failures, <-failures)
}

func (s *session) addData(c *cobra.Command) {
	c.PersistentFlags().StringVar(&s.configPath, "config", "", "configuration file")
	c.PersistentFlags().StringVar(&s.data, "data", "", "data folder")
}
