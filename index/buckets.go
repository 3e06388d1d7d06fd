package index

import (
	"maps"
	"time"

	"mailwhy/engine/mail"
)

// Bucket is one bar of the histogram.
type Bucket struct {
	Start  time.Time
	Counts map[mail.Outcome]int
}

// buckets count outcomes in equal spans of time.
type buckets struct {
	since time.Time
	span  time.Duration
	bars  []Bucket
}

// newBuckets cuts a query's time into n spans; nil when the query has no
// beginning.
func newBuckets(q Query, n int) *buckets {
	end := q.Until
	if end.IsZero() {
		end = q.asked
	}
	if q.Since.IsZero() || !end.After(q.Since) {
		return nil
	}
	b := &buckets{since: q.Since, span: end.Sub(q.Since)/time.Duration(n) + 1, bars: make([]Bucket, n)}
	for i := range b.bars {
		b.bars[i] = Bucket{Start: q.Since.Add(time.Duration(i) * b.span), Counts: map[mail.Outcome]int{}}
	}
	return b
}

func (b *buckets) add(at time.Time, o mail.Outcome) {
	if i := int(at.Sub(b.since) / b.span); i >= 0 && i < len(b.bars) && !at.Before(b.since) {
		b.bars[i].Counts[o]++
	}
}

func (b *buckets) addAll(other *buckets) {
	for i := range b.bars {
		for outcome, n := range other.bars[i].Counts {
			b.bars[i].Counts[outcome] += n
		}
	}
}

// copied gives the bars as they stand: the sum goes on.
func (b *buckets) copied() []Bucket {
	bars := make([]Bucket, len(b.bars))
	for i, bar := range b.bars {
		bars[i] = Bucket{Start: bar.Start, Counts: maps.Clone(bar.Counts)}
	}
	return bars
}
