package engine

import "slices"

// equalsIn notes in a list that is sorted, best first, which policies tie
// whenever one of them takes part: those of equal rank that look at the same
// address of the sender, always, from anywhere and in one direction. Each gets
// the sorted ids of all; a policy that ties with none of this kind gets nil.
func equalsIn(list []*entry) {
	for i := 0; i < len(list); {
		end := i + 1
		alike := steady(list[i])
		for ; end < len(list) && list[end].weight == list[i].weight; end++ {
			alike = alike && steady(list[end]) && list[end].policy.FromPart == list[i].policy.FromPart
		}
		if alike && end > i+1 {
			var ids []string
			for _, e := range list[i:end] {
				ids = append(ids, e.policy.ID)
			}
			slices.Sort(ids)
			ids = slices.Compact(ids)
			for _, e := range list[i:end] {
				e.equals = ids
			}
		}
		i = end
	}
}

func steady(e *entry) bool {
	p := e.policy
	return p.Since.IsZero() && p.Until.IsZero() && len(p.SourceIPs) == 0 && e.twin == nil
}

// tied lists the ids of all that have the winner's rank in the contest that
// decided, sorted.
func (s *Set) tied(plain *facts, d *decision) []string {
	w := s.walks.get()
	defer s.walks.put(w)
	w.plain = *plain // what is asked for here does not make the verdict less sure
	w.start(s, &w.plain, twist{}, nil)
	c := tieCollector{w: w, of: d.contest}
	t := s.tables[d.contest.section]
	for _, x := range [...]*pairIndex{t.files, t.extras} {
		if x == nil {
			continue
		}
		for _, to := range w.recipient {
			side := x.byTo[to]
			if side == nil {
				continue
			}
			for _, from := range w.header {
				if d.contest.byHeaders {
					c.collect(side.from[from], true, false)
				}
			}
			for _, from := range w.envelope {
				if d.contest.byEnvelopes {
					c.collect(side.from[from], false, d.contest.byHeaders)
				}
			}
		}
	}
	if c.own {
		slices.Sort(c.ids)
	}
	return c.ids
}

// tieCollector gathers ids. As long as they are those of one equalsIn it
// allocates nothing.
type tieCollector struct {
	w   *walk
	of  result
	ids []string
	own bool // ids are not shared
}

// collect adds those of one list that have the winner's rank.
func (c *tieCollector) collect(list []*entry, byHeader, headerToo bool) {
	wanted := c.w.weight(c.of.winner, false)
	order := 0
	if c.w.set.file.engine.ToFirst {
		order = 1
	}
	for _, e := range list {
		if order == 0 && e.weight[0] < wanted {
			return
		}
		if e.weight[order] != wanted || !c.w.takesPart(&c.of, e, byHeader, headerToo) {
			continue
		}
		if c.ids == nil && e.equals != nil {
			c.ids = e.equals
		}
		if slices.Contains(c.ids, e.policy.ID) {
			if e.equals != nil && &c.ids[0] == &e.equals[0] {
				return // so are all that are left of them
			}
			continue
		}
		if !c.own {
			c.ids, c.own = slices.Clone(c.ids), true
		}
		c.ids = append(c.ids, e.policy.ID)
	}
}
