// Package raw keeps the log lines that messages cite, compressed, so that
// evidence outlives the logs.
//
// A store is one file, written behind its end only: a dictionary, then blocks
// of lines compressed with it. A line is known by the message that cites it
// and the place it stands at, so that giving it again, as after a crash,
// writes nothing. A block is written whole and carries its checksum: what a
// crash leaves of one is cut off when the store is opened again.
//
//	s, err := raw.Open(path, sample)
//	err = s.Put(messages)  // their evidence
//	err = s.Fill(messages) // evidence without text gets its text
//
// It knows nothing of search; a shard of the index owns one store.
package raw

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"sync"

	"github.com/klauspost/compress/zstd"

	"mailwhy/engine/mail"
)

// Store is an open store. Safe for concurrent use.
type Store struct {
	path string

	mu      sync.RWMutex
	f       *os.File
	end     int64               // of the last whole block
	known   map[uint64]struct{} // keys of the lines in it; nil = not read yet
	encoder *zstd.Encoder       // nil = nothing was written yet
	decoder *zstd.Decoder
	dict    []byte
	first   int64 // offset of the first block
}

// most bytes of lines in a block, and most lines: a line is fetched by
// decompressing its block, and the keys of a block are read at once.
const (
	blockBytes = 64 << 10
	blockLines = 480
)

// dictionaryBytes is how much of a sample becomes the dictionary.
const dictionaryBytes = 16 << 10

// dictionaryID names the dictionary inside the frames; one store has one.
const dictionaryID = 1

// Open opens the store at path or makes it, with a dictionary of the sample's
// lines: lines like those to come, such as those of the store before. nil = no
// dictionary. What follows the last whole block is cut off.
func Open(path string, sample []byte) (*Store, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open raw store: %w", err)
	}
	s := &Store{path: path, f: f}
	if err := s.start(sample); err != nil {
		return nil, errors.Join(fmt.Errorf("open raw store %s: %w", path, err), f.Close())
	}
	return s, nil
}

func (s *Store) start(sample []byte) error {
	info, err := s.f.Stat()
	if err != nil {
		return err
	}
	err = s.readHead(info.Size())
	if errors.Is(err, errTorn) {
		if err = s.f.Truncate(0); err == nil {
			err = s.writeHead(sample)
		}
	}
	if err != nil {
		return err
	}
	s.decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20), zstd.WithDecoderDictRaw(dictionaryID, s.dict))
	if err != nil {
		return err
	}
	if err := s.findEnd(); err != nil {
		return err
	}
	return s.f.Truncate(s.end)
}

// findEnd sets the end behind the last block that is whole.
func (s *Store) findEnd() error {
	info, err := s.f.Stat()
	if err != nil {
		return err
	}
	s.end = info.Size()
	end := s.first
	err = s.walk(func(b block) error {
		whole, err := b.whole(s.f)
		if err != nil {
			return err
		}
		if whole {
			end = b.next()
		}
		return nil
	})
	if err != nil && !errors.Is(err, errTorn) {
		return err
	}
	s.end = end
	return nil
}

// Put adds the evidence of messages; lines that are in the store already are
// passed over. They are written when it returns, but see Sync.
func (s *Store) Put(messages []mail.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.learn(); err != nil {
		return fmt.Errorf("read keys of raw store %s: %w", s.path, err)
	}
	var p pack
	for i := range messages {
		for e := range messages[i].Lines() {
			key := Key(messages[i].ID, *e)
			if _, seen := s.known[key]; seen || e.Text == "" {
				continue
			}
			if p.full(len(e.Text)) {
				if err := s.write(&p); err != nil {
					return err
				}
			}
			p.add(key, e.Text)
			s.known[key] = struct{}{}
		}
	}
	return s.write(&p)
}

// Sync returns when everything put before is on disk.
func (s *Store) Sync() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.f.Sync(); err != nil {
		return fmt.Errorf("sync raw store %s: %w", s.path, err)
	}
	return nil
}

// Fill gives the evidence of messages its text, as far as the store has it: a
// block that was damaged on disk is passed over.
func (s *Store) Fill(messages []mail.Message) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	wanted := map[uint64][]*string{}
	for i := range messages {
		for e := range messages[i].Lines() {
			if e.Text == "" {
				key := Key(messages[i].ID, *e)
				wanted[key] = append(wanted[key], &e.Text)
			}
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	err := s.walk(func(b block) error {
		if !b.hasAny(wanted) {
			return nil
		}
		err := s.lines(b, func(key uint64, text []byte) {
			for _, to := range wanted[key] {
				*to = string(text)
			}
			delete(wanted, key)
		})
		switch {
		case errors.Is(err, errTorn):
			return nil
		case err == nil && len(wanted) == 0:
			return io.EOF
		}
		return err
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read raw store %s: %w", s.path, err)
	}
	return nil
}

// Size is how many bytes the store has on disk.
func (s *Store) Size() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.end
}

// Close closes the file; it does not sync it.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.decoder.Close()
	s.known, s.encoder = nil, nil
	return s.f.Close()
}

// learn reads which lines the store has; after it the keys are kept up to date.
func (s *Store) learn() error {
	if s.known != nil {
		return nil
	}
	s.known = map[uint64]struct{}{}
	return s.walk(func(b block) error {
		whole, err := b.whole(s.f)
		if !whole || err != nil {
			return err
		}
		for i := range b.n {
			s.known[b.key(i)] = struct{}{}
		}
		return nil
	})
}

// write appends a pack as a block and empties it. What could not be written is
// forgotten, so that it is tried again when it is put again.
func (s *Store) write(p *pack) error {
	if len(p.keys) == 0 {
		return nil
	}
	err := s.append(p)
	if err != nil {
		for _, key := range p.keys {
			delete(s.known, key)
		}
		err = errors.Join(fmt.Errorf("write raw store %s: %w", s.path, err), s.f.Truncate(s.end))
	}
	p.reset()
	return err
}

func (s *Store) append(p *pack) error {
	if s.encoder == nil {
		var err error
		s.encoder, err = newEncoder(s.dict)
		if err != nil {
			return err
		}
	}
	data := p.block(s.encoder)
	if _, err := s.f.WriteAt(data, s.end); err != nil {
		return err
	}
	s.end += int64(len(data))
	return nil
}

func newEncoder(dict []byte) (*zstd.Encoder, error) {
	options := []zstd.EOption{zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithWindowSize(2 * blockBytes)}
	if len(dict) > 0 {
		options = append(options, zstd.WithEncoderDictRaw(dictionaryID, dict))
	}
	return zstd.NewWriter(nil, options...)
}

// Key is what a line of a message is known by: 64 bits of a hash over the
// message's id, the file and the offset.
func Key(id string, e mail.Evidence) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, id) // a hash takes everything
	_, _ = io.WriteString(h, "\x00"+e.File+"\x00")
	_ = binary.Write(h, binary.LittleEndian, e.Offset)
	return h.Sum64()
}
