package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// inNamespaces runs this program again, with the variable mark set, in network,
// process and mount namespaces of its own. There it is process 1: when it ends,
// the kernel ends every process that it left behind, and it ends when we do.
func (s *session) inNamespaces(ctx context.Context, mark string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	runtime.LockOSThread() // Pdeathsig follows the thread that starts the child
	defer runtime.UnlockOSThread()
	c := exec.Command(self, "demo", "--live")
	c.Env = append(os.Environ(), mark+"=1")
	c.Stdin, c.Stdout, c.Stderr = s.stdin, s.stdout, s.stderr
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		return fmt.Errorf("make the demo's namespaces, which a container may forbid: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Process.Signal(syscall.SIGTERM) })
	defer stop()
	err = c.Wait()
	var ended *exec.ExitError
	if errors.As(err, &ended) && ended.ExitCode() >= 0 {
		return forwarded(ended.ExitCode()) // it has said what was wrong
	}
	return err
}

// enterNamespaces prepares them: an empty folder in memory, which it returns,
// and a loopback interface that has the client's address as well.
func enterNamespaces(client string) (dir string, err error) {
	dir = os.TempDir()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "", fmt.Errorf("keep mounts to ourselves: %w", err)
	}
	if err := unix.Mount("mailwhy-demo", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755,size=512m"); err != nil {
		return "", fmt.Errorf("mount memory on %s: %w", dir, err)
	}
	_ = unix.Mount("proc", "/proc", "proc", 0, "") // else ps shows the machine's; a container may forbid it
	return dir, loopback(client)
}

// loopback turns the interface on and gives it a second address.
func loopback(second string) error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open socket: %w", err)
	}
	defer unix.Close(socket)
	for _, name := range []string{"lo", "lo:1"} {
		request, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		if name != "lo" {
			if err := request.SetInet4Addr(net.ParseIP(second).To4()); err != nil {
				return err
			}
			if err := unix.IoctlIfreq(socket, unix.SIOCSIFADDR, request); err != nil {
				return fmt.Errorf("give %s the address %s: %w", name, second, err)
			}
		}
		request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
		if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request); err != nil {
			return fmt.Errorf("turn %s on: %w", name, err)
		}
	}
	return nil
}
