package index

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// LockFile is the proof of owning a data folder.
type LockFile struct{ f *os.File }

// HeldError says who owns the data folder.
type HeldError struct {
	Dir    string `json:"-"`
	PID    int    `json:"pid"`
	User   string `json:"user"`
	Socket string `json:"socket"` // where the owner runs commands for others; "" = nowhere
}

// Error names the owner in one sentence.
func (e *HeldError) Error() string {
	return fmt.Sprintf("the data folder %s is in use by process %d of %s", e.Dir, e.PID, e.User)
}

// Lock takes the data folder for this process and notes who has it. When
// another process has it, the error is a *HeldError.
func Lock(dir, socket string) (*LockFile, error) {
	path := filepath.Join(dir, "LOCK")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		held := &HeldError{Dir: dir}
		data, _ := os.ReadFile(path)
		_ = json.Unmarshal(data, held) // a torn note still says that somebody has it
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, held
		}
		return nil, fmt.Errorf("lock data folder %s: %w", dir, err)
	}
	owner := HeldError{PID: os.Getpid(), Socket: socket, User: fmt.Sprint(os.Getuid())}
	if u, err := user.Current(); err == nil {
		owner.User = u.Username
	}
	data, err := json.Marshal(owner)
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(append(data, '\n'), 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write %s: %w", path, err), f.Close())
	}
	return &LockFile{f}, nil
}

// Holder says which process has a data folder; os.ErrNotExist when none has.
func Holder(dir string) (*HeldError, error) {
	path := filepath.Join(dir, "LOCK")
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("find the owner of %s: %w", dir, err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err == nil {
		return nil, fmt.Errorf("find the owner of %s: %w", dir, os.ErrNotExist)
	} else if !errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("find the owner of %s: %w", dir, err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("find the owner of %s: %w", dir, err)
	}
	held := &HeldError{Dir: dir}
	_ = json.Unmarshal(data, held) // a torn note still says that somebody has it
	return held, nil
}

// Close gives the folder back.
func (l *LockFile) Close() error { return l.f.Close() }
