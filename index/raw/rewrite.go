package raw

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Rewrite replaces the lines by those that keep asks for, in full blocks, with
// a dictionary made of them; the store is used meanwhile. late is true for
// lines that were put behind mark, a Size from before. A block that was damaged
// is left out. A crash leaves the old lines or the new ones.
func (s *Store) Rewrite(mark int64, keep func(key uint64, text []byte, late bool) bool) error {
	fresh, err := s.startAgain(mark, keep)
	if err != nil {
		return fmt.Errorf("rewrite raw store %s: %w", s.path, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	end := s.end
	err = s.part(mark, end).copyTo(fresh, func(key uint64, text []byte) bool { return keep(key, text, true) })
	if err == nil && end > mark {
		err = fresh.f.Sync()
	}
	if err == nil {
		err = os.Rename(fresh.path, s.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("rewrite raw store %s: %w", s.path, err), fresh.Close(), os.Remove(fresh.path))
	}
	old := s.f
	s.decoder.Close()
	if s.known == nil {
		fresh.known = nil
	}
	s.f, s.end, s.known, s.encoder, s.decoder, s.dict, s.first = fresh.f, fresh.end, fresh.known, nil, fresh.decoder, fresh.dict, fresh.first
	return errors.Join(old.Close(), syncFolder(filepath.Dir(s.path)))
}

// startAgain makes a store beside this one of the lines before mark, on disk
// when it returns.
func (s *Store) startAgain(mark int64, keep func(key uint64, text []byte, late bool) bool) (*Store, error) {
	s.mu.RLock()
	old := s.part(s.first, min(mark, s.end)) // what is written stays as it is
	s.mu.RUnlock()
	early := func(key uint64, text []byte) bool { return keep(key, text, false) }
	path := s.path + ".new"
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	sample, err := old.sample(early)
	if err != nil {
		return nil, err
	}
	fresh, err := Open(path, sample)
	if err != nil {
		return nil, err
	}
	fresh.known = map[uint64]struct{}{}
	if err := errors.Join(old.copyTo(fresh, early), fresh.f.Sync()); err != nil {
		return nil, errors.Join(err, fresh.Close(), os.Remove(path))
	}
	return fresh, nil
}

// part is the store as far as a stretch of its blocks goes, to read it.
func (s *Store) part(from, to int64) *Store {
	return &Store{path: s.path, f: s.f, first: from, end: to, decoder: s.decoder, dict: s.dict}
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
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
		return undamaged(s.lines(b, func(key uint64, text []byte) {
			if taken < dictionaryBytes/spread && keep(key, text) {
				sample = append(append(sample, text...), '\n')
				taken += len(text)
			}
		}))
	})
	return sample, err
}

func (s *Store) copyTo(to *Store, keep func(key uint64, text []byte) bool) error {
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
		return errors.Join(undamaged(err), failed)
	})
	return errors.Join(err, to.write(&p))
}

// undamaged takes away the error of a damaged block.
func undamaged(err error) error {
	if errors.Is(err, errTorn) {
		return nil
	}
	return err
}
