package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	tea "github.com/charmbracelet/bubbletea"

	_ "mailwhy/tui/quiet" // before bubbletea's init asks the terminal for its colours
)

// Run shows the program on a terminal until the user quits or ctx ends. in and
// out are the terminal's two ends; out may be anything that takes bytes, but
// only of an *os.File is the size found out.
func Run(ctx context.Context, o Options, in io.Reader, out io.Writer) error {
	out = oneAtATime(out)
	program := tea.NewProgram(NewRoot(ctx, o, out), tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out),
		tea.WithEnvironment(o.Environ), tea.WithAltScreen(), tea.WithFPS(30))
	_, err := program.Run()
	if err != nil && ctx.Err() != nil || errors.Is(err, tea.ErrInterrupted) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("run terminal program: %w", err)
	}
	return nil
}

// oneAtATime makes writes of several goroutines follow one another: the
// clipboard's sequence must not land inside a frame.
func oneAtATime(w io.Writer) io.Writer {
	if f, ok := w.(*os.File); ok {
		return &lockedFile{File: f}
	}
	return &lockedWriter{w: w}
}

// lockedFile is still a terminal to bubbletea, which asks for its descriptor.
type lockedFile struct {
	*os.File
	mu sync.Mutex
}

// Write writes p whole before the next write.
func (f *lockedFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.File.Write(p)
}

// WriteString is Write; the file's own would not wait.
func (f *lockedFile) WriteString(s string) (int, error) { return f.Write([]byte(s)) }

type lockedWriter struct {
	w  io.Writer
	mu sync.Mutex
}

// Write writes p whole before the next write.
func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
