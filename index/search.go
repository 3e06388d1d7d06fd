package index

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/mapping"
	"github.com/blevesearch/bleve/v2/search"
	"github.com/blevesearch/bleve/v2/search/query"
	"github.com/blevesearch/bleve/v2/search/searcher"
	bleveindex "github.com/blevesearch/bleve_index_api"
)

// values are the distinct values of one field of a live layer: a fragment is
// looked for in them, and the ones that hold it become terms.
type values struct {
	known map[string]bool
	list  []string
}

func (v *values) add(texts ...string) {
	for _, text := range texts {
		if !v.known[text] {
			v.known[text] = true
			v.list = append(v.list, text)
		}
	}
}

func containing(ctx context.Context, list []string, fragment string) ([]string, error) {
	var found []string
	for i, text := range list {
		if over(ctx, i) {
			return nil, ctx.Err()
		}
		if strings.Contains(text, fragment) {
			found = append(found, text)
		}
	}
	return found, nil
}

// checkEvery is how many values are looked at, or added to a sum, before asking
// whether somebody still waits for the answer: 0.1 ms.
const checkEvery = 1024

// over reports, once in checkEvery steps, whether nobody waits for the answer
// any more.
func over(ctx context.Context, step int) bool {
	if step%checkEvery != checkEvery-1 {
		return false
	}
	return ctx.Err() != nil
}

// valuesOf reads the distinct values of a field on first use.
func (l *live) valuesOf(ctx context.Context, field string) (*values, error) {
	l.mu.RLock()
	v := l.values[field]
	l.mu.RUnlock()
	if v != nil {
		return v, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if v := l.values[field]; v != nil {
		return v, nil
	}
	dict, err := l.bleve.FieldDict(field)
	if err != nil {
		return nil, fmt.Errorf("read values of %s: %w", field, err)
	}
	defer dict.Close()
	v = &values{known: map[string]bool{}}
	for {
		entry, err := dict.Next()
		if err != nil {
			return nil, fmt.Errorf("read values of %s: %w", field, err)
		}
		if entry == nil {
			break
		}
		if over(ctx, len(v.list)) {
			return nil, ctx.Err()
		}
		v.add(entry.Term)
	}
	l.values[field] = v
	return v, nil
}

func (l *live) termsContaining(ctx context.Context, field, fragment string) ([]string, error) {
	v, err := l.valuesOf(ctx, field)
	if err != nil {
		return nil, err
	}
	l.mu.RLock()
	list := v.list // grows behind its end only
	l.mu.RUnlock()
	return containing(ctx, list, fragment)
}

// mostTerms is how many distinct values a fragment may expand to in a page's
// query; past it the documents' own values are looked at, of which most will match.
const mostTerms = 256

// expand turns a query line into one bleve query for this layer; nil when
// nothing here can match. It leaves out the terms that expand to more than
// mostTerms values; they are returned, and a match must be held against them.
func (l *live) expand(ctx context.Context, q Query) (query.Query, []Term, error) {
	must := []query.Query{}
	not := []query.Query{}
	var leftOut []Term
	for _, t := range q.Terms {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		alternatives, size, err := l.alternatives(ctx, t)
		if err != nil {
			return nil, nil, err
		}
		switch {
		case size > mostTerms:
			leftOut = append(leftOut, t)
		case t.Not:
			not = append(not, alternatives...)
		case len(alternatives) == 0:
			return nil, nil, nil
		default:
			must = append(must, bleve.NewDisjunctionQuery(alternatives...))
		}
	}
	if len(must) == 0 {
		must = append(must, bleve.NewMatchAllQuery())
	}
	if len(not) == 0 {
		if len(must) == 1 {
			return must[0], leftOut, nil
		}
		return bleve.NewConjunctionQuery(must...), leftOut, nil
	}
	b := bleve.NewBooleanQuery()
	b.AddMust(must...)
	b.AddMustNot(not...)
	return b, leftOut, nil
}

// holding narrows a query to the documents whose own values satisfy the terms.
func holding(terms []Term, q query.Query) query.Query {
	if len(terms) == 0 {
		return q
	}
	return query.NewCustomFilterQueryWithFilter(q, func(_ context.Context, d *search.DocumentMatch) (bool, error) {
		fields := map[string][]string{}
		for name, value := range d.Fields {
			fields[name] = texts(value)
		}
		for _, t := range terms {
			if t.in(fields) == t.Not {
				return false, nil
			}
		}
		return true, nil
	}, lookedAt(terms), nil)
}

// lookedAt are the fields that fragments are looked for in: to read a field of
// a document costs more than to look at it.
func lookedAt(terms []Term) []string {
	var fields []string
	for _, t := range terms {
		if fields = append(fields, t.searched()...); t.Field == "" {
			fields = append(fields, fieldID)
		}
	}
	slices.Sort(fields)
	return slices.Compact(fields)
}

// texts reads what bleve gives for a field: one value or several.
func texts(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case []any:
		var list []string
		for _, one := range v {
			if text, ok := one.(string); ok {
				list = append(list, text)
			}
		}
		return list
	}
	return nil
}

// in looks the term up in the values of a message, as the index would.
func (t Term) in(fields map[string][]string) bool {
	if f, ok := exactFields[t.Field]; ok {
		return slices.Contains(fields[f], t.Value)
	}
	if t.Field == "" && slices.Contains(fields[fieldID], t.Value) {
		return true
	}
	matches := func(v string) bool { return strings.Contains(v, t.Value) }
	if t.whole {
		matches = func(v string) bool { return v == t.Value }
	}
	for _, f := range t.searched() {
		if slices.ContainsFunc(fields[f], matches) {
			return true
		}
	}
	return false
}

// alternatives lists the queries of which one must match for a term to match,
// and how many values they name together.
func (l *live) alternatives(ctx context.Context, t Term) (_ []query.Query, size int, _ error) {
	var list []query.Query
	exact := func(field string) {
		q := bleve.NewTermQuery(t.Value)
		q.SetField(field)
		list = append(list, q)
	}
	if f, ok := exactFields[t.Field]; ok {
		exact(f)
		return list, 1, nil
	}
	if t.Field == "" {
		exact(fieldID)
	}
	for _, field := range t.searched() {
		if t.whole {
			exact(field)
			continue
		}
		terms, err := l.termsContaining(ctx, field, t.Value)
		if err != nil {
			return nil, 0, err
		}
		if size += len(terms); len(terms) > 0 {
			slices.Sort(terms)
			list = append(list, &termsQuery{field: field, terms: terms})
		}
	}
	return list, size, nil
}

// termsQuery matches documents that have any of the terms in a field.
type termsQuery struct {
	field string
	terms []string
}

// Searcher makes bleve's searcher over all terms at once.
func (q *termsQuery) Searcher(ctx context.Context, i bleveindex.IndexReader, _ mapping.IndexMapping, options search.SearcherOptions) (search.Searcher, error) {
	return searcher.NewMultiTermSearcher(ctx, i, q.terms, q.field, 1, options, false)
}
