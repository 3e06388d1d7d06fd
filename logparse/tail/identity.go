package tail

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
)

// longestFirstLine is how much of a file its identity is taken from, in bytes.
const longestFirstLine = 64 << 10

// FirstLine returns the line that tells a log from others, without its end
// (LF, CRLF or CR): its first record. Comments ("#Fields: ...") and the names
// of columns come before it and are the same in every log of a product; a
// record has a stamp, and so a digit. A log without any has its first line. ok
// is false while the line is not complete.
func FirstLine(head []byte) (line []byte, ok bool) {
	var first []byte
	for rest := head; ; {
		end := bytes.IndexAny(rest, "\r\n")
		if end < 0 {
			break
		}
		line := rest[:end]
		if first == nil {
			first = line
		}
		if len(line) > 0 && line[0] != '#' && bytes.ContainsAny(line, "0123456789") {
			return line, true
		}
		rest = rest[end+1:]
	}
	switch {
	case len(head) < longestFirstLine:
		return nil, false
	case first != nil:
		return first, true
	}
	return head[:longestFirstLine], true
}

// identify finds out which log stands at o.Path. It returns false while that
// cannot be said.
func (f *Follower) identify(ctx context.Context, sink Sink, o *follow) (bool, error) {
	if o.ID != "" && o.sameHead() {
		return true, nil
	}
	head, err := readHead(o.handle)
	if err != nil {
		o.Problem = problem(o.Path, err)
		o.shut()
		return false, nil
	}
	before := o.ID
	if before == "" {
		before = f.paths[o.Path]
	}
	line, complete := FirstLine(head)
	if complete {
		f.settle(o, head, line)
	} else {
		o.ID, o.record = "", ""
	}
	if before != "" && before != o.ID {
		delete(f.paths, o.Path) // what was unread of it is read now, once
		o.Rotated = o.info.ModTime()
		if err := f.finishRotated(ctx, sink, o.Path, before); err != nil {
			return false, err
		}
	}
	return complete, nil
}

// identifyUnfinished takes what there is of a log whose first record is not
// complete, and never will be.
func (f *Follower) identifyUnfinished(o *follow) error {
	head, err := readHead(o.handle)
	if err != nil {
		o.Problem = problem(o.Path, err)
		return nil
	}
	if len(head) > 0 {
		f.settle(o, head, head)
	}
	return nil
}

// settle gives o its identity. Two files may begin with the same record and
// go on differently, as where one daemon writes to a log of its own and to a
// common one; the second is then known by its path as well.
func (f *Follower) settle(o *follow, head, line []byte) {
	o.record = f.options.Identify(line)
	o.ID = f.identity(o, line)
	end := bytes.Index(head, line) + len(line)
	o.head = bytes.Clone(head[:min(end, 512)])
	if f.positions[o.ID] == nil {
		f.positions[o.ID] = &Position{}
	}
}

func (f *Follower) identity(o *follow, line []byte) string {
	byPath := f.byPath(line, o.Path)
	if f.paths[o.Path] == byPath {
		return byPath
	}
	id := o.record
	for _, path := range slices.Sorted(maps.Keys(f.files)) {
		p := f.files[path]
		if p == o || p.record != o.record || p.handle == nil {
			continue
		}
		if !p.differs(o) {
			return p.ID
		}
		if p.ID == o.record {
			id = byPath
		}
	}
	return id
}

// byPath is the identity of a log that shares its first record with another.
func (f *Follower) byPath(line []byte, path string) string {
	return f.options.Identify(append(append(bytes.Clone(line), 0), path...))
}

// differs reports whether a log and one that begins with the same record go
// on differently: the bytes they both have do not agree at their end.
func (o *follow) differs(other *follow) bool {
	if os.SameFile(o.info, other.info) {
		return false
	}
	info, err := o.handle.Stat()
	if err != nil {
		return false
	}
	common := min(info.Size(), other.info.Size())
	start := max(common-4<<10, 0)
	a, b := make([]byte, common-start), make([]byte, common-start)
	if _, err := o.handle.ReadAt(a, start); err != nil {
		return false // truncated meanwhile: a copy was made of it
	}
	if _, err := other.handle.ReadAt(b, start); err != nil || bytes.Equal(a, b) {
		return false
	}
	return o.sameHead() // else it was truncated meanwhile and has grown since
}

// sameHead reports whether the file still begins as it did.
func (o *follow) sameHead() bool {
	now := make([]byte, len(o.head))
	n, err := o.handle.ReadAt(now, 0)
	return (err == nil || errors.Is(err, io.EOF)) && bytes.Equal(now[:n], o.head)
}

func readHead(r io.ReaderAt) ([]byte, error) {
	head := make([]byte, longestFirstLine)
	n, err := r.ReadAt(head, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return head[:n], err
}
