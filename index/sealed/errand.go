package sealed

import (
	"context"
	"runtime"
)

// errand is the work on one answer. Work that takes long asks it in between
// whether somebody still waits for the answer.
type errand struct {
	ctx   context.Context
	done  int // steps since it was asked last
	looks int
}

const (
	lookEvery = 1 << 16 // steps between two looks: 0.1 to 0.3 ms
	restEvery = 16      // looks between two rests
)

// goOn counts steps of a few nanoseconds, such as a byte of a list of postings;
// false: nobody waits any more. What lasts lets others have the processor now
// and then: Go itself takes it away after 10 ms only, which whoever ends a
// search would wait for. A page does not last that long. It must not rest: its
// next turn comes after everybody's who indexes, and its median was ten times
// as long.
func (e *errand) goOn(steps int) bool {
	if e.done += steps; e.done < lookEvery {
		return true
	}
	e.done = 0
	if e.looks++; e.looks%restEvery == 0 {
		runtime.Gosched()
	}
	return e.ctx.Err() == nil
}
