package index

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/bits-and-blooms/bitset"
)

// Cause is a group of matches: refused by the same rule, sent from the same
// domain, for the same reason.
type Cause struct {
	Rule   string // what the log names: the rule, else its class of rejection; "" = neither
	Domain string // of the envelope from, else of the header from; "" = none, as of the null path
	Reason string // template of the reply: addresses, numbers and ids are "*"

	Count       int
	First, Last time.Time // of the group's messages, UTC

	// Earlier is how many of Count lie in the older half of the query's time:
	// twice Earlier above Count means that it becomes rarer.
	Earlier int
}

// group is a cause while it is counted; times in Unix milliseconds.
type group struct {
	count, earlier int
	first, last    int64
}

// causes are groups by what causeOf gives.
type causes struct {
	groups map[string]*group
	middle int64 // of the query's time, Unix milliseconds
}

// see adds n messages of a group between two times, to the older half or not.
func (c *causes) see(key []byte, first, last int64, n int, earlier bool) {
	g := c.groups[string(key)]
	if g == nil {
		g = &group{first: first, last: last}
		c.groups[string(key)] = g
	}
	g.count += n
	if earlier {
		g.earlier += n
	}
	g.first, g.last = min(g.first, first), max(g.last, last)
}

func (c *causes) addAll(other *causes) {
	for key, o := range other.groups {
		g := c.groups[key]
		if g == nil {
			copied := *o
			c.groups[key] = &copied
			continue
		}
		g.count += o.count
		g.earlier += o.earlier
		g.first, g.last = min(g.first, o.first), max(g.last, o.last)
	}
}

// groupCauses adds the groups of matches.
func (f *finished) groupCauses(ctx context.Context, set *bitset.BitSet, c *causes) error {
	middle := f.segment.Between(0, c.middle).To
	groups := 0
	return f.segment.Values(fieldCause, func(key []byte, documents iter.Seq[int]) error {
		first, last, n, earlier := -1, 0, 0, 0
		for ordinal := range documents {
			if !set.Test(uint(ordinal)) {
				continue
			}
			if first < 0 {
				first = ordinal
			}
			last = ordinal
			if n++; ordinal < middle {
				earlier++
			}
		}
		if earlier > 0 {
			c.see(key, f.segment.Time(first), f.segment.Time(last), earlier, true)
		}
		if n > earlier {
			c.see(key, f.segment.Time(first), f.segment.Time(last), n-earlier, false)
		}
		if groups++; groups%4096 == 0 {
			return ctx.Err()
		}
		return nil
	})
}

// list gives the causes, most messages first.
func (c *causes) list() []Cause {
	list := make([]Cause, 0, len(c.groups))
	for key, g := range c.groups {
		parts := strings.SplitN(key, causeSeparator, 3)
		for len(parts) < 3 {
			parts = append(parts, "")
		}
		list = append(list, Cause{Rule: parts[0], Domain: parts[1], Reason: parts[2], Count: g.count, Earlier: g.earlier,
			First: time.UnixMilli(g.first).UTC(), Last: time.UnixMilli(g.last).UTC()})
	}
	slices.SortFunc(list, func(a, b Cause) int {
		return cmp.Or(b.Count-a.Count, b.Last.Compare(a.Last), strings.Compare(a.Rule, b.Rule), strings.Compare(a.Domain, b.Domain), strings.Compare(a.Reason, b.Reason))
	})
	return list
}

// part sums the groups by one of the three parts of their keys.
func (c *causes) part(n int) map[string]int {
	sums := map[string]int{}
	for key, g := range c.groups {
		rest := []byte(key)
		for range n {
			_, rest, _ = bytes.Cut(rest, []byte(causeSeparator))
		}
		value, _, _ := bytes.Cut(rest, []byte(causeSeparator))
		if len(value) > 0 {
			sums[string(value)] += g.count
		}
	}
	return sums
}
