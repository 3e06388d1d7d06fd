package logparse

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailwhy/engine/mail"
)

// lineFormat records what the stream splits.
type lineFormat struct{ got []readLine }

type readLine struct {
	Offset int64
	Text   string
}

func (f *lineFormat) name() string            { return "lines" }
func (f *lineFormat) detect(line []byte) bool { return true }
func (f *lineFormat) line(s *Stream, offset int64, line []byte) bool {
	f.got = append(f.got, readLine{offset, string(line)})
	return true
}
func (f *lineFormat) save() ([]byte, error)  { return nil, nil }
func (f *lineFormat) load(data []byte) error { return nil }

// split feeds data in pieces that grow by step bytes as a tail would: what is
// not used is given again.
func split(data string, step int) ([]readLine, Stats) {
	f := &lineFormat{}
	p := NewParser(Options{})
	p.formats = []format{f}
	s := p.Open(Source{ID: "s", Name: "f"})
	used := 0
	for end := min(step, len(data)); ; end = min(end+step, len(data)) {
		used += s.Feed(int64(used), []byte(data[used:end]), end == len(data))
		if end == len(data) {
			return f.got, s.Stats()
		}
	}
}

func TestFeedLineEnds(t *testing.T) {
	tests := []struct {
		name, data string
		want       []readLine
	}{
		{"LF", "a\nbc\n", []readLine{{0, "a"}, {2, "bc"}}},
		{"CRLF", "a\r\nbc\r\n", []readLine{{0, "a"}, {3, "bc"}}},
		{"CR only", "a\rbc\r", []readLine{{0, "a"}, {2, "bc"}}},
		{"mixed", "a\nb\rc\r\nd", []readLine{{0, "a"}, {2, "b"}, {4, "c"}, {7, "d"}}},
		{"half line at eof", "a\nbc", []readLine{{0, "a"}, {2, "bc"}}},
		{"empty lines", "\n\na\n", []readLine{{2, "a"}}},
		{"NUL and broken UTF-8", "a\x00\xff\nb\n", []readLine{{0, "a\x00\xff"}, {4, "b"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for step := 1; step <= len(test.data); step++ {
				got, _ := split(test.data, step)
				if d := cmp.Diff(test.want, got); d != "" {
					t.Errorf("fed %d bytes at a time: %s", step, d)
				}
			}
		})
	}
}

func TestFeedKeepsHalfLine(t *testing.T) {
	p := NewParser(Options{})
	s := p.Open(Source{ID: "s"})
	if used := s.Feed(0, []byte("one\ntw"), false); used != 4 {
		t.Errorf("Feed used %d bytes, want 4: a half line waits", used)
	}
}

func TestFeedCutsLongLine(t *testing.T) {
	data := "first\n" + strings.Repeat("x", 3*maxLine) + "\nlast\n"
	for _, step := range []int{len(data), maxLine / 2, maxLine + 1} {
		got, stats := split(data, step)
		if len(got) != 3 || len(got[1].Text) != maxLine || got[2] != (readLine{int64(len(data) - 5), "last"}) {
			t.Errorf("fed %d at a time: got %d lines, last %.20v", step, len(got), got[len(got)-1])
		}
		if stats.Cut != 1 || stats.Lines != 3 {
			t.Errorf("fed %d at a time: cut %d of %d lines, want 1 of 3", step, stats.Cut, stats.Lines)
		}
	}
}

func TestUnrecognisedKeepsNewest(t *testing.T) {
	p := NewParser(Options{})
	s := p.Open(Source{ID: "s", Name: "odd.log"})
	line := []byte("something was rejected \xff\n")
	for i := range 150 {
		s.Feed(int64(i*len(line)), line, false)
	}
	st := s.Stats()
	if st.UnrecognisedFailing != 150 || len(st.Unrecognised) != maxUnrecognised {
		t.Fatalf("counted %d and kept %d, want 150 and %d", st.UnrecognisedFailing, len(st.Unrecognised), maxUnrecognised)
	}
	newest := st.Unrecognised[maxUnrecognised-1]
	if newest.Offset != int64(149*len(line)) || newest.Text != "something was rejected \uFFFD" {
		t.Errorf("newest kept line is %+v", newest)
	}
}

func TestSourceIDIgnoresLineEnd(t *testing.T) {
	want := SourceID([]byte("Nov 23 08:35:54 mx1 postfix/master[1]: daemon started"))
	for _, end := range []string{"\n", "\r\n", "\r"} {
		if got := SourceID(append([]byte("Nov 23 08:35:54 mx1 postfix/master[1]: daemon started"), end...)); got != want {
			t.Errorf("with end %q the id is %s, want %s", end, got, want)
		}
	}
	if len(want) != 16 || bytes.ContainsAny([]byte(want), "-") {
		t.Errorf("id %q is not 16 hexadecimal digits", want)
	}
}

// TestReadAgain gives the same lines at the same offsets twice, as after a
// truncation: no attempt counts twice.
func TestReadAgain(t *testing.T) {
	const log = "2026-11-23T10:00:00+00:00 mx1 postfix/smtp[7]: 4QAAAA1: to=<b@example.org>, relay=none, delay=1, delays=1/0/0/0, dsn=4.4.1, status=deferred (connect to mx.example.org[192.0.2.9]:25: Connection timed out)\n"
	p := NewParser(Options{})
	s := p.Open(Source{ID: "0123456789abcdef", Name: "maillog"})
	s.Feed(0, []byte(log), false)
	s.Feed(0, []byte(log), false)
	s.Feed(int64(len(log)), []byte(log), false)
	p.Drain(func(m mail.Message) {
		if m.Attempts != 2 || len(m.Evidence) != 2 {
			t.Errorf("%d attempts, %d lines, want 2 of each", m.Attempts, len(m.Evidence))
		}
	})
}
