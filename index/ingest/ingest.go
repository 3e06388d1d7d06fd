// Package ingest pumps logs into the index: tail, logparse, index, with
// back-pressure and a checkpoint behind it. It is the index's only writer.
//
// The checkpoint holds the offset of every log and a snapshot of the parser's
// open transactions. It is written only when the index has on disk what
// precedes it, so a crash reads some lines again; ids are made from the lines,
// so reading them again changes nothing.
//
//	p, err := ingest.New(ingest.Options{Sources: paths, Data: dir, Index: x})
//	err = p.Run(ctx)
package ingest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"mailwhy/engine/mail"
	"mailwhy/logparse"
	"mailwhy/logparse/tail"
)

// Store is where messages go; *index.Index is one.
type Store interface {
	Put(ctx context.Context, messages []mail.Message) error
	Sync(ctx context.Context) error
}

// Options of a pump.
type Options struct {
	Sources   []string // files and globs to read
	Data      string   // folder of the checkpoint
	Index     Store
	Location  *time.Location         // zone of stamps without one; nil = UTC
	Now       func() time.Time       // nil = time.Now
	KeepAll   bool                   // index plain deliveries too
	Formats   []*logparse.UserFormat // log formats beside those of the program
	Reconcile time.Duration          // how often files are looked at without an event; 0 = 2 s
	Every     time.Duration          // between checkpoints; 0 = 3 s
}

// Status is the health of one source.
type Status struct {
	Path         string
	Format       string // "" = not known yet
	Lines        int64
	Bytes        int64
	Behind       int64           // bytes not read yet
	Lag          time.Duration   // since the newest line was read, while behind
	LastLine     time.Time       // when the newest line was read
	Unrecognised int64           // lines that look like failures and were not understood
	Samples      []mail.Evidence // the newest of those, at most 100
	Rotated      time.Time
	Problem      string // a sentence; "" = well
	Cut          int64  // lines over 1 MiB
	LetGo        int64  // messages of all sources that were given up unfinished: see logparse.Parser.LetGo
}

// mostPending is how many changed messages are put in one batch.
const mostPending = 2000

// Pump reads sources into an index.
type Pump struct {
	options  Options
	follower *tail.Follower
	parser   *logparse.Parser
	streams  map[string]*logparse.Stream // by identity
	pending  []mail.Message
	written  time.Time // of the last checkpoint
	dirty    bool      // something was read since

	mu       sync.Mutex
	status   map[string]Status // by path
	problems []string
	read     map[string]time.Time // by path: when the newest line was read
}

// New prepares a pump and restores its checkpoint; nothing is read before Run
// or Once. A checkpoint that cannot be read is set aside and reported by
// Problems, and everything is read again.
func New(o Options) (*Pump, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Every <= 0 {
		o.Every = 3 * time.Second
	}
	p := &Pump{options: o, streams: map[string]*logparse.Stream{}, status: map[string]Status{}, read: map[string]time.Time{}}
	p.parser = logparse.NewParser(logparse.Options{All: o.KeepAll, Formats: o.Formats})
	c, err := readCheckpoint(o.Data)
	if err == nil && c != nil {
		err = p.parser.Restore(c.Parser)
	}
	if err != nil {
		aside, asideErr := setAside(o.Data)
		if asideErr != nil {
			return nil, asideErr
		}
		p.problems = append(p.problems, fmt.Sprintf("the checkpoint could not be read (%v): it was set aside as %s and the logs are read again", err, aside))
		p.parser, c = logparse.NewParser(logparse.Options{All: o.KeepAll, Formats: o.Formats}), nil
	}
	start := tail.Options{Paths: o.Sources, Identify: logparse.SourceID, Interval: o.Reconcile}
	if c != nil {
		start.Start = c.Tail
	}
	p.follower = tail.New(start)
	return p, nil
}

// Problems lists, a sentence each, what was found wrong with the checkpoint.
func (p *Pump) Problems() []string { return slices.Clone(p.problems) }

// Run follows the sources until ctx ends, then checkpoints. A source that
// fails is reported by Status and tried again.
func (p *Pump) Run(ctx context.Context) error {
	if err := p.follower.Run(ctx, (*sink)(p)); err != nil {
		return err
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return p.settle(ending)
}

// Once reads what the sources hold now, half lines at their ends included,
// checkpoints and returns.
func (p *Pump) Once(ctx context.Context) error {
	if err := p.follower.Look(ctx, (*sink)(p)); err != nil {
		return err
	}
	if err := p.follower.Finish(ctx, (*sink)(p)); err != nil {
		return err
	}
	return p.settle(ctx)
}

// Status returns the sources as they stand, by path.
func (p *Pump) Status() []Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []Status
	for _, path := range slices.Sorted(maps.Keys(p.status)) {
		s := p.status[path]
		if s.Behind > 0 && !s.LastLine.IsZero() {
			s.Lag = p.options.Now().Sub(s.LastLine)
		}
		list = append(list, s)
	}
	return list
}

// sink is the pump as the follower sees it.
type sink Pump

// Chunk parses some bytes and puts what they tell once there is enough of it.
func (s *sink) Chunk(ctx context.Context, source tail.Source, offset int64, data []byte, eof bool) (int, error) {
	p := (*Pump)(s)
	stream := p.streams[source.ID]
	if stream == nil {
		stream = p.parser.Open(logparse.Source{ID: source.ID, Name: source.Path, ModTime: source.ModTime, Location: p.options.Location})
		p.streams[source.ID] = stream
	}
	used := stream.Feed(offset, data, eof)
	if used > 0 {
		p.dirty = true
		p.mu.Lock()
		p.read[source.Path] = p.options.Now()
		p.mu.Unlock()
	}
	p.parser.Drain(func(m mail.Message) { p.pending = append(p.pending, m) })
	if len(p.pending) >= mostPending {
		if err := p.put(ctx); err != nil {
			return 0, err
		}
		p.refresh()
	}
	return used, nil
}

// Idle puts the rest and checkpoints when it is time.
func (s *sink) Idle(ctx context.Context) error {
	p := (*Pump)(s)
	if err := p.put(ctx); err != nil {
		return err
	}
	p.refresh()
	if p.dirty && p.options.Now().Sub(p.written) >= p.options.Every {
		return p.checkpoint(ctx)
	}
	return nil
}

func (p *Pump) put(ctx context.Context) error {
	if len(p.pending) == 0 {
		return nil
	}
	if err := p.options.Index.Put(ctx, newest(p.pending)); err != nil {
		return fmt.Errorf("index messages: %w", err)
	}
	p.pending = p.pending[:0]
	return nil
}

// newest keeps the last state of each message, so that a batch writes it once.
func newest(messages []mail.Message) []mail.Message {
	at := make(map[string]int, len(messages))
	var kept []mail.Message
	for _, m := range messages {
		if i, seen := at[m.ID]; seen {
			kept[i] = m
			continue
		}
		at[m.ID] = len(kept)
		kept = append(kept, m)
	}
	return kept
}

func (p *Pump) settle(ctx context.Context) error {
	if err := p.put(ctx); err != nil {
		return err
	}
	p.refresh()
	if !p.dirty {
		return nil
	}
	return p.checkpoint(ctx)
}

func (p *Pump) checkpoint(ctx context.Context) error {
	if err := p.options.Index.Sync(ctx); err != nil {
		return fmt.Errorf("sync index before the checkpoint: %w", err)
	}
	snapshot, err := p.parser.Snapshot()
	if err != nil {
		return fmt.Errorf("snapshot of open transactions: %w", err)
	}
	c := checkpoint{Tail: p.follower.State(), Parser: snapshot}
	if err := writeCheckpoint(p.options.Data, c); err != nil {
		return err
	}
	p.written, p.dirty = p.options.Now(), false
	return nil
}

// refresh copies what the follower and the streams know, for Status.
func (p *Pump) refresh() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.follower.Files() {
		s := Status{Path: f.Path, Bytes: f.Offset, Behind: max(f.Size-f.Offset, 0), Rotated: f.Rotated, Problem: f.Problem, LastLine: p.read[f.Path]}
		if stream := p.streams[f.ID]; stream != nil {
			st := stream.Stats()
			s.Format, s.Lines, s.Unrecognised, s.Samples, s.Cut = st.Format, st.Lines, st.UnrecognisedFailing, st.Unrecognised, st.Cut
		}
		s.LetGo = p.parser.LetGo()
		p.status[f.Path] = s
	}
}
