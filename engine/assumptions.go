package engine

import "fmt"

// noteAssumptions turns each inferred table over and names those on which this
// verdict rests.
func (s *Set) noteAssumptions(f *facts, v *Verdict) {
	if v.Outcome == nil {
		return
	}
	shown := decision{outcome: *v.Outcome, stage: v.Stage, policy: v.Policy}
	turned := func(t twist) decision {
		plain := f.plain()
		return s.run(&plain, t, nil)
	}
	changes := func(t twist) bool {
		d := turned(t)
		return !d.same(&shown)
	}
	note := func(text string, args ...any) { v.Assumes = append(v.Assumes, fmt.Sprintf(text, args...)) }
	if changes(twist{otherCompare: true}) {
		first, then := "From", "To"
		if s.file.engine.ToFirst {
			first, then = then, first
		}
		note("the %s side is compared before the %s side", first, then)
	}
	if v.Stage != StageAntiSpoofing && changes(twist{otherContest: true}) {
		note("which policies take part in the contest at data")
	}
	if v.Ambiguous && changes(twist{boldTie: true}) {
		note("the cautious option wins a tie")
	}
	levels := s.file.engine.Specificity
	for i := 0; i+1 < len(levels); i++ {
		if !inferredLevels(levels[i], levels[i+1]) {
			continue
		}
		if changes(twist{swap: [2]int{i, i + 1}}) {
			note("%s is more specific than %s", levels[i+1], levels[i])
		}
	}
	order := s.file.engine.Order
	for _, i := range inferredNeighbours(order) {
		if changes(twist{order: exchanged(order, i)}) {
			note("%s is decided before %s at %s", order[i].Stage, order[i+1].Stage, order[i].Moment)
		}
	}
}

// inferredLevels reports whether the vendor leaves open which of two
// neighbouring levels is the more specific: it documents the two lowest and
// the highest (domain 2).
func inferredLevels(low, high SpecType) bool {
	return low != Everyone && high != IndividualAddress
}
