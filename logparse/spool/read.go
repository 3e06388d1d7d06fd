package spool

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// Position is a place between two lines.
type Position struct {
	File   int   `json:"file"`
	Offset int64 `json:"offset"`
}

// End is the place behind the last line.
func (s *Spool) End() Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.files[len(s.files)-1]
	return Position{last.number, last.size}
}

// After calls each for every line behind a place, in their order; a line is
// only valid during the call. Of the zero Position, and of a file that is gone,
// it begins with the oldest line there is.
func (s *Spool) After(p Position, each func(line []byte)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		if f.number < p.File {
			continue
		}
		from := int64(0)
		if f.number == p.File {
			from = min(p.Offset, f.size)
		}
		if err := linesOf(s.path(f.number), from, f.size, each); err != nil {
			return fmt.Errorf("read spool: %w", err)
		}
	}
	return nil
}

// Last returns the newest line; nil when there is none.
func (s *Spool) Last() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var last []byte
	for _, f := range slices.Backward(s.files) {
		if err := linesOf(s.path(f.number), 0, f.size, func(line []byte) { last = append(last[:0], line...) }); err != nil {
			return nil, fmt.Errorf("read spool: %w", err)
		}
		if last != nil {
			break
		}
	}
	return last, nil
}

// linesOf reads the lines of one file between two offsets, but for the first
// of the file, which is our own.
func linesOf(path string, from, to int64, each func(line []byte)) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	lines := bufio.NewReaderSize(io.NewSectionReader(in, from, to-from), 64<<10)
	for ours := from == 0; ; ours = false {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !ours {
			each(line[:len(line)-1])
		}
	}
}
