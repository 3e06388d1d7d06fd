package siem

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"reflect"

	"mailwhy/logparse/spool"
)

// The bounds of a file.
const (
	longestLine = 4 << 20
	longestFile = 4 << 30 // decompressed
	together    = 256 << 10
)

// file is one of a page.
type file struct {
	name string // without what is secret; it stays when the page is asked for again
	open func(ctx context.Context) (io.ReadCloser, error)
}

// seed is of one process: hashes are never written down.
var seed = maphash.MakeSeed()

// begin notes whose page is read from here on, and looks which of its lines are
// there from before.
func (r *Reader) begin(kind string) error {
	if r.state.Open != kind {
		r.state.Open = kind
		if err := r.state.write(r.options.State); err != nil {
			return err
		}
	}
	if r.known != nil {
		return nil
	}
	r.known = map[uint64]int{}
	if r.state.Place == r.options.Spool.End() {
		return nil
	}
	return r.options.Spool.After(r.state.Place, func(line []byte) { r.known[maphash.Bytes(seed, line)]++ })
}

// finish saves that a page was read, once its lines are on disk.
func (r *Reader) finish(kind string, p page) error {
	if err := r.options.Spool.Sync(); err != nil {
		return err
	}
	next := r.state
	next.Tokens, next.Files = with(next.Tokens, kind, p.next), with(next.Files, kind, nil)
	if p.next == "" {
		next.Tokens[kind] = r.state.Tokens[kind]
		for _, f := range p.files {
			next.Files[kind] = append(next.Files[kind], f.name)
		}
	}
	ended := p.last || p.next == "" || p.next == r.state.Tokens[kind]
	if !next.Again || ended {
		next.Again, next.Open, next.Place = false, "", r.options.Spool.End()
		r.known = nil
	}
	if reflect.DeepEqual(next, r.state) {
		return nil
	}
	if err := next.write(r.options.State); err != nil {
		return err
	}
	r.state = next
	clear(r.tries)
	return nil
}

func with[V any](m map[string]V, key string, value V) map[string]V {
	n := make(map[string]V, len(m)+1)
	for k, v := range m {
		n[k] = v
	}
	n[key] = value
	return n
}

// startAnew forgets a token that the API does not take any more. What follows
// gives some lines again; the spool tells which.
func (r *Reader) startAnew(kind string) error {
	next := r.state
	next.Tokens, next.Files = with(next.Tokens, kind, ""), with(next.Files, kind, nil)
	next.Open, next.Again, next.Place = kind, true, spool.Position{}
	if err := next.write(r.options.State); err != nil {
		return err
	}
	r.state, r.known = next, nil
	return nil
}

// take writes the lines of a file to the spool, but for those that are there. A
// file that cannot be had again and again is left out.
func (r *Reader) take(ctx context.Context, f file) error {
	err := r.copy(ctx, f)
	var gone *goneError
	if !errors.As(err, &gone) || ctx.Err() != nil {
		if err == nil {
			delete(r.tries, f.name)
		}
		return err
	}
	if r.tries[f.name]++; r.tries[f.name] < mostTries {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = append(r.left, err.Error())
	return nil
}

// goneError is of a file itself, not of the way to it.
type goneError struct {
	name string
	err  error
}

func (e *goneError) Error() string { return fmt.Sprintf("file %s: %v", e.name, e.err) }
func (e *goneError) Unwrap() error { return e.err }

// copy writes as many lines of a file as there are whole.
func (r *Reader) copy(ctx context.Context, f file) error {
	body, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	in := &way{Reader: body}
	err = r.copyLines(ctx, in)
	var full *spoolError
	switch {
	case err == nil, errors.As(err, &full):
		return err
	case in.err != nil:
		return fmt.Errorf("file %s: %w", f.name, in.err)
	}
	return &goneError{f.name, err}
}

// way remembers what broke it.
type way struct {
	io.Reader
	err error
}

func (w *way) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

// spoolError is of the spool, not of what is read.
type spoolError struct{ err error }

func (e *spoolError) Error() string { return e.err.Error() }
func (e *spoolError) Unwrap() error { return e.err }

func (r *Reader) copyLines(ctx context.Context, in io.Reader) error {
	plain, err := decompressed(in)
	if err != nil {
		return err
	}
	lines := bufio.NewReaderSize(io.LimitReader(plain, longestFile), 64<<10)
	var batch [][]byte
	size := 0
	for {
		line, err := nextLine(lines)
		if err == nil || errors.Is(err, io.EOF) { // else it is half a line
			if line = bytes.TrimRight(line, "\r\n\x00 "); len(line) > 0 && !r.there(line) {
				batch = append(batch, line)
				size += len(line)
			}
		}
		if len(batch) > 0 && (err != nil || size >= together) {
			if err := r.options.Spool.Append(ctx, batch); err != nil {
				return &spoolError{err}
			}
			batch, size = nil, 0
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// nextLine is a copy of the next line; io.EOF comes with the last one, which
// may be empty.
func nextLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if line = append(line, part...); len(line) > longestLine {
			return nil, fmt.Errorf("a line is longer than %d bytes", longestLine)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// there reports whether the spool has a line from an earlier reading of the
// page; each of its places counts once.
func (r *Reader) there(line []byte) bool {
	h := maphash.Bytes(seed, line)
	if r.known[h] == 0 {
		return false
	}
	r.known[h]--
	return true
}

// decompressed undoes gzip, which the name of a file does not tell and a proxy
// may have undone.
func decompressed(in io.Reader) (io.Reader, error) {
	b := bufio.NewReader(in)
	if head, err := b.Peek(2); err != nil || head[0] != 0x1f || head[1] != 0x8b {
		return b, nil
	}
	return gzip.NewReader(b)
}
