package logparse

import (
	"bytes"
	"strings"
	"time"
	"unicode/utf8"

	"mailwhy/engine/mail"
)

// maxLine is the most bytes of a line that are read; the rest is skipped.
const maxLine = 1 << 20

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
	clock   clock
	stats   Stats // but for LastTime

	lastTime int64 // newest stamp, Unix milliseconds
	afterCR  bool  // the last byte used was CR: an LF that follows belongs to it
	skipping bool  // the rest of a cut line is being skipped
}

func newStream(p *Parser, s Source) *Stream {
	return &Stream{p: p, source: s, pinned: p.format(s.Format), clock: newClock(s.ModTime, s.Location)}
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
	pos := 0
	// Each end is searched once over the whole of data, not once a line: in a
	// file without CR the second search costs one pass at memory speed.
	lf, cr := -1, -1
	for pos < len(data) {
		if s.afterCR {
			s.afterCR = false
			if data[pos] == '\n' {
				pos++
				continue
			}
		}
		if lf < pos {
			lf = nextEnd(data, pos, '\n')
		}
		if cr < pos {
			cr = nextEnd(data, pos, '\r')
		}
		end := min(lf, cr)
		switch {
		case s.skipping:
			if end == len(data) {
				return len(data)
			}
			s.skipping = false
		case end-pos > maxLine:
			s.stats.Cut++
			s.line(offset+int64(pos), data[pos:pos+maxLine])
			if end == len(data) && !eof {
				s.skipping = true
				return len(data)
			}
		case end == len(data) && !eof:
			return pos
		default:
			s.line(offset+int64(pos), data[pos:end])
		}
		if end == len(data) {
			return end
		}
		s.afterCR = end == cr
		pos = end + 1
	}
	return pos
}

// nextEnd returns the first index of c in data at or after pos, len(data) when
// there is none.
func nextEnd(data []byte, pos int, c byte) int {
	if i := bytes.IndexByte(data[pos:], c); i >= 0 {
		return pos + i
	}
	return len(data)
}

func (s *Stream) line(offset int64, line []byte) {
	s.stats.Lines++
	if len(line) == 0 {
		return
	}
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
			}
			s.current = f
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

// evidence returns a line as evidence; bytes that are no UTF-8 are replaced.
func (s *Stream) evidence(offset int64, line []byte) mail.Evidence {
	return mail.Evidence{File: s.source.Name, Offset: offset, Text: text(line)}
}

// unrecognised counts a line that looks like a failure and was not understood.
func (s *Stream) unrecognised(offset int64, line []byte) {
	s.stats.UnrecognisedFailing++
	if len(s.stats.Unrecognised) == maxUnrecognised {
		s.stats.Unrecognised = append(s.stats.Unrecognised[:0], s.stats.Unrecognised[1:]...)
	}
	line = line[:min(len(line), maxUnrecognisedText)]
	s.stats.Unrecognised = append(s.stats.Unrecognised, s.evidence(offset, line))
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
