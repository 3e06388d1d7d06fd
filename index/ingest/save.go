package ingest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"mailwhy/logparse/tail"
)

// checkpointShare bounds what checkpoints cost the reader: the next one is not
// due before this many times as long as the last one took to make.
const checkpointShare = 20

// saver writes checkpoints beside the reading. A checkpoint is written when
// everything read before it is on disk, so a crash loses nothing: what the
// checkpoint does not cover is read again.
type saver struct {
	ctx     context.Context
	options Options
	running sync.WaitGroup

	mu     sync.Mutex
	made   int        // checkpoints so far
	newest int        // the newest one that is on disk
	busy   bool       // one is being written in the background
	failed bool       // the last one could not be written
	next   time.Time  // when one is due
	kept   tail.State // of the newest one that is on disk
}

func (s *saver) start(ctx context.Context, o Options) {
	s.ctx, s.options = ctx, o
	s.next = o.Now().Add(o.Every)
}

// due reports whether it is time for a checkpoint, given whether something was
// read since the last one.
func (s *saver) due(dirty bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return (dirty || s.failed) && !s.busy && !s.options.Now().Before(s.next)
}

// number counts a checkpoint that took so long to make.
func (s *saver) number(cost time.Duration) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	s.next = s.options.Now().Add(max(s.options.Every, checkpointShare*cost))
	return s.made
}

// save writes checkpoint n once what was read before it is put, as written
// tells, and the index has it on disk.
func (s *saver) save(ctx context.Context, n int, c checkpoint, written <-chan struct{}) error {
	select {
	case <-written:
	case <-ctx.Done():
		return fmt.Errorf("write what was read before the checkpoint: %w", context.Cause(ctx))
	}
	if err := s.options.Index.Sync(ctx); err != nil {
		return fmt.Errorf("sync index before the checkpoint: %w", err)
	}
	c.Shards = s.options.Index.Shards() // now that those of what was read are there
	s.mu.Lock()
	defer s.mu.Unlock()
	if n < s.newest {
		return nil
	}
	err := writeCheckpoint(s.options.Data, c)
	s.failed = err != nil
	if err == nil {
		s.newest, s.kept = n, c.Tail
	}
	return err
}

// later is save in the background; done is told how it went.
func (s *saver) later(n int, c checkpoint, written <-chan struct{}, done func(error)) {
	s.mu.Lock()
	s.busy = true
	s.mu.Unlock()
	s.running.Go(func() {
		err := s.save(s.ctx, n, c, written)
		s.mu.Lock()
		s.busy, s.failed = false, err != nil
		s.mu.Unlock()
		if s.ctx.Err() == nil {
			done(err)
		}
	})
}

// wait returns when nothing is being written any more.
func (s *saver) wait() { s.running.Wait() }

// Kept returns how many bytes of a plain file the checkpoint on disk covers:
// what the index has for good and is never read again. 0 = none, or no such
// file is followed.
func (p *Pump) Kept(path string) int64 {
	s := &p.saver
	s.mu.Lock()
	defer s.mu.Unlock()
	id, followed := s.kept.Paths[path]
	if !followed {
		return 0
	}
	return s.kept.Logs[id].Offset
}
