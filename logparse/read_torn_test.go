package logparse

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestReadOfATornLog reads what stands before the break, and says that there
// was one, in the first block and in a later one.
func TestReadOfATornLog(t *testing.T) {
	for _, lines := range []int64{3, 20_000} {
		text := strings.Repeat("Nov 24 10:00:00 mx1 postfix/qmgr[1]: 4XyZab1: removed\n", int(lines)) + "Nov 24 10:00:00 mx1 post"
		s := NewParser(Options{}).Open(Source{ID: "torn", Name: "torn"})
		err := s.Read(t.Context(), io.MultiReader(strings.NewReader(text), iotest.ErrReader(io.ErrUnexpectedEOF)), func() {})
		if !errors.Is(err, io.ErrUnexpectedEOF) || s.Stats().Lines != lines {
			t.Errorf("%d lines of %d, %v", s.Stats().Lines, lines, err)
		}
	}
}
