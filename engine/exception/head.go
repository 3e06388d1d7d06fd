package exception

import (
	"fmt"
	"os"
)

// head remembers, in a small file beside the journal, the last entry that was
// acknowledged. A hash chain alone cannot tell that its end was cut off, which
// would bring a revoked exception back to life.
//
// It is written after the entry is durable and is not made durable itself: it
// may be older than the journal, never newer, and a lost one only means that
// nobody remembers.
type head struct {
	entries int
	hash    string
}

// headForm has a fixed width, so that a newer head overwrites an older one whole.
const headForm = "%012d %64s\n"

func headPath(journal string) string { return journal + ".head" }

// readHead gives the zero head where there is none or it cannot be read.
func readHead(journal string) (h head) {
	data, err := os.ReadFile(headPath(journal))
	if err != nil {
		return head{}
	}
	if n, err := fmt.Sscanf(string(data), "%d %64s\n", &h.entries, &h.hash); n != 2 || err != nil {
		return head{}
	}
	return h
}

// writeHead is best effort: the journal is what counts.
func writeHead(journal string, p position) {
	f, err := os.OpenFile(headPath(journal), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = fmt.Fprintf(f, headForm, p.entries, p.hash)
}

// watch wraps what takes entries, so that the entry behind the remembered one
// must follow it.
func (h head) watch(take func(entry) error) func(entry) error {
	return func(e entry) error {
		if h.entries > 0 && e.Number == h.entries+1 && e.Prev != h.hash {
			return fmt.Errorf("it follows another entry %d than the one that was acknowledged", h.entries)
		}
		return take(e)
	}
}

// check compares the end of what was read with what is remembered. A torn last
// line may be the remembered entry: that much a failing disk can do.
func (h head) check(p position, torn bool) error {
	end := p.entries
	if torn {
		end++
	}
	switch {
	case end < h.entries:
		return &ChainError{Entry: p.entries + 1, Problem: fmt.Sprintf(
			"it is missing: the journal ended with entry %d before, so its end was cut off or an older copy was put back (when that is right, remove the .head file beside it)", h.entries)}
	case p.entries == h.entries && p.hash != h.hash && h.entries > 0:
		return &ChainError{Entry: p.entries, Problem: "it is another one than the one that was acknowledged: it was replaced"}
	}
	return nil
}
