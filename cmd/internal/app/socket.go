package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mailwhy/cmd/internal/config"
	"mailwhy/index"
)

// request is a command line, or a terminal for the screens, as it crosses the
// socket.
type request struct {
	Args     []string  `json:"args,omitempty"`
	Dir      string    `json:"dir"`
	Stdin    []byte    `json:"stdin,omitempty"`
	Terminal *Terminal `json:"terminal,omitempty"`
}

// The frames of an answer: kind, length, bytes.
const (
	frameStdout byte = 1
	frameStderr byte = 2
	frameExit   byte = 3
)

// mostRequest bounds a request, in bytes.
const mostRequest = 64 << 20

// Attend is what the owner does for other processes.
type Attend struct {
	Run     Runner
	Screens Screens
}

// Screens shows a peer the screens until they leave; the error is a sentence
// for them.
type Screens func(ctx context.Context, peer Peer, t Attached) error

// Serve attends to other processes until ctx ends. The socket in the data
// folder is for those who can enter that, which only its owner can; another one
// is for the group that the configuration names.
func (a *App) Serve(ctx context.Context, attend Attend) error {
	own, err := listenUnix(ctx, filepath.Join(a.Config.Data, SocketName), "")
	if err != nil {
		return err
	}
	listeners := []net.Listener{own}
	if path := a.Config.Serve.Socket; path != "" {
		if answers(ctx, path) {
			err = fmt.Errorf("listen on %s: another mailwhy answers there", path)
		} else {
			var shared net.Listener
			if shared, err = listenUnix(ctx, path, a.Config.Serve.SocketGroup); err == nil {
				listeners = append(listeners, shared)
			}
		}
		if err != nil {
			return errors.Join(err, own.Close())
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	failures := make(chan error, len(listeners))
	for _, l := range listeners {
		running.Go(func() {
			defer cancel()
			failures <- a.acceptPeers(ctx, l, &running, attend)
		})
	}
	running.Wait()
	close(failures)
	for failure := range failures {
		err = errors.Join(err, failure)
	}
	return err
}

// listenUnix makes a socket for its owner and a group; "" = the owner's own.
func listenUnix(ctx context.Context, path, group string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make folder of the socket: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove old socket: %w", err)
	}
	near, done, err := nearSocket(path)
	if err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", near)
	done()
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := protect(path, group); err != nil {
		return nil, errors.Join(fmt.Errorf("protect %s: %w", path, err), listener.Close())
	}
	return listener, nil
}

// protect gives a socket to its group; until then the usual mask lets its owner
// alone write to it.
func protect(path, group string) error {
	if group != "" {
		g, err := user.LookupGroup(group)
		if err != nil {
			return err
		}
		gid, err := strconv.Atoi(g.Gid)
		if err != nil {
			return err
		}
		if err := os.Chown(path, -1, gid); err != nil {
			return err
		}
	}
	return os.Chmod(path, 0o660)
}

// acceptPeers attends to those who connect, each in running, until ctx ends.
func (a *App) acceptPeers(ctx context.Context, listener net.Listener, running *sync.WaitGroup, attend Attend) error {
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	for {
		conn, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept on %s: %w", listener.Addr(), err)
		}
		running.Go(func() {
			defer conn.Close()
			defer a.survive() // a fault in one command is not everybody's
			a.attendOne(ctx, conn.(*net.UnixConn), attend)
		})
	}
}

// nearSocket names a socket in at most the 107 bytes that the kernel takes: one
// in a deep folder by way of the open folder. done closes that folder again.
func nearSocket(path string) (near string, done func(), err error) {
	if len(path) <= 107 {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, fmt.Errorf("open folder of the socket: %w", err)
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)), func() { dir.Close() }, nil
}

// survive keeps a panic from ending the owner.
func (a *App) survive() {
	if p := recover(); p != nil {
		a.logger().Error("panic", "where", "socket", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	}
}

func (a *App) attendOne(ctx context.Context, conn *net.UnixConn, attend Attend) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := &frames{w: conn}
	uid, err := peerUID(conn)
	if err != nil {
		return
	}
	var r request
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return
	}
	decoder := json.NewDecoder(io.LimitReader(conn, mostRequest))
	if err := decoder.Decode(&r); err != nil {
		out.exit(2)
		return
	}
	peer := Peer{UID: uid, Dir: r.Dir}
	if r.Terminal == nil {
		out.exit(attend.Run(ctx, peer, r.Args, bytes.NewReader(r.Stdin), out.stream(frameStdout), out.stream(frameStderr)))
		return
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return
	}
	rest := bufio.NewReader(io.MultiReader(decoder.Buffered(), conn))
	if _, err := rest.Discard(1); err != nil { // the end of the request's line
		return
	}
	a.serveTerminal(ctx, conn, rest, out, peer, *r.Terminal, attend.Screens)
}

// peerUID is the user at the other end, as the kernel says.
func peerUID(conn *net.UnixConn) (uint32, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if credErr != nil {
		return 0, credErr
	}
	return cred.Uid, nil
}

type frames struct {
	mu sync.Mutex
	w  io.Writer
}

type stream struct {
	f    *frames
	kind byte
}

func (f *frames) stream(kind byte) io.Writer { return stream{f, kind} }

func (s stream) Write(p []byte) (int, error) { return len(p), s.f.send(s.kind, p) }

func (f *frames) send(kind byte, p []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(p)))
	_, err := f.w.Write(append(head, p...))
	return err
}

func (f *frames) exit(status int) { _ = f.send(frameExit, []byte{byte(status)}) } // a peer that left does not care

func dial(ctx context.Context, socket string) (net.Conn, error) {
	near, done, err := nearSocket(socket)
	if err != nil {
		return nil, err
	}
	defer done()
	return (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "unix", near)
}

// answers tells whether somebody serves the socket.
func answers(ctx context.Context, socket string) bool {
	if socket == "" {
		return false
	}
	conn, err := dial(ctx, socket)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// Forward runs a command line in the owner's process and returns its exit
// status.
func Forward(ctx context.Context, socket string, args []string, stdin []byte, stdout, stderr io.Writer) (int, error) {
	conn, err := dial(ctx, socket)
	if err != nil {
		return 0, fmt.Errorf("reach the owner: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	dir, err := os.Getwd()
	if err != nil {
		return 0, fmt.Errorf("find the working folder: %w", err)
	}
	if err := json.NewEncoder(conn).Encode(request{Args: args, Dir: dir, Stdin: stdin}); err != nil {
		return 0, fmt.Errorf("ask the owner: %w", err)
	}
	return receive(conn, stdout, stderr)
}

// receive takes an answer apart, up to its exit status.
func receive(conn io.Reader, stdout, stderr io.Writer) (int, error) {
	for {
		kind, data, err := readFrame(conn, math.MaxUint32)
		if err != nil {
			return 0, fmt.Errorf("the owner broke off: %w", err)
		}
		switch {
		case kind == frameStdout:
			_, err = stdout.Write(data)
		case kind == frameStderr:
			_, err = stderr.Write(data)
		case kind == frameExit && len(data) == 1:
			return int(data[0]), nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// readFrame reads one frame of at most that many bytes.
func readFrame(r io.Reader, most uint32) (kind byte, data []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > most {
		return 0, nil, fmt.Errorf("a frame of %d bytes", n)
	}
	data = make([]byte, n)
	_, err = io.ReadFull(r, data)
	return head[0], data, err
}

// OwnerSocket is where the owner of the configuration's data folder attends to
// other processes; "" when nobody does.
func OwnerSocket(ctx context.Context, c config.Config) string {
	socket := c.Serve.Socket
	if held, err := index.Holder(c.Data); err == nil {
		socket = held.Socket
	} else if !errors.Is(err, os.ErrPermission) {
		return ""
	}
	if !answers(ctx, socket) {
		return ""
	}
	return socket
}
