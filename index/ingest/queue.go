package ingest

import (
	"context"
	"sync"
	"time"

	"mailwhy/engine/mail"
)

// queue holds the messages between the parser and the writers: the newest
// state of each, so that a message that changes often is written once. It is
// bounded: the reader waits for room before it parses more.
type queue struct {
	most int

	mu      sync.Mutex
	list    []mail.Message
	at      map[string]int  // place in list, by id
	awaited []chan struct{} // see after
	taken   chan struct{}   // closed when the list is taken
	filled  chan struct{}   // has room for one token: there is something to take
	full    chan struct{}   // likewise: and no reason to wait for more
}

func newQueue(most int) *queue {
	return &queue{most: most, at: map[string]int{}, taken: make(chan struct{}), filled: make(chan struct{}, 1), full: make(chan struct{}, 1)}
}

// room returns when the queue is not full.
func (q *queue) room(ctx context.Context) error {
	for {
		q.mu.Lock()
		full, taken := len(q.list) >= q.most, q.taken
		q.mu.Unlock()
		if !full {
			return ctx.Err()
		}
		select {
		case <-taken:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// add appends a message, or replaces its earlier state. The caller has asked
// for room.
func (q *queue) add(m mail.Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i, known := q.at[m.ID]; known {
		q.list[i] = m
		return
	}
	q.at[m.ID] = len(q.list)
	q.list = append(q.list, m)
	announce(q.filled)
	if len(q.list) >= q.most {
		announce(q.full)
	}
}

// after returns a channel that the writers close once they have written
// everything that was added before.
func (q *queue) after() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	done := make(chan struct{})
	q.awaited = append(q.awaited, done)
	announce(q.filled)
	announce(q.full) // do not wait for more
	return done
}

func announce(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take empties the queue. awaited are to be closed once the messages, and
// those taken before them, are written.
func (q *queue) take() (list []mail.Message, awaited []chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	list, awaited = q.list, q.awaited
	q.list, q.at, q.awaited = nil, map[string]int{}, nil
	close(q.taken)
	q.taken = make(chan struct{})
	return list, awaited
}

// wait returns when there is something to take: once it has gathered for a
// while, or at once when the queue is full. false = ctx ended.
func (q *queue) wait(ctx context.Context, gather time.Duration) bool {
	select {
	case <-q.filled:
	case <-ctx.Done():
		return false
	}
	timer := time.NewTimer(gather)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-q.full:
	case <-ctx.Done():
		return false
	}
	return true
}
