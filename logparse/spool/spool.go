// Package spool keeps lines that arrive over a network in files of ours, for
// the ordinary tail to read.
//
// A listener or an API has no file, no offset and no second chance; a file has
// all three. So what arrives is written down first, as it came, and from there
// on it is a log like any other: the checkpoint names an offset in it, evidence
// is fetched from it, a restart goes on in it, and the index may be rebuilt from
// it. Nothing else in the program knows that the lines came from elsewhere.
//
//	s, err := spool.Open(spool.Options{Dir: dir, Used: pump.Kept})
//	err = s.Append(ctx, [][]byte{line})
//
// The files are numbered and never renamed. Each begins with a line of our own
// that no other file has, which is its identity to the tail. They are bounded
// in bytes together: the oldest go, but only those that were read for good.
// While none was, the spool is full and takes nothing, so that who can wait
// waits. Lines are handed to the system at once and fsynced in batches.
package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Options of a spool.
type Options struct {
	Dir     string                  // a folder of its own; made when it is not there
	Used    func(path string) int64 // bytes of a file that its reader has used for good; nil = none ever
	Limit   int64                   // bytes of all files; 0 = 1 GiB
	Segment int64                   // bytes after which a new file begins; 0 = 64 MiB, at most a quarter of Limit
	Every   time.Duration           // between two fsyncs while lines arrive; 0 = 200 ms
	Now     func() time.Time        // nil = time.Now
}

// ErrFull says that nothing was written since the files have reached their
// bound and none of them was read to its end.
var ErrFull = errors.New("the spool is full: it waits until its lines are indexed")

// Spool is a folder of files that grow. Safe for concurrent use.
type Spool struct {
	options Options
	stop    context.CancelFunc
	syncing sync.WaitGroup

	mu      sync.Mutex
	files   []file // oldest first; the last is written to
	out     *os.File
	dirty   bool   // written since the last fsync
	problem string // why lines were not taken; "" = they were
	lines   int64
}

type file struct {
	number int
	size   int64
}

// Pattern is the glob of the files of a spool in dir.
func Pattern(dir string) string { return filepath.Join(dir, "*"+extension) }

const extension = ".log"

func (s *Spool) path(number int) string {
	return filepath.Join(s.options.Dir, fmt.Sprintf("%08d%s", number, extension))
}

// Open opens a spool and goes on where it was left. Half a line that a crash
// left at the end is removed: nobody was told that it was taken.
func Open(o Options) (*Spool, error) {
	if o.Limit <= 0 {
		o.Limit = 1 << 30
	}
	if o.Segment <= 0 {
		o.Segment = 64 << 20
	}
	o.Segment = max(min(o.Segment, o.Limit/4), 1)
	if o.Every <= 0 {
		o.Every = 200 * time.Millisecond
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Used == nil {
		o.Used = func(string) int64 { return 0 }
	}
	s := &Spool{options: o}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make spool: %w", err)
	}
	if err := s.find(); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	if err := s.resume(); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.syncing.Go(func() { s.syncOften(ctx) })
	return s, nil
}

// find lists the files there are.
func (s *Spool) find() error {
	paths, err := filepath.Glob(Pattern(s.options.Dir))
	if err != nil {
		return err
	}
	for _, path := range paths {
		var f file
		if _, err := fmt.Sscanf(filepath.Base(path), "%d"+extension, &f.number); err != nil || s.path(f.number) != path {
			continue // not ours
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		f.size = info.Size()
		s.files = append(s.files, f)
	}
	slices.SortFunc(s.files, func(a, b file) int { return a.number - b.number })
	return nil
}

// resume opens the newest file for writing, or a first one.
func (s *Spool) resume() error {
	if len(s.files) == 0 {
		return s.begin(1)
	}
	last := &s.files[len(s.files)-1]
	out, err := os.OpenFile(s.path(last.number), os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	whole, err := lastLineEnd(out, last.size)
	if err == nil && whole != last.size {
		err = out.Truncate(whole)
		last.size = whole
	}
	if err != nil {
		return errors.Join(err, out.Close())
	}
	s.out = out
	if whole == 0 { // torn before its first line was there
		return s.head(last.number)
	}
	return nil
}

// lastLineEnd returns where the last whole line ends.
func lastLineEnd(f *os.File, size int64) (int64, error) {
	block := make([]byte, 64<<10)
	for end := size; end > 0; {
		start := max(end-int64(len(block)), 0)
		b := block[:end-start]
		if _, err := f.ReadAt(b, start); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(b, '\n'); i >= 0 {
			return start + int64(i) + 1, nil
		}
		end = start
	}
	return 0, nil
}

// begin makes the next file.
func (s *Spool) begin(number int) error {
	out, err := os.OpenFile(s.path(number), os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if err := s.shut(); err != nil {
		return errors.Join(err, out.Close())
	}
	s.out = out
	s.files = append(s.files, file{number: number})
	if err := s.head(number); err != nil {
		return err
	}
	return syncFolder(s.options.Dir)
}

// head writes the line that no other file has.
func (s *Spool) head(number int) error {
	_, err := s.write([][]byte{fmt.Appendf(nil, "mailwhy spool file %d of %s", number, s.options.Now().UTC().Format(time.RFC3339Nano))})
	return err
}

// shut ends the file that is written to.
func (s *Spool) shut() error {
	if s.out == nil {
		return nil
	}
	err := errors.Join(s.sync(), s.out.Close())
	s.out = nil
	return err
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close writes down what there is.
func (s *Spool) Close() error {
	s.stop()
	s.syncing.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.shut(); err != nil {
		return fmt.Errorf("close spool: %w", err)
	}
	return nil
}
