package logparse

import (
	"bytes"
	"slices"
	"strconv"

	"mailwhy/engine/mail"
)

// mimecast reads the events of Mimecast's SIEM logs: v1 (enhanced logging, one
// event a line as key=value between pipes, or as JSON with the same keys) and
// v2 (API 2.0, JSON). See the vendor's "Understanding SIEM Logs".
//
// A message is one transaction under its aCode (v1) or aggregateId (v2). Its
// events (receipt, process, delivery) stand in several files and come in any
// order. A recipient that fails is a record; everything else is kept unread,
// until a recipient fails that it tells of.
type mimecast struct {
	p       *Parser
	version string // the format's name

	event mimeEvent // of the line being read
	keyed []byte    // its key
}

const (
	mimecastV1 = "mimecast-v1"
	mimecastV2 = "mimecast-v2"
)

// The kinds of events a transaction keeps.
const (
	mimeKeptReceipt   = 'r'
	mimeKeptProcess   = 'p'
	mimeKeptDelivered = 'd'
	mimeKeptNameless  = 'h' // a failing event without recipient, such as a hold
)

func newMimecast(p *Parser, version string) *mimecast {
	return &mimecast{p: p, version: version, keyed: make([]byte, 0, 64)}
}

func (f *mimecast) name() string { return f.version }

// save has nothing: all that is open are transactions.
func (f *mimecast) save() ([]byte, error)  { return nil, nil }
func (f *mimecast) load(data []byte) error { return nil }

func (f *mimecast) detect(line []byte) bool { return f.body(line) != nil }

// body returns the part of the line that holds events of this version, nil
// when there is none.
func (f *mimecast) body(line []byte) []byte {
	if f.version == mimecastV1 {
		if start := pipeStart(line); start >= 0 {
			return line[start:]
		}
	}
	start := bytes.IndexByte(line, '{')
	if start < 0 || start > 200 {
		return nil
	}
	body := line[start:]
	version := ""
	switch {
	case bytes.Contains(body, []byte(`"aggregateId"`)), bytes.Contains(body, []byte(`"processingId"`)):
		version = mimecastV2
	case bytes.Contains(body, []byte(`"aCode"`)), bytes.Contains(body, []byte(`"datetime"`)) && bytes.Contains(body, []byte(`"acc"`)):
		version = mimecastV1
	case bytes.Contains(body, []byte(`"senderEnvelope"`)):
		version = mimecastV2
	}
	if version != f.version {
		return nil
	}
	return body
}

// mimeLine is a line being read.
type mimeLine struct {
	s      *Stream
	offset int64
	raw    []byte
	object int   // how many events stand before this one on the line
	ms     int64 // of the event
}

func (f *mimecast) line(s *Stream, offset int64, line []byte) bool {
	body := f.body(line)
	if body == nil {
		return false
	}
	l := mimeLine{s: s, offset: offset, raw: line}
	understood := false
	f.events(body, func(e *mimeEvent) {
		l.ms = f.stamp(s, e)
		if l.ms != 0 {
			s.seen(l.ms)
		}
		understood = f.take(&l, e) && (understood || l.object == 0)
		l.object++
	})
	if !understood && looksFailing(line) {
		s.unrecognised(offset, line)
	}
	return true
}

// events calls do with each event of a line's body.
func (f *mimecast) events(body []byte, do func(*mimeEvent)) {
	e := &f.event
	if body[0] != '{' {
		*e = mimeEvent{}
		readPipe(body, e)
		do(e)
		return
	}
	for c := listed(body); ; {
		*e = mimeEvent{}
		if !c.readObject(e) {
			return
		}
		do(e)
		c.take(',')
	}
}

// listed returns a cursor at the first event of a line of JSON: at the line's
// first object, or inside of the list that an answer of the API wraps events in.
func listed(body []byte) jsonCursor {
	for _, key := range []string{`{"value"`, `{"data"`, `{"events"`, `{"meta"`} {
		if !bytes.HasPrefix(body, []byte(key)) {
			continue
		}
		for c := (jsonCursor{b: body, pos: 1}); ; {
			_, raw, kind, ok := c.member()
			if !ok {
				break
			}
			if list := (jsonCursor{b: raw}); kind == jsonArray && list.take('[') && list.take('{') {
				list.pos--
				return list
			}
		}
	}
	return jsonCursor{b: body}
}

// stamp is the time of an event: ISO 8601, or milliseconds (in some events
// seconds) of Unix time. 0 when it has none.
func (f *mimecast) stamp(s *Stream, e *mimeEvent) int64 {
	b := bytes.TrimSpace(e.value[mimeTime])
	if ms, _, ok := s.clock.iso(b); ok {
		return ms
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil || n <= 0 || n > 1e13 {
		return 0
	}
	if n < 1e11 {
		n *= 1000
	}
	return n
}

// take does with an event what its outcome asks for. It returns false when the
// event was not understood.
func (f *mimecast) take(l *mimeLine, e *mimeEvent) bool {
	stage := e.stage()
	switch out := e.outcome(stage); {
	case stage == mimeOther && out == "":
	case out.Failing():
		f.fail(l, e, stage, out)
	case out == mail.Delivered:
		f.delivered(l, e)
	case out == mail.Accepted:
		f.accepted(l, e, stage)
	default:
		return false
	}
	return true
}

// key is the transaction's: the gateway's id, without the time that some
// events append to it, else the Message-ID. An event that has neither is a
// message of its own.
func (f *mimecast) key(l *mimeLine, e *mimeEvent) []byte {
	key := append(f.keyed[:0], 'M', f.version[len(f.version)-1])
	switch {
	case len(e.value[mimeID]) > 0:
		key = append(append(key, '#'), withoutEpoch(e.value[mimeID])...)
	case len(e.value[mimeMessageID]) > 0:
		key = append(append(key, '<'), e.value[mimeMessageID]...)
	default:
		key = append(append(key, '@'), l.s.source.ID...)
		key = strconv.AppendInt(append(key, ':'), l.offset, 10)
		key = strconv.AppendInt(append(key, ':'), int64(l.object), 10)
	}
	f.keyed = key
	return key
}

// withoutEpoch cuts "_1715708287" from the end of an id.
func withoutEpoch(id []byte) []byte {
	i := bytes.LastIndexByte(id, '_')
	if i <= 0 || len(id)-i-1 < 10 || slices.ContainsFunc(id[i+1:], func(c byte) bool { return !isDigit(c) }) {
		return id
	}
	return id[:i]
}
