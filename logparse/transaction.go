package logparse

import (
	"unicode/utf8"

	"mailwhy/engine/mail"
)

// transactionAge is how long, in log time, a transaction may stay open without
// being closed: Postfix returns mail after five days by default, and some
// sites double that.
const transactionAge = 14 * 24 * 60 * 60 * 1000 // milliseconds

// transaction is one message in one gateway's hands, from its first line until
// the gateway is done with it. What most transactions ever need is to be
// forgotten, so it holds the lines that gave facts as bytes, unread, in a
// buffer that the next transaction uses again.
type transaction struct {
	key        []byte
	room       [40]byte // where key stands, unless it is longer: beside it, one read of memory for both
	hash       uint64   // of key, the table's
	born       int64    // Unix milliseconds of its first line
	lines      []keptLine
	told       string           // the bytes of lines, as far as messages share them
	text       []byte           // those behind told
	records    []*record        // one a recipient, in the order they failed
	facts      *mail.Message    // what a format has already read and wants kept; may stay nil
	list       *transactionList // the one it stands in
	finished   uint32           // transactions.finishes when it was, if it stands in transactions.finished
	prev, next *transaction     // in list
}

// keptLine is a line of a transaction that may become evidence.
type keptLine struct {
	kind       byte  // the format's own word for what the line tells
	stream     int32 // Parser.order; no pointer, so that the collector need not look
	start, end int32 // in transaction.text
	outer      int32 // the end of what stands in the log, where a collector's line is around this one; else 0
	offset     int64
}

// maxKept bounds the bytes a transaction keeps unread.
const maxKept = 16 << 10

// keep adds a line of a kind, unless one of that kind is there. It returns
// whether it did.
func (t *transaction) keep(kind byte, s *Stream, offset int64, line []byte) bool {
	return !t.has(kind) && t.keepAnother(kind, s, offset, line)
}

// keepAnother adds a line, whether others of its kind are there or not.
func (t *transaction) keepAnother(kind byte, s *Stream, offset int64, line []byte) bool {
	if !t.roomFor(len(line)) {
		return false
	}
	k := t.append(kind, s.index, offset, line)
	if s.outer != nil {
		t.text = append(append(t.text, s.outer...), '\n')
		k.outer = int32(t.size() - 1)
	}
	return true
}

// size is how many bytes of lines are kept.
func (t *transaction) size() int { return len(t.told) + len(t.text) }

// roomFor reports whether n bytes more may be kept.
func (t *transaction) roomFor(n int) bool { return t.size()+n <= maxKept }

func (t *transaction) append(kind byte, stream int32, offset int64, line []byte) *keptLine {
	start := t.size()
	t.text = append(append(t.text, line...), '\n')
	t.lines = append(t.lines, keptLine{kind: kind, stream: stream, start: int32(start), end: int32(start + len(line)), offset: offset})
	return &t.lines[len(t.lines)-1]
}

// keepOf adds a line that another transaction keeps, as one of a kind.
func (t *transaction) keepOf(other *transaction, k *keptLine, kind byte) {
	line, outer := other.bytes(k), other.logged(k)
	if !t.roomFor(len(line) + len(outer)) {
		return
	}
	added := t.append(kind, k.stream, k.offset, line)
	if k.outer != 0 {
		t.text = append(append(t.text, outer...), '\n')
		added.outer = int32(t.size() - 1)
	}
}

// has reports whether a line of a kind is kept.
func (t *transaction) has(kind byte) bool {
	for i := range t.lines {
		if t.lines[i].kind == kind {
			return true
		}
	}
	return false
}

// bytes returns a kept line; it is valid until the transaction is closed.
func (t *transaction) bytes(k *keptLine) []byte { return t.between(k.start, k.end) }

// between returns some bytes of one line.
func (t *transaction) between(start, end int32) []byte {
	if told := int32(len(t.told)); start >= told {
		return t.text[start-told : end-told]
	}
	return []byte(t.told[start:end])
}

// logged returns a kept line as it stands in the log.
func (t *transaction) logged(k *keptLine) []byte {
	if k.outer != 0 {
		return t.between(k.end+1, k.outer)
	}
	return t.bytes(k)
}

// kept calls yield with the evidence that each kept line is.
func (p *Parser) kept(t *transaction, yield func(kind byte, e mail.Evidence)) {
	p.keptLines(t, func(kind byte, _ string, e mail.Evidence) { yield(kind, e) })
}

// keptLines is kept with the line as the format has read it: without that of a
// collector around it.
func (p *Parser) keptLines(t *transaction, yield func(kind byte, line string, e mail.Evidence)) {
	p.open.tell(t)
	all := t.told // one string for all, as far as they are UTF-8
	valid := utf8.ValidString(all)
	for i := range t.lines {
		k := &t.lines[i]
		start, end := k.start, k.end
		if k.outer != 0 {
			start, end = k.end+1, k.outer
		}
		e := mail.Evidence{File: p.order[k.stream].source.Name, Offset: k.offset, Text: all[start:end]}
		line := all[k.start:k.end]
		if !valid {
			line, e.Text = text(t.bytes(k)), text(t.logged(k))
		}
		yield(k.kind, line, e)
	}
}

// tell makes a string of the bytes that t keeps, and gives the buffer they
// stood in to transactions to come: one that fails may stay for days.
func (o *transactions) tell(t *transaction) {
	if len(t.text) == 0 {
		return
	}
	t.told += string(t.text)
	if len(o.buffers) < maxFinished {
		o.buffers = append(o.buffers, t.text[:0])
	}
	t.text = nil
}

// record returns the recipient's record, a new one when there is none; made
// tells which. Addresses compare without case; "" is a recipient of its own,
// the unknown one.
func (t *transaction) record(recipient mail.Path) (r *record, made bool) {
	if r := t.recipient(recipient); r != nil {
		return r, false
	}
	r = &record{}
	r.Recipient = recipient
	t.records = append(t.records, r)
	return r, true
}

// recipient returns the recipient's record, nil when there is none.
func (t *transaction) recipient(path mail.Path) *record {
	for _, r := range t.records {
		if r.Recipient == path || r.Recipient.Fold() == path.Fold() {
			return r
		}
	}
	return nil
}

// transactions are the open ones. Those whose product said it is done with
// them stay a little longer: the lines of several daemons do not always arrive
// in order.
type transactions struct {
	byKey    table
	waiting  quietLines // of those not in byKey
	open     transactionList
	finished transactionList
	finishes uint32 // how many messages their product was done with
	most     int
	letGo    int64
	free     *transaction // closed ones, linked by next
	key      []byte       // room for one of a waiting line
	buffers  [][]byte     // of transactions whose lines were told
}

// maxFinished is how many messages must be finished after one until no late
// line of it is expected any more.
const maxFinished = 64

// transactionList is linked from the one that was not heard of for longest, the
// oldest, to the last.
type transactionList struct {
	oldest, last *transaction
	n            int
}

func newTransactions(most int) transactions {
	return transactions{byKey: newTable(), most: most, waiting: quietLines{most: min(most, mostQuiet)}}
}

// get returns the open transaction with key, nil when there is none.
func (o *transactions) get(key []byte) *transaction { return o.find(key, o.byKey.hash(key)) }

// find is get for a key whose hash is known.
func (o *transactions) find(key []byte, hash uint64) *transaction {
	o.wake(hash)
	t := o.byKey.find(key, hash)
	switch {
	case t == nil:
	case t.list == &o.open && t != o.open.last: // it is heard of: others are let go before it
		o.open.remove(t)
		o.open.append(t)
	case t.list == &o.finished && o.finishes-t.finished >= maxFinished:
		o.close(t)
		return nil
	}
	return t
}

// begin opens a transaction; one that is open under key is closed first.
func (o *transactions) begin(key []byte, unixMilli int64) *transaction {
	if old := o.get(key); old != nil {
		o.close(old)
	}
	return o.add(key, unixMilli)
}

// add is begin for a key that is known to be free. The oldest of the list are
// let go when there are too many or when they are too old.
func (o *transactions) add(key []byte, unixMilli int64) *transaction {
	return o.addHashed(key, o.byKey.hash(key), unixMilli)
}

// addHashed is add for a key whose hash is known.
func (o *transactions) addHashed(key []byte, hash uint64, unixMilli int64) *transaction {
	o.letGoOld(unixMilli)
	if o.open.n >= o.most {
		o.letGo++
		o.close(o.open.oldest)
	}
	t := o.free
	if t != nil {
		o.free = t.next
		t.next = nil
	} else {
		t = &transaction{lines: make([]keptLine, 0, 3)}
	}
	if n := len(o.buffers); t.text == nil && n > 0 {
		t.text, o.buffers = o.buffers[n-1], o.buffers[:n-1]
	} else if t.text == nil {
		t.text = make([]byte, 0, 400)
	}
	t.key, t.hash, t.born = append(t.room[:0], key...), hash, unixMilli
	o.byKey.put(t)
	o.open.append(t)
	return t
}

// letGoOld lets go the transactions that are too old at unixMilli.
func (o *transactions) letGoOld(unixMilli int64) {
	for t := o.open.oldest; t != nil && unixMilli-t.born > transactionAge; t = o.open.oldest {
		o.letGo++
		o.close(t)
	}
}

// finish notes that the product is done with a transaction.
func (o *transactions) finish(t *transaction) {
	if t.list != &o.finished {
		o.finishes++
		o.finishAt(t, o.finishes)
	}
}

// finishAt is finish for a message that was the n-th to be finished.
func (o *transactions) finishAt(t *transaction, n uint32) {
	if t.list == &o.finished {
		return
	}
	t.list.remove(t)
	o.finished.append(t)
	t.finished = n
	for oldest := o.finished.oldest; o.finishes-oldest.finished >= maxFinished; oldest = o.finished.oldest {
		o.close(oldest)
	}
}

// close forgets a transaction. Its records stay with Parser.changed until they
// are drained.
func (o *transactions) close(t *transaction) {
	o.byKey.delete(t)
	t.list.remove(t)
	t.key, t.lines, t.told, t.text, t.records, t.facts, t.list, t.prev, t.next = nil, t.lines[:0], "", t.text[:0], nil, nil, nil, nil, o.free
	o.free = t
}

func (l *transactionList) append(t *transaction) {
	t.list, t.prev, t.next = l, l.last, nil
	if l.last != nil {
		l.last.next = t
	} else {
		l.oldest = t
	}
	l.last = t
	l.n++
}

func (l *transactionList) remove(t *transaction) {
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		l.oldest = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	} else {
		l.last = t.prev
	}
	l.n--
}
