package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mailwhy/cmd/internal/app"
	"mailwhy/cmd/internal/config"
	"mailwhy/index"
	"mailwhy/tui"
)

// forwarded is the exit status of a command that the owner of the data folder
// ran for us.
type forwarded int

func (f forwarded) Error() string { return fmt.Sprintf("exit status %d", int(f)) }

// configuration reads the configuration with the flags applied;
// in the owner's process it is the owner's.
func (s *session) configuration() (config.Config, error) {
	if s.app != nil {
		return s.app.Configuration(), nil
	}
	c, err := config.Load(s.configPath, os.Getenv)
	if err != nil {
		return c, err
	}
	if s.data != "" {
		c.Data = s.data
	}
	return absolute(c)
}

// absolute names the data folder and the policy file from the root.
func absolute(c config.Config) (config.Config, error) {
	var err error
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
	switch {
	case errors.As(err, &held):
		return s.forward(ctx, held.Socket, held)
	case errors.Is(err, fs.ErrPermission):
		return s.forward(ctx, c.Serve.Socket, err)
	case err != nil:
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

// forward asks the owner to run this command line; held is why it is not run
// here.
func (s *session) forward(ctx context.Context, socket string, held error) error {
	if socket == "" {
		return held
	}
	var stdin []byte
	if slices.ContainsFunc(s.args, func(arg string) bool { return arg == "-" || strings.HasSuffix(arg, "=-") }) {
		var err error
		if stdin, err = io.ReadAll(s.stdin); err != nil {
			return fmt.Errorf("read standard input: %w", err)
		}
	}
	status, err := app.Forward(ctx, socket, s.args, stdin, s.stdout, s.stderr)
	if err != nil {
		return fmt.Errorf("%w, and nobody answers for it (%v): end who has it, or name another folder with --data", held, err)
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

// own keeps an open data folder: it follows the logs and attends to other
// processes, with screens of these options, until ctx ends or screen returns.
func own(ctx context.Context, a *app.App, common tui.Options, screen func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failures := make(chan error, 2)
	keep := func(run func(context.Context) error) {
		err := run(ctx)
		if err != nil {
			cancel() // without it the rest is of no use
		}
		failures <- err
	}
	go keep(a.Run)
	go keep(func(ctx context.Context) error {
		return a.Serve(ctx, app.Attend{Run: runFor(a), Screens: screensFor(a, common)})
	})
	err := screen(ctx)
	cancel()
	return errors.Join(err, <-failures, <-failures)
}

func (s *session) addData(c *cobra.Command) {
	c.PersistentFlags().StringVar(&s.configPath, "config", "", "configuration file")
	c.PersistentFlags().StringVar(&s.data, "data", "", "data folder")
}
