package index

import (
	"cmp"
	"context"
	"iter"
	"math"
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
	First, Last time.Time      // of the group's messages, UTC
	Trend       [TrendBars]int // Count in equal spans of the query's time, oldest first
}

// TrendBars is how many spans of time a trend has.
const TrendBars = 7

// group is a cause while it is counted; times in Unix milliseconds.
type group struct {
	trend       [TrendBars]int
	first, last int64
}

func (g *group) count() int {
	sum := 0
	for _, n := range g.trend {
		sum += n
	}
	return sum
}

func (g *group) add(o *group) {
	for i, n := range o.trend {
		g.trend[i] += n
	}
	g.first, g.last = min(g.first, o.first), max(g.last, o.last)
}

// causes are groups by what causeOf gives.
type causes struct {
	groups   map[string]*group
	fresh    []keyed // of sealed layers, not among groups yet; good while the layers are in use
	from, to int64   // the query's time, Unix milliseconds
}

type keyed struct {
	key []byte
	group
}

// bar is the span of the trend that a time lies in.
func (c *causes) bar(at int64) int {
	span := (c.to-c.from)/TrendBars + 1
	return int(min(max((at-c.from)/span, 0), TrendBars-1))
}

// end is the end of a bar, Unix milliseconds.
func (c *causes) end(bar int) int64 {
	if bar == TrendBars-1 {
		return math.MaxInt64
	}
	return c.from + int64(bar+1)*((c.to-c.from)/TrendBars+1)
}

func (c *causes) add(key []byte, g *group) {
	if known := c.groups[string(key)]; known != nil {
		known.add(g)
		return
	}
	copied := *g
	c.groups[string(key)] = &copied
}

// see adds one message of a group.
func (c *causes) see(key []byte, at int64) {
	g := group{first: at, last: at}
	g.trend[c.bar(at)] = 1
	c.add(key, &g)
}

// addAll adds another's groups, until the context ends.
func (c *causes) addAll(ctx context.Context, other *causes) {
	n := 0
	for key, g := range other.groups {
		if n++; over(ctx, n) {
			return
		}
		c.add([]byte(key), g)
	}
	for i := range other.fresh {
		if over(ctx, i) {
			return
		}
		c.add(other.fresh[i].key, &other.fresh[i].group)
	}
}

// groupCauses adds the groups of matches.
func (f *finished) groupCauses(ctx context.Context, set *bitset.BitSet, c *causes) error {
	var ends [TrendBars]int
	for bar := range ends {
		ends[bar] = f.segment.Between(0, c.end(bar)).To
	}
	return f.segment.Values(ctx, fieldCause, "", func(key []byte, documents iter.Seq[int]) error {
		first, last, bar := -1, 0, 0
		var g group
		for ordinal := range documents {
			if !set.Test(uint(ordinal)) {
				continue
			}
			if first < 0 {
				first = ordinal
			}
			for ordinal >= ends[bar] {
				bar++
			}
			g.trend[bar]++
			last = ordinal
		}
		if first >= 0 {
			g.first, g.last = f.segment.Time(first), f.segment.Time(last)
			c.fresh = append(c.fresh, keyed{key, g})
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
		list = append(list, Cause{Rule: parts[0], Domain: parts[1], Reason: parts[2], Count: g.count(), Trend: g.trend,
			First: time.UnixMilli(g.first).UTC(), Last: time.UnixMilli(g.last).UTC()})
	}
	slices.SortFunc(list, func(a, b Cause) int {
		return cmp.Or(b.Count-a.Count, b.Last.Compare(a.Last), strings.Compare(a.Rule, b.Rule), strings.Compare(a.Domain, b.Domain), strings.Compare(a.Reason, b.Reason))
	})
	return list
}
