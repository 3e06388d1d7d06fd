package raw

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// Rewrite replaces the store at path by one that has the lines keep asks for,
// in full blocks, with a dictionary made of those lines. A crash leaves the
// old store or the new one. No store at path is no error.
func Rewrite(path string, keep func(key uint64, text []byte) bool) (err error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	old, err := Open(path, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("rewrite raw store: %w", err)
	}
	sample, err := old.sample(keep)
	if err != nil {
		return fmt.Errorf("rewrite raw store %s: %w", path, err)
	}
	s, err := Open(fresh, sample)
	if err != nil {
		return err
	}
	err = errors.Join(old.copyTo(s, keep), s.Sync(), s.Close())
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("rewrite raw store %s: %w", path, err), os.Remove(fresh))
	}
	return nil
}

// Sample returns some of the newest lines, to make the dictionary of the next
// store from.
func (s *Store) Sample() ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	sample := bytes.Clone(s.dict)
	err := s.walk(func(b block) error {
		if b.next() < s.end {
			return nil
		}
		return s.lines(b, func(_ uint64, text []byte) { sample = append(append(sample, text...), '\n') })
	})
	return sample, err
}

// sample returns lines to keep from the whole of the store.
func (s *Store) sample(keep func(key uint64, text []byte) bool) ([]byte, error) {
	var sample []byte
	blocks := 0
	if err := s.walk(func(block) error { blocks++; return nil }); err != nil {
		return nil, err
	}
	const spread = 16 // blocks that give some lines each
	i := 0
	err := s.walk(func(b block) error {
		i++
		if blocks > spread && i%(blocks/spread) != 0 {
			return nil
		}
		taken := 0
		return s.lines(b, func(key uint64, text []byte) {
			if taken < dictionaryBytes/spread && keep(key, text) {
				sample = append(append(sample, text...), '\n')
				taken += len(text)
			}
		})
	})
	return sample, err
}

func (s *Store) copyTo(to *Store, keep func(key uint64, text []byte) bool) error {
	to.known = map[uint64]struct{}{}
	var p pack
	err := s.walk(func(b block) error {
		var failed error
		err := s.lines(b, func(key uint64, text []byte) {
			if _, twice := to.known[key]; twice || !keep(key, text) || failed != nil {
				return
			}
			if p.full(len(text)) {
				failed = to.write(&p)
			}
			p.add(key, string(text))
			to.known[key] = struct{}{}
		})
		return errors.Join(err, failed)
	})
	return errors.Join(err, to.write(&p))
}
