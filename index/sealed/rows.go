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
	return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression),
		zstd.WithWindowSize(64<<10), zstd.WithEncoderDictRaw(rowDictionary, sample))
}

// block decompresses the block of a row.
func (s *Segment) block(number int) (data []byte, err error) {
	defer s.guard(&err)
	data, err = s.decoder.DecodeAll(s.blocks.span(number, s.rows), nil)
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

// Row gives a document's id and row.
func (s *Segment) Row(ordinal int) (id string, row []byte, err error) {
	for id, row = range s.rowsFrom(ordinal, &err) {
		return id, row, err
	}
	if err == nil {
		err = fmt.Errorf("read row %d of %s: %w", ordinal, s.path, ErrCorrupt)
	}
	return "", nil, err
}

// Rows yields every document in the order of ids; err is set when it ends early.
func (s *Segment) Rows(err *error) iter.Seq2[string, []byte] { return s.rowsFrom(0, err) }

func (s *Segment) rowsFrom(ordinal int, err *error) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for at := ordinal / rowsPerBlock * rowsPerBlock; at < s.Len(); {
			var block []byte
			if block, *err = s.block(at / rowsPerBlock); *err != nil {
				return
			}
			for ; len(block) > 0; at++ {
				id, row, rest, ok := nextRow(block)
				if !ok {
					*err = fmt.Errorf("read row %d of %s: %w", at, s.path, ErrCorrupt)
					return
				}
				if at >= ordinal && !yield(id, row) {
					return
				}
				block = rest
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
	place := sort.Search(high-low, func(i int) bool {
		other, _, rowErr := s.Row(low + i)
		if rowErr != nil {
			err = rowErr
		}
		found = found || other == id
		return other >= id
	})
	return low + place, found, err
}
