package logparse

import (
	"bytes"

	"mailwhy/engine/mail"
)

// The kinds of lines that their first bytes tell apart. Most lines of a log
// are of these, and most of these are of messages that never fail.
const (
	markedOther      = 'o'
	markedConnect    = 'C'
	markedDisconnect = 'D'
	markedClient     = keptClient
	markedMessageID  = keptMessageID
	markedSender     = keptSender
	markedSent       = 's'
	markedRemoved    = 'r'
)

// mark finds the landmarks of a Postfix line.
func (f *postfix) mark(at *landmarks, line []byte) mark {
	tag := at.tag
	if !tagAt(line, tag) {
		if tag = bytes.Index(line[:min(len(line), 100)], []byte(" postfix")) + 1; !tagAt(line, tag) {
			return mark{}
		}
		at.tag = tag
	}
	end := bytes.IndexByte(line[tag:], ':') + tag
	if line[end-1] != ']' || end+4 > len(line) || end > 200 || line[end+1] != ' ' || line[end+2] == '[' || line[len(line)-1] == ',' {
		return mark{}
	}
	body := line[end+2:]
	kind, id := markedKind(body)
	if (kind == markedOther || kind == markedAlone) && repeated(line) > 0 {
		return mark{}
	}
	return newMark(kind, id, tag, end+2, sum(f.p.open.byKey.seed, body[:id]))
}

// noQueueReject is how smtpd's refusal of a message starts that has no queue id.
const noQueueReject = noQueue + ": reject: "

func (f *postfix) readAlone(line []byte, m mark, texts *slab, to *mail.Message) {
	whole := texts.text(line)
	var words string
	if len(whole) == len(line) {
		words = whole[m.body():]
	} else {
		words = text(line[m.body():])
	}
	to.Evidence = append(texts.one(), mail.Evidence{Text: whole})
	readRefusal(to, "reject", words[len(noQueueReject):])
}

func tagAt(line []byte, tag int) bool {
	return tag > 0 && len(line) > tag+7 && string(line[tag-1:tag+7]) == " postfix"
}

// markedKind tells the kind of a line from what the daemon said, and how long
// the queue id is.
func markedKind(body []byte) (kind byte, id int) {
	switch {
	case len(body) > 16 && string(body[:13]) == "connect from ":
		return markedConnect, 0
	case len(body) > 16 && string(body[:16]) == "disconnect from ":
		return markedDisconnect, 0
	}
	if len(body) > 32 && string(body[:len(noQueueReject)]) == noQueueReject {
		return markedAlone, 0
	}
	queueID, rest, ok := queueID(body)
	if !ok || string(queueID) == noQueue {
		return markedOther, 0
	}
	kind = markedOther
	switch rest[0] {
	case 't':
		if len(rest) > 3 && string(rest[:3]) == "to=" && string(statusWord(rest)) == "sent" && !handsOver(rest) {
			kind = markedSent
		}
	case 'c':
		if len(rest) > 7 && string(rest[:7]) == "client=" {
			kind = markedClient
		}
	case 'm':
		if len(rest) > 11 && string(rest[:11]) == "message-id=" {
			kind = markedMessageID
		}
	case 'f':
		if len(rest) > 6 && string(rest[:6]) == "from=<" && rest[len(rest)-1] == ')' { // "(queue active)"
			kind = markedSender
		}
	case 'r':
		if string(rest) == "removed" {
			kind = markedRemoved
		}
	}
	return kind, len(queueID)
}

// marked reads a line whose landmarks are known.
func (f *postfix) marked(s *Stream, offset int64, line []byte, m mark, alone *mail.Message) bool {
	h := &f.head
	if h.stream != s || string(line[:m.tag()]) != string(h.text) {
		e := &f.now.e
		*e = envelope{}
		if f.envelope(&s.clock, line, e) != m.tag() || e.ms == 0 || e.pid != nil {
			return false
		}
		f.setHead(s, line[:m.tag()], e)
		s.seen(e.ms)
	}
	switch m.kind() {
	case markedConnect:
		return true
	case markedDisconnect:
		if !f.proxied {
			return true
		}
	case markedOther, markedAlone:
	default:
		if f.quiet(s, offset, line, m) {
			return true
		}
	}
	l := &f.now
	l.s, l.offset, l.raw = s, offset, line
	l.e = envelope{ms: h.ms, tag: line[m.tag() : m.body()-2], body: line[m.body():]}
	if alone != nil {
		f.refusedAlone(l, alone)
	} else {
		f.body(l)
	}
	return true
}

// quiet reads a line that is of use only to a message which fails. It returns
// false where the message has failed already, or may have.
func (f *postfix) quiet(s *Stream, offset int64, line []byte, m mark) bool {
	if f.head.host == 0 || f.p.opts.All {
		return false
	}
	open := &f.p.open
	hash := joinSums(f.head.sum, m.sum)
	switch m.kind() {
	case markedSent:
		rest := line[m.body()+m.id()+len(": "):]
		return !f.p.stories.on && open.isQuiet(hash) && !f.mayBeRetry(rest, hash) // what passes is told to others
	case markedRemoved:
		return open.quietlyRemoved(hash)
	}
	if len(line) >= maxQuiet {
		return false
	}
	e := open.quiet(hash, f.head.ms, line)
	if e == nil {
		return false
	}
	e.offset, e.stream, e.mark, e.host = offset, s.index, m.shape, uint8(f.head.host)
	return true
}
