package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"

	"mailwhy/cmd/internal/app"
	"mailwhy/cmd/internal/audit"
	"mailwhy/tui"
)

// screensFor shows the screens of the open data folder to the users of this
// host, each as who the kernel says they are.
func screensFor(a *app.App, common tui.Options) app.Screens {
	return func(ctx context.Context, peer app.Peer, t app.Attached) error {
		person := a.Local(peer.UID)
		entry := audit.Entry{Event: audit.Login, Actor: person.Name, Role: string(person.Role), From: "local"}
		if err := a.Record(entry); err != nil {
			return fmt.Errorf("the login cannot be recorded, so it is not given: %w", err)
		}
		defer func() {
			entry.Event = audit.Logout
			a.Note(entry)
		}()
		o := common
		o.Environ, o.User = t.Environ, person.Actor
		o.Open = func(context.Context) (tui.Services, error) { return a.Services(person), nil }
		return tui.RunRemote(ctx, o, t.In, t.Out, t.Sizes)
	}
}

// attach shows the screens of the owner of the data folder on this terminal.
// The owner goes on when the terminal is left or gone.
func (s *session) attach(ctx context.Context, socket string) error {
	in, inOK := s.stdin.(*os.File)
	out, outOK := s.stdout.(*os.File)
	if !inOK || !outOK {
		return errors.New("the screens need a terminal")
	}
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return fmt.Errorf("prepare the terminal: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var said bytes.Buffer
	status, err := app.Attach(ctx, socket, app.Attached{Environ: os.Environ(), In: in, Out: out, Sizes: sizesOf(ctx, out)}, sizeOf(out), &said)
	hungUp := ctx.Err() != nil
	cancel()
	if status != 0 || err != nil {
		_, _ = io.WriteString(out, leaveScreen) // an owner that was killed left it as it was
	}
	if err := term.Restore(int(in.Fd()), before); err != nil && !hungUp {
		return fmt.Errorf("restore the terminal: %w", err)
	}
	switch {
	case hungUp:
		return nil
	case err != nil:
		return fmt.Errorf("%w: start mailwhy again", err)
	case status != 0:
		return errors.New(strings.TrimSpace(said.String()))
	}
	return nil
}

// leaveScreen ends what the screens began: mouse reports, bracketed paste, the
// hidden cursor, the alternate screen (xterm's control sequences).
const leaveScreen = "\x1b[?1006l\x1b[?1003l\x1b[?1002l\x1b[?2004l\x1b[?25h\x1b[?1049l"

func sizeOf(f *os.File) tui.Size {
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return tui.Size{Width: 80, Height: 24}
	}
	return tui.Size{Width: width, Height: height}
}

// sizesOf gives the size of a terminal whenever it changes, until ctx ends.
func sizesOf(ctx context.Context, f *os.File) <-chan tui.Size {
	changes, sizes := make(chan os.Signal, 1), make(chan tui.Size)
	signal.Notify(changes, syscall.SIGWINCH)
	go func() {
		defer close(sizes)
		defer signal.Stop(changes)
		for {
			select {
			case <-changes:
			case <-ctx.Done():
				return
			}
			select {
			case sizes <- sizeOf(f):
			case <-ctx.Done():
				return
			}
		}
	}()
	return sizes
}
