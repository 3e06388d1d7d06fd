package logparse

import (
	"encoding/json"
	"fmt"
	"time"

	"mailwhy/engine/mail"
)

// snapshotVersion changes when a snapshot of before cannot be read any more;
// the caller then reads the logs again.
const snapshotVersion = 2

// snapshot is the form of Parser.Snapshot.
type snapshot struct {
	Version      int                        `json:"version"`
	LetGo        int64                      `json:"let_go,omitempty"`
	Formats      map[string]json.RawMessage `json:"formats,omitempty"`
	Streams      []savedStream              `json:"streams,omitempty"`
	Transactions []savedTransaction         `json:"transactions,omitempty"` // oldest first
	Finished     []savedTransaction         `json:"finished,omitempty"`
	Changed      []savedRecord              `json:"changed,omitempty"` // of closed transactions, not yet drained
	Stories      *savedStories              `json:"stories,omitempty"`
	Greylisted   []savedGreylisted          `json:"greylisted,omitempty"` // oldest first
	GreyLetGo    int64                      `json:"greylisted_let_go,omitempty"`
}

type savedStream struct {
	ID       string        `json:"id"`
	Name     string        `json:"name"`
	Format   string        `json:"format,omitempty"`
	ModTime  time.Time     `json:"mod_time,omitzero"`
	Pinned   string        `json:"pinned,omitempty"`
	Clock    savedClock    `json:"clock,omitzero"`
	Stats    Stats         `json:"stats"`
	LastTime int64         `json:"last_time,omitempty"`
	Cutter   cutter        `json:"cutter,omitzero"`
	Newest   *mail.Message `json:"newest,omitempty"`
}

type savedTransaction struct {
	Key     []byte        `json:"key"`
	Born    int64         `json:"born,omitempty"`
	Lines   []savedLine   `json:"lines,omitempty"`
	Records []savedRecord `json:"records,omitempty"`
	Facts   *mail.Message `json:"facts,omitempty"`
	Since   uint32        `json:"since,omitempty"` // how many were finished after it, if it is
}

type savedLine struct {
	Kind   byte   `json:"kind"`
	Stream string `json:"stream"` // source id
	Offset int64  `json:"offset"`
	Text   []byte `json:"text"`
	Outer  []byte `json:"outer,omitempty"`
}

type savedRecord struct {
	Message mail.Message `json:"message"`
	Listed  bool         `json:"listed,omitempty"`
}

// Snapshot returns the open transactions and the state of every stream, so
// that Restore on a new parser goes on as if nothing had happened.
func (p *Parser) Snapshot() ([]byte, error) {
	p.settle()
	p.open.settle()
	snap := snapshot{Version: snapshotVersion, LetGo: p.open.letGo, Formats: map[string]json.RawMessage{}}
	for _, f := range p.formats {
		state, err := f.save()
		if err != nil {
			return nil, fmt.Errorf("save state of %s: %w", f.name(), err)
		}
		if state != nil {
			snap.Formats[f.name()] = state
		}
	}
	for _, s := range p.order {
		snap.Streams = append(snap.Streams, s.save())
	}
	open := map[*record]bool{}
	snap.Transactions = p.open.open.save(p, open)
	snap.Finished = p.open.finished.save(p, open)
	snap.Greylisted, snap.GreyLetGo = p.saveGreylist(open), p.grey.letGo
	for _, r := range p.changed {
		if !open[r] {
			snap.Changed = append(snap.Changed, savedRecord{r.Message, true})
			open[r] = true
		}
	}
	snap.Stories = p.stories.save(open)
	data, err := json.Marshal(snap)
	if err != nil {
		return nil, fmt.Errorf("encode snapshot: %w", err)
	}
	return data, nil
}

func (s *Stream) save() savedStream {
	saved := savedStream{
		ID: s.source.ID, Name: s.source.Name, ModTime: s.source.ModTime, Pinned: s.source.Format,
		Clock: s.clock.save(), Stats: s.stats, LastTime: s.lastTime, Cutter: s.cutter, Newest: s.saveNewest(),
	}
	if s.current != nil {
		saved.Format = s.current.name()
	}
	return saved
}

// save returns the transactions of the list and notes their records.
func (l *transactionList) save(p *Parser, records map[*record]bool) []savedTransaction {
	var saved []savedTransaction
	for t := l.oldest; t != nil; t = t.next {
		saved = append(saved, t.save(p))
		for _, r := range t.records {
			records[r] = true
		}
	}
	return saved
}

func (t *transaction) save(p *Parser) savedTransaction {
	saved := savedTransaction{Key: t.key, Born: t.born, Facts: t.facts}
	if t.list == &p.open.finished {
		saved.Since = p.open.finishes - t.finished
	}
	for i := range t.lines {
		k := &t.lines[i]
		line := savedLine{Kind: k.kind, Stream: p.order[k.stream].source.ID, Offset: k.offset, Text: t.bytes(k)}
		if k.outer != 0 {
			line.Outer = t.logged(k)
		}
		saved.Lines = append(saved.Lines, line)
	}
	for _, r := range t.records {
		saved.Records = append(saved.Records, savedRecord{r.Message, r.listed})
	}
	return saved
}

// Restore reads a Snapshot; on error the parser is left empty.
func (p *Parser) Restore(data []byte) error {
	p.reset()
	if err := p.restore(data); err != nil {
		p.reset()
		return fmt.Errorf("restore parser: %w", err)
	}
	return nil
}

func (p *Parser) restore(data []byte) error {
	var snap snapshot
	if err := json.Unmarshal(data, &snap); err != nil {
		return fmt.Errorf("decode snapshot: %w", err)
	}
	if snap.Version != snapshotVersion {
		return fmt.Errorf("snapshot has version %d, want %d", snap.Version, snapshotVersion)
	}
	p.open.letGo = snap.LetGo
	for name, state := range snap.Formats {
		f := p.format(name)
		if f == nil {
			return fmt.Errorf("snapshot of unknown format %q", name)
		}
		if err := f.load(state); err != nil {
			return fmt.Errorf("load state of %s: %w", name, err)
		}
	}
	for _, saved := range snap.Streams {
		if p.streams[saved.ID] != nil {
			return fmt.Errorf("source %q stands twice in the snapshot", saved.ID)
		}
		s := p.add(Source{ID: saved.ID, Name: saved.Name, Format: saved.Pinned, ModTime: saved.ModTime})
		s.readsAs(p.format(saved.Format))
		s.clock.load(saved.Clock)
		s.stats, s.lastTime = saved.Stats, saved.LastTime
		s.cutter = saved.Cutter
	}
	shared := map[string]*record{}
	for _, saved := range snap.Transactions {
		if err := p.restoreTransaction(saved, &p.open.open, shared); err != nil {
			return err
		}
	}
	for _, saved := range snap.Finished {
		if err := p.restoreTransaction(saved, &p.open.finished, shared); err != nil {
			return err
		}
	}
	p.loadGreylist(snap.Greylisted)
	p.grey.letGo = snap.GreyLetGo
	for _, saved := range snap.Streams {
		p.streams[saved.ID].loadNewest(saved.Newest)
	}
	for _, saved := range snap.Changed {
		r := &record{Message: saved.Message}
		r.restoreTold()
		p.list(r)
	}
	p.stories.load(snap.Stories, p.records())
	return nil
}

// records are those of the open transactions and the changed ones, by id.
func (p *Parser) records() map[string]*record {
	byID := map[string]*record{}
	for _, list := range []*transactionList{&p.open.open, &p.open.finished} {
		for t := list.oldest; t != nil; t = t.next {
			for _, r := range t.records {
				byID[r.ID] = r
			}
		}
	}
	for w := p.grey.oldest; w != nil; w = w.next {
		if w.r != nil {
			byID[w.r.ID] = w.r
		}
	}
	for _, r := range p.changed {
		byID[r.ID] = r
	}
	return byID
}

func (p *Parser) restoreTransaction(saved savedTransaction, list *transactionList, shared map[string]*record) error {
	if p.open.get(saved.Key) != nil {
		return fmt.Errorf("transaction %q stands twice in the snapshot", saved.Key)
	}
	t := &transaction{key: saved.Key, hash: p.open.byKey.hash(saved.Key), born: saved.Born, facts: saved.Facts, finished: p.open.finishes - saved.Since}
	for _, l := range saved.Lines {
		s := p.streams[l.Stream]
		if s == nil {
			return fmt.Errorf("transaction %q: unknown source %q", saved.Key, l.Stream)
		}
		s.outer = l.Outer
		t.keepAnother(l.Kind, s, l.Offset, l.Text)
		s.outer = nil
	}
	for _, r := range saved.Records {
		rec := shared[r.Message.ID] // each attempt of a greylisted message may have its own transaction
		if rec == nil {
			rec = &record{Message: r.Message}
			rec.restoreTold()
			shared[r.Message.ID] = rec
		}
		t.records = append(t.records, rec)
		if r.Listed {
			p.list(rec)
		}
	}
	p.open.byKey.put(t)
	list.append(t)
	return nil
}
