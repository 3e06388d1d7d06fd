package tail

import (
	"context"
	"maps"
	"slices"
	"time"
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
	Paths    []string                      // files, globs and folders: see Expand
	Identify func(firstLine []byte) string // identity of a log
	Start    State                         // from before a restart; the zero State reads everything
	Interval time.Duration                 // between two looks without an event; 0 = 2 s

	linger  time.Duration           // 0 = lingering
	watcher func() (watcher, error) // nil = fsnotify
}

// State is what a follower must remember over a restart.
type State struct {
	Logs       map[string]Position `json:"logs"`       // by identity
	Paths      map[string]string   `json:"paths"`      // the identity each plain file had
	Renamed    map[string]string   `json:"renamed"`    // by identity: the path of a log that was renamed away and may still grow
	Compressed map[string]string   `json:"compressed"` // path -> size and time of the file that was read to its end
}

// Position is how far a log was used.
type Position struct {
	Offset int64  `json:"offset"`
	Seam   []byte `json:"seam,omitempty"` // the bytes before Offset, at most 64: other ones there mean that the log was written anew
}

// File is how one followed file stands.
type File struct {
	Path    string
	ID      string // "" = its first record is not complete yet
	Offset  int64
	Size    int64
	Rotated time.Time
	Problem string // a sentence; "" = well
}

// Follower reads logs into a sink. Not safe for concurrent use.
type Follower struct {
	options   Options
	files     map[string]*follow // by path
	old       []*follow          // renamed away, still read to their end
	positions map[string]*Position
	paths     map[string]string // from before the restart
	lingering map[string]string // from before the restart: State.Renamed
	done      map[string]string // compressed files read: path -> size and time
	unwatched map[string]string // by folder: why it has no events
	buffer    []byte
}

// New prepares a follower.
func New(o Options) *Follower {
	if o.Interval <= 0 {
		o.Interval = 2 * time.Second
	}
	if o.linger == 0 {
		o.linger = lingering
	}
	if o.watcher == nil {
		o.watcher = newWatcher
	}
	f := &Follower{
		options: o, files: map[string]*follow{}, positions: map[string]*Position{},
		paths: map[string]string{}, lingering: map[string]string{}, done: map[string]string{}, unwatched: map[string]string{}, buffer: make([]byte, readSize),
	}
	for id, p := range o.Start.Logs {
		f.positions[id] = &p
	}
	maps.Copy(f.paths, o.Start.Paths)
	maps.Copy(f.lingering, o.Start.Renamed)
	maps.Copy(f.done, o.Start.Compressed)
	return f
}

// State returns what a later follower goes on from.
func (f *Follower) State() State {
	s := State{Logs: map[string]Position{}, Paths: maps.Clone(f.paths), Renamed: maps.Clone(f.lingering), Compressed: maps.Clone(f.done)}
	for id, p := range f.positions {
		s.Logs[id] = Position{Offset: p.Offset, Seam: slices.Clone(p.Seam)}
	}
	for _, o := range f.old {
		s.Renamed[o.ID] = o.Path
	}
	for path, o := range f.files {
		if o.ID != "" && !Compressed(path) {
			s.Paths[path] = o.ID
		}
	}
	return s
}

// Files returns the followed files by path.
func (f *Follower) Files() []File {
	var files []File
	for _, path := range slices.Sorted(maps.Keys(f.files)) {
		file := f.files[path].File
		if file.Problem == "" {
			file.Problem = f.withoutEvents(path)
		}
		files = append(files, file)
	}
	return files
}

// Run follows until ctx ends; then nil is returned. A file that cannot be read
// is reported by Files and tried again; an error of the sink ends it.
func (f *Follower) Run(ctx context.Context, sink Sink) error {
	w := f.watch()
	defer w.stop()
	defer f.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for refreshed := time.Now(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		case <-timer.C:
		}
		if time.Since(refreshed) >= f.options.Interval {
			refreshed = time.Now()
			w.refresh()
		}
		if err := f.Look(ctx, sink); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		timer.Reset(f.interval())
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
	if err := f.letGo(paths); err != nil {
		return err
	}
	if err := f.finishOld(ctx, sink); err != nil {
		return err
	}
	return sink.Idle(ctx)
}

// Finish gives the half line at the end of every file to the sink: for files
// that nobody writes any more.
func (f *Follower) Finish(ctx context.Context, sink Sink) error {
	for _, path := range slices.Sorted(maps.Keys(f.files)) {
		o := f.files[path]
		if o.handle == nil {
			continue
		}
		if o.ID == "" {
			if err := f.identifyUnfinished(o); err != nil {
				return err
			}
		}
		if err := f.read(ctx, sink, o, true); err != nil {
			return err
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
