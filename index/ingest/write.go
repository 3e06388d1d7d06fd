package ingest

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"mailwhy/engine/mail"
)

const (
	writers     = 2                     // as many as build batches side by side
	mostPending = 2000                  // messages taken from the queue together
	gather      = 30 * time.Millisecond // in which messages that arrive one by one become a batch
)

// batch is one writer's part of what was taken from the queue.
type batch struct {
	messages []mail.Message
	left     *atomic.Int32   // parts that are not written yet
	awaited  []chan struct{} // closed by the writer of the last part
}

// write takes messages from the queue and puts them into the index until ctx
// ends. A message always goes to the same writer, so that its states are put
// in their order.
func (p *Pump) write(ctx context.Context) {
	seed := maphash.MakeSeed()
	var parts [writers]chan batch
	var running sync.WaitGroup
	for i := range parts {
		parts[i] = make(chan batch, 1)
		running.Go(func() {
			for b := range parts[i] {
				if !p.put(ctx, b.messages) {
					return
				}
				if b.left.Add(-1) == 0 {
					for _, done := range b.awaited {
						close(done)
					}
				}
			}
		})
	}
	defer running.Wait()
	defer func() {
		for _, c := range parts {
			close(c)
		}
	}()
	for p.queue.wait(ctx, gather) {
		messages, awaited := p.queue.take()
		var split [writers][]mail.Message
		for _, m := range messages {
			to := maphash.String(seed, m.ID) % writers
			split[to] = append(split[to], m)
		}
		left := &atomic.Int32{}
		left.Store(writers)
		for i, c := range parts {
			select {
			case c <- batch{split[i], left, awaited}:
			case <-ctx.Done():
				return
			}
		}
	}
}

// put writes messages to the index. A write that fails is tried again, and
// nothing more is read meanwhile; false = ctx ended, or p.broken was told.
func (p *Pump) put(ctx context.Context, messages []mail.Message) bool {
	if len(messages) == 0 {
		return true
	}
	for {
		err := p.options.Index.Put(ctx, messages)
		if err == nil {
			p.note(nil)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		p.note(fmt.Errorf("index messages: %w", err))
		if p.broken != nil {
			return false
		}
		select {
		case <-time.After(p.options.again):
		case <-ctx.Done():
			return false
		}
	}
}

// note remembers what keeps the pump from writing; nil = nothing.
func (p *Pump) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stuck = ""
	if err == nil {
		return
	}
	p.stuck = fmt.Sprintf("nothing more is read until this is mended: %v", err)
	if p.broken != nil {
		p.broken(err)
	}
}
