package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// Size is a terminal's size in cells.
type Size struct{ Width, Height int }

// The bounds of a remote terminal's size, in cells: who asks for more gets this.
const (
	mostWidth  = 500
	mostHeight = 200
)

// Within clamps a size that a stranger named to what is drawn at most.
func (s Size) Within() Size {
	return Size{Width: min(max(s.Width, 1), mostWidth), Height: min(max(s.Height, 1), mostHeight)}
}

// remoteFrames is how many frames are drawn a second at most. A key, and the
// first frame, waits for the next one; where nothing changes none is sent.
const remoteFrames = 30

// RunRemote is Run for a terminal that another program holds: in and out are
// its bytes, sizes its sizes, the first one at once. It ends when the user
// quits or ctx ends, which the caller has to end when the terminal is gone.
// It takes no signal and never suspends this process.
func RunRemote(ctx context.Context, o Options, in io.Reader, out io.Writer, sizes <-chan Size) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out, o.remote = oneAtATime(out), true
	model := &paced{Root: NewRoot(ctx, o, out), every: time.Second / remoteFrames, now: time.Now}
	program := tea.NewProgram(model, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out),
		tea.WithEnvironment(o.Environ), tea.WithAltScreen(), tea.WithFPS(remoteFrames), tea.WithoutSignalHandler(), tea.WithFilter(withoutSuspend))
	go relaySizes(ctx, program, sizes)
	_, err := program.Run()
	switch {
	case errors.Is(err, tea.ErrProgramPanic):
		return fmt.Errorf("run terminal program: %w", err)
	case err == nil, ctx.Err() != nil, errors.Is(err, tea.ErrInterrupted):
		return nil
	}
	return fmt.Errorf("run terminal program: %w", err)
}

// relaySizes ends with the program, or when sizes is closed.
func relaySizes(ctx context.Context, program *tea.Program, sizes <-chan Size) {
	for {
		select {
		case <-ctx.Done():
			return
		case s, open := <-sizes:
			if !open {
				return
			}
			s = s.Within()
			program.Send(tea.WindowSizeMsg{Width: s.Width, Height: s.Height})
		}
	}
}

func withoutSuspend(_ tea.Model, msg tea.Msg) tea.Msg {
	if _, suspends := msg.(tea.SuspendMsg); suspends {
		return nil
	}
	return msg
}
