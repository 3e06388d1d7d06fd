package tail

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// linesASecond is what the writers of the matrix write, and inAll how much.
const (
	linesASecond = 20_000
	inAll        = 4_000
)

// cell is one way in which a log changes under its reader.
type cell struct {
	name string
	// paths are followed, in the cell's folder; nil = log*
	paths []string
	// turn is called in the middle of the writing, several times; it returns
	// the path to go on writing to, opened anew.
	turn func(t *testing.T, m *matrix, n int)
	// end is what a line ends with; "" = LF
	end string
	// prepare is called before the reader starts.
	prepare func(t *testing.T, m *matrix)
	options func(o *Options)
	// problem must stand in what Files says at the end.
	problem string
}

// matrix is a cell at work.
type matrix struct {
	dir     string
	path    string // written to now
	out     *os.File
	reader  *reader
	written []string
}

func (m *matrix) in(name string) string { return filepath.Join(m.dir, name) }

func (m *matrix) open(t *testing.T) {
	t.Helper()
	out, err := os.OpenFile(m.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	check(t, err)
	m.out = out
}

// caughtUp waits until all that was written was read.
func (m *matrix) caughtUp(t *testing.T) {
	t.Helper()
	m.reader.sink.has(t, m.written[len(m.written)-1])
}

func (m *matrix) write(t *testing.T, line, end string) {
	t.Helper()
	_, err := m.out.WriteString(line + end)
	check(t, err)
	m.written = append(m.written, line)
}

// TestMatrix writes 20,000 lines a second while the log is rotated,
// truncated, replaced, ... and asks that each line was read, at one place. Each
// cell runs twice: the second time the reader is restarted on the way.
func TestMatrix(t *testing.T) {
	for _, c := range cells {
		for _, restarts := range []bool{false, true} {
			name := c.name
			if restarts {
				name += ", with restarts"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c.run(t, restarts)
			})
		}
	}
}

func (c cell) run(t *testing.T, restarts bool) {
	m := &matrix{dir: filepath.Join(t.TempDir(), "logs")}
	check(t, os.Mkdir(m.dir, 0o700))
	m.path = m.in("log")
	if c.prepare != nil {
		c.prepare(t, m)
	}
	if c.paths == nil {
		c.paths = []string{"log*"}
	}
	if c.end == "" {
		c.end = "\n"
	}
	o := Options{}
	for _, p := range c.paths {
		o.Paths = append(o.Paths, m.in(p))
	}
	if c.options != nil {
		c.options(&o)
	}
	m.reader = startReader(t, o)
	m.open(t)
	pace := time.NewTicker(time.Second / linesASecond * 100)
	defer pace.Stop()
	for n := range inAll {
		if n%100 == 0 {
			<-pace.C
		}
		if n > 0 && n%1000 == 0 {
			c.turn(t, m, n/1000)
		}
		if restarts && n%1000 == 500 {
			m.reader.restart()
		}
		m.write(t, fmt.Sprintf("2026-11-24T10:00:00Z mx1 line %d", n), c.end)
	}
	m.caughtUp(t)
	m.everyLine(t)
	m.reader.stop()
	if err := m.out.Close(); err != nil {
		t.Error(err)
	}
	problems := ""
	for _, f := range m.reader.last.Files() {
		problems += f.Problem
	}
	if !strings.Contains(problems, c.problem) {
		t.Errorf("Files says %q, want %q in it", problems, c.problem)
	}
}

func (m *matrix) everyLine(t *testing.T) {
	t.Helper()
	sink := m.reader.sink
	for _, line := range m.written {
		sink.has(t, line)
	}
	sink.mu.Lock()
	defer sink.mu.Unlock()
	for _, line := range m.written {
		if sink.times[line] != 1 {
			t.Errorf("%.60q was read at %d places", line, sink.times[line])
		}
		delete(sink.times, line)
	}
	for line := range sink.times {
		if line != "" && line[0] != '#' {
			t.Errorf("nobody wrote %.80q", line)
		}
	}
}

// another goes on in a new file under the old name.
func (m *matrix) another(t *testing.T) {
	t.Helper()
	check(t, m.out.Close())
	m.open(t)
}

var cells = []cell{
	{name: "growth", turn: func(*testing.T, *matrix, int) {}},
	{name: "renamed and created", turn: func(t *testing.T, m *matrix, n int) {
		check(t, os.Rename(m.path, m.in(fmt.Sprintf("log.%d", n))))
		m.another(t)
	}},
	{name: "renamed and created, one path followed", paths: []string{"log"}, turn: func(t *testing.T, m *matrix, n int) {
		m.reader.sink.has(t, m.written[len(m.written)-500]) // it was opened
		check(t, os.Rename(m.path, m.in(fmt.Sprintf("log.%d", n))))
		m.another(t)
	}},
	{name: "renamed, written on, then created", paths: []string{"log"}, turn: func(t *testing.T, m *matrix, n int) {
		m.caughtUp(t)
		check(t, os.Rename(m.path, m.in(fmt.Sprintf("log.%d", n))))
		m.reader.sink.looks(t, 2)
		for i := range 100 {
			m.write(t, fmt.Sprintf("2026-11-24T10:00:00Z mx1 to the old one %d %d", n, i), "\n")
		}
		m.another(t)
	}},
	{name: "copied and truncated", turn: func(t *testing.T, m *matrix, n int) {
		copyFile(t, m.path, m.in(fmt.Sprintf("log.%d", n)))
		check(t, os.Truncate(m.path, 0))
	}},
	{name: "copied and truncated, one path followed", paths: []string{"log"}, turn: func(t *testing.T, m *matrix, n int) {
		m.reader.sink.has(t, m.written[len(m.written)-500])
		copyFile(t, m.path, m.in(fmt.Sprintf("log.%d", n)))
		check(t, os.Truncate(m.path, 0))
	}},
	{name: "truncated to zero", turn: func(t *testing.T, m *matrix, _ int) {
		m.caughtUp(t)
		check(t, os.Truncate(m.path, 0))
	}},
	{name: "truncated to the middle", turn: func(t *testing.T, m *matrix, n int) {
		m.caughtUp(t)
		info, err := os.Stat(m.path)
		check(t, err)
		whole := int64(len(m.written[0]) + 1) // the first lines are of one length
		check(t, os.Truncate(m.path, min(info.Size()/2, 5*whole)/whole*whole))
	}},
	{name: "compressed after it was rotated", turn: func(t *testing.T, m *matrix, n int) {
		old := m.in(fmt.Sprintf("log.%d", n))
		check(t, os.Rename(m.path, old))
		m.another(t)
		compress(t, old)
	}},
	{name: "deleted and created", turn: func(t *testing.T, m *matrix, _ int) {
		m.reader.sink.has(t, m.written[len(m.written)-1]) // what nobody has open is gone
		check(t, os.Remove(m.path))
		m.another(t)
	}},
	{name: "inode used again while nobody reads", turn: func(t *testing.T, m *matrix, _ int) {
		m.caughtUp(t)
		m.reader.halt()
		before := inode(t, m.path)
		for i := 0; i == 0 || i < 20 && inode(t, m.path) != before; i++ { // most filesystems give it back at once
			check(t, os.Remove(m.path))
			m.another(t)
		}
		m.reader.start()
	}},
	{name: "link switched", paths: []string{"log"}, prepare: func(t *testing.T, m *matrix) {
		m.path = m.in("file-0")
		check(t, os.Symlink("file-0", m.in("log")))
	}, turn: func(t *testing.T, m *matrix, n int) {
		m.caughtUp(t)
		m.path = m.in(fmt.Sprintf("file-%d", n))
		m.another(t)
		check(t, os.Symlink(filepath.Base(m.path), m.in("new")))
		check(t, os.Rename(m.in("new"), m.in("log")))
	}},
	{name: "link into another folder", paths: []string{"log"}, prepare: func(t *testing.T, m *matrix) {
		check(t, os.Mkdir(m.in("elsewhere"), 0o700))
		m.path = m.in("elsewhere/file")
		check(t, os.Symlink("elsewhere/file", m.in("log")))
	}, turn: func(*testing.T, *matrix, int) {}},
	{name: "folder replaced", turn: func(t *testing.T, m *matrix, n int) {
		m.caughtUp(t)
		check(t, os.Rename(m.dir, fmt.Sprintf("%s-%d", m.dir, n)))
		check(t, os.Mkdir(m.dir, 0o700))
		m.another(t)
	}},
	{name: "folder appears later", paths: []string{"deep/log*"}, prepare: func(t *testing.T, m *matrix) { m.path = m.in("log") },
		turn: func(t *testing.T, m *matrix, n int) {
			if n == 1 {
				check(t, os.Mkdir(m.in("deep"), 0o700))
				check(t, os.Rename(m.path, m.in("deep/log.0")))
				m.path = m.in("deep/log")
				m.another(t)
			}
		}},
	{name: "file appears later", turn: func(t *testing.T, m *matrix, n int) {
		m.path = m.in(fmt.Sprintf("log-%d", n))
		m.another(t)
	}},
	{name: "folder whose files appear and are moved away", paths: []string{""}, turn: func(t *testing.T, m *matrix, n int) {
		m.caughtUp(t)
		away := fmt.Sprintf("%s-%d", m.dir, n)
		check(t, os.Rename(m.path, away))
		m.reader.sink.looks(t, 2)
		for i := range 100 {
			m.write(t, fmt.Sprintf("2026-11-24T10:00:00Z mx1 where it was moved to %d %d", n, i), "\n")
		}
		m.caughtUp(t) // a restart would not find it there
		check(t, os.Mkdir(m.in(fmt.Sprintf("folder-%d", n)), 0o700))
		check(t, os.WriteFile(m.in(fmt.Sprintf(".hidden-%d", n)), []byte("2026-11-24T10:00:00Z mx1 hidden\n"), 0o600))
		m.path = m.in(fmt.Sprintf("other-%d", n))
		m.another(t)
	}},
	{name: "two files of one glob, by turns", turn: func(t *testing.T, m *matrix, n int) {
		m.path = m.in(fmt.Sprintf("log-%c", 'a'+n%2))
		m.another(t)
	}},
	{name: "half a line stays", turn: func(t *testing.T, m *matrix, n int) {
		line := fmt.Sprintf("2026-11-24T10:00:00Z mx1 in two halves %d", n)
		_, err := m.out.WriteString(line[:20])
		check(t, err)
		m.reader.sink.looks(t, 5)
		_, err = m.out.WriteString(line[20:] + "\n")
		check(t, err)
		m.written = append(m.written, line)
	}},
	{name: "carriage returns only", end: "\r", turn: func(*testing.T, *matrix, int) {}},
	{name: "carriage returns and line feeds", end: "\r\n", turn: func(*testing.T, *matrix, int) {}},
	{name: "a line of a mebibyte", turn: func(t *testing.T, m *matrix, n int) {
		m.write(t, fmt.Sprintf("2026-11-24T10:00:00Z mx1 %d ", n)+strings.Repeat("x", 1<<20), "\n")
	}},
	{name: "no watcher to be had", turn: func(*testing.T, *matrix, int) {},
		options: func(o *Options) { o.watcher = func() (watcher, error) { return nil, syscall.EMFILE } },
		problem: "cannot be watched (the limit fs.inotify.max_user_instances is reached): its files are looked at every 20ms"},
	{name: "no more watches", turn: func(*testing.T, *matrix, int) {},
		options: func(o *Options) { o.watcher = func() (watcher, error) { return fullWatcher{}, nil } },
		problem: "cannot be watched (the limit fs.inotify.max_user_watches is reached)"},
	{name: "clock steps back and forth", turn: func(t *testing.T, m *matrix, n int) {
		at := time.Now().Add(time.Duration(n%2*2-1) * 48 * time.Hour)
		check(t, os.Chtimes(m.path, at, at))
	}},
	{name: "headers that are the same in every log", paths: []string{"log*"}, prepare: func(t *testing.T, m *matrix) { m.header(t) },
		turn: func(t *testing.T, m *matrix, n int) {
			m.path = m.in(fmt.Sprintf("log-%d", n))
			m.header(t)
			m.another(t)
		}},
}

func (m *matrix) header(t *testing.T) {
	t.Helper()
	const names = "#Software: a mail server"
	check(t, os.WriteFile(m.path, []byte(names+"\n"), 0o600))
}

// fullWatcher is one that may watch nothing.
type fullWatcher struct{}

func (fullWatcher) Add(string) error                              { return syscall.ENOSPC }
func (fullWatcher) Close() error                                  { return nil }
func (fullWatcher) events() (<-chan fsnotify.Event, <-chan error) { return nil, nil }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	check(t, err)
	check(t, os.WriteFile(to, data, 0o600))
}

func compress(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	check(t, err)
	check(t, os.WriteFile(path+".gz", gz(t, data), 0o600))
	check(t, os.Remove(path))
}

func gz(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(data)
	check(t, errors.Join(err, w.Close()))
	return b.Bytes()
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Stat(path)
	check(t, err)
	return info.Sys().(*syscall.Stat_t).Ino
}
