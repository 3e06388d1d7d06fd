// Package ingest pumps logs into the index: tail, logparse, index, with
// back-pressure and a checkpoint behind it. It is the index's only writer.
package ingest

import (
	"context"
	"time"

	"mailwhy/engine/mail"
	"mailwhy/index"
)

// Options of a pump.
type Options struct {
	Sources   []string // files and globs to read
	Data      string   // folder of the checkpoint
	Index     *index.Index
	Location  *time.Location // zone of year-less and zone-less stamps; nil = UTC
	Now       func() time.Time
	KeepAll   bool          // index plain deliveries too
	Reconcile time.Duration // how often files are looked at without an event; 0 = 2 s
}

// Status is the health of one source.
type Status struct {
	Path         string
	Format       string // "" = not known yet
	Lines        int64
	Bytes        int64
	Behind       int64           // bytes not read yet
	Lag          time.Duration   // since the newest line, while behind
	LastLine     time.Time       // when the newest line was read
	Unrecognised int64           // lines that look like failures and were not understood
	Samples      []mail.Evidence // the newest of those, at most 100
	Rotated      time.Time
	Problem      string // a sentence; "" = well
	Cut          int64  // lines over 1 MiB
}

// Pump reads sources into an index.
type Pump struct{}

// New prepares a pump; nothing is read before Run or Once.
func New(o Options) (*Pump, error) { return &Pump{}, nil }

// Run follows the sources until ctx ends, then checkpoints. A source that
// fails is reported by Status and tried again.
func (p *Pump) Run(ctx context.Context) error { return nil }

// Once reads what the sources hold now, checkpoints and returns.
func (p *Pump) Once(ctx context.Context) error { return nil }

// Status returns the sources as they stand, by path.
func (p *Pump) Status() []Status { return nil }
