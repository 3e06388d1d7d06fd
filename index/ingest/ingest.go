// Package ingest pumps logs into the index: tail, logparse, index, with
// back-pressure and a checkpoint behind it. It is the index's only writer.
//
// One goroutine reads and parses, two write what it finds. Between them stands
// a bounded queue: when it is full nothing more is read, and nothing is ever
// dropped.
//
// Files are read oldest first, although the newest matter most: a message has
// its time and its id from its first failing line, and that may stand in an
// older file; whoever began with the newest one would make other ids. Progress
// tells how long it takes.
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
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mailwhy/engine/mail"
	"mailwhy/logparse"
	"mailwhy/logparse/tail"
)

// Store is where messages go; *index.Index is one. Put is called by several
// goroutines, never for the same message at once.
type Store interface {
	Put(ctx context.Context, messages []mail.Message) error
	Sync(ctx context.Context) error
	// Shards are the names of its parts, for a later Lost.
	Shards() []string
	// Lost are the days whose messages are gone, as they were damaged or as a
	// part that there was before is no more.
	Lost(before []string) (days []string)
	// Regained notes that lost days were read again.
	Regained(days []string) error
}

// Options of a pump.
type Options struct {
	Sources   []string // files, globs and folders to read: see tail.Expand
	Data      string   // folder of the checkpoint
	Index     Store
	Location  func(path string) *time.Location // zone of a log's stamps without one; nil = UTC
	Now       func() time.Time                 // nil = time.Now
	KeepAll   bool                             // index plain deliveries too
	Formats   []*logparse.UserFormat           // log formats beside those of the program
	Reconcile time.Duration                    // how often files are looked at without an event; 0 = 2 s
	Every     time.Duration                    // between checkpoints; 0 = 3 s

	again  time.Duration // between tries of a write that failed; 0 = 1 s
	ending time.Duration // how long what was read is still written after the end was asked for; 0 = 5 s
}

func (o Options) zone(path string) *time.Location {
	if o.Location == nil {
		return nil
	}
	return o.Location(path)
}

// several reports whether more than one log may be among the sources.
func (o Options) several() bool {
	return len(o.Sources) != 1 || strings.ContainsAny(o.Sources[0], "*?[")
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
	Note         string // how its lines arrive, where that is not as a file; "" = there is nothing to say
	Cut          int64  // lines over 1 MiB
	LetGo        int64  // messages of all sources that were given up unfinished: see logparse.Parser.LetGo
}

// Pump reads sources into an index.
type Pump struct {
	options  Options
	follower *tail.Follower
	parser   *logparse.Parser
	streams  map[string]*logparse.Stream // by identity
	queue    *queue
	saver    saver
	broken   func(error) // told of a write that failed; nil = it is tried again
	dirty    bool        // something was read since the last checkpoint
	looked   time.Time   // when Status was last brought up to date
	reading  sync.Mutex  // held while a chunk is parsed
	running  atomic.Bool
	shards   []string // of the index, at the checkpoint

	mu       sync.Mutex
	status   map[string]Status // by path
	problems []string
	stuck    string               // why nothing is written; "" = all is well
	read     map[string]time.Time // by path: when the newest line was read
	backlog  backlog
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
	if o.again <= 0 {
		o.again = time.Second
	}
	if o.ending <= 0 {
		o.ending = 5 * time.Second
	}
	p := &Pump{options: o, streams: map[string]*logparse.Stream{}, queue: newQueue(mostPending), status: map[string]Status{}, read: map[string]time.Time{}}
	p.parser = p.newParser()
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
		p.parser, c = p.newParser(), nil
	}
	start := tail.Options{Paths: o.Sources, Identify: logparse.SourceID, Interval: o.Reconcile}
	if c != nil {
		start.Start, p.shards, p.saver.kept = c.Tail, c.Shards, c.Tail
	}
	p.follower = tail.New(start)
	return p, nil
}

func (p *Pump) newParser() *logparse.Parser {
	return logparse.NewParser(logparse.Options{All: p.options.KeepAll, Formats: p.options.Formats, Join: p.options.several()})
}

// Problems lists, a sentence each, what was found wrong with the checkpoint
// and what keeps the pump from writing now.
func (p *Pump) Problems() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.Clone(p.problems)
	if p.stuck != "" {
		all = append(all, p.stuck)
	}
	return all
}

// Run follows the sources until ctx ends, then checkpoints. A source that
// fails is reported by Status and tried again, a write that fails by Problems.
func (p *Pump) Run(ctx context.Context) error {
	return p.run(ctx, true, func(ctx context.Context) error { return p.follower.Run(ctx, (*sink)(p)) })
}

// Once reads what the sources hold now, half lines at their ends included,
// checkpoints and returns. When ctx ends it, a later pump goes on from there.
func (p *Pump) Once(ctx context.Context) error {
	return p.run(ctx, false, func(ctx context.Context) error {
		if err := p.follower.Look(ctx, (*sink)(p)); err != nil {
			return err
		}
		return p.follower.Finish(ctx, (*sink)(p))
	})
}

// run reads with writers beside it.
func (p *Pump) run(ctx context.Context, patient bool, read func(context.Context) error) error {
	b, err := newBacklog(p.options.Sources, p.options.Now())
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.backlog = b
	p.mu.Unlock()
	p.running.Store(true)
	defer p.running.Store(false)
	reading, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	p.broken = fail
	if patient {
		p.broken = nil
	}
	running.Go(func() { p.write(writing) })
	p.saver.start(writing, p.options)
	if err = p.regain(reading, p.shards); err == nil {
		err = read(reading)
	}
	broken := context.Cause(reading)
	switch {
	case broken != nil && ctx.Err() == nil:
		err = broken
	case err == nil || ctx.Err() != nil:
		last, cancel := p.lastWrites(writing, reading)
		err = errors.Join(err, p.settle(last))
		cancel()
	}
	stop()
	running.Wait()
	p.saver.wait()
	return err
}

// lastWrites is the context of what is written when reading has ended: a write
// that failed ends it, and the end of the pump's own context after a while.
func (p *Pump) lastWrites(writing, reading context.Context) (context.Context, context.CancelFunc) {
	last, cancel := context.WithCancelCause(writing)
	stop := context.AfterFunc(reading, func() {
		cause := context.Cause(reading)
		if errors.Is(cause, context.Canceled) || errors.Is(cause, context.DeadlineExceeded) {
			timer := time.NewTimer(p.options.ending)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-last.Done():
			}
		}
		cancel(cause)
	})
	return last, func() { stop(); cancel(nil) }
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

// Chunk parses some bytes once there is room for what they tell. Before that,
// everything is as the follower knows it, so that is when a checkpoint is due.
func (s *sink) Chunk(ctx context.Context, source tail.Source, offset int64, data []byte, eof bool) (int, error) {
	p := (*Pump)(s)
	if err := p.queue.room(ctx); err != nil {
		return 0, err
	}
	p.reading.Lock()
	defer p.reading.Unlock()
	if err := p.checkpointAt(source.ID, offset); err != nil {
		return 0, err
	}
	stream := p.streams[source.ID]
	if stream == nil {
		stream = p.parser.Open(logparse.Source{ID: source.ID, Name: source.Path, ModTime: source.ModTime, Location: p.options.zone(source.Path)})
		p.streams[source.ID] = stream
	}
	used := stream.Feed(offset, data, eof)
	if used > 0 {
		p.dirty = true
		p.mu.Lock()
		p.read[source.Path] = p.options.Now()
		p.backlog.fed += int64(used)
		p.mu.Unlock()
	}
	p.parser.Drain(p.queue.add)
	if time.Since(p.looked) > 100*time.Millisecond {
		p.refresh()
	}
	return used, nil
}

// Idle checkpoints when it is time, and mends what was found damaged since.
func (s *sink) Idle(ctx context.Context) error {
	p := (*Pump)(s)
	p.refresh()
	p.mu.Lock()
	p.backlog.finish()
	p.mu.Unlock()
	p.reading.Lock()
	defer p.reading.Unlock()
	if !p.saver.due(p.dirty) {
		return nil
	}
	if err := p.regain(ctx, nil); err != nil {
		return err
	}
	return p.checkpoint(p.follower.State())
}

// refresh copies what the follower and the streams know, for Status.
func (p *Pump) refresh() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looked = time.Now()
	files := p.follower.Files()
	p.backlog.note(files)
	p.status = make(map[string]Status, len(files))
	for _, f := range files {
		s := Status{Path: f.Path, Bytes: f.Offset, Behind: max(f.Size-f.Offset, 0), Rotated: f.Rotated, Problem: f.Problem, LastLine: p.read[f.Path]}
		if stream := p.streams[f.ID]; stream != nil {
			st := stream.Stats()
			s.Format, s.Lines, s.Unrecognised, s.Samples, s.Cut = st.Format, st.Lines, st.UnrecognisedFailing, st.Unrecognised, st.Cut
		}
		s.LetGo = p.parser.LetGo()
		p.status[f.Path] = s
	}
}
