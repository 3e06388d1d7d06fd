package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// again is how long a spool that is full, or whose disk is, waits before it
// looks for room once more.
const again = 100 * time.Millisecond

// Append writes lines, without their ends, in their order and returns when the
// system has them all. While there is no room it waits, until ctx ends. A line
// must have no line end in it.
func (s *Spool) Append(ctx context.Context, lines [][]byte) error {
	for {
		taken, err := s.Offer(lines)
		if err == nil {
			return nil
		}
		lines = lines[taken:]
		select {
		case <-time.After(again):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

// Offer is Append for who cannot wait: it returns how many of the lines were
// taken, and why not the others. ErrFull when there is no room.
func (s *Spool) Offer(lines [][]byte) (taken int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken, err = s.offer(lines)
	s.lines += int64(taken)
	s.problem = ""
	if err != nil {
		s.problem = err.Error()
	}
	return taken, err
}

func (s *Spool) offer(lines [][]byte) (int, error) {
	if s.out == nil {
		return 0, fmt.Errorf("append to spool: %w", os.ErrClosed)
	}
	if last := s.files[len(s.files)-1]; last.size >= s.options.Segment {
		if err := s.begin(last.number + 1); err != nil {
			return 0, fmt.Errorf("begin a file of the spool: %w", err)
		}
	}
	if err := s.makeRoom(lines); err != nil {
		return 0, err
	}
	taken, err := s.write(lines)
	if err != nil {
		return taken, fmt.Errorf("append to spool: %w", err)
	}
	return taken, nil
}

// makeRoom deletes the oldest files that were read for good, until the lines
// find room. The file that is written to stays.
func (s *Spool) makeRoom(lines [][]byte) error {
	total := int64(0)
	for _, f := range s.files {
		total += f.size
	}
	for _, l := range lines {
		total += int64(len(l)) + 1
	}
	for total > s.options.Limit && len(s.files) > 1 {
		oldest := s.files[0]
		if s.options.Used(s.path(oldest.number)) < oldest.size {
			return ErrFull
		}
		if err := os.Remove(s.path(oldest.number)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("delete a file of the spool: %w", err)
		}
		s.files = s.files[1:]
		total -= oldest.size
	}
	return nil
}

// write appends to the newest file and returns how many lines stand there
// whole. Of a write that broke off, the half line is taken back: the tail gives
// out whole lines alone.
func (s *Spool) write(lines [][]byte) (int, error) {
	text := append(bytes.Join(lines, []byte{'\n'}), '\n')
	last := &s.files[len(s.files)-1]
	n, err := s.out.Write(text)
	s.dirty = s.dirty || n > 0
	if err == nil {
		last.size += int64(n)
		return len(lines), nil
	}
	whole := bytes.LastIndexByte(text[:n], '\n') + 1
	last.size += int64(whole)
	return bytes.Count(text[:whole], []byte{'\n'}), errors.Join(err, s.out.Truncate(last.size))
}

// Sync returns when all that was appended is on disk.
func (s *Spool) Sync() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sync()
}

func (s *Spool) sync() error {
	if !s.dirty || s.out == nil {
		return nil
	}
	if err := s.out.Sync(); err != nil {
		return fmt.Errorf("sync spool: %w", err)
	}
	s.dirty = false
	return nil
}

func (s *Spool) syncOften(ctx context.Context) {
	tick := time.NewTicker(s.options.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := s.Sync(); err != nil {
				s.mu.Lock()
				s.problem = err.Error()
				s.mu.Unlock()
			}
		}
	}
}

// Problem says why the last lines were not taken; "" = they were.
func (s *Spool) Problem() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.problem
}
