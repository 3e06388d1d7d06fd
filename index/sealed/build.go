package sealed

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"os"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// Document is what is put into a file.
type Document struct {
	ID     string
	Time   int64               // Unix milliseconds; never falls from one document to the next
	Row    []byte              // what Row gives back
	Values map[string][]string // by field
	Keys   []string            // texts it is found by with Lookup.Key
}

// Field is a field of the documents.
type Field struct {
	Name      string
	Fragments bool // searched by fragments, not only by whole values
}

// Builder makes a file: beside its place first, under its name when it is whole.
type Builder struct {
	path   string
	file   *os.File
	out    *bufio.Writer
	offset int64
	fields []Field
	values map[string]*values
	dir    directory

	times, blocks []byte
	keys          []key
	waiting       [][]byte // rows before there is a sample, then of one block
	sample        []byte
	encoder       *zstd.Encoder
	rowsStart     int64
	rowsSum       uint32
}

type key struct {
	hash    uint64
	ordinal uint32
}

// NewBuilder starts the file that Finish gives the name path.
func NewBuilder(path string, fields []Field) (*Builder, error) {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	b := &Builder{path: path, file: f, out: bufio.NewWriterSize(f, 1<<20), fields: fields, values: map[string]*values{}, dir: directory{Sections: map[string]section{}}}
	for _, field := range fields {
		b.values[field.Name] = &values{fragments: field.Fragments, places: map[string]int{}}
		b.dir.Fields = append(b.dir.Fields, field.Name)
	}
	return b, nil
}

// Add appends a document; its id must be above that of the one before.
func (b *Builder) Add(d Document) error {
	if b.dir.Count == 0 {
		b.dir.First, b.dir.Base = d.ID, d.Time
	} else if d.ID <= b.dir.Last {
		return fmt.Errorf("seal %s: id %q comes after %q", b.path, d.ID, b.dir.Last)
	}
	ordinal := uint32(b.dir.Count)
	b.dir.Last = d.ID
	b.dir.Count++
	b.times = binary.LittleEndian.AppendUint32(b.times, uint32(d.Time-b.dir.Base))
	for name, texts := range d.Values {
		if v := b.values[name]; v != nil {
			v.add(ordinal, texts)
		}
	}
	for _, k := range d.Keys {
		b.keys = append(b.keys, key{hash64(k), ordinal})
	}
	row := binary.AppendUvarint(nil, uint64(len(d.ID)))
	row = append(row, d.ID...)
	row = binary.AppendUvarint(row, uint64(len(d.Row)))
	return b.addRow(append(row, d.Row...))
}

// addRow keeps rows until there are enough for a sample, then compresses
// block by block.
func (b *Builder) addRow(row []byte) error {
	b.waiting = append(b.waiting, row)
	if b.encoder == nil {
		if b.sample = append(b.sample, row...); len(b.sample) < sampleBytes {
			return nil
		}
		if err := b.start(); err != nil {
			return err
		}
	}
	return b.flush(false)
}

func (b *Builder) start() (err error) {
	if b.encoder, err = newRowEncoder(b.sample); err != nil {
		return fmt.Errorf("seal %s: %w", b.path, err)
	}
	b.rowsStart = b.offset
	return nil
}

// flush compresses whole blocks; all: what is left, too.
func (b *Builder) flush(all bool) error {
	for len(b.waiting) >= rowsPerBlock || all && len(b.waiting) > 0 {
		n := min(rowsPerBlock, len(b.waiting))
		frame := b.encoder.EncodeAll(slices.Concat(b.waiting[:n]...), nil)
		b.waiting = b.waiting[n:]
		if err := b.write(frame); err != nil {
			return err
		}
		b.rowsSum = crc32.Update(b.rowsSum, castagnoli, frame)
		b.blocks = binary.LittleEndian.AppendUint32(b.blocks, uint32(b.offset-b.rowsStart))
	}
	return nil
}

func (b *Builder) write(data []byte) error {
	n, err := b.out.Write(data)
	b.offset += int64(n)
	if err != nil {
		return fmt.Errorf("seal %s: %w", b.path, err)
	}
	return nil
}

func (b *Builder) section(name string, data []byte) error {
	b.dir.Sections[name] = section{Offset: b.offset, Length: int64(len(data)), Sum: crc32.Checksum(data, castagnoli)}
	return b.write(data)
}

// Finish writes what is left, brings the file to disk and gives it its name.
// The folder is not synced.
func (b *Builder) Finish() error {
	err := b.finish()
	if err == nil {
		err = os.Rename(b.path+".new", b.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("seal %s: %w", b.path, err), b.Discard())
	}
	return nil
}

// Discard gives the work up.
func (b *Builder) Discard() error {
	err := b.file.Close()
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}
	return errors.Join(err, os.Remove(b.path+".new"))
}

func (b *Builder) finish() error {
	if b.encoder == nil {
		if err := b.start(); err != nil {
			return err
		}
	}
	if err := b.flush(true); err != nil {
		return err
	}
	b.dir.Sections["rows"] = section{Offset: b.rowsStart, Length: b.offset - b.rowsStart, Sum: b.rowsSum}
	for name, data := range map[string][]byte{"times": b.times, "blocks": b.blocks, "sample": b.sample, "keys": b.sortedKeys()} {
		if err := b.section(name, data); err != nil {
			return err
		}
	}
	for _, field := range b.fields {
		for i, data := range b.values[field.Name].sections() {
			if err := b.section(field.Name+parts[i], data); err != nil {
				return err
			}
		}
	}
	text, err := json.Marshal(b.dir)
	if err != nil {
		return err
	}
	tail := binary.LittleEndian.AppendUint32(text, uint32(len(text)))
	tail = binary.LittleEndian.AppendUint32(tail, crc32.Checksum(text, castagnoli))
	if err := b.write(append(tail, magic...)); err != nil {
		return err
	}
	return errors.Join(b.out.Flush(), b.file.Sync(), b.file.Close())
}

func (b *Builder) sortedKeys() []byte {
	shift := ordinalBits(b.dir.Count)
	list := make([]uint64, len(b.keys))
	for i, k := range b.keys {
		list[i] = k.hash>>shift<<shift | uint64(k.ordinal)
	}
	slices.Sort(list)
	var data []byte
	for _, k := range slices.Compact(list) {
		data = binary.LittleEndian.AppendUint64(data, k)
	}
	return data
}

func keyAt(keys []byte, i int) uint64 { return binary.LittleEndian.Uint64(keys[8*i:]) }

func hash64(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // a hash takes everything
	return h.Sum64()
}
