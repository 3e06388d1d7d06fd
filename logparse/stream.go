package logparse

import (
	"bytes"
	"strings"
	"time"
	"unicode/utf8"

	"mailwhy/engine/mail"
)

// maxUnrecognised is how many unrecognised failing lines are kept, and
// maxUnrecognisedText how many bytes of each: nobody understood them, so
// nothing says that they are not all a megabyte long.
const (
	maxUnrecognised     = 100
	maxUnrecognisedText = 4 << 10
)

// Stream is one source being read.
type Stream struct {
	p       *Parser
	index   int32 // in Parser.order
	source  Source
	pinned  format // the format the caller named
	current format // the format of the newest line that had one
	marker  marker // pinned or current, nil where that is none
	marks   landmarks
	clock   clock
	stats   Stats // but for LastTime

	lastTime int64 // newest stamp, Unix milliseconds
	cutter   cutter
	newest   newest
	outer    []byte // the line as it stands in the log, where a collector's is around the one being read
}

func newStream(p *Parser, s Source) *Stream {
	st := &Stream{p: p, source: s, clock: newClock(s.ModTime, s.Location)}
	st.pin(p.format(s.Format))
	return st
}

// pin makes f the only format that is asked, none if nil.
func (s *Stream) pin(f format) {
	s.pinned = f
	s.readsAs(s.current)
}

// readsAs notes that a line was of a format.
func (s *Stream) readsAs(f format) {
	s.current = f
	if s.pinned != nil {
		f = s.pinned
	}
	s.marker, _ = f.(marker)
}

// Stats counts what a stream has seen.
type Stats struct {
	Format              string
	Lines               int64
	Cut                 int64 // lines over 1 MiB, cut there
	UnrecognisedFailing int64
	LastTime            time.Time       // newest stamp
	Unrecognised        []mail.Evidence // the newest, at most 100
}

// Stats returns the counts so far.
func (s *Stream) Stats() Stats {
	st := s.stats
	st.LastTime = unixTime(s.lastTime)
	if s.pinned != nil {
		st.Format = s.pinned.name()
	}
	st.Unrecognised = append([]mail.Evidence(nil), s.stats.Unrecognised...)
	return st
}

// Feed takes bytes that stand at offset in the (decompressed) source and
// returns how many it has used: whole lines, ended by LF, CRLF or CR. The rest
// is given again with what follows; at eof the half line is used too. data is
// not kept.
func (s *Stream) Feed(offset int64, data []byte, eof bool) int {
	p := newPiece(data, eof)
	for {
		start, end, whole, ok := s.cutter.next(&p)
		if !ok {
			return p.pos
		}
		if !whole {
			s.stats.Cut++
		}
		s.line(offset+int64(start), data[start:end])
	}
}

// line counts a line and reads it.
func (s *Stream) line(offset int64, line []byte) {
	s.stats.Lines++
	if f := s.marker; f != nil {
		if m := f.mark(&s.marks, line); m.shape != 0 && f.marked(s, offset, line, m, nil) {
			return
		}
	}
	s.read(offset, line)
}

func (s *Stream) read(offset int64, line []byte) {
	if len(line) == 0 {
		return
	}
	if n := repeated(line); n > 0 {
		s.repeat(n, offset, line)
		return
	}
	if inner, ok := unwrapped(line); ok {
		s.outer = line
		s.inner(offset, inner)
		s.outer = nil
		return
	}
	s.inner(offset, line)
}

// inner reads a line that no collector's is around.
func (s *Stream) inner(offset int64, line []byte) {
	if s.pinned != nil {
		if !s.pinned.line(s, offset, line) && looksFailing(line) {
			s.unrecognised(offset, line)
		}
		return
	}
	if s.current != nil && s.current.line(s, offset, line) {
		return
	}
	for _, f := range s.p.formats {
		if f != s.current && f.detect(line) && f.line(s, offset, line) {
			if s.current == nil {
				s.stats.Format = f.name()
			} else {
				s.p.stories.on = true // two programs write to this log
			}
			s.readsAs(f)
			return
		}
	}
	if looksFailing(line) {
		s.unrecognised(offset, line)
	}
}

// seen notes the stamp of a line in Unix milliseconds.
func (s *Stream) seen(ms int64) {
	if ms > s.lastTime {
		s.lastTime = ms
	}
}

// evidence returns the line being read as evidence.
func (s *Stream) evidence(offset int64, line []byte) mail.Evidence {
	if s.outer != nil {
		line = s.outer
	}
	return s.cited(offset, line)
}

// cited returns bytes of the log as evidence; those that are no UTF-8 are replaced.
func (s *Stream) cited(offset int64, line []byte) mail.Evidence {
	return mail.Evidence{File: s.source.Name, Offset: offset, Text: text(line)}
}

// unrecognised counts a line that looks like a failure and was not understood.
func (s *Stream) unrecognised(offset int64, line []byte) {
	s.stats.UnrecognisedFailing++
	if len(s.stats.Unrecognised) == maxUnrecognised {
		s.stats.Unrecognised = append(s.stats.Unrecognised[:0], s.stats.Unrecognised[1:]...)
	}
	e := s.evidence(offset, line)
	e.Text = strings.ToValidUTF8(e.Text[:min(len(e.Text), maxUnrecognisedText)], "")
	s.stats.Unrecognised = append(s.stats.Unrecognised, e)
}

// text is bytes of a log as a string that JSON can carry.
func text(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// looksFailing reports whether a line that no format understood speaks of a
// refusal or a failed delivery, in the words gateways use.
func looksFailing(line []byte) bool {
	for _, word := range []string{"reject", "REJECT", "Reject", "=Rej", "\"Rej", "=Hld", "deferred", "bounced", "=bounce", "undeliverable", "blocked", "Blocked", "Bounced", "Deferred", "expired, returned"} {
		if bytes.Contains(line, []byte(word)) {
			return true
		}
	}
	return false
}
