package logparse

import (
	"math/bits"
	"slices"
)

// quietLines is where the lines of messages wait of which nothing has failed:
// nearly all of them are delivered and forgotten, and then nobody ever reads
// these lines. So a line costs an entry of fixed size at the end of a list and
// its bytes at the end of a buffer, and no transaction.
//
// Entries of one bucket are linked from the newest back. When something does
// happen to a message, wake walks that chain and makes the transaction that
// the lines would have made at once. When the list is full, compact keeps the
// lines of messages that are still on their way, as long as these are few, or
// there may be more room. What a parser tells is the same as if each line had
// been joined when it was read.
//
// A transaction waits here or is in the table, never both.
type quietLines struct {
	entries []quietLine
	text    []byte  // the bytes of entries
	newest  []int32 // by bucket: 1 + the newest entry's index, 0 = none
	room    int     // entries for which there is room now
	most    int     // entries for which there may ever be
}

// quietLine is a line that gives facts of a message, or begins one.
type quietLine struct {
	hash    uint64 // of the transaction's key
	offset  int64
	ms      int64  // Unix milliseconds
	removed uint32 // transactions.finishes when the message was removed; only if done
	before  int32  // 1 + the index of the entry before it in its bucket, 0 = none
	stream  int32  // Parser.order
	start   uint32 // in quietLines.text
	mark    uint32 // mark.shape: its kind is as in keptLine
	size    uint16
	host    uint8 // bytes of the host, which ends before the space before the tag
	state   quietState
}

// quietState says what is known of a line that waits.
type quietState uint8

const (
	quietWaits quietState = iota
	quietDone             // its message was removed from the queue
	quietGone             // joined, or not wanted any more
)

const (
	// fewQuiet is how many lines may wait at first, which a processor core keeps
	// near; mostQuiet is how many may where the messages stay longer.
	fewQuiet  = 2 << 10
	mostQuiet = 8 << 10
	// quietText is how many bytes there is room for by line.
	quietText = 128
	// maxQuiet bounds the bytes of a line that waits.
	maxQuiet = 4 << 10
	// quietAge is the longest that lines may wait, in milliseconds of log time:
	// little beside transactionAge, which is only counted for transactions.
	quietAge = dayMilli
)

// chain returns 1 + the index of the newest waiting line of a transaction, 0
// where there is none.
func (q *quietLines) chain(hash uint64) int32 {
	if len(q.entries) == 0 {
		return 0
	}
	i := q.newest[hash&uint64(len(q.newest)-1)]
	for i != 0 && (q.entries[i-1].hash != hash || q.entries[i-1].state == quietGone) {
		i = q.entries[i-1].before
	}
	return i
}

// add puts an entry behind the others, the caller fills in the rest of it.
func (q *quietLines) add(hash uint64, ms int64, line []byte) *quietLine {
	bucket := &q.newest[hash&uint64(len(q.newest)-1)]
	q.entries = slices.Grow(q.entries, 1)[:len(q.entries)+1]
	e := &q.entries[len(q.entries)-1]
	e.hash, e.ms, e.before, e.state = hash, ms, *bucket, quietWaits
	e.start, e.size = uint32(len(q.text)), uint16(len(line))
	*bucket = int32(len(q.entries))
	q.text = append(q.text, line...)
	return e
}

// bytes returns the line of an entry; it is valid until the next compact.
func (q *quietLines) bytes(e *quietLine) []byte { return q.text[e.start:][:e.size] }

// makeRoom sets for how many lines there is room. It forgets the chains.
func (q *quietLines) makeRoom(lines int) {
	q.room = lines
	q.newest = make([]int32, 2<<bits.Len(uint(lines)))
}

// full reports whether there is no room for a line of size bytes at ms.
func (q *quietLines) full(size int, ms int64) bool {
	return len(q.entries) >= q.room || len(q.text)+size > q.room*quietText || len(q.entries) > 0 && ms-q.entries[0].ms > quietAge
}

// forget drops the waiting lines of a message.
func (q *quietLines) forget(hash uint64) {
	for i := q.chain(hash); i != 0; i = q.entries[i-1].before {
		if e := &q.entries[i-1]; e.hash == hash {
			e.state = quietGone
		}
	}
}

// quiet makes an entry for a line of a message of which nothing has failed. It
// returns nil where that is not so, or not sure: the line is joined at once.
func (o *transactions) quiet(hash uint64, ms int64, line []byte) *quietLine {
	q := &o.waiting
	if q.newest == nil {
		q.makeRoom(min(fewQuiet, q.most))
	}
	if q.full(len(line), ms) {
		o.compact(ms)
	}
	switch i := q.chain(hash); {
	case i == 0:
		if o.byKey.has(hash) {
			return nil
		}
		o.letGoOld(ms)
	case o.late(&q.entries[i-1]):
		return nil // or the id is used again at once
	case q.entries[i-1].state == quietDone:
		q.forget(hash)
	}
	return q.add(hash, ms, line)
}

// quietlyRemoved notes that the queue is done with a message of which nothing
// has failed. It returns false where that is not so.
func (o *transactions) quietlyRemoved(hash uint64) bool {
	q := &o.waiting
	i := q.chain(hash)
	if i == 0 && o.byKey.has(hash) {
		return false
	}
	o.finishes++
	for i != 0 {
		e := &q.entries[i-1]
		if e.hash == hash && e.state != quietGone {
			if e.state == quietDone {
				break
			}
			e.removed, e.state = o.finishes, quietDone
		}
		i = e.before
	}
	return true
}

// isQuiet reports whether nothing has failed of a message.
func (o *transactions) isQuiet(hash uint64) bool {
	return o.waiting.chain(hash) != 0 || !o.byKey.has(hash)
}

// late reports whether a message was removed, but so lately that lines of it
// may still arrive.
func (o *transactions) late(e *quietLine) bool {
	return e.state == quietDone && o.finishes-e.removed < maxFinished
}

// wanted reports whether a line still waits for its message to fail.
func (o *transactions) wanted(e *quietLine) bool {
	return e.state == quietWaits || o.late(e)
}

// wake joins the waiting lines of a transaction.
func (o *transactions) wake(hash uint64) {
	q := &o.waiting
	var room [8]int32
	mine := room[:0]
	for i := q.chain(hash); i != 0; i = q.entries[i-1].before {
		if q.entries[i-1].hash == hash {
			mine = append(mine, i-1)
		}
	}
	for n := len(mine) - 1; n >= 0; n-- {
		o.joinQuiet(&q.entries[mine[n]])
	}
}

// compact makes room: what is not wanted any more goes, what is too old at ms
// is joined, and so are all where the half of them would stay.
func (o *transactions) compact(ms int64) {
	q := &o.waiting
	old := q.entries
	stay := 0
	for i := range old {
		switch e := &old[i]; {
		case !o.wanted(e):
			e.state = quietGone
		case ms-e.ms > quietAge/2:
			o.joinQuiet(e)
		default:
			stay += max(1, int(e.size)/quietText)
		}
	}
	switch {
	case stay <= q.room/2:
		clear(q.newest)
	case q.room < q.most:
		q.makeRoom(min(2*q.room, q.most))
	default:
		o.settle()
		return
	}
	text := q.text
	q.entries, q.text = old[:0], text[:0] // filled from their own end: entries only move to the front
	for _, e := range old {
		if e.state != quietGone {
			moved := q.add(e.hash, e.ms, text[e.start:][:e.size])
			e.start, e.before = moved.start, moved.before
			*moved = e
		}
	}
}

// settle joins all lines that wait.
func (o *transactions) settle() {
	q := &o.waiting
	for i := range q.entries {
		o.joinQuiet(&q.entries[i])
	}
	q.entries, q.text = q.entries[:0], q.text[:0]
	clear(q.newest)
}

// joinQuiet does what reading a line would have done, had it not waited.
func (o *transactions) joinQuiet(e *quietLine) {
	if !o.wanted(e) {
		return
	}
	m, line, done := mark{shape: e.mark}, o.waiting.bytes(e), e.state == quietDone
	kind := m.kind()
	e.state = quietGone
	end := m.tag() - 1
	o.key = append(append(append(o.key[:0], 'P'), line[end-int(e.host):end]...), 0)
	o.key = append(o.key, line[m.body():][:m.id()]...)
	t := o.byKey.find(o.key, e.hash)
	if t != nil && kind == keptClient && (t.has(keptClient) || t.has(keptSender)) {
		o.close(t)
		t = nil
	}
	if t == nil {
		t = o.addHashed(o.key, e.hash, e.ms)
	}
	if !t.has(kind) && t.roomFor(len(line)) {
		t.append(kind, e.stream, e.offset, line)
	}
	if done {
		o.finishAt(t, e.removed)
	}
}
