package tail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// follow is one open file.
type follow struct {
	File
	handle   *os.File
	info     os.FileInfo
	record   string    // the identity its first record alone gives
	head     []byte    // the bytes its identity was taken from, at most 512
	leftover int       // bytes of a half line seen at the end
	grown    time.Time // once renamed away: when it last grew
}

func (o *follow) shut() {
	if o.handle != nil {
		_ = o.handle.Close() // opened for reading: nothing can be lost
		o.handle = nil
	}
}

// look brings one path up to date.
func (f *Follower) look(ctx context.Context, sink Sink, path string) error {
	o := f.files[path]
	if o == nil {
		o = &follow{File: File{Path: path}}
		f.files[path] = o
	}
	info, err := os.Stat(path)
	if err != nil {
		if o.handle == nil {
			o.Problem = problem(path, err)
			return nil
		}
		return f.read(ctx, sink, o, false) // renamed away: what is left in it
	}
	if info.IsDir() {
		o.Problem = emptyFolder(path)
		return nil
	}
	if Compressed(path) {
		return f.readCompressed(ctx, sink, o, info)
	}
	if o.handle != nil && !os.SameFile(o.info, info) {
		if err := f.read(ctx, sink, o, false); err != nil {
			return err
		}
		if err := f.rename(o); err != nil {
			return err
		}
		*o = follow{File: File{Path: path, Rotated: info.ModTime()}}
	}
	if o.handle == nil {
		if o.handle, err = os.Open(path); err != nil {
			o.Problem = problem(path, err)
			return nil
		}
	}
	o.Problem = ""
	o.info, o.Size = info, info.Size()
	if ok, err := f.identify(ctx, sink, o); !ok || err != nil {
		return err
	}
	return f.read(ctx, sink, o, false)
}

// emptyFolder says, in a sentence, why a folder gave no file.
func emptyFolder(path string) string {
	if _, err := os.ReadDir(path); err != nil {
		return problem(path, err)
	}
	return path + " is a folder with no log in it yet; those that appear are read"
}

func problem(path string, err error) string {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return path + " does not exist yet; it is looked for again"
	case errors.Is(err, os.ErrPermission):
		return path + " may not be read by this user; it is tried again"
	}
	return fmt.Sprintf("%v; it is tried again", err)
}

// seamSize is how many bytes before an offset are remembered.
const seamSize = 64

// read gives what stands behind the offset to the sink. The bytes before it
// are read again each time: where they are not what they were, the log was
// truncated and has grown since, and is read from its start.
func (f *Follower) read(ctx context.Context, sink Sink, o *follow, eof bool) error {
	if o.ID == "" || o.handle == nil {
		return nil
	}
	at := f.positions[o.ID]
	source := Source{ID: o.ID, Path: o.Path, ModTime: o.info.ModTime()}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		seam := len(at.Seam)
		n, err := o.handle.ReadAt(f.buffer, at.Offset-int64(seam))
		if err != nil && !errors.Is(err, io.EOF) {
			o.Problem = problem(o.Path, err)
			return nil
		}
		if n < seam || !bytes.Equal(f.buffer[:seam], at.Seam) {
			if n == 0 && o.Size >= at.Offset || f.elsewhere(o) {
				return nil // truncated since this look began, or a shorter copy of a log that is being read
			}
			*at, o.leftover, o.Rotated = Position{}, 0, o.info.ModTime()
			continue
		}
		data, atEnd := f.buffer[seam:n], errors.Is(err, io.EOF)
		if len(data) == 0 || atEnd && !eof && len(data) == o.leftover {
			o.Offset = at.Offset
			return nil
		}
		used, err := sink.Chunk(ctx, source, at.Offset, data, eof && atEnd)
		if err != nil {
			return err
		}
		at.move(f.buffer[:n], seam+used, used)
		o.Offset, o.leftover = at.Offset, len(data)-used
		switch {
		case atEnd:
			o.Size = max(o.Size, o.Offset)
			return nil
		case used == 0: // a line longer than the buffer
			f.buffer = make([]byte, 2*len(f.buffer))
		}
	}
}

// move goes on by used bytes; data ends with them at end.
func (p *Position) move(data []byte, end, used int) {
	if used == 0 {
		return
	}
	p.Offset += int64(used)
	p.Seam = append(p.Seam[:0], data[max(0, end-seamSize):end]...)
}

// elsewhere reports whether another file is followed as the same log.
func (f *Follower) elsewhere(o *follow) bool {
	for _, p := range f.files {
		if p != o && p.ID == o.ID && p.handle != nil {
			return true
		}
	}
	return false
}
