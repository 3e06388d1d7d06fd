package ingest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"mailwhy/engine/mail"
	"mailwhy/logparse"
	"mailwhy/logparse/tail"
)

// regain reads the logs again, beside what is followed, for the days of which
// the index has lost messages: as far as the logs still exist. before are the
// shards there were at the checkpoint.
func (p *Pump) regain(ctx context.Context, before []string) error {
	days := p.options.Index.Lost(before)
	if len(days) == 0 {
		return nil
	}
	sentence := fmt.Sprintf("messages of %s were lost or damaged; they are read again from the logs, as far as these exist", strings.Join(days, ", "))
	p.mu.Lock()
	p.problems = append(p.problems, sentence)
	p.mu.Unlock()
	r := &regaining{pump: p, days: days, parser: p.newParser(), streams: map[string]*logparse.Stream{}}
	f := tail.New(tail.Options{Paths: p.options.Sources, Identify: logparse.SourceID})
	if err := f.Look(ctx, r); err != nil {
		return err
	}
	if err := f.Finish(ctx, r); err != nil {
		return err
	}
	select {
	case <-p.queue.after():
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := p.options.Index.Sync(ctx); err != nil {
		return fmt.Errorf("sync index: %w", err)
	}
	return p.options.Index.Regained(days)
}

// regaining is a reader of whole logs that puts the messages of some days.
type regaining struct {
	pump    *Pump
	days    []string
	parser  *logparse.Parser
	streams map[string]*logparse.Stream
}

func (r *regaining) Chunk(ctx context.Context, source tail.Source, offset int64, data []byte, eof bool) (int, error) {
	if err := r.pump.queue.room(ctx); err != nil {
		return 0, err
	}
	stream := r.streams[source.ID]
	if stream == nil {
		stream = r.parser.Open(logparse.Source{ID: source.ID, Name: source.Path, ModTime: source.ModTime, Location: r.pump.options.zone(source.Path)})
		r.streams[source.ID] = stream
	}
	used := stream.Feed(offset, data, eof)
	r.parser.Drain(func(m mail.Message) {
		if slices.Contains(r.days, m.Time.UTC().Format(time.DateOnly)) {
			r.pump.queue.add(m)
		}
	})
	return used, nil
}

func (r *regaining) Idle(context.Context) error { return nil }

// Forget makes the pump forget what it has open of messages whose text
// satisfies mentions, and returns once what was read before is put. The
// caller then removes them from the index; the next checkpoint is without them.
func (p *Pump) Forget(ctx context.Context, mentions func(text []byte) bool) error {
	p.reading.Lock()
	p.parser.Forget(mentions)
	p.dirty = true
	p.reading.Unlock()
	if !p.running.Load() {
		return p.run(ctx, false, func(context.Context) error { return nil }) // nothing is read; the checkpoint is written
	}
	select {
	case <-p.queue.after():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
