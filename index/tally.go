package index

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/bits-and-blooms/bitset"
	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/search"
	"github.com/blevesearch/bleve/v2/search/query"
	bleveindex "github.com/blevesearch/bleve_index_api"

	"mailwhy/engine/mail"
)

// tally is a sum over the matches in some layers: how many, and what the
// caller of Summarise wants to know of them.
type tally struct {
	count   int
	buckets *buckets           // nil = not wanted
	facets  map[Facet]*counted // nil = not wanted
	causes  *causes            // nil = not wanted
}

func newTally(q Query, w Wanted) *tally {
	t := &tally{}
	if w.Bars > 0 {
		t.buckets = newBuckets(q, w.Bars)
	}
	if w.Top > 0 {
		t.facets = map[Facet]*counted{}
		for _, facet := range slices.Concat(causeFacets, []Facet{FacetSender, FacetRecipient, FacetHost}) {
			t.facets[facet] = &counted{}
		}
	}
	if w.Causes {
		t.causes = &causes{groups: map[string]*group{}, from: w.from, to: w.to}
	}
	return t
}

// add adds another tally's sums; when the context ends, some of them.
func (t *tally) add(ctx context.Context, o *tally) {
	t.count += o.count
	if t.buckets != nil {
		t.buckets.addAll(o.buckets)
	}
	for facet, c := range t.facets {
		c.addAll(ctx, o.facets[facet])
	}
	if t.causes != nil {
		t.causes.addAll(ctx, o.causes)
	}
}

// tally counts without looking at rows.
func (f *finished) tally(ctx context.Context, q Query, sum *tally) error {
	set, err := f.match(ctx, q, "")
	if err != nil || set == nil {
		return err
	}
	sum.count += int(set.Count())
	if sum.buckets != nil {
		if err := f.fillBuckets(ctx, set, sum.buckets); err != nil {
			return err
		}
	}
	if sum.facets != nil {
		for _, field := range countedFields {
			if err := f.countValues(ctx, field, set, sum.facets[Facet(field)]); err != nil {
				return err
			}
		}
		if err := f.countCauseParts(ctx, set, sum); err != nil {
			return err
		}
	}
	if sum.causes != nil {
		return f.groupCauses(ctx, set, sum.causes)
	}
	return nil
}

// fillBuckets walks the documents of each outcome and the ends of the bars at
// once: both are in the order of time.
func (f *finished) fillBuckets(ctx context.Context, set *bitset.BitSet, b *buckets) error {
	ends := make([]int, len(b.bars))
	for i := range ends {
		ends[i] = f.segment.Between(0, firstMilli(b.bars[i].Start.Add(b.span))).To
	}
	return f.segment.Values(ctx, fieldOutcome, "", func(value []byte, documents iter.Seq[int]) error {
		outcome, bar, n := mail.Outcome(value), 0, 0
		flush := func() {
			if n > 0 {
				b.bars[bar].Counts[outcome] += n
			}
			n = 0
		}
		for ordinal := range documents {
			if !set.Test(uint(ordinal)) {
				continue
			}
			if ordinal >= ends[bar] {
				flush()
				for bar < len(ends)-1 && ordinal >= ends[bar] {
					bar++
				}
			}
			if ordinal < ends[bar] && f.segment.Time(ordinal) >= b.since.UnixMilli() {
				n++
			}
		}
		flush()
		return nil
	})
}

// tally counts what a search finds; the documents themselves are looked at
// only where more than their number has to be known.
func (l *live) tally(ctx context.Context, q Query, sum *tally) error {
	expanded, leftOut, err := l.expand(ctx, q)
	if err != nil || expanded == nil {
		return err
	}
	hidden := l.hiddenNow()
	plain := sum.buckets == nil && sum.facets == nil && sum.causes == nil
	if plain && q.covers(l.day) && len(hidden) == 0 && len(leftOut) == 0 {
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
	look, err := reader.DocValueReader(sum.fields())
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
		if plain {
			return true, nil
		}
		return true, look.VisitDocValues(d.IndexInternalID, func(field string, term []byte) { sum.see(at, field, term) })
	})
}

// fields are those that see wants to know of a document.
func (t *tally) fields() []string {
	var list []string
	if t.buckets != nil {
		list = append(list, fieldOutcome)
	}
	if t.causes != nil || t.facets != nil {
		list = append(list, fieldCause)
	}
	if t.facets != nil {
		list = append(list, countedFields...)
	}
	return list
}

// see counts a value of a matching document.
func (t *tally) see(at time.Time, field string, term []byte) {
	switch field {
	case fieldOutcome:
		t.buckets.add(at, mail.Outcome(term))
	case fieldCause:
		if t.causes != nil {
			t.causes.see(term, at.UnixMilli())
		}
		if t.facets != nil {
			t.seeCause(term, 1)
		}
	default:
		t.facets[Facet(field)].add(term, 1)
	}
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
