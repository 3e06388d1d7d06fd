package tail

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// pollInterval is between two looks where there are no events.
const pollInterval = 200 * time.Millisecond

// watcher is what is used of fsnotify.
type watcher interface {
	Add(name string) error
	Close() error
	events() (<-chan fsnotify.Event, <-chan error)
}

type notifier struct{ *fsnotify.Watcher }

func (n notifier) events() (<-chan fsnotify.Event, <-chan error) { return n.Events, n.Errors }

func newWatcher() (watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	return notifier{w}, nil
}

// watching wakes on events in the folders of the paths.
type watching struct {
	f    *Follower
	w    watcher // nil = none could be had
	wake chan struct{}
}

func (f *Follower) watch() *watching {
	w := &watching{f: f, wake: make(chan struct{}, 1)}
	notify, err := f.options.watcher()
	if err != nil {
		for folder := range f.folders() {
			f.unwatched[folder] = noEvents(err)
		}
		return w
	}
	w.w = notify
	w.refresh()
	go w.run()
	return w
}

// run ends when the watcher is closed.
func (w *watching) run() {
	events, errs := w.w.events()
	for {
		select {
		case _, open := <-events:
			if !open {
				return
			}
		case _, open := <-errs: // an overflow: look at everything
			if !open {
				return
			}
		}
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// refresh watches the folders there are now: one that was made anew under its
// old name is another folder.
func (w *watching) refresh() {
	if w.w == nil {
		return
	}
	for folder := range w.f.folders() {
		if err := w.w.Add(folder); err != nil {
			w.f.unwatched[folder] = noEvents(err)
		} else {
			delete(w.f.unwatched, folder)
		}
	}
}

func (w *watching) stop() {
	if w.w != nil {
		_ = w.w.Close()
	}
}

// noEvents says why a folder cannot be watched; the kernel's own words for its
// limits are those for a full disk and for too many open files (inotify(7)).
func noEvents(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return "the limit fs.inotify.max_user_watches is reached"
	case errors.Is(err, syscall.EMFILE):
		return "the limit fs.inotify.max_user_instances is reached"
	}
	return err.Error()
}

// folders are those of the paths, those that are sources themselves, and those
// of the files that links lead to.
func (f *Follower) folders() map[string]bool {
	folders := map[string]bool{}
	for _, p := range f.options.Paths {
		around, err := filepath.Glob(filepath.Dir(p))
		if err != nil {
			continue // Look reports it
		}
		for _, m := range around {
			folders[m] = true
		}
		named, _ := matches(p) // likewise
		for _, m := range named {
			if info, err := os.Stat(m); err == nil && info.IsDir() {
				folders[m] = true
			}
		}
	}
	for path := range f.files {
		if real, err := filepath.EvalSymlinks(path); err == nil && !Compressed(path) {
			folders[filepath.Dir(real)] = true
		}
	}
	return folders
}

func (f *Follower) interval() time.Duration {
	if len(f.unwatched) > 0 {
		return min(pollInterval, f.options.Interval)
	}
	return f.options.Interval
}

// withoutEvents says, in a sentence, that a file's folder cannot be watched; "" = it is.
func (f *Follower) withoutEvents(path string) string {
	folder := filepath.Dir(path)
	why, ok := f.unwatched[folder]
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s cannot be watched (%s): its files are looked at every %v", folder, why, f.interval())
}
