// Package sealed keeps documents that no longer change: one file a shard,
// memory-mapped, which says which documents have a value, or a value that
// contains a fragment, and gives the documents back.
//
// Documents lie in the order of their ids, which is the order of their times;
// a document is known by its place in it, its ordinal. Every field has a
// dictionary of its distinct values with the ordinals of each; a field that is
// searched by fragments has the trigrams of those values as well. An answer is
// a set of ordinals, so conditions are joined by set operations, the newest
// rows are its last members, and counts are exact.
//
// This takes the place of a merged bleve segment with a dictionary of trigrams
// beside it, which was measured in the same run over 300,000 messages in three
// shards (docs/benchmarks.md, "Layouts"): there a message takes 917 bytes (410
// without its row) against 153, a fragment that most senders have 47 ms against
// 5.4, the most frequent values 1,157 ms against 172, opening and the first page
// 74 ms against 16. Fragments that few senders have cost the same in both.
//
//	b := sealed.NewBuilder(path, fields)
//	err = b.Add(sealed.Document{...}) // in the order of ids
//	err = b.Finish()
//	s, err := sealed.Open(path)
//	set, err := s.Match(ctx, sealed.Span{}, conditions)
//
// It knows nothing of mail: a document's row is bytes.
package sealed

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"runtime"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// ErrCorrupt is the cause of every error that comes from a file's contents.
var ErrCorrupt = errors.New("corrupt")

// ErrVersion is the error of a file whole in a form this program does not know.
var ErrVersion = errors.New("written by another version of mailwhy")

const (
	named   = "mailwhy sealed "
	magic   = named + "1"
	tailLen = 8 + len(magic) // length and checksum of the directory, magic
)

// directory ends a file: where everything lies.
type directory struct {
	Count    int                `json:"count"` // documents
	Base     int64              `json:"base"`  // Unix milliseconds of the first document
	First    string             `json:"first"` // id of the first document
	Last     string             `json:"last"`
	Fields   []string           `json:"fields"`
	Sections map[string]section `json:"sections"`
}

type section struct {
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
	Sum    uint32 `json:"sum"` // CRC-32C
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Segment is an open file. Safe for concurrent use; nothing of it may be used
// after Close.
type Segment struct {
	path     string
	data     []byte
	dir      directory
	fields   map[string]dictionary
	times    numbers // milliseconds after Base
	keys     []byte
	blocks   numbers // ends of the row blocks
	rows     []byte
	decoder  *zstd.Decoder
	keyShift uint
}

// Open maps a file. The directory is checked, the rest as it is used; see Verify.
func Open(path string) (*Segment, error) {
	s := &Segment{path: path, fields: map[string]dictionary{}}
	if err := s.mapFile(); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if err := s.readDirectory(); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), s.Close())
	}
	return s, nil
}

func (s *Segment) mapFile() error {
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() < int64(tailLen) {
		return fmt.Errorf("%w: %d bytes are too few", ErrCorrupt, info.Size())
	}
	s.data, err = unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	return err
}

func (s *Segment) readDirectory() error {
	tail := s.data[len(s.data)-tailLen:]
	if end := string(tail[8:]); end != magic && end[:len(named)] == named {
		return fmt.Errorf("%w: it ends with %q", ErrVersion, end)
	} else if end != magic {
		return fmt.Errorf("%w: it does not end as a sealed shard does", ErrCorrupt)
	}
	length := int(binary.LittleEndian.Uint32(tail))
	if length > len(s.data)-tailLen {
		return fmt.Errorf("%w: its directory is cut", ErrCorrupt)
	}
	text := s.data[len(s.data)-tailLen-length : len(s.data)-tailLen]
	if crc32.Checksum(text, castagnoli) != binary.LittleEndian.Uint32(tail[4:]) {
		return fmt.Errorf("%w: the checksum of its directory is wrong", ErrCorrupt)
	}
	if err := json.Unmarshal(text, &s.dir); err != nil {
		return fmt.Errorf("%w: directory: %w", ErrCorrupt, err)
	}
	for name, part := range s.dir.Sections {
		if part.Offset < 0 || part.Length < 0 || part.Offset > int64(len(s.data)) || part.Length > int64(len(s.data))-part.Offset {
			return fmt.Errorf("%w: section %s lies outside", ErrCorrupt, name)
		}
	}
	for _, name := range s.dir.Fields {
		s.fields[name] = s.field(name)
	}
	s.times, s.keys, s.blocks, s.rows = s.section("times"), s.section("keys"), s.section("blocks"), s.section("rows")
	s.keyShift = ordinalBits(s.dir.Count)
	var err error
	s.decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderDictRaw(rowDictionary, s.section("sample")))
	return err
}

func (s *Segment) section(name string) []byte {
	part := s.dir.Sections[name]
	return s.data[part.Offset : part.Offset+part.Length : part.Offset+part.Length]
}

// Close unmaps the file.
func (s *Segment) Close() error {
	if s.decoder != nil {
		s.decoder.Close()
	}
	data := s.data
	s.data = nil
	if data == nil {
		return nil
	}
	return unix.Munmap(data)
}

// Warm maps what a fragment is looked for in, so that the first searches do not
// wait for it page by page: 0.4 ms a shard of 100,000 documents. The memory is
// the page cache's.
func (s *Segment) Warm() {
	page := int64(os.Getpagesize())
	for _, name := range s.dir.Fields {
		if s.fields[name].grams.len() == 0 {
			continue
		}
		for _, part := range []int{0, 1, 4, 5, 6} { // all but the documents
			section := s.dir.Sections[name+parts[part]]
			start := section.Offset / page * page
			// Before Linux 5.14 it is not known, and pages come when they are asked for.
			_ = unix.Madvise(s.data[start:section.Offset+section.Length], unix.MADV_POPULATE_READ)
		}
	}
}

// Verify reads all of the file and compares checksums.
func (s *Segment) Verify() error {
	for name, part := range s.dir.Sections {
		if crc32.Checksum(s.section(name), castagnoli) != part.Sum {
			return fmt.Errorf("verify %s: %w: the checksum of section %s is wrong", s.path, ErrCorrupt, name)
		}
	}
	return nil
}

// Len is the number of documents; ordinals are below it.
func (s *Segment) Len() int { return s.dir.Count }

// Size is the length of the file in bytes.
func (s *Segment) Size() int64 { return int64(len(s.data)) }

// First and Last are the lowest and the highest id, "" when there are none.
func (s *Segment) First() string { return s.dir.First }

// Last is the highest id; see First.
func (s *Segment) Last() string { return s.dir.Last }

// Time is a document's time in Unix milliseconds.
func (s *Segment) Time(ordinal int) int64 { return s.dir.Base + int64(s.times.at(ordinal)) }

// numbers are 32-bit little-endian numbers in a file.
type numbers []byte

func (n numbers) at(i int) uint32 { return binary.LittleEndian.Uint32(n[4*i:]) }

func (n numbers) len() int { return len(n) / 4 }

// span gives what lies between two ends: ends holds the end of each part.
func (n numbers) span(i int, of []byte) []byte {
	start := uint32(0)
	if i > 0 {
		start = n.at(i - 1)
	}
	return of[start:n.at(i)]
}

// guard turns what reading a damaged mapping leads to into an error: offsets
// inside the sections are not checked one by one.
func (s *Segment) guard(err *error) {
	if r := recover(); r != nil {
		fault, ok := r.(runtime.Error)
		if !ok {
			panic(r)
		}
		*err = fmt.Errorf("read %s: %w: %v", s.path, ErrCorrupt, fault)
	}
}
