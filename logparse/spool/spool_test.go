package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, o Options) *Spool {
	t.Helper()
	s, err := Open(o)
	check(t, err)
	t.Cleanup(func() { _ = s.Close() }) // a second time does no harm
	return s
}

func lines(texts ...string) [][]byte {
	var all [][]byte
	for _, text := range texts {
		all = append(all, []byte(text))
	}
	return all
}

func after(t *testing.T, s *Spool, p Position) []string {
	t.Helper()
	var all []string
	check(t, s.After(p, func(line []byte) { all = append(all, string(line)) }))
	return all
}

// TestGoesOn reopens a spool: the lines are there in their order, in the file
// in which they were, and half a line is not.
func TestGoesOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s := open(t, Options{Dir: dir})
	if last, err := s.Last(); last != nil || err != nil {
		t.Errorf("a new spool has the line %q, %v", last, err)
	}
	check(t, s.Append(t.Context(), lines("one", "two")))
	place := s.End()
	check(t, s.Append(t.Context(), lines("three")))
	check(t, s.Close())

	path := filepath.Join(dir, "00000001.log")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	check(t, err)
	_, err = f.WriteString("half a li")
	check(t, errors.Join(err, f.Close()))

	s = open(t, Options{Dir: dir})
	check(t, s.Append(t.Context(), lines("four")))
	if got := after(t, s, Position{}); !slices.Equal(got, []string{"one", "two", "three", "four"}) {
		t.Errorf("the lines are %q", got)
	}
	if got := after(t, s, place); !slices.Equal(got, []string{"three", "four"}) {
		t.Errorf("behind the place stand %q", got)
	}
	if last, err := s.Last(); string(last) != "four" || err != nil {
		t.Errorf("the last is %q, %v", last, err)
	}
	if files, err := filepath.Glob(Pattern(dir)); err != nil || len(files) != 1 {
		t.Errorf("the files are %v, %v", files, err)
	}
}

// TestFirstLines are different in all files of all spools: they are the files'
// identity.
func TestFirstLines(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		dir := t.TempDir()
		s := open(t, Options{Dir: dir, Segment: 80})
		for n := range 4 {
			check(t, s.Append(t.Context(), lines(fmt.Sprint("a line ", n, strings.Repeat("x", 40)))))
		}
		files, err := filepath.Glob(Pattern(dir))
		check(t, err)
		if len(files) != 4 {
			t.Fatalf("%d files", len(files))
		}
		for _, path := range files {
			data, err := os.ReadFile(path)
			check(t, err)
			first, _, _ := strings.Cut(string(data), "\n")
			if seen[first] {
				t.Errorf("two files begin with %q", first)
			}
			seen[first] = true
		}
	}
}

// TestBound deletes what was read, and only that; while nothing was, nothing
// more is taken.
func TestBound(t *testing.T) {
	dir := t.TempDir()
	read, long := map[string]int64{}, strings.Repeat("x", 40)
	s := open(t, Options{Dir: dir, Limit: 1000, Segment: 200, Used: func(path string) int64 { return read[path] }})
	written := 0
	for ; ; written++ {
		taken, err := s.Offer(lines(fmt.Sprintf("line %02d ", written) + long))
		if errors.Is(err, ErrFull) && taken == 0 {
			break
		}
		check(t, err)
	}
	if written < 10 || written > 19 {
		t.Errorf("%d lines of 48 bytes in 1000", written)
	}
	if !strings.Contains(s.Problem(), "the spool is full") {
		t.Errorf("it says %q", s.Problem())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Append(ctx, lines("nobody waits"+long)); !errors.Is(err, ErrFull) || !errors.Is(err, context.Canceled) {
		t.Errorf("an Append that was ended: %v", err)
	}

	oldest := filepath.Join(dir, "00000001.log")
	info, err := os.Stat(oldest)
	check(t, err)
	read[oldest] = info.Size() - 1 // but for a line
	if _, err := s.Offer(lines("not yet" + long)); !errors.Is(err, ErrFull) {
		t.Errorf("a file that was not read to its end: %v", err)
	}
	read[oldest] = info.Size()
	check(t, s.Append(t.Context(), lines("now"+long)))
	if _, err := os.Stat(oldest); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the oldest file is still there: %v", err)
	}
	got := after(t, s, Position{File: 1})
	if got[len(got)-1] != "now"+long || !strings.HasPrefix(got[len(got)-2], fmt.Sprintf("line %02d", written-1)) || s.Problem() != "" {
		t.Errorf("after it there is room: %q, %q", got, s.Problem())
	}
}

// TestWaits holds an Append until there is room.
func TestWaits(t *testing.T) {
	dir := t.TempDir()
	room := make(chan struct{})
	s := open(t, Options{Dir: dir, Limit: 400, Segment: 100, Used: func(string) int64 {
		select {
		case <-room:
			return 1000
		default:
			return 0
		}
	}})
	all := make(chan error)
	go func() {
		for n := range 40 {
			if err := s.Append(t.Context(), lines(fmt.Sprintf("line %02d", n))); err != nil {
				all <- err
				return
			}
		}
		all <- nil
	}()
	for s.Problem() == "" {
		select {
		case err := <-all:
			t.Fatalf("40 lines found room in 400 bytes: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	close(room)
	check(t, <-all)
	if last, err := s.Last(); string(last) != "line 39" || err != nil {
		t.Errorf("the last is %q, %v", last, err)
	}
}

// TestBrokenWrite counts the lines that a full disk still took; half a line
// does not stay.
func TestBrokenWrite(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	begun := s.End().Offset
	var limit syscall.Rlimit
	check(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit))
	check(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(begun) + 10, Max: limit.Max}))
	taken, err := s.Offer(lines("one", "two", "three"))
	check(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
	if taken != 2 || !errors.Is(err, syscall.EFBIG) {
		t.Errorf("%d lines in 10 bytes, %v", taken, err)
	}
	check(t, s.Append(t.Context(), lines("three")))
	if got := after(t, s, Position{}); !slices.Equal(got, []string{"one", "two", "three"}) {
		t.Errorf("the lines are %q", got)
	}
}

func TestClosed(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir()})
	check(t, s.Close())
	if _, err := s.Offer(lines("late")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a line after the end: %v", err)
	}
}
