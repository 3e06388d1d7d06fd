package app

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// request is a command line as it crosses the socket.
type request struct {
	Args  []string `json:"args"`
	Dir   string   `json:"dir"`
	Stdin []byte   `json:"stdin,omitempty"`
}

// The frames of an answer: kind, length, bytes.
const (
	frameStdout byte = 1
	frameStderr byte = 2
	frameExit   byte = 3
)

// mostRequest bounds a request, in bytes.
const mostRequest = 64 << 20

// Serve runs the command lines of other processes until ctx ends. The socket
// lies in the data folder, which only its owner and group can enter.
func (a *App) Serve(ctx context.Context, run Runner) error {
	path := filepath.Join(a.Config.Data, SocketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove old socket: %w", err)
	}
	near, done, err := nearSocket(path)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", near)
	done()
	if err != nil {
		return fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return errors.Join(fmt.Errorf("protect %s: %w", path, err), listener.Close())
	}
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	var running sync.WaitGroup
	defer running.Wait()
	for {
		conn, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept on %s: %w", path, err)
		}
		running.Go(func() {
			defer conn.Close()
			serveOne(ctx, conn.(*net.UnixConn), run)
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

func serveOne(ctx context.Context, conn *net.UnixConn, run Runner) {
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
	if err := json.NewDecoder(io.LimitReader(conn, mostRequest)).Decode(&r); err != nil {
		out.exit(2)
		return
	}
	status := run(ctx, Peer{UID: uid, Dir: r.Dir}, r.Args, bytes.NewReader(r.Stdin), out.stream(frameStdout), out.stream(frameStderr))
	out.exit(status)
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
	for {
		var head [5]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return 0, fmt.Errorf("the owner broke off: %w", err)
		}
		data := make([]byte, binary.BigEndian.Uint32(head[1:]))
		if _, err := io.ReadFull(conn, data); err != nil {
			return 0, fmt.Errorf("the owner broke off: %w", err)
		}
		switch head[0] {
		case frameStdout:
			_, err = stdout.Write(data)
		case frameStderr:
			_, err = stderr.Write(data)
		case frameExit:
			return int(data[0]), nil
		}
		if err != nil {
			return 0, err
		}
	}
}
