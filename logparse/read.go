package logparse

import (
	"context"
	"errors"
	"io"
	"runtime"

	"mailwhy/engine/mail"
)

// blockSize is how much of a log is read at a time, in bytes: what stays in a
// core's own cache until it is joined. A longer line makes a block grow.
const blockSize = 128 << 10

// blocksAhead is how many blocks may be read before they are joined, and
// aheadSize how large they are, in bytes: from one core to another, to hand over
// costs more than what a core keeps near saves.
const (
	blocksAhead = 4
	aheadSize   = 512 << 10
)

// block is some bytes of a log, cut into lines.
type block struct {
	offset int64 // of data
	data   []byte
	used   int // the rest of data is of a line that is not complete
	lines  []span
	alone  []mail.Message // of the lines of kind markedAlone, in their order
	cut    int64          // lines over 1 MiB
	cutter cutter         // as it stands behind used
	err    error          // why nothing follows; io.EOF = the log has ended
}

// span is one line in a block, without its line end.
type span struct {
	start, end int32
	mark       mark
}

// Read reads a whole log from its start and calls drained after each part of
// it, when there may be messages to drain. It tells what Feed would tell.
// Where there is more than one processor, reading, cutting and marking the
// lines run ahead of joining them.
func (s *Stream) Read(ctx context.Context, r io.Reader, drained func()) error {
	first := &block{}
	first.read(r, first)
	first.used = s.Feed(0, first.data, errors.Is(first.err, io.EOF)) // which tells the format
	first.cutter = s.cutter
	drained()
	if first.err != nil {
		return unlessEOF(first.err)
	}
	if runtime.GOMAXPROCS(0) == 1 {
		return s.readAlone(ctx, r, first, drained)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f := s.marker
	ahead, joined := readAhead(ctx, r, first, f)
	for b := range ahead {
		s.join(b, f)
		drained()
		if b.err != nil {
			<-ahead // what ran ahead has ended, and holds nothing more
			return unlessEOF(b.err)
		}
		joined <- b
	}
	return ctx.Err()
}

// readAlone reads what follows a block where nothing runs beside it.
func (s *Stream) readAlone(ctx context.Context, r io.Reader, b *block, drained func()) error {
	for b.err == nil && ctx.Err() == nil {
		b.read(r, b)
		b.used = s.Feed(b.offset, b.data, errors.Is(b.err, io.EOF))
		drained()
	}
	if b.err != nil {
		return unlessEOF(b.err)
	}
	return ctx.Err()
}

// readAhead reads what follows a block, and finds the landmarks of its lines if
// f is not nil. The blocks are given back through
// joined; ahead is closed when ctx ends.
func readAhead(ctx context.Context, r io.Reader, before *block, f marker) (ahead <-chan *block, joined chan<- *block) {
	full, free := make(chan *block), make(chan *block, blocksAhead)
	for range blocksAhead {
		free <- &block{data: make([]byte, 0, aheadSize)}
	}
	go func() {
		defer close(full)
		var cut aheadCutter
		for before.err == nil {
			var b *block
			select {
			case <-ctx.Done():
				return
			case b = <-free:
			}
			b.read(r, before)
			cut.lines(b, before.cutter, f)
			select {
			case <-ctx.Done():
				return
			case full <- b:
			}
			before = b
		}
	}()
	return full, free
}

func unlessEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// read fills a block with what is left of the one before it, which may be b
// itself, and what follows in r.
func (b *block) read(r io.Reader, before *block) {
	left := before.data[before.used:]
	b.offset = before.offset + int64(before.used)
	if size := max(blockSize, 2*len(left)); cap(b.data) < size {
		b.data = append(make([]byte, 0, size), left...)
	} else {
		b.data = append(b.data[:0], left...)
	}
	n, err := readFull(r, b.data[len(b.data):cap(b.data)])
	b.data, b.err = b.data[:len(b.data)+n], err
}

// readFull reads until p is full or nothing follows. io.ReadFull would say of a
// short read what a decompressor says of a log that breaks off:
// io.ErrUnexpectedEOF.
func readFull(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var more int
		more, err = r.Read(p[n:])
		n += more
	}
	return n, err
}

// aheadCutter is what the goroutine holds that runs ahead of joining.
type aheadCutter struct {
	at    landmarks
	texts slab
}

// lines finds the lines of a block, and what they tell by themselves if f is
// not nil.
func (a *aheadCutter) lines(b *block, c cutter, f marker) {
	b.lines, b.alone, b.cut = b.lines[:0], b.alone[:0], 0
	p := newPiece(b.data, errors.Is(b.err, io.EOF)) // a log that breaks off has no half line
	for {
		start, end, whole, ok := c.next(&p)
		if !ok {
			b.used, b.cutter = p.pos, c
			return
		}
		l := span{start: int32(start), end: int32(end)}
		if f != nil {
			line := b.data[start:end]
			if l.mark = f.mark(&a.at, line); l.mark.kind() == markedAlone {
				b.alone = append(b.alone, mail.Message{})
				f.readAlone(line, l.mark, &a.texts, &b.alone[len(b.alone)-1])
			}
		}
		if !whole {
			b.cut++
		}
		b.lines = append(b.lines, l)
	}
}

// join reads the lines of a block; f is the format that has marked them.
func (s *Stream) join(b *block, f marker) {
	s.stats.Cut += b.cut
	s.cutter = b.cutter
	next := 0
	for i := range b.lines {
		l := &b.lines[i]
		offset, line := b.offset+int64(l.start), b.data[l.start:l.end]
		s.stats.Lines++
		var alone *mail.Message
		if l.mark.kind() == markedAlone {
			alone = &b.alone[next]
			next++
		}
		if l.mark.shape == 0 || s.marker != f || !f.marked(s, offset, line, l.mark, alone) {
			s.read(offset, line)
		}
	}
}
