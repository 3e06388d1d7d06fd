package tui

import (
	"context"
	"strings"
)

// Presence tells who looks at which message now. Its methods are cheap and do
// not wait.
type Presence interface {
	// Look says that the session's user looks at a message, until leave is called
	// or ctx ends.
	Look(ctx context.Context, id string) (leave func())
	// Others are the names of those who look at it too, each once, without the
	// session's user.
	Others(id string) []string
}

// appear says that our user is here, and finds out who else is.
func (d *detail) appear() {
	p := d.s.svc.Presence
	if p == nil || d.m.ID == "" {
		return
	}
	if d.leave == nil {
		d.leave = p.Look(d.s.ctx, d.m.ID)
	}
	d.others = p.Others(d.m.ID)
}

func (d *detail) stop() {
	d.task.stop()
	d.impact.stop()
	if d.leave != nil {
		d.leave()
	}
	d.leave, d.others = nil, nil
}

// note names who else is here, so that two do not do the same.
func (d *detail) note() string {
	if len(d.others) == 0 {
		return ""
	}
	return "also here: " + strings.Join(d.others, ", ")
}
