package sealed

import (
	"context"
	"iter"
	"math/bits"
	"sort"

	"github.com/bits-and-blooms/bitset"
)

// Lookup finds the documents that have something in a field.
type Lookup struct {
	Field string
	Text  string
	Whole bool // the value is Text; false = the value contains Text

	// Key looks for Text among the documents' keys instead of in a field. Only
	// a hash of a key is kept, so Confirm is asked whether a row has it.
	Key     bool
	Confirm func(id string, row []byte) bool

	// ID looks for the document whose id is Text and whose time is At.
	ID bool
	At int64 // Unix milliseconds
}

// Condition holds for a document that any of the lookups finds; Not turns it over.
type Condition struct {
	Any []Lookup
	Not bool
}

// Span is a half-open range of ordinals.
type Span struct{ From, To int }

// Between gives the documents whose time lies in [from, to), in Unix milliseconds.
func (s *Segment) Between(from, to int64) Span {
	return Span{s.since(from), s.since(to)}
}

// since counts the documents before a time.
func (s *Segment) since(at int64) int {
	return sort.Search(s.Len(), func(i int) bool { return s.Time(i) >= at })
}

// Match gives the documents inside the span for which all conditions hold;
// nil when there are none. It returns soon after the context ends.
func (s *Segment) Match(ctx context.Context, within Span, conditions []Condition) (set *bitset.BitSet, err error) {
	defer s.guard(&err)
	if within.From >= within.To {
		return nil, nil
	}
	e := &errand{ctx: ctx}
	for _, c := range rarestFirst(conditions) {
		found, err := s.any(e, c.Any)
		switch {
		case err != nil:
			return nil, err
		case c.Not && found == nil:
			continue
		case !c.Not && found == nil:
			return nil, nil
		case c.Not && set == nil:
			set = s.all()
			set.InPlaceDifference(found)
		case c.Not:
			set.InPlaceDifference(found)
		case set == nil:
			set = found
		default:
			set.InPlaceIntersection(found)
		}
		if !c.Not && set.None() {
			return nil, nil
		}
	}
	if set == nil {
		set = s.all()
	}
	clearOutside(set, within, s.Len())
	if set.None() {
		return nil, nil
	}
	return set, nil
}

// rarestFirst puts what most likely finds nothing before what finds much:
// fragments before whole values, what is excluded last.
func rarestFirst(conditions []Condition) []Condition {
	var fragments, whole, not []Condition
	for _, c := range conditions {
		switch {
		case c.Not:
			not = append(not, c)
		case len(c.Any) > 0 && c.Any[0].Whole:
			whole = append(whole, c)
		default:
			fragments = append(fragments, c)
		}
	}
	return append(append(fragments, whole...), not...)
}

func (s *Segment) all() *bitset.BitSet {
	return bitset.New(uint(s.Len())).FlipRange(0, uint(s.Len()))
}

func clearOutside(set *bitset.BitSet, within Span, n int) {
	if within.From <= 0 && within.To >= n {
		return
	}
	inside := bitset.New(uint(n))
	inside.FlipRange(uint(max(within.From, 0)), uint(min(within.To, n)))
	set.InPlaceIntersection(inside)
}

// any gives the documents that any lookup finds; nil when there are none.
func (s *Segment) any(e *errand, lookups []Lookup) (*bitset.BitSet, error) {
	var set *bitset.BitSet
	found := func() *bitset.BitSet {
		if set == nil {
			set = bitset.New(uint(s.Len()))
		}
		return set
	}
	for _, l := range lookups {
		if err := e.ctx.Err(); err != nil {
			return nil, err
		}
		switch {
		case l.ID:
			at, there, err := s.Find(l.Text, l.At)
			if err != nil {
				return nil, err
			}
			if there {
				found().Set(uint(at))
			}
		case l.Key:
			if err := s.keyed(l, func(ordinal uint) { found().Set(ordinal) }); err != nil {
				return nil, err
			}
		default:
			d := s.fields[l.Field]
			for _, value := range d.lookUp(e, l) {
				list := d.docEnds.span(int(value), d.docs)
				if !e.goOn(len(list) + 8) {
					return nil, e.ctx.Err()
				}
				unite(list, found().Words())
			}
		}
	}
	return set, e.ctx.Err() // what was found when it ended may not be all
}

func (d dictionary) lookUp(e *errand, l Lookup) []uint32 {
	if !l.Whole {
		return d.containing(e, l.Text)
	}
	if at, ok := d.find(l.Text); ok {
		return []uint32{uint32(at)}
	}
	return nil
}

// mostConfirmed is how many rows are read to confirm a key. Keys of one hash
// that are not the same are rare enough that more rows than this have the key.
const mostConfirmed = 64

func (s *Segment) keyed(l Lookup, add func(uint)) error {
	low := keyHash(l.Text, s.keyShift)
	n := len(s.keys) / 8
	mask := uint64(1)<<s.keyShift - 1
	seen, reader := 0, s.Reader()
	for i := sort.Search(n, func(i int) bool { return keyAt(s.keys, i) >= low }); i < n && keyAt(s.keys, i)&^mask == low; i++ {
		ordinal := int(keyAt(s.keys, i) & mask)
		if seen++; seen <= mostConfirmed && l.Confirm != nil {
			id, row, err := reader.Row(ordinal)
			if err != nil {
				return err
			}
			if !l.Confirm(id, row) {
				continue
			}
		}
		add(uint(ordinal))
	}
	return nil
}

// keyHash is a key's hash with its low bits free for an ordinal.
func keyHash(key string, ordinalBits uint) uint64 {
	return hash64(key) >> ordinalBits << ordinalBits
}

func ordinalBits(count int) uint { return uint(bits.Len(uint(max(count, 1)))) }

// Values calls each with the values of a field that contain a fragment,
// ascending, and the documents that have it; "" = all values. value is good
// until each returns. It returns soon after the context ends.
func (s *Segment) Values(ctx context.Context, field, fragment string, each func(value []byte, documents iter.Seq[int]) error) (err error) {
	defer s.guard(&err)
	d, e := s.fields[field], &errand{ctx: ctx}
	for i := range d.holding(e, fragment) {
		list := d.docEnds.span(i, d.docs)
		if !e.goOn(4*len(list) + 8) {
			break
		}
		documents := func(yield func(int) bool) {
			postings(list, func(ordinal uint32) bool { return yield(int(ordinal)) })
		}
		if err := each(d.value(i), documents); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// holding yields the values that contain a fragment, ascending.
func (d dictionary) holding(e *errand, fragment string) iter.Seq[int] {
	return func(yield func(int) bool) {
		if fragment == "" {
			for i := range d.len() {
				if !yield(i) {
					return
				}
			}
		}
		for _, i := range d.containing(e, fragment) {
			if !yield(int(i)) {
				return
			}
		}
	}
}
