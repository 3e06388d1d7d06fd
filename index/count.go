package index

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mailwhy/engine/mail"
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
	return t, nil
}

func (x *Index) count(ctx context.Context, q Query) (int, error) {
	var sum tally
	err := x.tally(ctx, q, &sum)
	return sum.count, err
}

// tally adds the matches of every shard to a sum.
func (x *Index) tally(ctx context.Context, q Query, sum *tally) error {
	for _, s := range x.newestFirst(q) {
		if !x.open(s) {
			continue
		}
		if err := s.tally(ctx, q, sum); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("count in shard %s: %w", s.name, err)
		}
	}
	return nil
}

// Bucket is one bar of the histogram.
type Bucket struct {
	Start  time.Time
	Counts map[mail.Outcome]int
}

// Histogram counts matches by outcome in n equal spans of the query's time.
func (x *Index) Histogram(ctx context.Context, q Query, n int) ([]Bucket, error) {
	end := q.Until
	if end.IsZero() {
		end = q.asked
	}
	if n <= 0 || q.Since.IsZero() || !end.After(q.Since) {
		return nil, nil
	}
	sum := tally{buckets: newBuckets(q.Since, end, n)}
	if err := x.tally(ctx, q, &sum); err != nil {
		return nil, err
	}
	return sum.buckets.bars, nil
}
