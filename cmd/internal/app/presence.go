package app

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// presence is who looks at which message now, in whichever session. The zero
// value is empty.
type presence struct {
	mu    sync.Mutex
	views map[string]map[*string]bool // by message; a view is the name of who looks, by its address
}

func (p *presence) enter(message, name string) (leave func()) {
	view := &name
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.views == nil {
		p.views = map[string]map[*string]bool{}
	}
	if p.views[message] == nil {
		p.views[message] = map[*string]bool{}
	}
	p.views[message][view] = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if delete(p.views[message], view); len(p.views[message]) == 0 {
			delete(p.views, message)
		}
	}
}

func (p *presence) names(message string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	names := map[string]bool{}
	for view := range p.views[message] {
		names[*view] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// onlooker is one person's part in it.
type onlooker struct {
	all  *presence
	name string
}

// Look implements tui.Presence.
func (o onlooker) Look(ctx context.Context, id string) (leave func()) {
	gone := sync.OnceFunc(o.all.enter(id, o.name))
	stop := context.AfterFunc(ctx, gone)
	return func() {
		stop()
		gone()
	}
}

// Others implements tui.Presence.
func (o onlooker) Others(id string) []string {
	return slices.DeleteFunc(o.all.names(id), func(name string) bool { return name == o.name })
}
