package index

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"mailwhy/engine/mail"
	"mailwhy/index/raw"
)

// rawName is the file of a shard's lines.
const rawName = "raw"

// Evidence kept with a message, so that it survives the log's rotation.
const (
	mostEvidence     = 8
	mostEvidenceText = 2048
)

// cited returns the message with the evidence that is kept of it: its first
// lines and its newest ones.
func cited(m mail.Message) mail.Message {
	m.CloneLines()
	if n := len(m.Evidence); n > mostEvidence {
		m.Evidence = slices.Delete(m.Evidence, mostEvidence/2, n-mostEvidence/2)
	}
	for e := range m.Lines() {
		if len(e.Text) > mostEvidenceText {
			e.Text = strings.ToValidUTF8(e.Text[:mostEvidenceText], "")
		}
	}
	return m
}

// row is the message as its document stores it: the lines' text lies in the
// raw store.
func row(m mail.Message) mail.Message {
	m = cited(m)
	for e := range m.Lines() {
		e.Text = ""
	}
	return m
}

// lines opens the shard's raw store on first use.
func (s *shard) lines() (*raw.Store, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.raw == nil {
		var err error
		if s.raw, err = raw.Open(filepath.Join(s.dir, rawName), s.sample); err != nil {
			return nil, err
		}
	}
	return s.raw, nil
}

// closeLines is called with s.mu held.
func (s *shard) closeLines() error {
	if s.raw == nil {
		return nil
	}
	err := errors.Join(s.raw.Sync(), s.raw.Close())
	s.raw = nil
	return err
}

// putLines stores the evidence of messages: before the messages themselves, so
// that a message that can be found has its lines.
func (s *shard) putLines(messages []mail.Message) error {
	store, err := s.lines()
	if err != nil {
		return err
	}
	kept := make([]mail.Message, len(messages))
	for i := range messages {
		kept[i] = cited(messages[i])
	}
	return store.Put(kept)
}

// Evidence gives the evidence of a page's rows the text of its lines; Page
// leaves it out, for most rows are never opened.
func (x *Index) Evidence(ctx context.Context, rows []mail.Message) error {
	for at := 0; at < len(rows); {
		if err := ctx.Err(); err != nil {
			return err
		}
		day, err := dayOf(rows[at].ID)
		if err != nil {
			return err
		}
		end := at + 1
		for ; end < len(rows) && strings.HasPrefix(dayOrNone(rows[end].ID), day); end++ {
		}
		for _, s := range x.partsOf(day) {
			if err := s.fill(rows[at:end]); err != nil {
				return fmt.Errorf("read lines of shard %s: %w", s.name, err)
			}
		}
		at = end
	}
	return nil
}

// dayOrNone is dayOf; "" for what is no id.
func dayOrNone(id string) string {
	day, err := dayOf(id)
	if err != nil {
		return ""
	}
	return day
}

func (s *shard) fill(rows []mail.Message) error {
	store, err := s.lines()
	if err != nil {
		return err
	}
	return store.Fill(rows)
}

// sampleFor returns lines of the newest shard that is older than name, to make
// the dictionary of its raw store from; nil when none is at hand.
func (x *Index) sampleFor(name string) []byte {
	for _, s := range x.newestFirst(Query{}) {
		if s.name >= name {
			continue
		}
		store, err := s.lines()
		if err != nil {
			return nil // its own users report it
		}
		sample, err := store.Sample()
		if err != nil {
			return nil
		}
		return sample
	}
	return nil
}
