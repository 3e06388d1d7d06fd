package tail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// ReadFrom reads one file to its end from an offset of its decompressed bytes
// and returns how far the sink used them. What cannot be decompressed ends the
// reading with an error that names the file.
func ReadFrom(ctx context.Context, path, id string, from int64, sink Sink) (int64, error) {
	r, err := Open(path)
	if err != nil {
		return from, fmt.Errorf("read log: %w", err)
	}
	defer r.Close()
	if _, err := io.CopyN(io.Discard, r, from); err != nil {
		return from, nil // shorter than what was read already
	}
	var modified time.Time
	if info, err := os.Stat(path); err == nil {
		modified = info.ModTime()
	}
	end, err := Feed(ctx, r, Source{ID: id, Path: path, ModTime: modified}, from, sink)
	if err != nil {
		return end, fmt.Errorf("read %s: %w", path, err)
	}
	return end, nil
}

// readSize is how much is read at a time, in bytes: what stays in a core's own
// cache until it is parsed. A longer line makes the buffer grow.
const readSize = 128 << 10

// Feed gives a stream to the sink to its end, the first byte standing at
// offset; the half line at the end is used too.
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
		eof := err != nil
		used, sinkErr := sink.Chunk(ctx, s, offset, buffer, eof)
		if sinkErr != nil {
			return offset, sinkErr
		}
		offset += int64(used)
		buffer = append(buffer[:0], buffer[used:]...)
		switch {
		case errors.Is(err, io.EOF):
			return offset, nil
		case err != nil:
			return offset, err
		}
	}
}
