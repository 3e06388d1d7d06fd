package exception

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"mailwhy/engine/chain"
)

// journalFile is what the journal asks of its file; *os.File has it.
type journalFile interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
}

// position is the end of the entries read so far.
type position struct {
	entries int
	hash    string // of the last entry; chain.Genesis before the first
	start   int64  // offset of the last entry's first byte
	size    int64  // offset behind the last entry's line end
}

func origin() position { return position{hash: chain.Genesis} }

// scan reads the entries that stand between from and size and hands each to
// take, which may refuse it. What follows the last line end is returned as
// tail; so is a last line with NUL bytes, which is what a file system leaves of
// a write that a power failure cut. The error is a *ChainError or an I/O error.
func scan(r io.ReaderAt, from position, size int64, take func(entry) error) (to position, tail []byte, err error) {
	to = from
	lines := bufio.NewReaderSize(io.NewSectionReader(r, from.size, size-from.size), 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return to, line, nil
		}
		if err != nil {
			return to, nil, fmt.Errorf("read journal: %w", err)
		}
		if to.size+int64(len(line)) == size && bytes.IndexByte(line, 0) >= 0 {
			return to, line, nil
		}
		next, err := to.step(line[:len(line)-1], take)
		if err != nil {
			return to, nil, err
		}
		next.size++ // the line end
		to = next
	}
}

// step reads one entry, without a line end.
func (p position) step(line []byte, take func(entry) error) (position, error) {
	wrong := func(err error) (position, error) {
		return p, &ChainError{Entry: p.entries + 1, Problem: err.Error()}
	}
	e, hash, err := decodeEntry(line)
	if err != nil {
		return wrong(err)
	}
	if err := e.follows(p.entries, p.hash); err != nil {
		return wrong(err)
	}
	if err := take(e); err != nil {
		return wrong(err)
	}
	return position{entries: p.entries + 1, hash: hash, start: p.size, size: p.size + int64(len(line))}, nil
}

// unchanged checks that the last entry read still stands where it stood, so
// that what was read before may be built upon.
func (p position) unchanged(r io.ReaderAt, size int64) error {
	if size < p.size {
		return &ChainError{Entry: p.entries, Problem: "it was there and is gone: the journal became shorter"}
	}
	if p.entries == 0 {
		return nil
	}
	line := make([]byte, p.size-p.start-1)
	if _, err := r.ReadAt(line, p.start); err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	if _, hash, err := decodeEntry(line); err != nil || hash != p.hash {
		return &ChainError{Entry: p.entries, Problem: "it changed since it was read: the journal was edited or replaced"}
	}
	return nil
}

// repair deals with what a crash left behind the last line end: an entry that
// lacks only its line end is completed, anything else was never acknowledged
// and is set aside beside the journal before it is cut. It tells what it did.
func repair(f journalFile, path string, p position, tail []byte, check func(entry) error) (note string, err error) {
	if _, err := p.step(tail, check); err == nil {
		if _, err := f.WriteAt([]byte("\n"), p.size+int64(len(tail))); err != nil {
			return "", fmt.Errorf("complete journal entry %d: %w", p.entries+1, err)
		}
		return fmt.Sprintf("journal entry %d lacked its line end and was completed", p.entries+1), f.Sync()
	}
	aside, err := setAside(path, tail)
	if err != nil {
		return "", fmt.Errorf("set torn journal entry %d aside: %w", p.entries+1, err)
	}
	if err := cut(f, p.size); err != nil {
		return "", err
	}
	return fmt.Sprintf("journal entry %d was half written when the program died and was never acknowledged: set aside as %s", p.entries+1, aside), nil
}

func setAside(path string, tail []byte) (name string, err error) {
	for n := 1; ; n++ {
		name = fmt.Sprintf("%s.torn-%d", path, n)
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		_, err = f.Write(tail)
		if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
			err = syncFolder(path)
		}
		if err != nil {
			_ = os.Remove(name)
			return "", err
		}
		return name, nil
	}
}

// cut takes everything behind size off the journal, durably.
func cut(f journalFile, size int64) error {
	if err := f.Truncate(size); err != nil {
		return fmt.Errorf("cut journal: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("cut journal: %w", err)
	}
	return nil
}

// write puts a whole line behind size. When it cannot be written or made
// durable, the journal is cut back to what it was.
func write(f journalFile, size int64, line []byte) error {
	_, err := f.WriteAt(line, size)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		return nil
	}
	return errors.Join(fmt.Errorf("write journal entry: %w; nothing was changed", err), cut(f, size))
}

// create makes the journal and its folder where they are absent, durably.
func create(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make journal: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("make journal: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close(), syncFolder(path)); err != nil {
		return fmt.Errorf("make journal: %w", err)
	}
	return nil
}

func syncFolder(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Verify checks the journal at path: every entry's own hash, its place in the
// chain, and that it can follow what stands before it. It returns the number
// of good entries; the error is a *ChainError that names the entry and what is
// wrong with it. A last entry that a crash left half written is reported with
// Torn; the next writer sets it aside.
func Verify(path string) (entries int, err error) {
	f, size, err := openLocked(context.Background(), path, os.O_RDONLY, shared)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var l ledger
	take := func(e entry) error {
		if err := l.check(e); err != nil {
			return err
		}
		l.apply(e)
		return nil
	}
	h := readHead(path)
	p, tail, err := scan(f, origin(), size, h.watch(take))
	if err == nil {
		err = h.check(p, len(tail) > 0)
	}
	if wrong := (*ChainError)(nil); errors.As(err, &wrong) {
		return wrong.Entry - 1, err
	}
	if err != nil || len(tail) == 0 {
		return p.entries, err
	}
	if whole, err := p.step(tail, take); err == nil {
		return whole.entries, nil
	}
	return p.entries, &ChainError{Entry: p.entries + 1, Torn: true,
		Problem: "it is only half there: a writer died before it was acknowledged, or the file was cut; the next writer sets it aside"}
}
