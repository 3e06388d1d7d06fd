package tail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// brokenError says that a file could not be read or decompressed to its end.
type brokenError struct {
	path string
	err  error
}

func (e *brokenError) Error() string { return fmt.Sprintf("read %s: %v", e.path, e.err) }
func (e *brokenError) Unwrap() error { return e.err }

// readFrom reads one file to its end from an offset of its decompressed bytes
// and returns how far the sink used them. A *brokenError says that the end was
// not reached.
func readFrom(ctx context.Context, path, id string, from int64, sink Sink) (int64, error) {
	r, err := Open(path)
	if err != nil {
		return from, &brokenError{path, err}
	}
	defer func() { _ = r.Close() }()
	if n, err := io.CopyN(io.Discard, r, from); err != nil {
		if errors.Is(err, io.EOF) {
			return n, nil // shorter than what was read already
		}
		return from, &brokenError{path, err}
	}
	var modified time.Time
	if info, err := os.Stat(path); err == nil {
		modified = info.ModTime()
	}
	return Feed(ctx, r, Source{ID: id, Path: path, ModTime: modified}, from, sink)
}

// readSize is how much is read at a time, in bytes: what stays in a core's own
// cache until it is parsed. A longer line makes the buffer grow.
const readSize = 128 << 10

// Feed gives a stream to the sink to its end, the first byte standing at
// offset; the half line at the end is used too, but for a stream that breaks
// off.
func Feed(ctx context.Context, r io.Reader, s Source, offset int64, sink Sink) (int64, error) {
	buffer := make([]byte, 0, readSize)
	for {
		if err := ctx.Err(); err != nil {
			return offset, err
		}
		if len(buffer) == cap(buffer) {
			buffer = append(make([]byte, 0, 2*cap(buffer)), buffer...)
		}
		n, err := r.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		ended := errors.Is(err, io.EOF)
		used, sinkErr := sink.Chunk(ctx, s, offset, buffer, ended)
		if sinkErr != nil {
			return offset, sinkErr
		}
		offset += int64(used)
		buffer = append(buffer[:0], buffer[used:]...)
		switch {
		case ended:
			return offset, nil
		case err != nil:
			return offset, &brokenError{s.Path, err}
		}
	}
}
