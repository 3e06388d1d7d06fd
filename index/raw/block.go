package raw

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
)

// The file: a head (magic, checksum, length of the dictionary, dictionary),
// then blocks. A block: magic, checksum of what follows it, number of lines,
// length of the payload, the keys of the lines, the payload; all numbers
// little-endian. The payload is a frame of Zstandard (RFC 8878): each line
// behind its length as a varint.
const (
	headMagic   = "mwraw1\r\n"
	headSize    = len(headMagic) + 8
	blockMagic  = 0x314b4257 // "WBK1"
	blockHeader = 16
)

// errTorn says that what stands at a place is not whole.
var errTorn = errors.New("torn")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// readHead reads the dictionary; errTorn when the file is empty or its head is
// not whole.
func (s *Store) readHead(size int64) error {
	head := make([]byte, headSize)
	if size < int64(headSize) {
		return errTorn
	}
	if _, err := s.f.ReadAt(head, 0); err != nil {
		return err
	}
	if !bytes.HasPrefix(head, []byte(headMagic)) {
		if bytes.Equal(head, make([]byte, headSize)) {
			return errTorn // the length reached the disk and the bytes did not
		}
		return errors.New("this is no raw store of a version known here")
	}
	length := int64(binary.LittleEndian.Uint32(head[len(headMagic)+4:]))
	if length > dictionaryBytes || int64(headSize)+length > size {
		return errTorn
	}
	dict := make([]byte, length)
	if _, err := s.f.ReadAt(dict, int64(headSize)); err != nil {
		return err
	}
	if crc32.Checksum(dict, castagnoli) != binary.LittleEndian.Uint32(head[len(headMagic):]) {
		return errTorn
	}
	s.dict, s.first = dict, int64(headSize)+length
	return nil
}

func (s *Store) writeHead(sample []byte) error {
	dict := sample[max(0, len(sample)-dictionaryBytes):]
	head := []byte(headMagic)
	head = binary.LittleEndian.AppendUint32(head, crc32.Checksum(dict, castagnoli))
	head = binary.LittleEndian.AppendUint32(head, uint32(len(dict)))
	if _, err := s.f.WriteAt(append(head, dict...), 0); err != nil {
		return err
	}
	s.dict, s.first = bytes.Clone(dict), int64(headSize+len(dict))
	return nil
}

// block is one block's header and keys.
type block struct {
	at     int64
	sum    uint32
	n      int
	length int // of the payload
	head   []byte
}

func (b block) key(i int) uint64 { return binary.LittleEndian.Uint64(b.head[blockHeader+8*i:]) }

func (b block) payloadAt() int64 { return b.at + blockHeader + 8*int64(b.n) }

func (b block) next() int64 { return b.payloadAt() + int64(b.length) }

func (b block) hasAny(wanted map[uint64][]*string) bool {
	for i := range b.n {
		if _, ok := wanted[b.key(i)]; ok {
			return true
		}
	}
	return false
}

// whole reports whether all of the block is as it was written.
func (b block) whole(f *os.File) (bool, error) {
	payload := make([]byte, b.length)
	if _, err := f.ReadAt(payload, b.payloadAt()); err != nil {
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		return false, err
	}
	return b.checksum(payload) == b.sum, nil
}

func (b block) checksum(payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(b.head[8:], castagnoli), castagnoli, payload)
}

// walk calls yield with each block; what is no block ends it with errTorn.
// A block's head is valid until yield returns.
func (s *Store) walk(yield func(block) error) error {
	buffer := make([]byte, blockHeader+8*blockLines)
	for at := s.first; at < s.end; {
		n, err := s.f.ReadAt(buffer, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		b, ok := readBlock(at, buffer[:n])
		if !ok {
			return errTorn
		}
		if err := yield(b); err != nil {
			return err
		}
		at = b.next()
	}
	return nil
}

func readBlock(at int64, head []byte) (block, bool) {
	if len(head) < blockHeader || binary.LittleEndian.Uint32(head) != blockMagic {
		return block{}, false
	}
	b := block{
		at: at, sum: binary.LittleEndian.Uint32(head[4:]),
		n: int(binary.LittleEndian.Uint32(head[8:])), length: int(binary.LittleEndian.Uint32(head[12:])),
	}
	if b.n > blockLines || b.length > 64*blockBytes || len(head) < blockHeader+8*b.n {
		return block{}, false
	}
	b.head = head[:blockHeader+8*b.n]
	return b, true
}

// lines decompresses a block and gives its lines; errTorn when it is damaged.
func (s *Store) lines(b block, yield func(key uint64, text []byte)) error {
	payload := make([]byte, b.length)
	if _, err := s.f.ReadAt(payload, b.payloadAt()); err != nil {
		return err
	}
	if b.checksum(payload) != b.sum {
		return errTorn
	}
	data, err := s.decoder.DecodeAll(payload, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", errTorn, err)
	}
	for i := range b.n {
		length, width := binary.Uvarint(data)
		if width <= 0 || length > uint64(len(data)-width) {
			return errTorn
		}
		yield(b.key(i), data[width:width+int(length)])
		data = data[width+int(length):]
	}
	return nil
}

// pack is a block being filled.
type pack struct {
	keys []uint64
	data []byte
}

func (p *pack) full(more int) bool {
	return len(p.keys) == blockLines || len(p.keys) > 0 && len(p.data)+more > blockBytes
}

func (p *pack) add(key uint64, text string) {
	p.keys = append(p.keys, key)
	p.data = append(binary.AppendUvarint(p.data, uint64(len(text))), text...)
}

func (p *pack) reset() { p.keys, p.data = p.keys[:0], p.data[:0] }

// block returns the pack as it stands in the file.
func (p *pack) block(encoder *zstd.Encoder) []byte {
	payload := encoder.EncodeAll(p.data, nil)
	data := binary.LittleEndian.AppendUint32(nil, blockMagic)
	data = binary.LittleEndian.AppendUint32(data, 0)
	data = binary.LittleEndian.AppendUint32(data, uint32(len(p.keys)))
	data = binary.LittleEndian.AppendUint32(data, uint32(len(payload)))
	for _, key := range p.keys {
		data = binary.LittleEndian.AppendUint64(data, key)
	}
	data = append(data, payload...)
	binary.LittleEndian.PutUint32(data[4:], crc32.Checksum(data[8:], castagnoli))
	return data
}
