// Package index finds messages: bleve is fenced here.
//
// Messages lie in shards of one day each (a busy day has several), named after
// the day in their id's time. A search walks the shards newest first and stops
// when its page is full, so its cost does not grow with history.
//
// Messages arrive in a live layer, an index of bleve. When a shard is full, or
// its day is over, it is sealed: its messages are written to one file that is
// only read from then on (package sealed). What is put into a sealed shard
// later lies in a new live layer over it until that is sealed again.
//
//	q, err := index.ParseQuery("from:acme is:rejected", now, time.UTC)
//	page, err := x.Page(ctx, q, "", 50)
//
// It must not know how logs are read or which policy applies.
package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mailwhy/index/sealed"
)

// ErrNotFound is returned by Get for an id no shard holds.
var ErrNotFound = errors.New("message not found")

// ErrClosed is the error of what is asked of an index after Close.
var ErrClosed = errors.New("the index is closed")

// Options tune an index; the zero value is the default.
type Options struct {
	ShardDocs      int              // most documents in a shard, default 100,000
	RetentionDays  int              // whole days kept; 0 = for ever
	RetentionBytes int64            // on disk; the oldest shards go when it is more; 0 = no bound
	Now            func() time.Time // the clock for retention; nil = no retention
	OpenShards     int              // most shards that stay open while they are not in use, default 256
}

// liveShards is how many of the open shards may have a live layer while they
// are not in use: bleve takes memory and files for each.
const liveShards = 16

// Index is an open folder of shards. Safe for use by many goroutines; those that
// put at the same time put different messages.
type Index struct {
	dir     string
	options Options

	mu       sync.RWMutex
	shards   []*shard // oldest first
	problems []string
	changed  chan struct{}
	uses     atomic.Uint64
	writing  sync.RWMutex // shared by those who put; whoever replaces layers or lines has it alone
	placing  sync.Mutex   // messages are dealt to shards by one at a time
	shut     atomic.Bool  // Close was called: shards may be closed under an answer

	sealer    sealer
	searching chan struct{} // a place for each page that is looked for at once
	counting  chan struct{} // a place for each shard that is counted in at once
}

// Open opens or makes the index in dir; shards open on demand. A shard that
// cannot be opened is set aside under another name and listed by Problems.
func Open(dir string, o Options) (*Index, error) {
	if o.ShardDocs <= 0 {
		o.ShardDocs = 100_000
	}
	if o.OpenShards <= 0 {
		o.OpenShards = 256
	}
	if err := checkFolder(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	if err := writeSchema(dir); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open index %s: %w", dir, err)
	}
	x := &Index{dir: dir, options: o, changed: make(chan struct{})}
	processors := runtime.GOMAXPROCS(0)
	x.searching, x.counting = make(chan struct{}, 2*processors), make(chan struct{}, processors)
	for _, e := range entries {
		if e.IsDir() && shardName(e.Name()) {
			x.shards = append(x.shards, newShard(dir, e.Name()))
		}
	}
	slices.SortFunc(x.shards, func(a, b *shard) int { return strings.Compare(a.name, b.name) })
	x.retire()
	x.startSealing()
	return x, nil
}

// Close ends sealing, waits for what is going on, and persists and closes
// every shard.
func (x *Index) Close() error {
	x.shut.Store(true)
	x.stopSealing()
	x.mu.Lock()
	defer x.mu.Unlock()
	errs := make([]error, len(x.shards))
	var closing sync.WaitGroup
	for i, s := range x.shards {
		closing.Go(func() { errs[i] = s.close() }) // each waits for its own batches
	}
	closing.Wait()
	return errors.Join(errs...)
}

// whole is an answer's error, asked for when it is made: shards that cannot be
// opened are passed over, and after Close none can be.
func (x *Index) whole(err error) error {
	if err == nil && x.shut.Load() {
		return ErrClosed
	}
	return err
}

// admit waits for a place; the caller gives it back with leave. Many sessions
// that search at once would otherwise slow each other, and the writer, down:
// waiting for one's turn is shorter than sharing it.
func admit(ctx context.Context, places chan struct{}) (leave func(), err error) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Problems lists, a sentence each, what was found wrong at Open or since.
func (x *Index) Problems() []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Clone(x.problems)
}

func (x *Index) problem(format string, args ...any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if sentence := fmt.Sprintf(format, args...); !slices.Contains(x.problems, sentence) {
		x.problems = append(x.problems, sentence)
	}
}

// Changed returns a channel closed at the next Put.
func (x *Index) Changed() <-chan struct{} {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.changed
}

func (x *Index) addShard(name string) (*shard, error) {
	s := newShard(x.dir, name)
	s.sample = x.sampleFor(name)
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("make shard %s: %w", name, err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	at, _ := slices.BinarySearchFunc(x.shards, name, func(s *shard, n string) int { return strings.Compare(s.name, n) })
	x.shards = slices.Insert(slices.Clone(x.shards), at, s)
	x.retireLocked()
	return s, nil
}

func (x *Index) partsOf(day string) []*shard {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var parts []*shard
	for _, s := range x.shards {
		if s.day() == day {
			parts = append(parts, s)
		}
	}
	return parts
}

// open opens a shard; what cannot be read of it is set aside. false = nothing
// of it can be used.
func (x *Index) open(s *shard) bool {
	s.mu.Lock()
	closed := s.layers == nil
	s.used = x.uses.Add(1)
	s.mu.Unlock()
	if !closed {
		return true
	}
	for {
		err := s.open()
		if err == nil {
			x.closeLeastUsed(s)
			return true
		}
		if errors.Is(err, sealed.ErrVersion) {
			x.problem("the messages of %s are left as they are, and not found here: %v", s.day(), err)
			return false
		}
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrClosed) || !x.setAside(s, err) {
			return false
		}
	}
}

// setAside moves what could not be opened away: one layer of the shard where
// it is known which, else all of it. It reports whether there is something
// left to open.
func (x *Index) setAside(s *shard, err error) bool {
	broken, left := s.dir, false
	var layer *layerError
	if errors.As(err, &layer) {
		broken, left = layer.path, true
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !slices.Contains(x.shards, s) {
		return false
	}
	aside := asideName(s.dir)
	renameErr := os.Rename(broken, aside)
	if left && errors.Is(renameErr, os.ErrNotExist) {
		return true // who asked at the same time has done so
	}
	x.problems = append(x.problems, fmt.Sprintf("the messages of %s could not be read (%v): they were set aside as %s and are read again from the logs where these exist", s.day(), err, filepath.Base(aside)))
	if renameErr != nil {
		x.problems = append(x.problems, fmt.Sprintf("set shard aside: %v", renameErr))
		left = false
	}
	if !left {
		x.shards = slices.DeleteFunc(slices.Clone(x.shards), func(o *shard) bool { return o == s })
	}
	return left
}

// closeLeastUsed closes shards that were not used for long, so that no more
// than the bounds stay open besides those in use.
func (x *Index) closeLeastUsed(except *shard) {
	type candidate struct {
		s    *shard
		used uint64
		live bool
	}
	var open []candidate
	live := 0
	x.mu.RLock()
	for _, s := range x.shards {
		if used, isLive, ok := s.idle(); ok && s != except {
			open = append(open, candidate{s, used, isLive})
			if isLive {
				live++
			}
		}
	}
	x.mu.RUnlock()
	slices.SortFunc(open, func(a, b candidate) int { return cmp.Compare(a.used, b.used) })
	n := len(open)
	for _, c := range open {
		if n < x.options.OpenShards && (!c.live || live < liveShards) {
			continue
		}
		if err := c.s.closeIdle(); err != nil {
			x.problem("close the messages of %s: %v", c.s.day(), err)
		}
		if n--; c.live {
			live--
		}
	}
}

func (x *Index) retire() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.retireLocked()
}

// newestFirst lists the shards that can hold matches of the query.
func (x *Index) newestFirst(q Query) []*shard {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var list []*shard
	for _, s := range slices.Backward(x.shards) {
		if !q.Since.IsZero() && s.day() < q.Since.UTC().Format(time.DateOnly) {
			continue
		}
		if !q.Until.IsZero() && s.day() > q.Until.UTC().Format(time.DateOnly) {
			continue
		}
		list = append(list, s)
	}
	return list
}
