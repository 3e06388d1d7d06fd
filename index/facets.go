package index

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/bits-and-blooms/bitset"

	"mailwhy/index/sealed"
)

// Facet names what Summarise counts the values of.
type Facet string

// The facets. Senders are every address, and display name, of envelope and
// header; reasons are templates. A domain is that of the envelope from, else of
// the header from.
const (
	FacetSender    Facet = "sender"
	FacetRecipient Facet = "recipient"
	FacetHost      Facet = "host"
	FacetDomain    Facet = "domain"
	FacetRule      Facet = "rule"
	FacetReason    Facet = "reason"
)

// countedFields are the facets that are fields.
var countedFields = []string{fieldSender, fieldRecipient, fieldHost}

// causeFacets are the parts of a cause, as causeOf joins them.
var causeFacets = []Facet{FacetRule, FacetDomain, FacetReason}

// Value is a value of a facet with the number of matches that have it.
type Value struct {
	Text  string
	Count int
}

// mostGiven is about how many values of a field a sealed layer gives.
const mostGiven = 4096

// counted are the values of a facet with how many matches have them. A sealed
// layer with very many values gives the most frequent ones; top asks it again.
type counted struct {
	given []Value
	at    map[string]int // place in given, by text
	parts []partly
}

// partly is a layer of which not all values were given.
type partly struct {
	counts sealed.Counts
	least  int // values with fewer matches were not given
}

func (c *counted) add(value []byte, n int) {
	if i, known := c.at[string(value)]; known {
		c.given[i].Count += n
		return
	}
	if c.at == nil {
		c.at = map[string]int{}
	}
	text := string(value)
	c.at[text] = len(c.given)
	c.given = append(c.given, Value{text, n})
}

// addAll adds another's values, until the context ends.
func (c *counted) addAll(ctx context.Context, o *counted) {
	for i, v := range o.given {
		if over(ctx, i) {
			return
		}
		c.add([]byte(v.Text), v.Count)
	}
	for _, p := range o.parts {
		for place := range p.counts.Len() {
			if over(ctx, place) {
				return
			}
			if p.counts.Number(place) >= p.least {
				c.add(p.counts.At(place))
			}
		}
		if p.least > 1 {
			c.parts = append(c.parts, p)
		}
	}
}

// countValues counts the values of a field among the matches.
func (f *finished) countValues(ctx context.Context, field string, set *bitset.BitSet, c *counted) error {
	counts, err := f.segment.Count(ctx, field, set)
	if err != nil {
		return err
	}
	var having [256]int // how many values have a number; the last: that or more
	for place := range counts.Len() {
		having[min(counts.Number(place), len(having)-1)]++
	}
	least, given := len(having)-1, having[len(having)-1]
	for least > 1 && given+having[least-1] <= mostGiven {
		least--
		given += having[least]
	}
	c.parts = append(c.parts, partly{counts, least})
	return nil
}

// countCauseParts counts rules, domains and reasons among the matches.
func (f *finished) countCauseParts(ctx context.Context, set *bitset.BitSet, sum *tally) error {
	counts, err := f.segment.Count(ctx, fieldCause, set)
	if err != nil {
		return err
	}
	for place := range counts.Len() {
		if over(ctx, place) {
			return ctx.Err()
		}
		if n := counts.Number(place); n > 0 {
			key, _ := counts.At(place)
			sum.seeCause(key, n)
		}
	}
	return nil
}

// seeCause counts the parts of a cause that n matches have.
func (t *tally) seeCause(key []byte, n int) {
	for _, facet := range causeFacets {
		var value []byte
		value, key, _ = bytes.Cut(key, []byte(causeSeparator))
		if len(value) > 0 {
			t.facets[facet].add(value, n)
		}
	}
}

// top gives the n values that most matches have, of equal ones those that come
// first in the alphabet. exact: every layer was added, so the answer is exact;
// else numbers are at least those given.
func (c *counted) top(ctx context.Context, n int, exact bool) ([]Value, error) {
	best := mostFirst(c.known(ctx), n)
	if !exact || len(c.parts) == 0 {
		return best, ctx.Err()
	}
	floor := 1 // what a value must reach to be among them
	if len(best) == n {
		floor = best[n-1].Count
	}
	if candidates, few := c.candidates(ctx, floor); few {
		best = mostFirst(c.recounted(ctx, candidates), n)
	} else {
		best = mostFirst(c.walk(ctx), n)
	}
	return best, ctx.Err()
}

// known yields what was given, until the context ends.
func (c *counted) known(ctx context.Context) iter.Seq[Value] {
	return func(yield func(Value) bool) {
		for i, v := range c.given {
			if over(ctx, i) || !yield(v) {
				return
			}
		}
	}
}

// candidates are all values that may have as many matches as floor. few =
// looking them up in every layer is less work than looking at every value.
func (c *counted) candidates(ctx context.Context, floor int) (list []string, few bool) {
	slack, values := 0, 0
	for _, p := range c.parts {
		slack += p.least - 1
		values += p.counts.Len()
	}
	most := values / (16 * len(c.parts)) // a look-up compares about 16 values
	for _, v := range c.given {
		if v.Count+slack >= floor {
			list = append(list, v.Text)
		}
	}
	// A value that no layer gave reaches the floor only if it has its share of
	// it in one of them.
	share := (floor + len(c.parts) - 1) / len(c.parts)
	more := map[string]bool{}
	for _, p := range c.parts {
		for place := range p.counts.Len() {
			if over(ctx, place) {
				return nil, false
			}
			if k := p.counts.Number(place); k < share || k >= p.least {
				continue
			}
			value, _ := p.counts.At(place)
			if _, given := c.at[string(value)]; !given && !more[string(value)] {
				more[string(value)] = true
				list = append(list, string(value))
			}
			if len(list) > most {
				return nil, false
			}
		}
	}
	return list, len(list) <= most
}

// recounted gives the exact numbers of some values, until the context ends.
func (c *counted) recounted(ctx context.Context, values []string) iter.Seq[Value] {
	return func(yield func(Value) bool) {
		for _, text := range values {
			v := Value{Text: text}
			if i, given := c.at[text]; given {
				v = c.given[i]
			}
			for _, p := range c.parts {
				if place, found := p.counts.Find(text); found && p.counts.Number(place) < p.least {
					v.Count += p.counts.Number(place)
				}
			}
			if ctx.Err() != nil || !yield(v) {
				return
			}
		}
	}
}

// walkStep is how many values of the layer with most of them are summed at once.
const walkStep = 2048

// walk gives the exact numbers of all values, a stretch of the alphabet at a
// time, until the context ends.
func (c *counted) walk(ctx context.Context) iter.Seq[Value] {
	return func(yield func(Value) bool) {
		longest := slices.MaxFunc(c.parts, func(a, b partly) int { return cmp.Compare(a.counts.Len(), b.counts.Len()) }).counts
		from := make([]int, len(c.parts))
		left := slices.Clone(c.given) // what they have besides is added below
		for end := walkStep; ctx.Err() == nil; end += walkStep {
			last := end >= longest.Len()
			sums := map[string]int{}
			for i, p := range c.parts {
				to := p.counts.Len()
				if !last {
					bound, _ := longest.At(end)
					to, _ = p.counts.Find(string(bound))
				}
				for ; from[i] < to; from[i]++ {
					if k := p.counts.Number(from[i]); k > 0 && k < p.least {
						value, _ := p.counts.At(from[i])
						sums[string(value)] += k
					}
				}
			}
			for text, count := range sums {
				if i, given := c.at[text]; given {
					left[i].Count += count
				} else if !yield(Value{text, count}) {
					return
				}
			}
			if last {
				break
			}
		}
		for _, v := range left {
			if !yield(v) {
				return
			}
		}
	}
}

// mostFirst gives the n values with the highest numbers, those first; equal
// ones in the order of the alphabet. Values with the number 0 are left out.
func mostFirst(values iter.Seq[Value], n int) []Value {
	best := make([]Value, 0, n+1)
	for v := range values {
		if v.Count == 0 || len(best) == n && byCount(best[n-1], v) < 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, v, byCount)
		best = slices.Insert(best, at, v)
		best = best[:min(n, len(best))]
	}
	return best
}

func byCount(a, b Value) int { return cmp.Or(b.Count-a.Count, strings.Compare(a.Text, b.Text)) }
