package sealed

import (
	"context"
	"fmt"
	"sort"

	"github.com/bits-and-blooms/bitset"
)

// Counts are how many documents of a set have each value of a field. A value
// is known by its place among all values of the field, which ascend. Good
// until the segment is closed; safe for concurrent use.
type Counts struct {
	d dictionary
	n []uint32
}

// Count counts the documents of a set by value.
func (s *Segment) Count(ctx context.Context, field string, set *bitset.BitSet) (c Counts, err error) {
	defer s.guard(&err)
	c.d = s.fields[field]
	c.n = make([]uint32, c.d.len())
	words, whole := set.Words(), int(set.Count()) == s.Len()
	e := &errand{ctx: ctx}
	for i := range c.n {
		_ = c.d.value(i) // At does not fail afterwards
		list := c.d.docEnds.span(i, c.d.docs)
		if !e.goOn(len(list) + 4) {
			return Counts{}, ctx.Err()
		}
		if whole {
			c.n[i] = uint32(numbersIn(list))
		} else {
			c.n[i] = uint32(common(list, words))
		}
	}
	if c.d.docs != nil && len(c.n) > 0 && c.d.docEnds.at(len(c.n)-1) != uint32(len(c.d.docs)) {
		return Counts{}, fmt.Errorf("count in %s: %w", s.path, ErrCorrupt)
	}
	return c, nil
}

// Len is how many values the field has; places are below it.
func (c Counts) Len() int { return len(c.n) }

// At gives the value of a place, and its number; it is 0 for a value that no
// document of the set has.
func (c Counts) At(place int) (value []byte, n int) { return c.d.value(place), int(c.n[place]) }

// Number is the number of a place.
func (c Counts) Number(place int) int { return int(c.n[place]) }

// Find gives the place of a value, or that of the next one where the field
// does not have it.
func (c Counts) Find(value string) (place int, found bool) {
	place = sort.Search(len(c.n), func(i int) bool { return string(c.d.value(i)) >= value })
	return place, place < len(c.n) && string(c.d.value(place)) == value
}

// numbersIn is how many numbers a list of postings has: each ends with a byte
// below 0x80.
func numbersIn(list []byte) int {
	n := 0
	for _, b := range list {
		if b < 0x80 {
			n++
		}
	}
	return n
}

// common is how many numbers of a list of postings are in a set.
func common(list []byte, words []uint64) int {
	n := 0
	last := ^uint32(0)
	for len(list) > 0 {
		var step uint32
		step, list = nextStep(list)
		last += step
		n += int(words[last>>6] >> (last & 63) & 1)
	}
	return n
}

// unite adds the numbers of a list of postings to a set.
func unite(list []byte, words []uint64) {
	last := ^uint32(0)
	for len(list) > 0 {
		var step uint32
		step, list = nextStep(list)
		last += step
		words[last>>6] |= 1 << (last & 63)
	}
}

// nextStep decodes the first number of a list of postings: its distance from
// the one before. A list that is cut ends there.
func nextStep(list []byte) (uint32, []byte) {
	step := uint32(list[0])
	if step < 0x80 {
		return step, list[1:]
	}
	step &= 0x7f
	for i, shift := 1, 7; i < len(list) && i < 5; i, shift = i+1, shift+7 {
		b := list[i]
		step |= uint32(b&0x7f) << shift
		if b < 0x80 {
			return step, list[i+1:]
		}
	}
	return step, nil
}
