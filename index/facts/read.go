package facts

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/klauspost/compress/zstd"

	"mailwhy/engine/mail"
)

// Columns is a file that was read. Safe for concurrent use.
type Columns struct {
	count  int
	table  []string
	refs   [len(texts)][]uint32 // nil = nothing but empty texts
	values [len(numbers)][]int64
}

// Read reads a file. A file that does not exist gives an error that is
// fs.ErrNotExist, a damaged one ErrCorrupt.
func Read(path string) (*Columns, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read facts: %w", err)
	}
	c, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("read facts %s: %w: %w", path, ErrCorrupt, err)
	}
	return c, nil
}

func parse(data []byte) (*Columns, error) {
	frame, ok := bytes.CutPrefix(data, []byte(magic))
	if !ok {
		return nil, errors.New("it does not begin as such a file does")
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(longestFile))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	contents, err := decoder.DecodeAll(frame, nil)
	if err != nil {
		return nil, err
	}
	return parseContents(contents)
}

func parseContents(contents []byte) (*Columns, error) {
	r := &reader{data: contents}
	c := &Columns{count: int(r.word())}
	c.table = r.table(int(r.word()))
	for _, i := range r.bytes(int(r.byte())) {
		if int(i) >= len(texts) {
			return nil, fmt.Errorf("there is no column %d", i)
		}
		c.refs[i] = r.refs(c.count, len(c.table))
	}
	for i := range c.values {
		c.values[i] = r.numbers(c.count)
	}
	if r.bad || len(r.data) > 0 {
		return nil, errors.New("its parts do not fit together")
	}
	return c, nil
}

// Len is how many messages there are.
func (c *Columns) Len() int { return c.count }

// ID is a message's id.
func (c *Columns) ID(i int) string { return c.text(0, i) }

func (c *Columns) text(column, i int) string {
	if c.refs[column] == nil {
		return ""
	}
	return c.table[c.refs[column][i]]
}

// Message gives a message as it was added, without its lines, its source, its
// message id and its queue id.
func (c *Columns) Message(i int, m *mail.Message) {
	*m = mail.Message{}
	for column, refs := range c.refs {
		if refs != nil && refs[i] != 0 {
			texts[column].set(m, c.table[refs[i]])
		}
	}
	for column := range c.values {
		if n := c.values[column][i]; n != 0 {
			numbers[column].set(m, n)
		}
	}
}

// reader cuts a file's contents; what goes beyond them is bad and zero.
type reader struct {
	data []byte
	bad  bool
}

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > len(r.data) {
		r.bad = true
		return nil
	}
	part := r.data[:n]
	r.data = r.data[n:]
	return part
}

func (r *reader) byte() byte {
	if part := r.bytes(1); part != nil {
		return part[0]
	}
	return 0
}

func (r *reader) word() uint32 {
	if part := r.bytes(4); part != nil {
		return binary.LittleEndian.Uint32(part)
	}
	return 0
}

// table reads n texts.
func (r *reader) table(n int) []string {
	ends := r.bytes(4 * n)
	if len(ends) == 0 {
		r.bad = true
		return nil
	}
	all := string(r.bytes(int(binary.LittleEndian.Uint32(ends[len(ends)-4:]))))
	list, start := make([]string, n), 0
	for i := range list {
		end := int(binary.LittleEndian.Uint32(ends[4*i:]))
		if end < start || end > len(all) {
			r.bad = true
			return list
		}
		list[i], start = all[start:end], end
	}
	return list
}

// refs reads n places in a table of so many texts.
func (r *reader) refs(n, texts int) []uint32 {
	part := r.bytes(4 * n)
	list := make([]uint32, len(part)/4)
	for i := range list {
		if list[i] = binary.LittleEndian.Uint32(part[4*i:]); int(list[i]) >= texts {
			r.bad, list[i] = true, 0
		}
	}
	return list
}

func (r *reader) numbers(n int) []int64 {
	part := r.bytes(8 * n)
	list := make([]int64, len(part)/8)
	for i := range list {
		list[i] = int64(binary.LittleEndian.Uint64(part[8*i:]))
	}
	return list
}
