package exception

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// The ways to hold the journal.
const (
	shared    = syscall.LOCK_SH // readers
	exclusive = syscall.LOCK_EX // one writer
)

// lockPatience is how long a caller waits for the journal; an append holds it
// for one fsync, so a longer wait means a stuck process.
const lockPatience = 10 * time.Second

// openLocked opens the journal, waits until it holds flock(2) on it, and tells
// its size then. Closing the file lets go.
func openLocked(ctx context.Context, path string, flag, how int) (*os.File, int64, error) {
	f, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("open journal: %w", err)
	}
	if err := lock(ctx, f, how); err != nil {
		f.Close()
		return nil, 0, fmt.Errorf("lock journal %s: %w", path, err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, fmt.Errorf("open journal: %w", err)
	}
	return f, info.Size(), nil
}

func lock(ctx context.Context, f *os.File, how int) error {
	patience := time.NewTimer(lockPatience)
	defer patience.Stop()
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return err
		}
		again := time.NewTimer(wait)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return ctx.Err()
		case <-patience.C:
			again.Stop()
			return errors.New("another process has held it for 10 s")
		}
	}
}
