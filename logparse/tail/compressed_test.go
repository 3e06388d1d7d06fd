package tail

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// readOnce reads what the paths hold, as after a restart from state.
func readOnce(t *testing.T, state State, sink *recorder, paths ...string) *Follower {
	t.Helper()
	f := New(Options{Paths: paths, Identify: identity, Start: state})
	check(t, f.Look(context.Background(), sink))
	check(t, f.Finish(context.Background(), sink))
	return f
}

func manyLines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "2026-11-24T10:00:00Z mx1 line %d\n", i)
	}
	return b.String()
}

// TestTornCompressed reads a compressed log that breaks off as far as its last
// whole line, says so, and the rest when it is whole; what stands beside it is
// read meanwhile.
func TestTornCompressed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log.1.gz")
	all := gz(t, []byte(manyLines(20_000)))
	check(t, os.WriteFile(path, all[:len(all)/2], 0o600))
	check(t, os.WriteFile(filepath.Join(dir, "log"), []byte("2026-11-24T11:00:00Z mx1 beside it\n"), 0o600))
	sink := newRecorder()
	f := readOnce(t, State{}, sink, filepath.Join(dir, "log*"))
	if sink.times["2026-11-24T11:00:00Z mx1 beside it"] != 1 {
		t.Error("the log beside it was not read")
	}
	if n := len(sink.times); n < 1000 || n > 19_999 {
		t.Errorf("%d lines of half a file", n)
	}
	for line := range sink.times {
		if !strings.HasPrefix(line, "2026-11-24T1") || !strings.Contains(line, " mx1 ") {
			t.Errorf("torn line %q was given out", line)
		}
	}
	if p := f.Files()[1].Problem; !strings.Contains(p, "unexpected EOF; it is read on when it changes") {
		t.Errorf("problem %q", p)
	}
	check(t, os.WriteFile(path, all, 0o600))
	old := time.Now().Add(-time.Hour)
	check(t, os.Chtimes(path, old, old))
	f = readOnce(t, f.State(), sink, filepath.Join(dir, "log*"))
	if len(sink.times) != 20_001 || f.Files()[1].Problem != "" {
		t.Errorf("%d lines, problem %q", len(sink.times), f.Files()[1].Problem)
	}
}

// TestCompressedIsReadOnce opens a compressed log again only when it changed.
func TestCompressedIsReadOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.1.gz")
	check(t, os.WriteFile(path, gz(t, []byte(manyLines(10))), 0o600))
	state := readOnce(t, State{}, newRecorder(), path).State()
	info, err := os.Stat(path)
	check(t, err)
	check(t, os.WriteFile(path, make([]byte, info.Size()), 0o600)) // of the same size and time: nobody looks into it
	check(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
	sink := newRecorder()
	if f := readOnce(t, state, sink, path); len(sink.times) != 0 || f.Files()[0].Problem != "" {
		t.Errorf("lines %v, problem %q", sink.times, f.Files()[0].Problem)
	}
}

// TestUnfinishedFirstLine gives a record without line end to the sink once
// nothing can follow it.
func TestUnfinishedFirstLine(t *testing.T) {
	dir := t.TempDir()
	const record = `{"datetime":"2026-11-24T10:00:00Z"}`
	check(t, os.WriteFile(filepath.Join(dir, "a.json"), []byte(record), 0o600))
	check(t, os.WriteFile(filepath.Join(dir, "b.json.gz"), gz(t, []byte(record+" ")), 0o600))
	sink := newRecorder()
	readOnce(t, State{}, sink, filepath.Join(dir, "*"))
	if sink.times[record] != 1 || sink.times[record+" "] != 1 {
		t.Errorf("read %v", sink.times)
	}
}

// TestSameFirstRecord tells two logs apart that one daemon writes the same
// first line to; of a log and its copy each line is read once.
func TestSameFirstRecord(t *testing.T) {
	dir := t.TempDir()
	const first = "2026-11-24T10:00:00Z mx1 first\n"
	for name, text := range map[string]string{"mail.log": "a\n", "syslog.log": "b, longer than the other\n", "copy.log": "a\n"} {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(first+text), 0o600))
	}
	sink := newRecorder()
	paths := []string{filepath.Join(dir, "mail.log"), filepath.Join(dir, "syslog.log"), filepath.Join(dir, "copy.log")}
	state := readOnce(t, State{}, sink, paths...).State()
	if sink.times["a"] != 1 || sink.times["b, longer than the other"] != 1 {
		t.Errorf("read %v", sink.times)
	}
	f, err := os.OpenFile(paths[1], os.O_APPEND|os.O_WRONLY, 0)
	check(t, err)
	_, err = f.WriteString("c\n")
	check(t, err)
	check(t, f.Close())
	readOnce(t, state, sink, paths...)
	if sink.times["c"] != 1 || sink.times["a"] != 1 || sink.times["b, longer than the other"] != 1 {
		t.Errorf("after a restart: %v", sink.times)
	}
}

func TestFirstLine(t *testing.T) {
	for name, c := range map[string]struct{ head, line string }{
		"plain":            {"Nov 24 10:00:00 mx1 a\nb\n", "Nov 24 10:00:00 mx1 a"},
		"CR":               {"Nov 24 10:00:00 mx1 a\rb\r", "Nov 24 10:00:00 mx1 a"},
		"half a line":      {"Nov 24 10:00:00 mx1", ""},
		"comments":         {"#Version: 15.1\n#Fields: date-time,client-ip\n2026-11-24T10:00:00Z,192.0.2.1\n", "2026-11-24T10:00:00Z,192.0.2.1"},
		"names of columns": {"type,timeLogged,orig\nb,2026-11-24 10:00:00,a@example.com\n", "b,2026-11-24 10:00:00,a@example.com"},
		"empty lines":      {"\n\n1\n", "1"},
		"no record yet":    {"#Fields: date\n", ""},
	} {
		line, ok := FirstLine([]byte(c.head))
		if string(line) != c.line || ok != (c.line != "") {
			t.Errorf("%s: %q, %v", name, line, ok)
		}
	}
	long := strings.Repeat("#\n", longestFirstLine/2)
	if line, ok := FirstLine([]byte(long)); !ok || string(line) != "#" {
		t.Errorf("nothing but comments: %q, %v", line, ok)
	}
}
