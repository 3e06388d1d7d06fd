package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Wanted is what Summarise is to find out besides the number of matches.
type Wanted struct {
	Bars   int  // of the histogram; 0 = none
	Top    int  // values of each facet; 0 = no facets
	Causes bool // the groups of Causes

	from, to int64 // the query's time, Unix milliseconds
}

// Summary is what is known of a query's matches.
type Summary struct {
	Count int
	Exact bool // false: older messages are still being counted, so Count and the rest are at least this

	Bars   []Bucket // nil when the query has no beginning
	Facets map[Facet][]Value
	Causes []Cause
}

// summaryEvery is the time between two states of a summary.
const summaryEvery = 100 * time.Millisecond

// Summarise counts the matches, newest first, and yields what is known about
// ten times a second; the last summary is exact. The sequence ends with an
// error when the context does.
func (x *Index) Summarise(ctx context.Context, q Query, w Wanted) iter.Seq2[Summary, error] {
	return func(yield func(Summary, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		w.from, w.to = x.stretch(q)
		sum := newTally(q, w)
		shown := time.Now()
		var releases []func()
		defer func() {
			for _, release := range releases {
				release()
			}
		}()
		for part := range x.parts(ctx, q, w) {
			releases = append(releases, part.release...)
			if part.err != nil {
				yield(Summary{}, part.err)
				return
			}
			sum.add(ctx, part.sum)
			if err := ctx.Err(); err != nil { // not all of it was added
				yield(Summary{}, err)
				return
			}
			if time.Since(shown) >= summaryEvery {
				if !yield(sum.summary(ctx, w, false)) {
					return
				}
				shown = time.Now()
			}
		}
		if err := x.whole(ctx.Err()); err != nil {
			yield(Summary{}, err)
			return
		}
		yield(sum.summary(ctx, w, true))
	}
}

// last reads a summary to its end.
func last(states iter.Seq2[Summary, error]) (s Summary, err error) {
	for s, err = range states {
		if err != nil {
			return Summary{}, err
		}
	}
	return s, err
}

// stretch is a query's time in Unix milliseconds, the index's where it is open.
func (x *Index) stretch(q Query) (from, to int64) {
	start, end := q.Since, cmp.Or(q.Until, q.asked)
	list := x.newestFirst(q)
	if start.IsZero() && len(list) > 0 {
		start, _ = time.Parse(time.DateOnly, list[len(list)-1].day()) // a shard's name begins with a day
	}
	if end.IsZero() && len(list) > 0 {
		end, _ = time.Parse(time.DateOnly, list[0].day())
		end = end.AddDate(0, 0, 1)
	}
	return start.UnixMilli(), end.UnixMilli()
}

// part is a shard's share of a summary; its layers stay in use until release.
type part struct {
	sum     *tally
	release []func()
	err     error
}

// parts counts in shards, the newest first, as many at once as there are
// processors, and yields what each has as it is known.
func (x *Index) parts(ctx context.Context, q Query, w Wanted) iter.Seq[part] {
	return func(yield func(part) bool) {
		ctx, cancel := context.WithCancel(ctx)
		shards := x.newestFirst(q)
		results := make(chan part, len(shards)) // so that nobody waits to be read
		var next atomic.Int64
		var counting sync.WaitGroup
		for range min(runtime.GOMAXPROCS(0), len(shards)) {
			counting.Go(func() {
				for i := next.Add(1) - 1; int(i) < len(shards) && ctx.Err() == nil; i = next.Add(1) - 1 {
					results <- x.part(ctx, shards[i], q, w)
				}
			})
		}
		go func() { counting.Wait(); close(results) }()
		defer func() { // what is not yielded is released here
			cancel()
			for left := range results {
				for _, release := range left.release {
					release()
				}
			}
		}()
		for p := range results {
			if !yield(p) {
				return
			}
		}
	}
}

func (x *Index) part(ctx context.Context, s *shard, q Query, w Wanted) part {
	p := part{sum: newTally(q, w)}
	leave, err := admit(ctx, x.counting)
	if err != nil {
		return part{err: err}
	}
	defer leave()
	if !x.open(s) {
		return p
	}
	layers, release, err := s.use()
	if errors.Is(err, ErrNotFound) { // removed meanwhile
		return p
	}
	if err != nil {
		return part{err: fmt.Errorf("count in shard %s: %w", s.name, err)}
	}
	p.release = append(p.release, release)
	for _, h := range layers {
		if err := h.tally(ctx, q, p.sum); err != nil {
			p.err = fmt.Errorf("count in shard %s: %w", s.name, err)
			break
		}
	}
	return p
}

// summary gives the state of a sum; exact: nothing is to be added to it.
func (t *tally) summary(ctx context.Context, w Wanted, exact bool) (Summary, error) {
	s := Summary{Count: t.count, Exact: exact}
	if t.buckets != nil {
		s.Bars = t.buckets.copied()
	}
	if w.Causes {
		s.Causes = t.causes.list()
	}
	if w.Top <= 0 {
		return s, nil
	}
	s.Facets = map[Facet][]Value{}
	for facet, c := range t.facets {
		var err error
		if s.Facets[facet], err = c.top(ctx, w.Top, exact); err != nil {
			return Summary{}, err
		}
	}
	return s, nil
}
