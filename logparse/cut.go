package logparse

import (
	"bytes"

	"mailwhy/engine/mail"
)

// maxLine is the most bytes of a line that are read; the rest is skipped.
const maxLine = 1 << 20

// cutter cuts bytes into lines, ended by LF, CRLF or CR. It needs nothing but
// the bytes, so it may run ahead of the joining.
type cutter struct {
	AfterCR  bool `json:"after_cr,omitempty"` // the last byte used was CR: an LF that follows belongs to it
	Skipping bool `json:"skipping,omitempty"` // the rest of a cut line is being skipped
}

// piece is some bytes of a log, being cut into lines.
type piece struct {
	data   []byte
	eof    bool // data ends the log: its half line is one too
	pos    int  // bytes that are cut; at the end the rest is of a line that is not complete
	lf, cr int  // the first of either at or after pos, if not before it
}

func newPiece(data []byte, eof bool) piece { return piece{data: data, eof: eof, lf: -1, cr: -1} }

// next cuts the next line, without its line end. whole is false where the line
// is longer than maxLine and was cut there; ok is false when there are no more.
func (c *cutter) next(p *piece) (start, end int, whole, ok bool) {
	for p.pos < len(p.data) {
		if c.AfterCR {
			c.AfterCR = false
			if p.data[p.pos] == '\n' {
				p.pos++
				continue
			}
		}
		// Each end is searched once over the whole of data, not once a line: in a
		// file without CR the second search costs one pass at memory speed.
		if p.lf < p.pos {
			p.lf = nextEnd(p.data, p.pos, '\n')
		}
		if p.cr < p.pos {
			p.cr = nextEnd(p.data, p.pos, '\r')
		}
		start, end = p.pos, min(p.lf, p.cr)
		complete := end < len(p.data)
		skip, long := c.Skipping, end-start > maxLine
		if !complete && !p.eof && !skip && !long {
			return 0, 0, false, false
		}
		c.Skipping = (skip || long) && !complete && !p.eof
		p.pos = min(end+1, len(p.data))
		c.AfterCR = complete && end == p.cr
		switch {
		case skip:
		case long:
			return start, start + maxLine, false, true
		default:
			return start, end, true, true
		}
	}
	return 0, 0, false, false
}

// nextEnd returns the first index of c in data at or after pos, len(data) when
// there is none.
func nextEnd(data []byte, pos int, c byte) int {
	if i := bytes.IndexByte(data[pos:], c); i >= 0 {
		return pos + i
	}
	return len(data)
}

// marker is a format that finds the landmarks of a line from its bytes alone,
// ahead of the joining and beside it.
type marker interface {
	format
	// mark finds the landmarks of the next line of a log; the zero mark says that
	// there are none. Of what the format holds it reads only what never changes.
	mark(at *landmarks, line []byte) mark
	// readAlone reads a line of kind markedAlone as far as it tells by itself, its
	// text as evidence included.
	readAlone(line []byte, m mark, texts *slab, to *mail.Message)
	// marked reads a line whose mark is not zero. It is line, made shorter. alone
	// is what readAlone has read of it; nil = nothing yet.
	marked(s *Stream, offset int64, line []byte, m mark, alone *mail.Message) bool
}

// markedAlone is the kind of a line that tells all about a message which failed.
const markedAlone = '1'

// landmarks is where they were in the line before: most lines of a log are
// built alike.
type landmarks struct {
	tag int
}

// mark is what a line's bytes tell by themselves. It is packed, so that it
// travels in registers; zero = the line has no landmarks.
type mark struct {
	sum   uint64 // of the queue id
	shape uint32 // kind, id, tag and body
}

// newMark packs what mark's methods return.
func newMark(kind byte, id, tag, body int, sum uint64) mark {
	return mark{sum, uint32(kind) | uint32(id)<<8 | uint32(tag)<<16 | uint32(body)<<24}
}

func (m mark) kind() byte { return byte(m.shape) }             // the format's own word
func (m mark) id() int    { return int(uint8(m.shape >> 8)) }  // bytes of the queue id, 0 = none
func (m mark) tag() int   { return int(uint8(m.shape >> 16)) } // where the syslog tag starts
func (m mark) body() int  { return int(m.shape >> 24) }        // where starts what the program said
