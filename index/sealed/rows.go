package sealed

import (
	"encoding/binary"
	"fmt"
	"iter"
	"sort"

	"github.com/klauspost/compress/zstd"
)

// rowsPerBlock is how many rows are compressed together. A page reads as many
// blocks as it has rows when these are far apart.
const rowsPerBlock = 16

// rowDictionary names the dictionary inside the frames: sample rows, so that
// a small block compresses as well as a large one.
const rowDictionary = 1

// sampleBytes is how much of the first rows makes the dictionary.
const sampleBytes = 32 << 10

func newRowEncoder(sample []byte) (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithWindowSize(64<<10), zstd.WithEncoderDictRaw(rowDictionary, sample))
}

// block decompresses a block of rows behind what into has.
func (s *Segment) block(number int, into []byte) (data []byte, err error) {
	defer s.guard(&err)
	data, err = s.decoder.DecodeAll(s.blocks.span(number, s.rows), into)
	if err != nil {
		return nil, fmt.Errorf("read rows of %s: %w: %w", s.path, ErrCorrupt, err)
	}
	return data, nil
}

// nextRow cuts a row from a block.
func nextRow(block []byte) (id string, row, rest []byte, ok bool) {
	var texts [2][]byte
	for i := range texts {
		length, width := binary.Uvarint(block)
		if width <= 0 || length > uint64(len(block)-width) {
			return "", nil, nil, false
		}
		texts[i], block = block[width:width+int(length)], block[width+int(length):]
	}
	return string(texts[0]), texts[1], block, true
}

// Reader gives rows; it keeps the block of the last one, for rows that lie
// beside each other are often read one after the other. Not for concurrent use.
type Reader struct {
	segment *Segment
	number  int // of the block
	block   []byte
}

// Reader returns a new reader.
func (s *Segment) Reader() *Reader { return &Reader{segment: s, number: -1} }

// Row gives a document's id and row; the row is good until the next call.
func (r *Reader) Row(ordinal int) (id string, row []byte, err error) {
	if number := ordinal / rowsPerBlock; number != r.number {
		if r.block, err = r.segment.block(number, r.block[:0]); err != nil {
			r.number = -1
			return "", nil, err
		}
		r.number = number
	}
	rest := r.block
	for range ordinal%rowsPerBlock + 1 {
		var ok bool
		if id, row, rest, ok = nextRow(rest); !ok {
			return "", nil, fmt.Errorf("read row %d of %s: %w", ordinal, r.segment.path, ErrCorrupt)
		}
	}
	return id, row, nil
}

// Row gives a document's id and row.
func (s *Segment) Row(ordinal int) (id string, row []byte, err error) { return s.Reader().Row(ordinal) }

// Rows yields every document in the order of ids; err is set when it ends
// early. A row is good until the next.
func (s *Segment) Rows(err *error) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		r := s.Reader()
		for ordinal := range s.Len() {
			id, row, rowErr := r.Row(ordinal)
			if rowErr != nil {
				*err = rowErr
				return
			}
			if !yield(id, row) {
				return
			}
		}
	}
}

// Find gives the ordinal of an id whose time is at, in Unix milliseconds, and
// whether a document has it; without one, that of the next higher id.
func (s *Segment) Find(id string, at int64) (ordinal int, found bool, err error) {
	defer s.guard(&err)
	if s.Len() == 0 || id < s.dir.First {
		return 0, false, nil
	}
	if id > s.dir.Last {
		return s.Len(), false, nil
	}
	low, high := s.since(at), s.since(at+1)
	r := s.Reader()
	place := sort.Search(high-low, func(i int) bool {
		other, _, rowErr := r.Row(low + i)
		if rowErr != nil {
			err = rowErr
		}
		found = found || other == id
		return other >= id
	})
	return low + place, found, err
}
