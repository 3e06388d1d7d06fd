package index

import (
	"context"
	"iter"
	"time"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/search"
	"github.com/blevesearch/bleve/v2/search/query"
	bleveindex "github.com/blevesearch/bleve_index_api"

	"mailwhy/engine/mail"
)

// tally is a sum over matches: how many, and what the caller of Summarise
// wants to know of them.
type tally struct {
	count   int
	buckets *buckets // nil = not wanted
}

// buckets count outcomes in equal spans of time.
type buckets struct {
	since time.Time
	span  time.Duration
	bars  []Bucket
}

func newBuckets(since, until time.Time, n int) *buckets {
	b := &buckets{since: since, span: until.Sub(since)/time.Duration(n) + 1, bars: make([]Bucket, n)}
	for i := range b.bars {
		b.bars[i] = Bucket{Start: since.Add(time.Duration(i) * b.span), Counts: map[mail.Outcome]int{}}
	}
	return b
}

func (b *buckets) add(at time.Time, o mail.Outcome) {
	if i := int(at.Sub(b.since) / b.span); i >= 0 && i < len(b.bars) && !at.Before(b.since) {
		b.bars[i].Counts[o]++
	}
}

// tally counts without looking at rows.
func (f *finished) tally(ctx context.Context, q Query, sum *tally) error {
	set, err := f.match(ctx, q, "")
	if err != nil || set == nil {
		return err
	}
	sum.count += int(set.Count())
	if sum.buckets == nil {
		return nil
	}
	return f.segment.Values(fieldOutcome, func(value []byte, documents iter.Seq[int]) error {
		for ordinal := range documents {
			if set.Test(uint(ordinal)) {
				sum.buckets.add(time.UnixMilli(f.segment.Time(ordinal)), mail.Outcome(value))
			}
		}
		return ctx.Err()
	})
}

// tally counts what a search finds; the documents themselves are looked at
// only where time, outcome or being hidden has to be known.
func (l *live) tally(ctx context.Context, q Query, sum *tally) error {
	expanded, leftOut, err := l.expand(ctx, q)
	if err != nil || expanded == nil {
		return err
	}
	hidden := l.hiddenNow()
	if q.covers(l.day) && len(hidden) == 0 && len(leftOut) == 0 && sum.buckets == nil {
		result, err := l.bleve.SearchInContext(ctx, bleve.NewSearchRequestOptions(expanded, 0, 0, false))
		if err == nil {
			sum.count += int(result.Total)
		}
		return err
	}
	reader, err := l.read()
	if err != nil {
		return err
	}
	defer reader.Close()
	values, err := reader.DocValueReader([]string{fieldOutcome})
	if err != nil {
		return err
	}
	return l.each(ctx, reader, holding(leftOut, expanded), func(d *search.DocumentMatch) (bool, error) {
		id, err := reader.ExternalID(d.IndexInternalID)
		if err != nil {
			return false, err
		}
		at := timeOrNone(id)
		if _, over := hidden[id]; over || !q.inTime(at) {
			return true, nil
		}
		sum.count++
		if sum.buckets == nil {
			return true, nil
		}
		return true, values.VisitDocValues(d.IndexInternalID, func(_ string, term []byte) { sum.buckets.add(at, mail.Outcome(term)) })
	})
}

// fewer reports whether a query has no more than n matches.
func (l *live) fewer(ctx context.Context, q query.Query, n int) (bool, error) {
	reader, err := l.read()
	if err != nil {
		return false, err
	}
	defer reader.Close()
	seen := 0
	err = l.each(ctx, reader, q, func(*search.DocumentMatch) (bool, error) { seen++; return seen <= n, nil })
	return seen <= n, err
}

// each calls yield with the matches of a query, in no order, until it returns false.
func (l *live) each(ctx context.Context, reader bleveindex.IndexReader, q query.Query, yield func(*search.DocumentMatch) (bool, error)) error {
	s, err := q.Searcher(ctx, reader, l.bleve.Mapping(), search.SearcherOptions{Score: "none"})
	if err != nil {
		return err
	}
	defer s.Close()
	pool := &search.SearchContext{DocumentMatchPool: search.NewDocumentMatchPool(s.DocumentMatchPoolSize()+1, 0), IndexReader: reader}
	for n := 0; ; n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		d, err := s.Next(pool)
		if err != nil || d == nil {
			return err
		}
		more, err := yield(d)
		pool.DocumentMatchPool.Put(d)
		if err != nil || !more {
			return err
		}
	}
}
