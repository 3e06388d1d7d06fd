package tail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Source is one log as it is read: its identity and the path it is known by.
type Source struct {
	ID      string
	Path    string
	ModTime time.Time // when it was last written
}

// Sink takes the bytes. Chunk gets data that stands at offset in the
// (decompressed) log and returns how many bytes it has used; the rest is given
// again with what follows. At eof nothing will follow in this log. Idle is
// called when everything there is has been given.
type Sink interface {
	Chunk(ctx context.Context, s Source, offset int64, data []byte, eof bool) (used int, err error)
	Idle(ctx context.Context) error
}

// Options of a follower.
type Options struct {
	Paths    []string                      // files and globs
	Identify func(firstLine []byte) string // identity of a log
	Start    map[string]int64              // offsets by identity, from before a restart
	Paused   map[string]string             // identity by path, from before a restart
	Interval time.Duration                 // between two looks without an event; 0 = 2 s
}

// File is how one followed file stands.
type File struct {
	Path    string
	ID      string // "" = its first line is not complete yet
	Offset  int64
	Size    int64
	Rotated time.Time
	Problem string // a sentence; "" = well
}

// Follower reads logs into a sink. Not safe for concurrent use.
type Follower struct {
	options Options
	files   map[string]*follow // by path
	old     []*follow          // renamed away, still read to their end
	offsets map[string]int64   // by identity
	done    map[string]string  // compressed files read: path -> size and time
	buffer  []byte
}

// follow is one open file.
type follow struct {
	File
	handle   *os.File
	info     os.FileInfo
	leftover int // bytes of a half line seen at the end
	quiet    int // looks without growth, once renamed away
}

// New prepares a follower.
func New(o Options) *Follower {
	if o.Interval <= 0 {
		o.Interval = 2 * time.Second
	}
	f := &Follower{options: o, files: map[string]*follow{}, offsets: map[string]int64{}, done: map[string]string{}, buffer: make([]byte, 1<<20)}
	for id, offset := range o.Start {
		f.offsets[id] = offset
	}
	return f
}

// Offsets returns how far each log was used, by identity.
func (f *Follower) Offsets() map[string]int64 {
	offsets := map[string]int64{}
	for id, offset := range f.offsets {
		offsets[id] = offset
	}
	return offsets
}

// Files returns the followed files by path.
func (f *Follower) Files() []File {
	var files []File
	for _, path := range slices.Sorted(mapsKeys(f.files)) {
		files = append(files, f.files[path].File)
	}
	return files
}

// Run follows until ctx ends; then nil is returned. A file that cannot be read
// is reported by Files and tried again; an error of the sink ends it.
func (f *Follower) Run(ctx context.Context, sink Sink) error {
	wake, stop := f.watch()
	defer stop()
	defer f.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		case <-timer.C:
		}
		if err := f.Look(ctx, sink); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		timer.Reset(f.options.Interval)
	}
}

// Look reads everything there is once.
func (f *Follower) Look(ctx context.Context, sink Sink) error {
	paths, err := Expand(f.options.Paths)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := f.look(ctx, sink, path); err != nil {
			return err
		}
	}
	if err := f.finishOld(ctx, sink); err != nil {
		return err
	}
	return sink.Idle(ctx)
}

// Finish gives the half line at the end of every file to the sink: for files
// that nobody writes any more.
func (f *Follower) Finish(ctx context.Context, sink Sink) error {
	for _, path := range slices.Sorted(mapsKeys(f.files)) {
		if o := f.files[path]; o.handle != nil {
			if err := f.read(ctx, sink, o, true); err != nil {
				return err
			}
		}
	}
	f.close()
	return sink.Idle(ctx)
}

func (f *Follower) close() {
	for _, o := range f.files {
		o.shut()
	}
	for _, o := range f.old {
		o.shut()
	}
	f.old = nil
}

func (o *follow) shut() {
	if o.handle != nil {
		o.handle.Close()
		o.handle = nil
	}
}

// watch wakes on events in the folders of the paths; without events the
// channel stays silent and the interval does the work.
func (f *Follower) watch() (<-chan struct{}, func()) {
	wake := make(chan struct{}, 1)
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return wake, func() {}
	}
	folders := map[string]bool{}
	for _, p := range f.options.Paths {
		folders[filepath.Dir(p)] = true
	}
	for folder := range folders {
		matches, _ := filepath.Glob(folder)
		for _, m := range matches {
			_ = w.Add(m) // a folder that cannot be watched is looked at by the interval
		}
	}
	go func() {
		for {
			select {
			case _, open := <-w.Events:
				if !open {
					return
				}
			case _, open := <-w.Errors: // an overflow: look at everything
				if !open {
					return
				}
			}
			select {
			case wake <- struct{}{}:
			default:
			}
		}
	}()
	return wake, func() { w.Close() }
}

// look brings one path up to date.
func (f *Follower) look(ctx context.Context, sink Sink, path string) error {
	o := f.files[path]
	if o == nil {
		o = &follow{File: File{Path: path}}
		f.files[path] = o
	}
	info, err := os.Stat(path)
	if err != nil {
		if o.handle == nil {
			o.Problem = problem(path, err)
		}
		if o.handle != nil {
			return f.read(ctx, sink, o, false) // renamed away: what is left in it
		}
		return nil
	}
	if info.IsDir() {
		o.Problem = path + " is a folder: name the files in it, such as " + filepath.Join(path, "*.log")
		return nil
	}
	if Compressed(path) {
		return f.readCompressed(ctx, sink, o, info)
	}
	if o.handle != nil && !os.SameFile(o.info, info) {
		if err := f.read(ctx, sink, o, false); err != nil {
			return err
		}
		renamed := *o
		f.old = append(f.old, &renamed)
		*o = follow{File: File{Path: path, Rotated: info.ModTime()}}
	}
	if o.handle == nil {
		if o.handle, err = os.Open(path); err != nil {
			o.Problem = problem(path, err)
			return nil
		}
		o.Problem = ""
		o.info = info
	}
	o.info, o.Size = info, info.Size()
	if ok, err := f.identify(ctx, sink, o); !ok || err != nil {
		return err
	}
	return f.read(ctx, sink, o, false)
}

func problem(path string, err error) string {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return path + " does not exist yet; it is looked for again"
	case errors.Is(err, os.ErrPermission):
		return path + " may not be read by this user; it is tried again"
	}
	return fmt.Sprintf("%v; it is tried again", err)
}

// identify reads the first line again: another one, or a file shorter than
// what was read, means that it was truncated or written anew.
func (f *Follower) identify(ctx context.Context, sink Sink, o *follow) (bool, error) {
	head := make([]byte, longestFirstLine)
	n, err := o.handle.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		o.Problem = problem(o.Path, err)
		o.shut()
		return false, nil
	}
	line, complete := FirstLine(head[:n])
	if !complete {
		if o.ID != "" && o.Size < o.Offset { // truncated; the new first line is still being written
			o.ID, o.Offset = "", 0
		}
		return false, nil
	}
	id := f.options.Identify(line)
	switch {
	case o.ID == "":
		before := f.options.Paused[o.Path]
		delete(f.options.Paused, o.Path)
		if before != "" && before != id {
			if err := f.finishRotated(ctx, sink, o.Path, before); err != nil {
				return false, err
			}
		}
		o.ID, o.Offset = id, f.offsets[id]
		if o.Offset > o.Size {
			o.Offset = 0
		}
	case o.ID != id || o.Size < o.Offset:
		o.ID, o.Offset, o.Rotated = id, 0, o.info.ModTime()
	}
	return true, nil
}

// finishRotated reads the rest of a log that was renamed or compressed while
// nobody followed it.
func (f *Follower) finishRotated(ctx context.Context, sink Sink, path, id string) error {
	siblings, _ := filepath.Glob(strings.NewReplacer("[", "\\[", "*", "\\*", "?", "\\?").Replace(path) + "[.-]*")
	for _, s := range siblings {
		r, err := Open(s)
		if err != nil {
			continue
		}
		head := make([]byte, longestFirstLine)
		n, _ := io.ReadFull(r, head)
		line, ok := FirstLine(head[:n])
		r.Close()
		if !ok || f.options.Identify(line) != id {
			continue
		}
		_, err = f.stream(ctx, sink, s, id, f.offsets[id])
		return err
	}
	return nil
}

// read gives what stands behind the offset to the sink.
func (f *Follower) read(ctx context.Context, sink Sink, o *follow, eof bool) error {
	if o.ID == "" || o.handle == nil {
		return nil
	}
	source := Source{ID: o.ID, Path: o.Path, ModTime: o.info.ModTime()}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := o.handle.ReadAt(f.buffer, o.Offset)
		if err != nil && !errors.Is(err, io.EOF) {
			o.Problem = problem(o.Path, err)
			return nil
		}
		atEnd := errors.Is(err, io.EOF)
		if n == 0 || atEnd && !eof && n == o.leftover {
			return nil
		}
		used, err := sink.Chunk(ctx, source, o.Offset, f.buffer[:n], eof && atEnd)
		if err != nil {
			return err
		}
		o.Offset += int64(used)
		f.offsets[o.ID] = o.Offset
		o.leftover = n - used
		switch {
		case atEnd:
			o.Size = max(o.Size, o.Offset)
			return nil
		case used == 0: // a line longer than the buffer
			f.buffer = make([]byte, 2*len(f.buffer))
		}
	}
}

// quietLooks is how many looks without growth a renamed file gets: its writer
// keeps it open for a while.
const quietLooks = 3

// finishOld reads on in files that were renamed away until they are quiet.
func (f *Follower) finishOld(ctx context.Context, sink Sink) error {
	var still []*follow
	for _, o := range f.old {
		before := o.Offset
		o.quiet++
		last := o.quiet >= quietLooks
		if err := f.read(ctx, sink, o, last); err != nil {
			return err
		}
		if o.Offset > before && !last {
			o.quiet = 0
		}
		if last {
			o.shut()
			continue
		}
		still = append(still, o)
	}
	f.old = still
	return nil
}

// readCompressed reads a compressed log whole, once, from where its
// uncompressed form was left.
func (f *Follower) readCompressed(ctx context.Context, sink Sink, o *follow, info os.FileInfo) error {
	mark := fmt.Sprint(info.Size(), info.ModTime().UnixNano())
	if f.done[o.Path] == mark {
		return nil
	}
	o.Size = 0
	r, err := Open(o.Path)
	if err != nil {
		o.Problem = problem(o.Path, err)
		return nil
	}
	head := make([]byte, longestFirstLine)
	n, _ := io.ReadFull(r, head)
	r.Close()
	line, complete := FirstLine(head[:n])
	if !complete {
		return nil
	}
	o.ID, o.info, o.Problem = f.options.Identify(line), info, ""
	f.done[o.Path] = mark
	o.Offset, err = f.stream(ctx, sink, o.Path, o.ID, f.offsets[o.ID])
	o.Size = o.Offset
	return err
}

// stream reads a file that grows no more from an offset to its end. A file
// that breaks off is read as far as it goes.
func (f *Follower) stream(ctx context.Context, sink Sink, path, id string, from int64) (int64, error) {
	end, err := ReadFrom(ctx, path, id, from, sink)
	if end > f.offsets[id] {
		f.offsets[id] = end
	}
	return end, err
}

func mapsKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
