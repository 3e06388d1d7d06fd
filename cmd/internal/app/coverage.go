package app

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"mailwhy/index"
)

// A silence of leastGap spans is a gap, of gapSpans that a time is cut into.
// Of a gateway whose mail is rarer than leastMail messages a span on average
// silence says little: it has no gaps.
const (
	gapSpans  = 168
	leastGap  = 3
	leastMail = 2
)

// cover tells which gateways and logs could have seen a message in that time.
func (s sought) cover(ctx context.Context, u *Unseen) (err error) {
	if u.Gaps, err = s.gaps(ctx, u.Until, u.Indexed); err != nil {
		return err
	}
	names, err := s.gateways(ctx, u.Until)
	if err != nil {
		return err
	}
	for _, name := range names {
		at := index.Term{Field: "gw", Value: strings.ToLower(name)}
		_, total, err := s.look(ctx, at)
		if err != nil {
			return err
		}
		g := Gateway{Name: name, Messages: total.Count}
		if g.Gaps, err = s.gaps(ctx, u.Until, total.Count, at); err != nil {
			return err
		}
		g.Gaps = slices.DeleteFunc(g.Gaps, func(g Gap) bool { return slices.ContainsFunc(u.Gaps, g.within) })
		u.Gateways = append(u.Gateways, g)
	}
	for _, st := range s.reader.app.Sources() {
		u.Sources = append(u.Sources, Coverage{Path: st.Path, LastLine: st.LastLine, Behind: st.Behind, Problem: st.Problem})
	}
	return nil
}

func (g Gap) within(o Gap) bool { return !g.From.Before(o.From) && !g.To.After(o.To) }

// gaps are the silences of what n messages match, in which nothing of it came.
func (s sought) gaps(ctx context.Context, until time.Time, n int, terms ...index.Term) ([]Gap, error) {
	gaps := []Gap{}
	q := s.within
	q.Terms, q.Until = terms, until
	bars, err := s.reader.Histogram(ctx, q, gapSpans)
	if err != nil || len(bars) < 2 || n < leastMail*gapSpans {
		return gaps, err
	}
	span := bars[1].Start.Sub(bars[0].Start)
	silent := 0
	for i := 0; i <= len(bars); i++ {
		if i < len(bars) && len(bars[i].Counts) == 0 {
			silent++
			continue
		}
		if silent >= leastGap {
			gaps = append(gaps, Gap{From: bars[i-silent].Start, To: bars[i-1].Start.Add(span)})
		}
		silent = 0
	}
	return gaps, nil
}

// Gateways are found by a look at sampleRows messages at each of samples points
// of a time; no more than mostGateways are told.
const (
	samples      = 24
	sampleRows   = 50
	mostGateways = 20
)

// gateways are the names that messages of that time have as their gateway.
func (s sought) gateways(ctx context.Context, until time.Time) ([]string, error) {
	seen := map[string]bool{}
	q := s.within
	q.Terms = nil
	step, points := until.Sub(q.Since)/samples, samples
	if q.Since.IsZero() {
		points = 1
	}
	for i := range points {
		q.Until = until.Add(-time.Duration(i) * step)
		page, err := s.reader.Page(ctx, q, "", sampleRows)
		if err != nil {
			return nil, err
		}
		for _, m := range page.Rows {
			if m.Gateway != "" {
				seen[m.Gateway] = true
			}
		}
	}
	names := slices.Sorted(maps.Keys(seen))
	return names[:min(len(names), mostGateways)], nil
}
