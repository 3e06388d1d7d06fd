package index

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"mailwhy/engine/mail"
)

// BenchmarkConcurrent has a hundred sessions search once a second each while
// one writer puts as much as it can: how long a page takes, how soon a count
// with facets ends that is cancelled in its middle, what the writer puts a
// second with and without them, and the longest that a batch of 500 took:
//
//	go test ./index -run xxx -bench Concurrent -benchtime 1x -index.docs=1000000 -index.dir=/var/tmp/million
//
// What was written is removed again.
func BenchmarkConcurrent(b *testing.B) {
	const stretch = 8 * time.Second
	x := benchIndex(b, *benchDocs)
	kinds := fragments(b, x)
	for b.Loop() {
		w := &writer{b: b, x: x, r: rand.New(rand.NewPCG(9, 9))}
		w.zipf = rand.NewZipf(w.r, 1.1, 8, 300_000)
		alone, _ := w.write(stretch)

		ctx, stop := context.WithCancel(b.Context())
		var sessions sync.WaitGroup
		var mu sync.Mutex
		var pages, cancels []time.Duration
		for session := range 100 {
			sessions.Go(func() {
				time.Sleep(time.Duration(session) * 10 * time.Millisecond)
				ticker := time.NewTicker(time.Second)
				defer ticker.Stop()
				for i := session; ctx.Err() == nil; i++ {
					page, err := timePage(ctx, x, kinds, i)
					cancelled := cancelledCount(b, x)
					mu.Lock()
					if err == nil {
						pages = append(pages, page)
					}
					cancels = append(cancels, cancelled)
					mu.Unlock()
					select {
					case <-ticker.C:
					case <-ctx.Done():
					}
				}
			})
		}
		among, batches := w.write(stretch)
		stop()
		sessions.Wait()
		for name, took := range map[string][]time.Duration{"page": pages, "cancel": cancels, "batch": batches} {
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, name+"-p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, name+"-p99-ms")
		}
		b.ReportMetric(alone, "put/s-alone")
		b.ReportMetric(among, "put/s")
	}
	today, err := filepath.Glob(filepath.Join(x.dir, noon.Format(time.DateOnly)+".*"))
	if err != nil {
		b.Fatal(err)
	}
	x.Close()
	for _, dir := range today {
		os.RemoveAll(dir)
	}
}

// timePage times the newest 50 of a fragment of some kind.
func timePage(ctx context.Context, x *Index, kinds map[string][]string, i int) (time.Duration, error) {
	kind := kinds[[]string{"common", "broad", "rare", "absent", "token"}[i%5]]
	begun := time.Now()
	_, err := x.Page(ctx, Query{Terms: []Term{{Field: "from", Value: kind[i%len(kind)]}}}, "", 50)
	return time.Since(begun), err
}

// cancelledCount counts everything with facets, cancels it after 5 ms, and
// tells how long it took to end.
func cancelledCount(b *testing.B, x *Index) time.Duration {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	asked := make(chan time.Time, 1)
	timer := time.AfterFunc(5*time.Millisecond, func() { asked <- time.Now(); cancel() })
	_, err := last(x.Summarise(ctx, Query{Terms: []Term{{Field: "from", Value: "example"}}}, Wanted{Top: 10}))
	ended := time.Now()
	if timer.Stop() { // it ended before
		return 0
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		b.Error(err)
	}
	return max(ended.Sub(<-asked), 0)
}

// writer puts messages of noon's day.
type writer struct {
	b    *testing.B
	x    *Index
	r    *rand.Rand
	zipf *rand.Zipf
	sent int
}

// write puts batches of 500 for a while, and tells how many messages a second
// and how long each batch took.
func (w *writer) write(stretch time.Duration) (rate float64, batches []time.Duration) {
	before, begun := w.sent, time.Now()
	for time.Since(begun) < stretch {
		var batch []mail.Message
		for range 500 {
			batch = append(batch, benchMessage(w.r, w.zipf, noon.Add(time.Duration(w.sent)*time.Millisecond/8).Truncate(time.Millisecond), w.sent))
			w.sent++
		}
		start := time.Now()
		if err := w.x.Put(w.b.Context(), batch); err != nil {
			w.b.Error(fmt.Errorf("put: %w", err))
			return 0, nil
		}
		batches = append(batches, time.Since(start))
	}
	return float64(w.sent-before) / time.Since(begun).Seconds(), batches
}
