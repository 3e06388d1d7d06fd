// Package index finds messages: bleve is fenced here.
package index

import (
	"context"
	"errors"
	"iter"
	"time"

	"mailwhy/engine/mail"
)

// ErrNotFound is returned by Get for an id no shard holds.
var ErrNotFound = errors.New("message not found")

// Index is an open data folder's shards. Safe for use by many goroutines; one
// writer at a time.
type Index struct{}

// Options tune an index; the zero value is the default.
type Options struct {
	ShardDocs     int              // most documents in a shard, default 100,000
	RetentionDays int              // whole days kept; 0 = for ever
	Now           func() time.Time // the clock for retention and sealing
}

// Open opens or makes the index in dir. Shards open on demand. A shard that
// cannot be read is set aside under another name and listed by Problems.
func Open(dir string, o Options) (*Index, error) { return &Index{}, nil }

// Close persists and closes every shard.
func (x *Index) Close() error { return nil }

// Problems lists, a sentence each, what was found wrong at Open or since.
func (x *Index) Problems() []string { return nil }

// Put adds or replaces messages by ID. They can be found when it returns.
func (x *Index) Put(ctx context.Context, messages []mail.Message) error { return nil }

// Sync returns when everything put before is on disk.
func (x *Index) Sync(ctx context.Context) error { return nil }

// Changed returns a channel closed at the next Put.
func (x *Index) Changed() <-chan struct{} { return nil }

// Get returns one message by its id.
func (x *Index) Get(ctx context.Context, id string) (mail.Message, error) {
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
	return Page{}, nil
}

// Total is how many messages match, out of how many.
type Total struct {
	Count int
	Of    int // messages in the index
	Older int // when Count is 0: matches before the query's since
}

// Count counts every match.
func (x *Index) Count(ctx context.Context, q Query) (Total, error) { return Total{}, nil }

// Messages yields every match, newest first, until the context ends or the
// caller stops; an error ends the sequence.
func (x *Index) Messages(ctx context.Context, q Query) iter.Seq2[mail.Message, error] { return nil }

// Bucket is one bar of the histogram.
type Bucket struct {
	Start  time.Time
	Counts map[mail.Outcome]int
}

// Histogram counts matches by outcome in n equal spans of the query's time.
func (x *Index) Histogram(ctx context.Context, q Query, n int) ([]Bucket, error) { return nil, nil }
