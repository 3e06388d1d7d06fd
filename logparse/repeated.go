package logparse

import (
	"bytes"

	"mailwhy/engine/mail"
)

// newest is what the newest failing line of a stream told of, for the line that
// says how often it came again.
type newest struct {
	r    *record // nil = none
	line int64   // its number in the stream
}

// repeated reads what syslogd(8) writes instead of a line that is the same as
// the one before, "Nov 23 08:35:54 mx1 last message repeated 3 times", and
// returns how often; 0 where line is another.
func repeated(line []byte) int {
	line = bytes.TrimSuffix(line, []byte(" ---")) // "--- last message repeated 3 times ---"
	const words = "last message repeated "
	if !bytes.HasSuffix(line, []byte(" times")) && !bytes.HasSuffix(line, []byte(" time")) {
		return 0
	}
	i := bytes.LastIndex(line, []byte(words))
	if i < 0 || i > 80 || !hasStamp(line) {
		return 0
	}
	number, _, _ := bytes.Cut(line[i+len(words):], []byte(" "))
	return repeats(number)
}

// repeatedBody reads what rsyslogd(8) writes instead of lines that are the same,
// "message repeated 3 times: [ NOQUEUE: reject: ...]", and returns how often,
// and the line. 0 where body is another.
func repeatedBody(body []byte) (n int, line []byte) {
	rest, ok := bytes.CutPrefix(body, []byte("message repeated "))
	if !ok {
		return 0, nil
	}
	number, line, ok := bytes.Cut(rest, []byte(" times: ["))
	if !ok || bytes.HasPrefix(line, []byte("message repeated ")) {
		return 0, nil
	}
	return repeats(number), bytes.TrimPrefix(bytes.TrimSuffix(line, []byte("]")), []byte(" "))
}

// repeats is a number of at most nine digits, 0 where b is none.
func repeats(b []byte) int {
	if len(b) == 0 || len(b) > 9 || !allDigits(b) {
		return 0
	}
	n := 0
	for _, c := range b {
		n = n*10 + int(c-'0')
	}
	return n
}

// repeat counts n more attempts of what the line before told of, if it told of
// a failure.
func (s *Stream) repeat(n int, offset int64, line []byte) {
	r := s.newest.r
	if r == nil || s.newest.line != s.stats.Lines-1 || r.cites(s.source.Name, offset) {
		return
	}
	var e envelope
	s.clock.stampAndHost(line, &e)
	if w := s.p.grey.newest; w != nil && w.r == nil && w.stream == s && w.offset == r.Evidence[0].Offset {
		r.lone, w.r, w.line = false, r, ""
	}
	r.Attempts += n
	s.p.touched(r, s, e.ms, offset, 0, line)
	if e.ms != 0 {
		s.seen(e.ms)
	}
}

// isNewest notes that the line being read tells of r.
func (s *Stream) isNewest(r *record) {
	if s.newest.r != nil {
		s.newest.r.newest = false
	}
	r.newest = true
	s.newest = newest{r, s.stats.Lines}
}

// saveNewest returns what the last line told of; nil where it was no failure.
func (s *Stream) saveNewest() *mail.Message {
	if s.newest.r == nil || s.newest.line != s.stats.Lines {
		return nil
	}
	return &s.newest.r.Message
}

// loadNewest takes back what saveNewest returned: a record of an open
// transaction, or one that stands alone.
func (s *Stream) loadNewest(m *mail.Message) {
	if m == nil {
		return
	}
	for _, list := range []*transactionList{&s.p.open.open, &s.p.open.finished} {
		for t := list.oldest; t != nil; t = t.next {
			for _, r := range t.records {
				if r.ID == m.ID {
					s.isNewest(r)
					return
				}
			}
		}
	}
	for w := s.p.grey.oldest; w != nil; w = w.next {
		if w.r != nil && w.r.ID == m.ID {
			s.isNewest(w.r)
			return
		}
	}
	s.isNewest(&record{Message: *m, lone: true})
}
