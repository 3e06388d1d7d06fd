// Package facts keeps what a replay of the policies looks at, in columns: one
// file beside each sealed layer of the index, read as a whole in some tens of
// milliseconds for 100,000 messages, where their rows take a second.
//
//	b := facts.NewBuilder()
//	b.Add(&m) // in the order of ids
//	err := b.Write(path)
//	c, err := facts.Read(path)
//	c.Message(0, &m)
//
// A file is its magic and one zstd frame, which has a checksum: a table of the
// distinct texts, then for each column of texts a number a message, then the
// columns of numbers. Columns without a value are left out. It must not know
// what an index is: who wrote a file knows which messages are in it.
package facts

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/klauspost/compress/zstd"

	"mailwhy/engine/mail"
)

// ErrCorrupt is the cause of every error that comes from a file's contents.
var ErrCorrupt = errors.New("corrupt")

const magic = "mailwhy facts 1\n"

// longestFile bounds a file's contents once decompressed, in bytes.
const longestFile = 1 << 30

// texts are the columns of texts. All of a message but its lines, its source,
// its message id and its queue id, which no policy looks at.
var texts = [...]struct {
	get func(*mail.Message) string
	set func(*mail.Message, string)
}{
	{func(m *mail.Message) string { return m.ID }, func(m *mail.Message, s string) { m.ID = s }},
	{func(m *mail.Message) string { return string(m.EnvelopeFrom) }, func(m *mail.Message, s string) { m.EnvelopeFrom = mail.Path(s) }},
	{func(m *mail.Message) string { return string(m.HeaderFrom) }, func(m *mail.Message, s string) { m.HeaderFrom = mail.Path(s) }},
	{func(m *mail.Message) string { return m.HeaderFromName }, func(m *mail.Message, s string) { m.HeaderFromName = s }},
	{func(m *mail.Message) string { return string(m.Recipient) }, func(m *mail.Message, s string) { m.Recipient = mail.Path(s) }},
	{func(m *mail.Message) string { return string(m.OriginalRecipient) }, func(m *mail.Message, s string) { m.OriginalRecipient = mail.Path(s) }},
	{func(m *mail.Message) string { return m.Client.IP }, func(m *mail.Message, s string) { m.Client.IP = s }},
	{func(m *mail.Message) string { return m.Client.Name }, func(m *mail.Message, s string) { m.Client.Name = s }},
	{func(m *mail.Message) string { return m.Client.Helo }, func(m *mail.Message, s string) { m.Client.Helo = s }},
	{func(m *mail.Message) string { return string(m.Outcome) }, func(m *mail.Message, s string) { m.Outcome = mail.Outcome(s) }},
	{func(m *mail.Message) string { return string(m.Phase) }, func(m *mail.Message, s string) { m.Phase = mail.Phase(s) }},
	{func(m *mail.Message) string { return string(m.Direction) }, func(m *mail.Message, s string) { m.Direction = mail.Direction(s) }},
	{func(m *mail.Message) string { return m.Subject }, func(m *mail.Message, s string) { m.Subject = s }},
	{func(m *mail.Message) string { return m.Reply.Enhanced }, func(m *mail.Message, s string) { m.Reply.Enhanced = s }},
	{func(m *mail.Message) string { return m.Reply.Text }, func(m *mail.Message, s string) { m.Reply.Text = s }},
	{func(m *mail.Message) string { return m.Reported.Type }, func(m *mail.Message, s string) { m.Reported.Type = s }},
	{func(m *mail.Message) string { return m.Reported.Rule }, func(m *mail.Message, s string) { m.Reported.Rule = s }},
	{func(m *mail.Message) string { return m.Reported.Detail }, func(m *mail.Message, s string) { m.Reported.Detail = s }},
	{func(m *mail.Message) string { return m.Remote.Name }, func(m *mail.Message, s string) { m.Remote.Name = s }},
	{func(m *mail.Message) string { return m.Remote.IP }, func(m *mail.Message, s string) { m.Remote.IP = s }},
	{func(m *mail.Message) string { return m.Auth.SPF }, func(m *mail.Message, s string) { m.Auth.SPF = s }},
	{func(m *mail.Message) string { return m.Auth.DKIM }, func(m *mail.Message, s string) { m.Auth.DKIM = s }},
	{func(m *mail.Message) string { return m.Auth.DMARC }, func(m *mail.Message, s string) { m.Auth.DMARC = s }},
	{func(m *mail.Message) string { return m.Gateway }, func(m *mail.Message, s string) { m.Gateway = s }},
	{func(m *mail.Message) string { return m.Format }, func(m *mail.Message, s string) { m.Format = s }},
	{spamScore, setSpamScore},
}

func spamScore(m *mail.Message) string {
	if m.SpamScore == nil {
		return ""
	}
	return strconv.FormatFloat(*m.SpamScore, 'g', -1, 64)
}

func setSpamScore(m *mail.Message, text string) {
	if score, err := strconv.ParseFloat(text, 64); err == nil {
		m.SpamScore = &score
	}
}

// numbers are the columns of numbers; times are Unix milliseconds, 0 for none.
var numbers = [...]struct {
	get func(*mail.Message) int64
	set func(*mail.Message, int64)
}{
	{func(m *mail.Message) int64 { return milli(m.Time) }, func(m *mail.Message, n int64) { m.Time = time.UnixMilli(n).UTC() }},
	{func(m *mail.Message) int64 { return milli(m.Last) }, func(m *mail.Message, n int64) { m.Last = time.UnixMilli(n).UTC() }},
	{func(m *mail.Message) int64 { return int64(m.Reply.Code) }, func(m *mail.Message, n int64) { m.Reply.Code = int(n) }},
	{func(m *mail.Message) int64 { return int64(m.Attempts) }, func(m *mail.Message, n int64) { m.Attempts = int(n) }},
	{func(m *mail.Message) int64 { return m.Size }, func(m *mail.Message, n int64) { m.Size = n }},
}

func milli(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixMilli()
}

// Builder collects messages.
type Builder struct {
	count  int
	blob   []byte
	ends   []uint32
	places map[string]uint32
	refs   [len(texts)][]uint32
	values [len(numbers)][]int64
}

// NewBuilder begins a file.
func NewBuilder() *Builder {
	return &Builder{places: map[string]uint32{"": 0}, ends: []uint32{0}}
}

// Add appends a message.
func (b *Builder) Add(m *mail.Message) {
	for i := range texts {
		b.refs[i] = append(b.refs[i], b.place(texts[i].get(m), i == 0))
	}
	for i := range numbers {
		b.values[i] = append(b.values[i], numbers[i].get(m))
	}
	b.count++
}

// place is a text's number in the table; one that is known to be new is not
// remembered.
func (b *Builder) place(text string, unique bool) uint32 {
	if at, ok := b.places[text]; ok {
		return at
	}
	at := uint32(len(b.ends))
	b.blob = append(b.blob, text...)
	b.ends = append(b.ends, uint32(len(b.blob)))
	if !unique {
		b.places[text] = at
	}
	return at
}

// Write brings the file to disk under its name, at once or not at all. The
// folder is not synced.
func (b *Builder) Write(path string) error {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return fmt.Errorf("write facts: %w", err)
	}
	data := encoder.EncodeAll(b.contents(), []byte(magic))
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.new")
	if err != nil {
		return fmt.Errorf("write facts: %w", err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write facts: %w", err), os.Remove(f.Name()))
	}
	return nil
}

func (b *Builder) contents() []byte {
	var data []byte
	word := func(n uint32) { data = binary.LittleEndian.AppendUint32(data, n) }
	word(uint32(b.count))
	word(uint32(len(b.ends)))
	for _, end := range b.ends {
		word(end)
	}
	data = append(data, b.blob...)
	var used []byte
	for i, column := range b.refs {
		if anyOf(column) {
			used = append(used, byte(i))
		}
	}
	data = append(append(data, byte(len(used))), used...)
	for _, i := range used {
		for _, at := range b.refs[i] {
			word(at)
		}
	}
	for _, column := range b.values {
		for _, n := range column {
			data = binary.LittleEndian.AppendUint64(data, uint64(n))
		}
	}
	return data
}

func anyOf(column []uint32) bool {
	for _, at := range column {
		if at != 0 {
			return true
		}
	}
	return false
}
