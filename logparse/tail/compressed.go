package tail

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// settling is how long a file that broke off must have been left alone before
// it is decompressed again.
const settling = time.Second

// readCompressed reads a compressed log whole, once, from where its
// uncompressed form was left. One that breaks off, because it is still being
// compressed or is damaged, is read as far as its last whole line and again
// when it has changed.
func (f *Follower) readCompressed(ctx context.Context, sink Sink, o *follow, info os.FileInfo) error {
	mark := fmt.Sprint(info.Size(), " ", info.ModTime().UnixNano())
	if f.done[o.Path] == mark {
		return nil
	}
	if o.Problem != "" && time.Since(info.ModTime()) < settling {
		return nil
	}
	line := firstLineOf(o.Path)
	if line == nil {
		f.done[o.Path] = mark
		o.Problem = o.Path + " cannot be decompressed; it is tried again when it changes"
		return nil
	}
	o.ID, o.info, o.Problem = f.options.Identify(line), info, ""
	end, err := f.readWhole(ctx, sink, o.Path, o.ID)
	o.Offset, o.Size = end, end
	var broken *brokenError
	if errors.As(err, &broken) {
		o.Problem = fmt.Sprintf("%v; it is read on when it changes", broken)
		err = nil
	}
	if err == nil {
		f.done[o.Path] = mark
	}
	return err
}

// readWhole reads a file that grows no more from the offset of its log.
func (f *Follower) readWhole(ctx context.Context, sink Sink, path, id string) (int64, error) {
	at := f.positions[id]
	if at == nil {
		at = &Position{}
		f.positions[id] = at
	}
	end, err := readFrom(ctx, path, id, at.Offset, sink)
	if end > at.Offset {
		*at = Position{Offset: end}
	}
	return end, err
}
