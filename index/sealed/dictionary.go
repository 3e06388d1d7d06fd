package sealed

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"sort"

	"github.com/bits-and-blooms/bitset"
)

// dictionary is the distinct values of one field, sorted, each with the
// ordinals of the documents that have it; and the trigrams of the values, each
// with the values that hold it. A value's last two bytes start trigrams that
// are filled up with zeros, so that fragments of one and two bytes are found
// as the beginnings of trigrams.
type dictionary struct {
	ends     numbers // of the values in arena
	arena    []byte
	docEnds  numbers // of the postings in docs
	docs     []byte
	grams    numbers // sorted; none = not searched by fragments
	gramEnds numbers // of the postings in values
	values   []byte
}

// Suffixes of a field's sections.
var parts = []string{".ends", ".arena", ".docEnds", ".docs", ".grams", ".gramEnds", ".values"}

// field gives the dictionary of a field; one the file has not is empty.
func (s *Segment) field(name string) dictionary {
	return dictionary{
		ends: s.section(name + parts[0]), arena: s.section(name + parts[1]), docEnds: s.section(name + parts[2]), docs: s.section(name + parts[3]),
		grams: s.section(name + parts[4]), gramEnds: s.section(name + parts[5]), values: s.section(name + parts[6]),
	}
}

func (d dictionary) len() int { return d.ends.len() }

func (d dictionary) value(i int) []byte { return d.ends.span(i, d.arena) }

// find gives the place of a value.
func (d dictionary) find(text string) (int, bool) {
	return sort.Find(d.len(), func(i int) int { return bytes.Compare([]byte(text), d.value(i)) })
}

// containing gives the values that contain a fragment, ascending; fewer when
// the context ends.
func (d dictionary) containing(e *errand, fragment string) []uint32 {
	switch n := len(fragment); {
	case n == 0:
		return nil
	case n < 3:
		return d.beginning(e, fragment)
	}
	rarest, second := -1, -1
	for i := 0; i+3 <= len(fragment); i++ {
		at, ok := d.gram(gramOf(fragment[i:]))
		if !ok {
			return nil
		}
		switch {
		case rarest < 0 || d.gramSize(at) < d.gramSize(rarest):
			rarest, second = at, rarest
		case at != rarest && (second < 0 || d.gramSize(at) < d.gramSize(second)):
			second = at
		}
	}
	candidates := d.holders(e, rarest)
	if len(fragment) == 3 && fragment[2] != 0 {
		return candidates
	}
	if second >= 0 && len(candidates) > 8 {
		candidates = intersect(candidates, d.holders(e, second))
	}
	return d.confirmed(e, candidates, fragment)
}

// beginning finds fragments of one or two bytes: trigrams that begin so.
func (d dictionary) beginning(e *errand, fragment string) []uint32 {
	low := gramOf(fragment)
	high := low + 1<<(8*(3-len(fragment)))
	start := sort.Search(d.grams.len(), func(i int) bool { return d.grams.at(i) >= low })
	holding := bitset.New(uint(d.len()))
	for i := start; i < d.grams.len() && d.grams.at(i) < high; i++ {
		list := d.gramEnds.span(i, d.values)
		if !e.goOn(len(list)) {
			return nil
		}
		postings(list, func(v uint32) bool { holding.Set(uint(v)); return true })
	}
	found := make([]uint32, 0, holding.Count())
	for v, ok := holding.NextSet(0); ok; v, ok = holding.NextSet(v + 1) {
		found = append(found, uint32(v))
	}
	if fragment[len(fragment)-1] == 0 {
		return d.confirmed(e, found, fragment)
	}
	return found
}

func (d dictionary) confirmed(e *errand, candidates []uint32, fragment string) []uint32 {
	sought, kept := []byte(fragment), candidates[:0]
	for _, v := range candidates {
		value := d.value(int(v))
		if !e.goOn(len(value)) {
			break
		}
		if bytes.Contains(value, sought) {
			kept = append(kept, v)
		}
	}
	return kept
}

// gramOf packs the first three bytes of a text, zeros where there are fewer.
func gramOf(text string) uint32 {
	var g uint32
	for i := range 3 {
		g <<= 8
		if i < len(text) {
			g |= uint32(text[i])
		}
	}
	return g
}

func (d dictionary) gram(g uint32) (int, bool) {
	at := sort.Search(d.grams.len(), func(i int) bool { return d.grams.at(i) >= g })
	return at, at < d.grams.len() && d.grams.at(at) == g
}

func (d dictionary) gramSize(at int) int { return len(d.gramEnds.span(at, d.values)) }

func (d dictionary) holders(e *errand, gram int) []uint32 {
	var list []uint32
	holding := d.gramEnds.span(gram, d.values)
	if !e.goOn(len(holding)) {
		return nil
	}
	postings(holding, func(v uint32) bool { list = append(list, v); return true })
	return list
}

func intersect(a, b []uint32) []uint32 {
	kept := a[:0]
	for _, v := range a {
		for len(b) > 0 && b[0] < v {
			b = b[1:]
		}
		if len(b) > 0 && b[0] == v {
			kept = append(kept, v)
		}
	}
	return kept
}

// postings decodes an ascending list: each number as its distance from the
// one before, as a varint, the first from -1.
func postings(data []byte, yield func(uint32) bool) {
	last := uint32(0)
	last--
	for len(data) > 0 {
		step, width := uint64(data[0]), 1
		if step >= 0x80 {
			if step, width = binary.Uvarint(data); width <= 0 {
				return
			}
		}
		data = data[width:]
		last += uint32(step)
		if !yield(last) {
			return
		}
	}
}

// posting is an ascending list being made.
type posting struct {
	next uint32 // one above the last number
	data []byte
}

// add appends a number; the last one again is passed over.
func (p *posting) add(n uint32) {
	if n+1 == p.next {
		return
	}
	p.data = binary.AppendUvarint(p.data, uint64(n+1-p.next))
	p.next = n + 1
}

// values is a dictionary being made.
type values struct {
	fragments bool // with trigrams
	places    map[string]int
	docs      []posting // by place
}

func (v *values) add(ordinal uint32, texts []string) {
	for _, text := range texts {
		at, seen := v.places[text]
		if !seen {
			at = len(v.docs)
			v.places[text] = at
			v.docs = append(v.docs, posting{})
		}
		v.docs[at].add(ordinal)
	}
}

// sections gives the dictionary as it stands in the file, in the order of parts.
func (v *values) sections() [][]byte {
	var ends, arena, docEnds, docs, gramEnds, grams, holders []byte
	byGram := map[uint32]*posting{}
	for i, text := range slices.Sorted(maps.Keys(v.places)) {
		arena = append(arena, text...)
		ends = binary.LittleEndian.AppendUint32(ends, uint32(len(arena)))
		docs = append(docs, v.docs[v.places[text]].data...)
		docEnds = binary.LittleEndian.AppendUint32(docEnds, uint32(len(docs)))
		if v.fragments {
			for at := range len(text) {
				g := gramOf(text[at:])
				p := byGram[g]
				if p == nil {
					p = &posting{}
					byGram[g] = p
				}
				p.add(uint32(i))
			}
		}
	}
	for _, g := range slices.Sorted(maps.Keys(byGram)) {
		grams = binary.LittleEndian.AppendUint32(grams, g)
		holders = append(holders, byGram[g].data...)
		gramEnds = binary.LittleEndian.AppendUint32(gramEnds, uint32(len(holders)))
	}
	return [][]byte{ends, arena, docEnds, docs, grams, gramEnds, holders}
}
