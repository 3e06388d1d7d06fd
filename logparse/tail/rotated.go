package tail

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"time"
)

// lingering is how long a renamed file is read on since it last grew: its
// writer keeps it open until it is told to open another.
const lingering = 30 * time.Second

// rename keeps a file that another has taken the place of.
func (f *Follower) rename(o *follow) error {
	delete(f.paths, o.Path)
	if o.ID == "" {
		if err := f.identifyUnfinished(o); err != nil {
			return err
		}
	}
	if o.ID == "" {
		o.shut()
		return nil
	}
	renamed := *o
	renamed.grown = time.Now()
	f.old = append(f.old, &renamed)
	return nil
}

// letGo takes the files that no source names any more out of those that are
// looked at: of a glob or a folder they were moved away or deleted. What is
// still written to them is read as of any file that was renamed.
func (f *Follower) letGo(named []string) error {
	if len(f.files) == len(named) {
		return nil // each that is named was looked at, so there are no others
	}
	still := map[string]bool{}
	for _, path := range named {
		still[path] = true
	}
	for path, o := range f.files {
		if still[path] {
			continue
		}
		delete(f.files, path)
		if o.handle == nil {
			continue
		}
		if err := f.rename(o); err != nil {
			return err
		}
	}
	return nil
}

// finishOld reads on in files that were renamed away until they are quiet.
func (f *Follower) finishOld(ctx context.Context, sink Sink) error {
	for id, path := range f.lingering { // from before a restart
		if err := f.finishRotated(ctx, sink, path, id); err != nil {
			return err
		}
		delete(f.lingering, id)
	}
	var still []*follow
	for _, o := range f.old {
		before := o.Offset
		last := time.Since(o.grown) > f.options.linger
		if err := f.read(ctx, sink, o, last); err != nil {
			return err
		}
		if o.Offset > before {
			o.grown = time.Now()
		}
		if last {
			o.shut()
			continue
		}
		still = append(still, o)
	}
	f.old = still
	return nil
}

// finishRotated reads the rest of a log that another has taken the place of,
// from where it lies now: renamed or compressed while nobody followed it, or
// copied before it was truncated.
func (f *Follower) finishRotated(ctx context.Context, sink Sink, path, id string) error {
	plain := strings.NewReplacer(`\`, `\\`, "[", `\[`, "*", `\*`, "?", `\?`).Replace(path)
	siblings, err := filepath.Glob(plain + "[.\\-]*")
	if err != nil {
		return err
	}
	for _, s := range siblings {
		line := firstLineOf(s)
		if line == nil || f.options.Identify(line) != id && f.byPath(line, path) != id {
			continue
		}
		_, err := f.readWhole(ctx, sink, s, id)
		return err
	}
	return nil
}

// firstLineOf returns the line that tells a file, decompressed by its name,
// from others; nil when it cannot be read.
func firstLineOf(path string) []byte {
	r, err := Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = r.Close() }()
	head := make([]byte, longestFirstLine)
	n, err := io.ReadFull(r, head)
	line, ok := FirstLine(head[:n])
	if !ok && n > 0 && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		return head[:n]
	}
	return line
}
