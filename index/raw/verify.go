package raw

import "errors"

// errFound ends a search.
var errFound = errors.New("found")

// Verify reads every block and counts those that are damaged.
func (s *Store) Verify() (damaged int, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	err = s.walk(func(b block) error {
		err := s.lines(b, func(uint64, []byte) {})
		if errors.Is(err, errTorn) {
			damaged++
			return nil
		}
		return err
	})
	if errors.Is(err, errTorn) { // what follows cannot be found
		return damaged + 1, nil
	}
	return damaged, err
}

// Any reports whether a line, or the dictionary, satisfies is.
func (s *Store) Any(is func(text []byte) bool) (bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if is(s.dict) {
		return true, nil
	}
	err := s.walk(func(b block) error {
		found := false
		err := s.lines(b, func(_ uint64, text []byte) { found = found || is(text) })
		switch {
		case found:
			return errFound
		case errors.Is(err, errTorn):
			return nil // nobody can read it
		}
		return err
	})
	if errors.Is(err, errFound) {
		return true, nil
	}
	return false, err
}
