package logparse

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"mailwhy/engine/mail"
)

// maxEvidence bounds the lines kept of one message: its first ones, which say
// how it began, and its newest. A sender that retries for five days would
// otherwise grow without end.
const (
	maxEvidence  = 20
	headEvidence = 6
)

// record is a message being made: one recipient of one transaction.
type record struct {
	mail.Message
	listed bool       // stands in Parser.changed
	newest bool       // stands in Stream.newest
	held   bool       // stands in stories.failed
	told   []mail.Hop // what its own log tells of its notifications and earlier ids; at the end of Hops
	lone   bool       // belongs to no transaction: no line can change it after this one
}

// loneRecord returns a record for a message that one line tells all about.
// Drain takes it back.
func (p *Parser) loneRecord() *record {
	if n := len(p.lone); n > 0 {
		r := p.lone[n-1]
		p.lone = p.lone[:n-1]
		return r
	}
	return &record{lone: true}
}

// slab holds the texts of many messages in one allocation. It lives as long as
// any of them, so only those use one that are given away at once.
type slab struct {
	texts    strings.Builder
	evidence []mail.Evidence
}

// text is text, in the slab.
func (s *slab) text(b []byte) string {
	if !utf8.Valid(b) {
		return text(b)
	}
	if s.texts.Cap()-s.texts.Len() < len(b) {
		s.texts = strings.Builder{}
		s.texts.Grow(max(slabBytes, len(b)))
	}
	start := s.texts.Len()
	s.texts.Write(b) // within its room, so that what was given out stays where it is
	return s.texts.String()[start:]
}

// one returns room for one line of evidence.
func (s *slab) one() []mail.Evidence {
	if len(s.evidence) == 0 {
		s.evidence = make([]mail.Evidence, slabLines)
	}
	room := s.evidence[:0:1]
	s.evidence = s.evidence[1:]
	return room
}

const (
	slabBytes = 16 << 10
	slabLines = 64
)

// failed notes a failing line of r at unixMilli: the first gives the message
// its id and time for ever, each counts as an attempt, once. The caller sets
// outcome and reply. ordinal tells apart the messages one line makes.
func (p *Parser) failed(r *record, s *Stream, unixMilli, offset int64, ordinal int, line []byte) {
	if !r.cites(s.source.Name, offset) { // a log that was truncated is read again
		r.Attempts += 1 + p.repeats
	}
	s.isNewest(r)
	p.touched(r, s, unixMilli, offset, ordinal, line)
}

// touched notes a line that changes r without being a failing attempt, such as
// a delivery at last. A record that has no id yet gets it here; only records
// with an id are emitted.
func (p *Parser) touched(r *record, s *Stream, unixMilli, offset int64, ordinal int, line []byte) {
	if r.ID == "" {
		p.id = appendMessageID(p.id[:0], unixMilli, s.source.ID, offset, ordinal)
		if r.lone {
			r.ID = p.slab.text(p.id)
		} else {
			r.ID = string(p.id)
		}
		r.Source = s.source.ID
		r.Time = unixTime(unixMilli)
	}
	if t := unixTime(unixMilli); t.After(r.Last) {
		r.Last = t
	}
	if len(line) > 0 {
		r.cite(s.evidence(offset, line))
	}
	p.list(r)
}

// list puts r among the changed messages.
func (p *Parser) list(r *record) {
	if !r.listed {
		r.listed = true
		p.changed = append(p.changed, r)
	}
}

// cite adds a line to the evidence, once.
func (r *record) cite(e mail.Evidence) {
	if r.cites(e.File, e.Offset) {
		return
	}
	if len(r.Evidence) >= maxEvidence { // a new slice: the old one was given out
		r.Evidence = slices.Concat(r.Evidence[:headEvidence], r.Evidence[headEvidence+1:])
	}
	r.Evidence = append(r.Evidence, e)
}

// cites reports whether a line is among the evidence.
func (r *record) cites(file string, offset int64) bool {
	for i := range r.Evidence {
		if e := &r.Evidence[i]; e.Offset == offset && e.File == file {
			return true
		}
	}
	return false
}

// unixTime is the time of a stamp; 0, a line without stamp, is the zero time.
func unixTime(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// appendMessageID appends an id that orders by time as a string: 13 decimal
// digits of Unix milliseconds last until the year 2286.
func appendMessageID(b []byte, unixMilli int64, source string, offset int64, ordinal int) []byte {
	b = appendPadded(b, max(unixMilli, 0), 13)
	b = append(append(append(b, '-'), source...), '-')
	b = appendPadded(b, offset, 12)
	return appendPadded(append(b, '-'), int64(ordinal), 3)
}

// appendPadded appends n with leading zeros up to width.
func appendPadded(b []byte, n int64, width int) []byte {
	for limit := int64(10); width > 1; width-- {
		if n < limit {
			b = append(b, '0')
		}
		if limit > math.MaxInt64/10 {
			break
		}
		limit *= 10
	}
	return strconv.AppendInt(b, n, 10)
}
