package sealed

import (
	"context"
	"runtime"
)

// errand is the work on one answer. Work that takes long asks it in between
// whether somebody still waits for the answer.
type errand struct {
	ctx  context.Context
	done int // steps since it was asked last
}

// lookEvery is how many steps are made between two looks: 0.1 to 0.3 ms.
const lookEvery = 1 << 16

// goOn counts steps of a few nanoseconds, such as a byte of a list of postings;
// false: nobody waits any more. Now and then it lets others have the processor:
// Go itself takes it away after 10 ms only, which whoever presses a key or ends
// a search would wait for.
func (e *errand) goOn(steps int) bool {
	if e.done += steps; e.done < lookEvery {
		return true
	}
	e.done = 0
	runtime.Gosched()
	return e.ctx.Err() == nil
}
