package tui

import (
	"context"
	"testing"
)

// room is a Presence with one other person in it.
type room struct {
	here   map[string]int // our own looks
	others map[string][]string
}

func (r *room) Look(_ context.Context, id string) func() {
	r.here[id]++
	return func() { r.here[id]-- }
}

func (r *room) Others(id string) []string { return r.others[id] }

// Who looks at a message is told of whom else does, from their coming to their
// going, and is seen there as long.
func TestPresence(t *testing.T) {
	w := newWorld(samples(3)...)
	r := &room{here: map[string]int{}, others: map[string][]string{}}
	p := newProgram(t, w, 80, 24, func(o *Options) {
		open := o.Open
		o.Open = func(ctx context.Context) (Services, error) {
			s, err := open(ctx)
			s.Presence = r
			return s, err
		}
	})
	row, _ := p.root.list.table.Selected()
	p.keys("enter")
	if r.here[row.ID] != 1 {
		t.Errorf("we look %d times", r.here[row.ID])
	}
	if p.root.top().note() != "" {
		t.Errorf("alone: %q", p.root.top().note())
	}
	r.others[row.ID] = []string{"olaf", "vera"}
	p.send(tickMsg{})
	p.shows("also here: olaf, vera")
	r.others[row.ID] = nil
	p.send(tickMsg{})
	if p.root.top().note() != "" {
		t.Errorf("after they left: %q", p.root.top().note())
	}
	p.keys("esc")
	if r.here[row.ID] != 0 {
		t.Errorf("we are still seen there")
	}
}
