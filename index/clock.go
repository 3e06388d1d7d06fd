package index

import (
	"fmt"
	"iter"
	"strings"
	"time"
)

// A live layer counts its documents by hour ("09"), minute ("0914") and second
// ("091455") of their ids' times, which are terms of one field: a walk takes as
// long a stretch at a time as has about as many documents as it wants.

// clockTerms are the terms of a time.
func clockTerms(at time.Time) []string {
	second := at.UTC().Format("150405")
	return []string{second[:2], second[:4], second}
}

// stretch is how many documents the first part of a walk has, about.
const stretch = 128

// newestFirst yields the terms of parts of the day up to a last second, newest
// first, each part of about twice as many documents as the one before.
func (l *live) newestFirst(last string) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		var part []string
		n, want := 0, stretch
		take := func(term string) bool {
			part = append(part, term)
			if n += l.at(term); n < want {
				return true
			}
			terms := part
			part, n, want = nil, 0, 2*want
			return yield(terms)
		}
		if l.descend("", last, &want, take) && len(part) > 0 {
			yield(part)
		}
	}
}

// descend takes the parts of a stretch of time newest first: as a whole when
// it has few documents, else the stretches it consists of.
func (l *live) descend(prefix, last string, want *int, take func(string) bool) bool {
	parts := 60
	if prefix == "" {
		parts = 24
	}
	for i := parts - 1; i >= 0; i-- {
		term := prefix + fmt.Sprintf("%02d", i)
		n := l.at(term)
		if n == 0 || term > last[:min(len(term), len(last))] {
			continue
		}
		ok := true
		if n > *want && len(term) < len("150405") {
			ok = l.descend(term, last, want, take)
		} else {
			ok = take(term)
		}
		if !ok {
			return false
		}
	}
	return true
}

// walk gives the terms that lead through the layer newest first, from what can
// hold the newest match below the cursor.
func (l *live) walk(q Query, below Cursor) (iter.Seq[[]string], error) {
	if err := l.readClock(); err != nil {
		return nil, err
	}
	last := "235959"
	for _, bound := range []time.Time{timeOrNone(string(below)), q.Until} {
		if bound = bound.UTC(); bound.Format(time.DateOnly) == l.day {
			last = min(last, bound.Format("150405"))
		}
	}
	return l.newestFirst(last), nil
}

// timeOrNone is timeOf; the zero time for what is no id.
func timeOrNone(id string) time.Time {
	at, err := timeOf(id)
	if err != nil {
		return time.Time{}
	}
	return at
}

// readClock reads the counts on first use.
func (l *live) readClock() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clock != nil {
		return nil
	}
	counts := map[string]int{}
	dict, err := l.bleve.FieldDict(fieldClock)
	if err != nil {
		return fmt.Errorf("read times: %w", err)
	}
	defer dict.Close()
	for {
		entry, err := dict.Next()
		if err != nil {
			return fmt.Errorf("read times: %w", err)
		}
		if entry == nil {
			l.clock = counts
			return nil
		}
		counts[strings.Clone(entry.Term)] += int(entry.Count)
	}
}

// at counts the documents of a stretch of time.
func (l *live) at(term string) int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.clock[term]
}
