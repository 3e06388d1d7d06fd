package app

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"mailwhy/tui"
)

// Terminal is the terminal of another process, on which the owner shows the
// screens.
type Terminal struct {
	Environ []string `json:"environ"` // what of the process's environment says how the terminal is
	Width   int      `json:"width"`   // cells
	Height  int      `json:"height"`
}

// terminalVariables are all of an environment that crosses the socket.
var terminalVariables = [...]string{"TERM", "COLORTERM", "NO_COLOR", "LANG", "LC_ALL", "LC_CTYPE", "TMUX", "STY"}

// TerminalEnviron picks out of "name=value" pairs those of a terminal; values
// that could be none of a terminal's are left out.
func TerminalEnviron(environ []string) []string {
	var list []string
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		strange := strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' })
		if slices.Contains(terminalVariables[:], name) && len(value) <= 200 && !strange {
			list = append(list, pair)
		}
	}
	return list
}

// Attached is a terminal as its session sees it.
type Attached struct {
	Environ []string
	In      io.Reader
	Out     io.Writer
	Sizes   <-chan tui.Size
}

// The frames that a terminal sends, in the form of an answer's.
const (
	frameInput byte = 4
	frameSize  byte = 5 // width, height: 4 bytes each
)

// mostFrame bounds a frame that a terminal sends, in bytes.
const mostFrame = 1 << 16

// stuck is how long a terminal may take to read what was written to it.
const stuck = 30 * time.Second

// serveTerminal shows the screens on the peer's terminal until they are left,
// the peer is gone or ctx ends.
func (a *App) serveTerminal(ctx context.Context, conn net.Conn, in io.Reader, out *frames, peer Peer, t Terminal, screens Screens) {
	a.attached.Add(1)
	defer a.attached.Add(-1)
	stopped := ctx
	ctx, gone := context.WithCancel(ctx)
	defer gone()
	// What does not read must not hold up the end.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Now().Add(time.Second)) })
	defer stop()
	typed, keys := io.Pipe()
	defer typed.Close()
	sizes := make(chan tui.Size)
	go func() {
		defer gone()
		readTerminal(ctx, in, keys, sizes, tui.Size{Width: t.Width, Height: t.Height})
	}()
	write := patient{conn: conn, w: out.stream(frameStdout), gone: gone}
	err := screens(ctx, peer, Attached{Environ: TerminalEnviron(t.Environ), In: typed, Out: write, Sizes: sizes})
	switch {
	case stopped.Err() != nil:
		err = errors.New("mailwhy is being stopped: start it again in a moment")
	case err == nil:
		out.exit(0)
		return
	}
	_ = out.send(frameStderr, []byte(err.Error()+"\n")) // the peer may be gone
	out.exit(2)
}

// readTerminal takes what a terminal sends apart until it is gone.
func readTerminal(ctx context.Context, in io.Reader, keys *io.PipeWriter, sizes chan<- tui.Size, first tui.Size) {
	defer keys.Close()
	resize := func(s tui.Size) {
		select {
		case sizes <- s:
		case <-ctx.Done():
		}
	}
	resize(first)
	for {
		kind, data, err := readFrame(in, mostFrame)
		if err != nil {
			return
		}
		switch {
		case kind == frameInput:
			if _, err := keys.Write(data); err != nil {
				return
			}
		case kind == frameSize && len(data) == 8:
			const most = 1 << 16 // more than any terminal has
			resize(tui.Size{Width: int(min(binary.BigEndian.Uint32(data), most)), Height: int(min(binary.BigEndian.Uint32(data[4:]), most))})
		default:
			return
		}
	}
}

// patient writes to a terminal, and gives it up when it does not read.
type patient struct {
	conn net.Conn
	w    io.Writer
	gone func()
}

// Write writes p whole, or the terminal is gone.
func (p patient) Write(b []byte) (int, error) {
	if err := p.conn.SetWriteDeadline(time.Now().Add(stuck)); err != nil {
		return 0, err
	}
	n, err := p.w.Write(b)
	if err != nil {
		p.gone()
	}
	return n, err
}

// Attached is how many terminals of other processes show the screens.
func (a *App) Attached() int { return int(a.attached.Load()) }

// Attach shows the owner's screens on this process's terminal, which is in raw
// mode, until they end; said is what the owner says at the end.
func Attach(ctx context.Context, socket string, a Attached, first tui.Size, said io.Writer) (status int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := dial(ctx, socket)
	if err != nil {
		return 0, fmt.Errorf("reach the owner: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	t := Terminal{Environ: TerminalEnviron(a.Environ), Width: first.Width, Height: first.Height}
	if err := json.NewEncoder(conn).Encode(request{Dir: dir, Terminal: &t}); err != nil {
		return 0, fmt.Errorf("ask the owner: %w", err)
	}
	out := &frames{w: conn}
	go func() {
		defer cancel() // the terminal is gone
		_, _ = io.Copy(out.stream(frameInput), a.In)
	}()
	go func() {
		for s := range a.Sizes {
			size := binary.BigEndian.AppendUint32(nil, uint32(max(s.Width, 0)))
			if out.send(frameSize, binary.BigEndian.AppendUint32(size, uint32(max(s.Height, 0)))) != nil {
				return
			}
		}
	}()
	return receive(conn, a.Out, said)
}
