package engine

import "sync"

// walkPool lends the working space of a walk, so that a decision allocates
// nothing.
type walkPool struct{ pool sync.Pool }

func (p *walkPool) get() *walk {
	if w, ok := p.pool.Get().(*walk); ok {
		return w
	}
	return &walk{}
}

func (p *walkPool) put(w *walk) {
	room := w.room
	*w = walk{room: room}
	p.pool.Put(w)
}
