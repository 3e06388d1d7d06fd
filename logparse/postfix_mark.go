package logparse

import "bytes"

// The kinds of lines that their first bytes tell apart. Most lines of a log
// are of these, and most of these are of messages that never fail.
const (
	markedOther      = 'o'
	markedConnect    = 'C'
	markedDisconnect = 'D'
	markedClient     = 'c'
	markedMessageID  = 'm'
	markedSender     = 'f'
	markedSent       = 's'
	markedRemoved    = 'r'
)

// newMarks finds the landmarks of Postfix lines. In one log the tag mostly
// starts where it did in the line before.
func (f *postfix) newMarks() func(line []byte) mark {
	tag := 0
	return func(line []byte) mark {
		if !tagAt(line, tag) {
			if tag = bytes.Index(line[:min(len(line), 100)], []byte(" postfix")) + 1; !tagAt(line, tag) {
				return mark{}
			}
		}
		end := bytes.IndexByte(line[tag:], ':') + tag
		if line[end-1] != ']' || end+4 > len(line) || end > 200 || line[end+1] != ' ' || line[end+2] == '[' || line[len(line)-1] == ',' {
			return mark{}
		}
		m := mark{kind: markedOther, tag: uint16(tag), body: uint16(end + 2)}
		m.classify(line[end+2:])
		return m
	}
}

func tagAt(line []byte, tag int) bool {
	return tag > 0 && len(line) > tag+7 && string(line[tag-1:tag+7]) == " postfix"
}

// classify sets kind and id from what the daemon said.
func (m *mark) classify(body []byte) {
	switch {
	case len(body) > 16 && string(body[:13]) == "connect from ":
		m.kind = markedConnect
		return
	case len(body) > 16 && string(body[:16]) == "disconnect from ":
		m.kind = markedDisconnect
		return
	}
	id, rest, ok := queueID(body)
	if !ok || string(id) == noQueue {
		return
	}
	m.id = uint8(len(id))
	switch rest[0] {
	case 't':
		if len(rest) > 3 && string(rest[:3]) == "to=" && string(statusWord(rest)) == "sent" {
			m.kind = markedSent
		}
	case 'c':
		if len(rest) > 7 && string(rest[:7]) == "client=" {
			m.kind = markedClient
		}
	case 'm':
		if len(rest) > 11 && string(rest[:11]) == "message-id=" {
			m.kind = markedMessageID
		}
	case 'f':
		if len(rest) > 6 && string(rest[:6]) == "from=<" && rest[len(rest)-1] == ')' { // "(queue active)"
			m.kind = markedSender
		}
	case 'r':
		if string(rest) == "removed" {
			m.kind = markedRemoved
		}
	}
}

// marked reads a line whose landmarks are known.
func (f *postfix) marked(s *Stream, offset int64, line []byte, m mark) bool {
	l := &f.now
	e := &l.e
	h := &f.head
	if h.stream != s || string(line[:m.tag]) != string(h.text) {
		*e = envelope{}
		if f.envelope(&s.clock, line, e) != int(m.tag) || e.ms == 0 || e.pid != nil {
			return false
		}
		f.setHead(s, line[:m.tag], e)
		s.seen(e.ms)
	}
	l.s, l.offset, l.raw = s, offset, line
	e.ms, e.tag, e.pid, e.body = h.ms, line[m.tag:m.body-2], nil, line[m.body:]
	if m.kind == markedConnect {
		return true
	}
	id := e.body[:m.id]
	switch m.kind {
	case markedDisconnect:
		f.endSession(l)
	case markedClient:
		f.begin(l, id)
	case markedMessageID:
		f.fact(l, id, keptMessageID)
	case markedSender:
		f.fact(l, id, keptSender)
	case markedSent:
		f.sent(l, id, e.body[m.id+2:])
	case markedRemoved:
		f.removed(id)
	default:
		f.body(l)
	}
	return true
}
