package logparse

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// joinedHop is a hop with how it was found to be the same message.
type joinedHop struct {
	hop  *hop
	join mail.Join
}

// hopsOf gives what the others tell of a failure, in the order of their times.
func (s *stories) hopsOf(h *hop) []mail.Hop {
	var list []mail.Hop
	for _, j := range s.joined(h) {
		m := j.hop.m
		told := mail.Hop{Format: m.Format, Gateway: m.Gateway, QueueID: m.QueueID, Outcome: m.Outcome, Join: j.join, Time: m.Time, Last: m.Last}
		if m.MessageID != h.m.MessageID {
			told.MessageID = m.MessageID
		}
		for _, e := range j.hop.linesFor(h.recipients()) {
			if len(told.Evidence) < maxHopLines && !h.r.cites(e.File, e.Offset) {
				told.Evidence = append(told.Evidence, e)
			}
		}
		list = append(list, told)
	}
	slices.SortStableFunc(list, func(a, b mail.Hop) int {
		return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.Format, b.Format), strings.Compare(a.Gateway, b.Gateway), strings.Compare(a.QueueID, b.QueueID))
	})
	return list
}

// joined walks from hop to hop: what the next hop's next hop tells is part of
// the same story.
func (s *stories) joined(h *hop) []joinedHop {
	to := h.recipients()
	var found []joinedHop
	for walk := []*hop{h}; len(walk) > 0 && len(found) < maxHops; walk = walk[1:] {
		for _, j := range s.neighbours(walk[0], to) {
			known := j.hop == h || slices.ContainsFunc(found, func(f joinedHop) bool { return f.hop.same(j.hop) })
			if known || len(found) >= maxHops || j.hop.same(h) {
				continue
			}
			found = append(found, j)
			walk = append(walk, j.hop)
		}
	}
	return found
}

// neighbours are the hops that are surely the same message as h for one of the
// recipients; an empty list of them is any.
func (s *stories) neighbours(h *hop, to []mail.Path) []joinedHop {
	var handed []*hop
	add := func(key string, sameQueue bool) {
		for _, c := range s.byKey[key] {
			if !c.same(h) && (!sameQueue || c.m.Format != h.m.Format) && near(h, c) && !contradict(h.m.MessageID, c.m.MessageID) {
				handed = append(handed, c)
			}
		}
	}
	for _, id := range h.next {
		add("q"+id, false)
	}
	if h.m.QueueID != "" {
		add("n"+h.m.QueueID, false)
		add("q"+h.m.QueueID, true)
	}
	// A hop that rewrites recipients is handed over all the same; one that does
	// not tells which of several is meant.
	if of := slices.DeleteFunc(slices.Clone(handed), func(c *hop) bool { return !overlap(to, c.recipients()) }); len(of) > 0 {
		handed = of
	}
	var list []joinedHop
	for _, c := range handed {
		list = append(list, joinedHop{c, mail.ByQueueID})
	}
	var bucket []*hop
	if h.m.MessageID != "" {
		bucket = s.byKey["m"+h.m.MessageID]
	}
	for _, c := range bucket {
		if c.same(h) || c.party() == h.party() || !agree(h, c) || !overlap(to, c.recipients()) {
			continue
		}
		if nearest(h, c, bucket) && nearest(c, h, bucket) {
			list = append(list, joinedHop{c, mail.ByMessageID})
		}
	}
	slices.SortStableFunc(list, func(a, b joinedHop) int { return failuresFirst(a.hop) - failuresFirst(b.hop) })
	return list
}

// failuresFirst orders what one gateway tells of a message: of a recipient that
// failed its own failure, not that others passed.
func failuresFirst(h *hop) int {
	if h.r != nil {
		return 0
	}
	return 1
}

// nearest reports whether, among the hops of c's gateway that could be the same
// message as h, none is nearer in time than c.
func nearest(h, c *hop, bucket []*hop) bool {
	for _, other := range bucket {
		if other != c && !other.same(c) && other.party() == c.party() && agree(h, other) && overlap(c.recipients(), other.recipients()) && nearer(h, other, c) {
			return false
		}
	}
	return true
}

// nearer reports whether a is nearer to h in time than b.
func nearer(h, a, b *hop) bool {
	gapA, gapB := gap(h, a), gap(h, b)
	if gapA != gapB {
		return gapA < gapB
	}
	return h.m.Time.Sub(a.m.Time).Abs() < h.m.Time.Sub(b.m.Time).Abs()
}

// agree reports whether two hops with one message id may be the same message.
func agree(a, b *hop) bool {
	from, other := a.m.EnvelopeFrom.Fold(), b.m.EnvelopeFrom.Fold()
	return near(a, b) && (from == "" || other == "" || from == other) && overlap(a.recipients(), b.recipients())
}

func near(a, b *hop) bool { return gap(a, b) <= storyWindow*time.Millisecond }

// gap is the time between two hops, 0 where they touch.
func gap(a, b *hop) time.Duration {
	return max(0, a.m.Time.Sub(b.m.Last), b.m.Time.Sub(a.m.Last))
}

func contradict(a, b string) bool { return a != "" && b != "" && a != b }

// overlap reports whether two lists of recipients have one in common, or one of
// them is not known.
func overlap(a, b []mail.Path) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(p mail.Path) bool { return slices.Contains(b, p) })
}

// party is who tells.
func (h *hop) party() string { return h.m.Format + "\x00" + h.m.Gateway }

// same reports whether two hops are of one message in one gateway's hands.
func (h *hop) same(o *hop) bool {
	return h == o || h.m.QueueID != "" && h.m.QueueID == o.m.QueueID && h.party() == o.party()
}

// recipients are the known ones, folded.
func (h *hop) recipients() []mail.Path {
	if h.r == nil {
		return h.to
	}
	var list []mail.Path
	for _, p := range []mail.Path{h.m.Recipient, h.m.OriginalRecipient} {
		if p != "" {
			list = append(list, p.Fold())
		}
	}
	return list
}

func firstOf(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func lastOf(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
