package ingest

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"mailwhy/engine/mail"
	"mailwhy/logparse/tail"
)

// disk is a store that may be slow and may fail: what is put is in memory
// until Sync. Each call looks at the checkpoint, which must not run ahead.
type disk struct {
	t    *testing.T
	data string

	mu        sync.Mutex
	r         *rand.Rand
	failures  int                     // calls that still fail
	memory    map[string]mail.Message // put, not synced
	persisted map[string]mail.Message
	puts      int
	stopAt    int // the put at which stop is called
	stop      func()
}

func newDisk(t *testing.T, data string, failures int) *disk {
	return &disk{t: t, data: data, r: rand.New(rand.NewPCG(7, 7)), failures: failures, memory: map[string]mail.Message{}, persisted: map[string]mail.Message{}}
}

var errDiskFull = errors.New("no space left on device")

func (d *disk) Put(_ context.Context, messages []mail.Message) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.checkCheckpoint()
	if d.puts++; d.puts == d.stopAt {
		d.stop()
	}
	if d.failures > 0 && d.r.IntN(3) == 0 {
		d.failures--
		return errDiskFull
	}
	for _, m := range messages {
		d.memory[m.ID] = m
	}
	return nil
}

func (d *disk) Sync(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.checkCheckpoint()
	if d.failures > 0 && d.r.IntN(3) == 0 {
		d.failures--
		return errDiskFull
	}
	maps.Copy(d.persisted, d.memory)
	clear(d.memory)
	return nil
}

// checkCheckpoint fails when the checkpoint covers a message that is in memory
// alone.
func (d *disk) checkCheckpoint() {
	c, err := readCheckpoint(d.data)
	if err != nil {
		d.t.Errorf("read checkpoint: %v", err)
	}
	if c == nil {
		return
	}
	for id, m := range d.memory {
		first := m.Evidence[0]
		if _, safe := d.persisted[id]; !safe && first.Offset < c.Tail.Logs[m.Source].Offset {
			d.t.Errorf("the checkpoint stands at %d, and the message at %d is not on disk", c.Tail.Logs[m.Source].Offset, first.Offset)
		}
	}
}

func writeLines(t *testing.T, path string, from, to int) {
	t.Helper()
	var text []byte
	for n := from; n < to; n++ {
		text = append(text, line(n)...)
	}
	appendLine(t, path, string(text))
}

func wantOutcomes(t *testing.T, got map[string]mail.Message, want map[string]mail.Outcome) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d messages, want %d", len(got), len(want))
	}
	for id, outcome := range want {
		if got[id].Outcome != outcome {
			t.Fatalf("%s is %q, want %q", id, got[id].Outcome, outcome)
		}
	}
}

// outcomesOf reads a log in one go into memory.
func outcomesOf(t *testing.T, path string) map[string]mail.Outcome {
	t.Helper()
	d := newDisk(t, t.TempDir(), 0)
	p, err := New(Options{Sources: []string{path}, Data: d.data, Index: d})
	check(t, err)
	check(t, p.Once(t.Context()))
	all := map[string]mail.Outcome{}
	for id, m := range d.persisted {
		all[id] = m.Outcome
	}
	return all
}

// TestCheckpointFollowsPersistence follows a log that grows while writes fail
// now and then: the checkpoint never covers what is in memory alone, nothing
// is lost, and the failures are told and forgotten.
func TestCheckpointFollowsPersistence(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "maillog")
	writeLines(t, path, 0, 6_000)
	d := newDisk(t, dir, 6)
	p, err := New(Options{Sources: []string{path}, Data: dir, Index: d, Reconcile: 10 * time.Millisecond, Every: time.Millisecond, again: time.Millisecond})
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	writeLines(t, path, 6_000, 6_003)
	until(t, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		c, err := readCheckpoint(dir)
		info, statErr := os.Stat(path)
		check(t, errors.Join(err, statErr))
		return c != nil && slices.ContainsFunc(slices.Collect(maps.Values(c.Tail.Logs)), func(at tail.Position) bool { return at.Offset == info.Size() })
	})
	cancel()
	check(t, <-done)
	if problems := p.Problems(); problems != nil {
		t.Errorf("problems after the disk is well again: %v", problems)
	}
	wantOutcomes(t, d.persisted, outcomesOf(t, path))
}

// full is a disk without space.
type full struct{}

func (full) Put(context.Context, []mail.Message) error { return errDiskFull }
func (full) Sync(context.Context) error                { return errDiskFull }

// TestFullDiskIsTold: reading once ends with the error, following goes on and
// says what is wrong.
func TestFullDiskIsTold(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "maillog")
	writeLines(t, path, 0, 300)
	p, err := New(Options{Sources: []string{path}, Data: dir, Index: full{}})
	check(t, err)
	if err := p.Once(t.Context()); !errors.Is(err, errDiskFull) {
		t.Errorf("reading once: %v", err)
	}
	p, err = New(Options{Sources: []string{path}, Data: dir, Index: full{}, again: time.Millisecond, ending: 10 * time.Millisecond})
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	until(t, func() bool { return len(p.Problems()) == 1 })
	cancel()
	if err := <-done; err == nil {
		t.Error("what was read could not be written, and the end does not say so")
	}
	if c, err := readCheckpoint(dir); c != nil || err != nil {
		t.Errorf("a checkpoint was written: %+v %v", c, err)
	}
}

// stopped blocks every Put until it is let go.
type stopped struct {
	*disk
	entered chan struct{}
	letGo   chan struct{}
}

func (s stopped) Put(ctx context.Context, messages []mail.Message) error {
	announce(s.entered)
	select {
	case <-s.letGo:
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.disk.Put(ctx, messages)
}

// TestBackPressure: while nothing can be written, reading stops within what
// the queue and the writers hold; later everything is there.
func TestBackPressure(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "maillog")
	writeLines(t, path, 0, 24_000)
	store := stopped{newDisk(t, dir, 0), make(chan struct{}, 1), make(chan struct{})}
	p, err := New(Options{Sources: []string{path}, Data: dir, Index: store})
	check(t, err)
	done := make(chan error)
	go func() { done <- p.Once(t.Context()) }()
	<-store.entered
	until(t, func() bool { // the reader waits for room
		p.queue.mu.Lock()
		defer p.queue.mu.Unlock()
		return len(p.queue.list) >= p.queue.most
	})
	const mostLines = 6*mostPending*2 + 2*2000 // of 3 lines, 2 make a message; a chunk has fewer than 2000
	if read := p.Progress().Bytes / int64(len(line(0))); read > mostLines {
		t.Errorf("%d lines were read while nothing could be written", read)
	}
	close(store.letGo)
	check(t, <-done)
	wantOutcomes(t, store.persisted, outcomesOf(t, path))
	if at := p.Progress(); at.Bytes != at.Total || at.Left != 0 || at.Rate == 0 {
		t.Errorf("progress at the end: %+v", at)
	}
}

// TestCancelledBackfillGoesOn ends a backfill again and again; what each pump
// did is kept, and the last one has all of it.
func TestCancelledBackfillGoesOn(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "maillog")
	writeLines(t, path, 0, 15_000)
	d := newDisk(t, dir, 0)
	var before int64
	for rounds := 1; ; rounds++ {
		p, err := New(Options{Sources: []string{path}, Data: dir, Index: d, ending: time.Minute})
		check(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		d.stopAt, d.stop = d.puts+2, cancel
		err = p.Once(ctx)
		cancel()
		if err == nil {
			if rounds < 2 {
				t.Errorf("the backfill was never cancelled")
			}
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		c, err := readCheckpoint(dir)
		check(t, err)
		for _, at := range c.Tail.Logs {
			if at.Offset <= before {
				t.Fatalf("the checkpoint went from %d to %d", before, at.Offset)
			}
			before = at.Offset
		}
	}
	wantOutcomes(t, d.persisted, outcomesOf(t, path))
}

// until waits for a condition.
func until(t *testing.T, true func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !true() {
		if time.Now().After(deadline) {
			t.Fatal("it did not come about in 20 s")
		}
		time.Sleep(time.Millisecond)
	}
}

func (*disk) Shards() []string        { return nil }
func (*disk) Lost([]string) []string  { return nil }
func (*disk) Regained([]string) error { return nil }

func (full) Shards() []string        { return nil }
func (full) Lost([]string) []string  { return nil }
func (full) Regained([]string) error { return nil }
