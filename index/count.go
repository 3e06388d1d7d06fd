package index

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Total is how many messages match, out of how many.
type Total struct {
	Count int
	Of    int // messages in the index
	Older int // when Count is 0: matches before the query's since
}

// Count counts every match.
func (x *Index) Count(ctx context.Context, q Query) (Total, error) {
	var t Total
	var err error
	if t.Count, err = x.count(ctx, q); err != nil {
		return Total{}, err
	}
	for _, s := range x.newestFirst(Query{}) {
		if !x.open(s) {
			continue
		}
		n, err := s.count()
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Total{}, fmt.Errorf("count shard %s: %w", s.name, err)
		}
		t.Of += n
	}
	if t.Count == 0 && !q.Since.IsZero() {
		older := q
		older.Since, older.Until = time.Time{}, q.Since
		if t.Older, err = x.count(ctx, older); err != nil {
			return Total{}, err
		}
	}
	return t, x.whole(nil)
}

func (x *Index) count(ctx context.Context, q Query) (int, error) {
	s, err := last(x.Summarise(ctx, q, Wanted{}))
	return s.Count, err
}

// Histogram counts matches by outcome in n equal spans of the query's time;
// nil when the query has no beginning.
func (x *Index) Histogram(ctx context.Context, q Query, n int) ([]Bucket, error) {
	if n <= 0 || q.Since.IsZero() {
		return nil, nil
	}
	s, err := last(x.Summarise(ctx, q, Wanted{Bars: n}))
	return s.Bars, err
}

// Causes groups the matches by rule, sender domain and reason, the largest
// group first. A screen that wants to show groups while older shards are still
// being counted takes them from Summarise.
func (x *Index) Causes(ctx context.Context, q Query) ([]Cause, error) {
	s, err := last(x.Summarise(ctx, q, Wanted{Causes: true}))
	return s.Causes, err
}
