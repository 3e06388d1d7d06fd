package tail

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"sync"
	"testing"
	"time"
)

// recorder is a sink that keeps every line with its log and offset.
type recorder struct {
	mu      sync.Mutex
	at      map[string]bool // "log offset line"
	times   map[string]int  // line -> at how many places it stood
	idles   int
	changed chan struct{}
}

func newRecorder() *recorder {
	return &recorder{at: map[string]bool{}, times: map[string]int{}, changed: make(chan struct{})}
}

func (r *recorder) Chunk(_ context.Context, s Source, offset int64, data []byte, eof bool) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	used := 0
	for start := 0; start < len(data); {
		end := start
		for end < len(data) && data[end] != '\n' && data[end] != '\r' {
			end++
		}
		if end == len(data) && !eof {
			break
		}
		r.line(fmt.Sprintf("%s %d", s.ID, offset+int64(start)), string(data[start:end]))
		start = min(end+1, len(data))
		used = start
	}
	r.news()
	return used, nil
}

// line notes a line at a place. It may come again at the same place: so does
// the index take it.
func (r *recorder) line(place, text string) {
	if key := place + " " + text; !r.at[key] {
		r.at[key] = true
		r.times[text]++
	}
}

func (r *recorder) Idle(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.idles++
	r.news()
	return nil
}

func (r *recorder) news() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// wait waits until condition, which sees the recorder locked, holds.
func (r *recorder) wait(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		r.mu.Lock()
		ok, changed := condition(), r.changed
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%s: not after 20 s", what)
		}
	}
}

// has waits for a line.
func (r *recorder) has(t *testing.T, line string) {
	t.Helper()
	r.wait(t, fmt.Sprintf("line %.60q", line), func() bool { return r.times[line] > 0 })
}

// looks waits until everything was looked at n more times.
func (r *recorder) looks(t *testing.T, n int) {
	t.Helper()
	r.mu.Lock()
	until := r.idles + n
	r.mu.Unlock()
	r.wait(t, fmt.Sprintf("%d looks", n), func() bool { return r.idles >= until })
}

func identity(line []byte) string {
	h := fnv.New64a()
	_, _ = h.Write(line)
	return fmt.Sprintf("%x", h.Sum64())
}

// reader is a follower at work, which can be stopped and started again.
type reader struct {
	t       *testing.T
	options Options
	sink    *recorder
	stop    func() State
	last    *Follower
}

func startReader(t *testing.T, o Options) *reader {
	t.Helper()
	o.Identify = identity
	if o.Interval == 0 {
		o.Interval = 20 * time.Millisecond
	}
	r := &reader{t: t, options: o, sink: newRecorder()}
	r.start()
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *reader) start() {
	ctx, cancel := context.WithCancel(context.Background())
	f := New(r.options)
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx, r.sink) }()
	r.last = f
	r.stop = sync.OnceValue(func() State {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("Run: %v", err)
		}
		return f.State()
	})
}

// restart ends the follower and starts another from its state as it would be
// written down.
func (r *reader) restart() {
	r.t.Helper()
	r.halt()
	r.start()
}

func (r *reader) halt() {
	r.t.Helper()
	data, err := json.Marshal(r.stop())
	if err != nil {
		r.t.Fatal(err)
	}
	r.options.Start = State{}
	if err := json.Unmarshal(data, &r.options.Start); err != nil {
		r.t.Fatal(err)
	}
}
