package index

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/index/scorch"
)

// Batches are searchable when they are in memory and written to disk behind
// that, several together (about 1.4 times as many messages a second). What is
// not on disk yet is lost with the process, so whoever notes how far the logs
// were used asks Sync first.
const (
	persisterNap = 200 // milliseconds in which batches gather before they are written
	closeWait    = 10 * time.Second
	writeWait    = time.Minute // bleve tries again without an end when it cannot write
)

// runtimeOptions are bleve's, but for what the mapping says.
func runtimeOptions() map[string]any {
	return map[string]any{
		"bolt_timeout":           boltTimeout,
		"unsafe_batch":           true,
		"scorchPersisterOptions": map[string]any{"PersisterNapTimeMSec": persisterNap, "PersisterNapUnderNumFiles": 1000},
	}
}

// unwritten are the batches of a live layer that are not on disk yet.
type unwritten struct {
	mu      sync.Mutex
	batches map[chan struct{}]struct{}
}

// add notes a batch; written is called when it is on disk, or was not taken.
func (u *unwritten) add() (written func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.batches == nil {
		u.batches = map[chan struct{}]struct{}{}
	}
	done := make(chan struct{})
	u.batches[done] = struct{}{}
	return sync.OnceFunc(func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if _, waited := u.batches[done]; waited {
			delete(u.batches, done)
			close(done)
		}
	})
}

// forget gives up the batches: what they hold is on disk elsewhere.
func (u *unwritten) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for done := range u.batches {
		close(done)
	}
	u.batches = nil
}

// wait returns when every batch added before is on disk.
func (u *unwritten) wait(ctx context.Context) error {
	u.mu.Lock()
	var all []chan struct{}
	for done := range u.batches {
		all = append(all, done)
	}
	u.mu.Unlock()
	patience := time.NewTimer(writeWait)
	defer patience.Stop()
	for _, done := range all {
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		case <-patience.C:
			return fmt.Errorf("nothing reached the disk for %v: it may be full or broken", writeWait)
		}
	}
	return nil
}

// Sync returns when everything put before is on disk. Where that cannot be,
// as on a full disk, an error comes after a minute.
func (x *Index) Sync(ctx context.Context) error {
	for _, s := range x.newestFirst(Query{}) {
		if err := s.sync(ctx); err != nil {
			return fmt.Errorf("write shard %s to disk: %w", s.name, err)
		}
	}
	return nil
}

func (s *shard) sync(ctx context.Context) error {
	s.mu.Lock()
	layers, store := s.layers, s.raw
	s.mu.Unlock()
	for _, h := range layers {
		l, ok := h.layer.(*live)
		if !ok {
			continue
		}
		if err := l.unwritten.wait(ctx); err != nil {
			return err
		}
	}
	if store == nil {
		return nil
	}
	return store.Sync()
}

// makeLive makes an empty live layer, unless there is one: whole, or not at all.
func makeLive(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	making := dir + ".new" // no name of a layer
	if err := os.RemoveAll(making); err != nil {
		return err
	}
	b, err := bleve.NewUsing(making, newMapping(), scorch.Name, scorch.Name, map[string]any{"bolt_timeout": boltTimeout})
	if err != nil {
		return err
	}
	if err := b.Close(); err != nil {
		return err
	}
	if err := syncTree(making); err != nil { // bleve leaves its first files to the system
		return err
	}
	if err := os.Rename(making, dir); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(dir))
}

// writeSynced writes a file that is on disk when it returns: one that is renamed
// before may be empty after a power cut.
func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncTree brings a folder and all in it to disk.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return syncFolder(path) // a file is synced alike
	})
}

// syncFolder makes what was made or renamed in a folder last.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// asideName is a free name for a folder that cannot be used.
func asideName(dir string) string {
	for n := 1; ; n++ {
		aside := fmt.Sprintf("%s%s%d", dir, asideMark, n)
		if _, err := os.Lstat(aside); errors.Is(err, os.ErrNotExist) {
			return aside
		}
	}
}
