// Package index finds messages: bleve is fenced here.
//
// Messages lie in shards of one day each (a busy day has several), named after
// the day in their id's time. A search walks the shards newest first and stops
// when its page is full, so its cost does not grow with history.
//
//	q, err := index.ParseQuery("from:acme is:rejected", now, time.UTC)
//	page, err := x.Page(ctx, q, "", 50)
//
// It must not know how logs are read or which policy applies.
package index

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mailwhy/engine/mail"
)

// ErrNotFound is returned by Get for an id no shard holds.
var ErrNotFound = errors.New("message not found")

// Options tune an index; the zero value is the default.
type Options struct {
	ShardDocs     int              // most documents in a shard, default 100,000
	RetentionDays int              // whole days kept; 0 = for ever
	Now           func() time.Time // the clock for retention; nil = no retention
}

// Index is an open folder of shards. Safe for use by many goroutines; one
// writer at a time.
type Index struct {
	dir     string
	options Options

	mu       sync.RWMutex
	shards   []*shard // oldest first
	problems []string
	changed  chan struct{}
	writing  sync.Mutex
}

// Open opens or makes the index in dir; shards open on demand. A shard that
// cannot be opened is set aside under another name and listed by Problems.
func Open(dir string, o Options) (*Index, error) {
	if o.ShardDocs <= 0 {
		o.ShardDocs = 100_000
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open index %s: %w", dir, err)
	}
	x := &Index{dir: dir, options: o, changed: make(chan struct{})}
	for _, e := range entries {
		if e.IsDir() && shardName(e.Name()) {
			x.shards = append(x.shards, &shard{name: e.Name(), dir: filepath.Join(dir, e.Name())})
		}
	}
	slices.SortFunc(x.shards, func(a, b *shard) int { return strings.Compare(a.name, b.name) })
	x.retire()
	return x, nil
}

// Close persists and closes every shard.
func (x *Index) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	var errs []error
	for _, s := range x.shards {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}

// Problems lists, a sentence each, what was found wrong at Open or since.
func (x *Index) Problems() []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Clone(x.problems)
}

// Changed returns a channel closed at the next Put.
func (x *Index) Changed() <-chan struct{} {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.changed
}

// Put adds or replaces messages by ID. They can be found when it returns.
func (x *Index) Put(ctx context.Context, messages []mail.Message) error {
	if len(messages) == 0 {
		return nil
	}
	x.writing.Lock()
	defer x.writing.Unlock()
	byDay := map[string][]mail.Message{}
	for _, m := range messages {
		day, err := dayOf(m.ID)
		if err != nil {
			return err
		}
		byDay[day] = append(byDay[day], m)
	}
	batches := map[*shard][]mail.Message{}
	for day, ofDay := range byDay {
		if err := x.place(day, ofDay, batches); err != nil {
			return err
		}
	}
	for s, batch := range batches {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.put(batch); err != nil {
			return fmt.Errorf("write shard %s: %w", s.name, err)
		}
	}
	x.mu.Lock()
	close(x.changed)
	x.changed = make(chan struct{})
	x.mu.Unlock()
	return nil
}

// place deals a day's messages to its shards: one seen before goes where it
// stands, a new one to the newest part that has room.
func (x *Index) place(day string, messages []mail.Message, batches map[*shard][]mail.Message) error {
	parts := x.partsOf(day)
	parts = slices.DeleteFunc(parts, func(s *shard) bool { return x.open(s) != nil })
	var last *shard
	room := 0
	if len(parts) > 0 {
		last = parts[len(parts)-1]
		n, err := last.count()
		if err != nil {
			return fmt.Errorf("count shard %s: %w", last.name, err)
		}
		room = x.options.ShardDocs - int(n)
	}
	standing := map[string]*shard{}
	if len(parts) > 1 || len(parts) == 1 && room < len(messages) {
		for _, part := range parts {
			if err := part.holds(messages, standing); err != nil {
				return fmt.Errorf("look up ids in shard %s: %w", part.name, err)
			}
		}
	}
	for _, m := range messages {
		if s := standing[m.ID]; s != nil {
			batches[s] = append(batches[s], m)
			continue
		}
		if last == nil || room <= 0 {
			var err error
			if last, err = x.addShard(fmt.Sprintf("%s.%03d", day, x.nextPart(day))); err != nil {
				return err
			}
			room = x.options.ShardDocs
		}
		room--
		standing[m.ID] = last
		batches[last] = append(batches[last], m)
	}
	return nil
}

// nextPart is the number of a day's next part.
func (x *Index) nextPart(day string) int {
	parts := x.partsOf(day)
	if len(parts) == 0 {
		return 0
	}
	n, err := strconv.Atoi(parts[len(parts)-1].name[len(day)+1:])
	if err != nil {
		return len(parts)
	}
	return n + 1
}

func (x *Index) addShard(name string) (*shard, error) {
	s := &shard{name: name, dir: filepath.Join(x.dir, name), sample: x.sampleFor(name)}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("make shard %s: %w", name, err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	at, _ := slices.BinarySearchFunc(x.shards, name, func(s *shard, n string) int { return strings.Compare(s.name, n) })
	x.shards = slices.Insert(x.shards, at, s)
	x.retireLocked()
	return s, nil
}

func (x *Index) partsOf(day string) []*shard {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var parts []*shard
	for _, s := range x.shards {
		if s.day() == day {
			parts = append(parts, s)
		}
	}
	return parts
}

// open opens a shard; one that cannot be read is set aside.
func (x *Index) open(s *shard) error {
	err := s.open()
	if err == nil {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !slices.Contains(x.shards, s) {
		return err
	}
	aside := asideName(s.dir)
	x.problems = append(x.problems, fmt.Sprintf("the messages of %s could not be read (%v): they were set aside as %s and are read again from the logs where these exist", s.day(), err, filepath.Base(aside)))
	if renameErr := os.Rename(s.dir, aside); renameErr != nil {
		x.problems = append(x.problems, fmt.Sprintf("set shard aside: %v", renameErr))
	}
	x.shards = slices.DeleteFunc(slices.Clone(x.shards), func(o *shard) bool { return o == s })
	return err
}

func (x *Index) retire() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.retireLocked()
}

// retireLocked removes the folders of days past retention.
func (x *Index) retireLocked() {
	if x.options.RetentionDays <= 0 || x.options.Now == nil {
		return
	}
	oldest := x.options.Now().UTC().AddDate(0, 0, -x.options.RetentionDays).Format(time.DateOnly)
	var kept []*shard
	for _, s := range x.shards {
		if s.day() >= oldest {
			kept = append(kept, s)
			continue
		}
		if err := errors.Join(s.close(), os.RemoveAll(s.dir)); err != nil {
			x.problems = append(x.problems, fmt.Sprintf("remove the messages of %s: %v", s.day(), err))
		}
	}
	x.shards = kept
}

// newestFirst lists the shards that can hold matches of the query.
func (x *Index) newestFirst(q Query) []*shard {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var list []*shard
	for _, s := range slices.Backward(x.shards) {
		if !q.Since.IsZero() && s.day() < q.Since.UTC().Format(time.DateOnly) {
			continue
		}
		if !q.Until.IsZero() && s.day() > q.Until.UTC().Format(time.DateOnly) {
			continue
		}
		list = append(list, s)
	}
	return list
}

// Get returns one message by its id.
func (x *Index) Get(ctx context.Context, id string) (mail.Message, error) {
	day, err := dayOf(id)
	if err != nil {
		return mail.Message{}, ErrNotFound
	}
	for _, s := range x.partsOf(day) {
		if x.open(s) != nil {
			continue
		}
		m, err := s.get(ctx, id)
		if !errors.Is(err, ErrNotFound) {
			return m, err
		}
	}
	return mail.Message{}, ErrNotFound
}

// Cursor is the id of the row after which a page starts; "" = at the newest.
type Cursor string

// Page is some rows of an answer, newest first.
type Page struct {
	Rows []mail.Message
	Next Cursor // "" when there are no more
}

// Page returns up to limit messages that match, newest first, after the cursor.
func (x *Index) Page(ctx context.Context, q Query, after Cursor, limit int) (Page, error) {
	var p Page
	for _, s := range x.newestFirst(q) {
		if day, err := dayOf(string(after)); err == nil && s.day() > day {
			continue
		}
		if x.open(s) != nil {
			continue
		}
		rows, err := s.page(ctx, q, after, limit+1)
		if err != nil {
			return Page{}, fmt.Errorf("search shard %s: %w", s.name, err)
		}
		p.Rows = append(p.Rows, rows...)
		if len(p.Rows) > limit && !x.continues(s, q) {
			break
		}
	}
	slices.SortStableFunc(p.Rows, func(a, b mail.Message) int { return strings.Compare(b.ID, a.ID) })
	if len(p.Rows) > limit {
		p.Rows = p.Rows[:limit]
		p.Next = Cursor(p.Rows[limit-1].ID)
	}
	return p, nil
}

// continues reports whether the next older shard is of the same day: parts of
// a day overlap in time, so a page needs all of them.
func (x *Index) continues(s *shard, q Query) bool {
	list := x.newestFirst(q)
	at := slices.Index(list, s)
	return at >= 0 && at+1 < len(list) && list[at+1].day() == s.day()
}

// Total is how many messages match, out of how many.
type Total struct {
	Count int
	Of    int // messages in the index
	Older int // when Count is 0: matches before the query's since
}

// Count counts every match.
func (x *Index) Count(ctx context.Context, q Query) (Total, error) {
	var t Total
	count := func(q Query) (int, error) {
		n := 0
		for _, s := range x.newestFirst(q) {
			if x.open(s) != nil {
				continue
			}
			c, err := s.matches(ctx, q)
			if err != nil {
				return 0, fmt.Errorf("count in shard %s: %w", s.name, err)
			}
			n += c
		}
		return n, nil
	}
	var err error
	if t.Count, err = count(q); err != nil {
		return Total{}, err
	}
	for _, s := range x.newestFirst(Query{}) {
		if x.open(s) == nil {
			n, err := s.count()
			if err != nil {
				return Total{}, fmt.Errorf("count shard %s: %w", s.name, err)
			}
			t.Of += int(n)
		}
	}
	if t.Count == 0 && !q.Since.IsZero() {
		older := q
		older.Since, older.Until = time.Time{}, q.Since
		if t.Older, err = count(older); err != nil {
			return Total{}, err
		}
	}
	return t, nil
}

// pageSize is how many rows an iteration reads at a time.
const pageSize = 500

// Messages yields every match, newest first, until the context ends or the
// caller stops; an error ends the sequence.
func (x *Index) Messages(ctx context.Context, q Query) iter.Seq2[mail.Message, error] {
	return func(yield func(mail.Message, error) bool) {
		for after := Cursor(""); ; {
			p, err := x.Page(ctx, q, after, pageSize)
			if err != nil {
				yield(mail.Message{}, err)
				return
			}
			for _, m := range p.Rows {
				if !yield(m, nil) {
					return
				}
			}
			if after = p.Next; after == "" {
				return
			}
		}
	}
}

// Bucket is one bar of the histogram.
type Bucket struct {
	Start  time.Time
	Counts map[mail.Outcome]int
}

// Histogram counts matches by outcome in n equal spans of the query's time.
func (x *Index) Histogram(ctx context.Context, q Query, n int) ([]Bucket, error) {
	end := q.Until
	if end.IsZero() {
		end = q.asked
	}
	if n <= 0 || q.Since.IsZero() || !end.After(q.Since) {
		return nil, nil
	}
	span := end.Sub(q.Since)/time.Duration(n) + 1
	buckets := make([]Bucket, n)
	for i := range buckets {
		buckets[i] = Bucket{Start: q.Since.Add(time.Duration(i) * span), Counts: map[mail.Outcome]int{}}
	}
	for _, s := range x.newestFirst(q) {
		if x.open(s) != nil {
			continue
		}
		err := s.outcomes(ctx, q, func(at time.Time, o mail.Outcome) {
			if i := int(at.Sub(q.Since) / span); i >= 0 && i < n {
				buckets[i].Counts[o]++
			}
		})
		if err != nil {
			return nil, fmt.Errorf("histogram of shard %s: %w", s.name, err)
		}
	}
	return buckets, nil
}
